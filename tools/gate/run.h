// One run of the gate: selftest smoke, schedules, then every kernel: corpus, properties, claims, headroom,
// resources, speed. What cannot run here is said so, and a receipt may answer for it.
//
// A run never stops at the first finding of a kernel; only a mutant that lives ends it, because after that
// nothing else can be believed.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/gate/baseline.h"
#include "tools/gate/config.h"
#include "tools/gate/device.h"
#include "tools/gate/findings.h"
#include "tools/gate/sources.h"

namespace assay::tools::gate {

struct RunOptions {
  GateConfig config;
  std::string config_path;        // as the user typed it
  std::string root;               // the folder that its paths start from
  std::vector<std::string> only;  // names of kernels; empty: all, and the checks of the whole run
  std::string changed_since;      // a git revision: kernels of which no file changed are left out; "" = none
  std::string out;                // folder of failing cases; "" = none
  int workers = 1;
  bool update_baseline = false;
  bool without_speed = false;  // said so in a finding, and in a receipt
  Device device;
};

// What was learnt about one kernel.
struct KernelReport {
  std::string name;
  std::string ran_on;  // "cpu", "NVIDIA H200, driver 13.0"; "" = it did not run
  Headroom headroom;
  Resources resources;
  nlohmann::ordered_json speed;  // what `assay bench` said; null = not measured
  std::int64_t cases = 0, accepted = 0, elements = 0;
};

struct GateRun {
  std::vector<Finding> findings;
  std::vector<KernelReport> kernels;
  std::vector<std::string> baseline_notes;  // --update-baseline: what is different now
  bool interrupted = false;
};

// What is under way, for a progress line.
using Say = std::function<void(const std::string&)>;

[[nodiscard]] GateRun run_gate(const RunOptions& options, const Say& say);

// Parts of run_gate, one file each. They add findings.
void run_whole_checks(const RunOptions& options, GateRun& run, const Say& say);
// False: the kernel could not be started, or gave wrong results: its figures are no baseline.
[[nodiscard]] bool run_kernel_checks(const RunOptions& options, const GatedKernel& kernel,
                                     KernelReport& report, GateRun& run, const Say& say);
void run_resource_checks(const RunOptions& options, const GatedKernel& kernel,
                         const std::optional<Baseline>& baseline, KernelReport& report, GateRun& run);

// Nothing when the kernel has no baseline kernel.
void run_speed_check(const RunOptions& options, const GatedKernel& kernel, KernelReport& report, GateRun& run,
                     const Say& say);

// The baseline's file, and what is in it; nullopt when there is no such file.
[[nodiscard]] std::string baseline_path(const RunOptions& options, const std::string& name);
[[nodiscard]] std::optional<Baseline> read_baseline(const RunOptions& options, const std::string& name);
// A path of gate.json, as this process can open it.
[[nodiscard]] std::string path_in(const RunOptions& options, const std::string& path);
// A kernel's name as --kernel takes it here: paths are those of gate.json.
[[nodiscard]] std::string kernel_in(const RunOptions& options, const std::string& kernel);

}  // namespace assay::tools::gate
