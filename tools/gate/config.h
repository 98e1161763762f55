// gate.json: which kernels are gated, and how strictly. JSON with // and /* */ comments.
//
// Every path is relative to the root: the folder of gate.json, or "root" seen from there. A key that is not known is an error, never ignored:
// a misspelt limit would gate nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace assay::tools::gate {

inline constexpr const char* kConfigSchema = "assay.gate-config/1";

// r = error / bound of the worst element, per operation and lane of contents.
struct HeadroomLimits {
  double most = 1;              // r above it fails whatever the baseline says
  double times_baseline = 1.5;  // r above this multiple of the baseline's r fails
  double floor = 0.02;          // r up to here is never a regression: it is as good as exact
};

// Each figure may be larger than the baseline's by this much. Fewer is never a regression.
struct ResourceLimits {
  std::string report;  // a file with `ptxas -v` or `cuobjdump --dump-resource-usage` output; "" = none
  std::string binary;  // a cubin, shared object or program that cuobjdump reads; "" = none
  std::int64_t more_registers = 0, more_spill_bytes = 0, more_stack_bytes = 0, more_shared_bytes = 0;
  double instruction_growth = 0.1;  // of any class of instructions that makes up 1 % or more
};

struct SpeedLimits {
  std::string baseline_kernel;      // a name or path as `kernel`; "" = speed is not gated
  double threshold = 0.02;          // slower than the baseline by more fails
  double seconds = 60;              // budget of one comparison
  std::string clock;                // wall or cpu; "" = the bench's own choice
  std::vector<std::string> shapes;  // what `assay bench --shapes` takes; empty: its own families
};

struct GatedKernel {
  std::string name;        // names its baseline file: letters, digits, - and _
  std::string kernel;      // as --kernel: a built-in, ./my.so, my.py:function
  bool on_device = false;  // "device": "cuda"; where there is no device, a receipt must speak for it
  std::vector<std::string> operations;  // empty: all that it offers
  std::vector<std::string> sources;     // files that shape it; quoted includes are followed
  std::vector<std::string>
      include_paths;               // where quoted includes are looked up, beside the file's own folder
  std::vector<std::string> flags;  // of the compiler, as one would type them
  std::int64_t cases = 512;        // generated, per operation and seed
  std::vector<std::uint64_t> seeds{1};
  std::int64_t products = 400'000;
  double timeout_seconds = 10;
  double least_accepted = 0.25;  // share of cases that must not be declined: declining is no way to pass
  HeadroomLimits headroom;
  ResourceLimits resources;
  SpeedLimits speed;
};

struct SelftestPlan {
  std::vector<std::string> mutants;  // empty: no smoke
  std::int64_t cases = 4000;
  double seconds = 60;
};

struct SchedulePlan {
  std::vector<std::string> planners;  // empty: not gated
  std::int64_t batches = 200;
  double worse_balance = 0;  // makespan over ideal may grow by this share of the baseline's
};

struct GateConfig {
  std::string root = ".";  // seen from the folder of gate.json
  std::string baselines = "gate/baselines";
  std::string receipt;         // "" = none is kept
  std::string known_failures;  // ledger of the corpus, "" = none
  SelftestPlan selftest;
  SchedulePlan schedules;
  std::vector<GatedKernel> kernels;
};

// `place` names the text in messages ("gate.json"). InputError(place + path of the key, expected, got).
[[nodiscard]] GateConfig parse_config(const std::string& text, const std::string& place);

// What of a kernel's entry decides how strictly it is judged, as JSON with every default written out: a
// receipt holds it, so that a verdict under softer limits is not taken for one under these.
[[nodiscard]] nlohmann::ordered_json strictness_of(const GatedKernel& kernel);

// What `assay gate --init` writes: a commented gate.json that parses and gates the built-in twin.
[[nodiscard]] const char* commented_config();

}  // namespace assay::tools::gate
