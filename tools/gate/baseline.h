// What a kernel was when a person last looked: one small text file per kernel, to be reviewed like code.
//
//   <baselines>/<name>.json   headroom r by operation and lane of contents
//                             registers, spills, stack, shared memory, instructions by class of each entry
//                             makespan over ideal of each planner (the file of the schedules)
//
// A gate compares; `--update-baseline` writes, and says what is different and whether that is worse.
// Numbers are rounded to four significant digits, so that a diff shows what changed and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/gate/config.h"

namespace assay::tools::gate {

inline constexpr const char* kBaselineSchema = "assay.gate-baseline/1";

// By "operation/lane", e.g. "mqa-logits/gaussian": the worst error / bound.
using Headroom = std::map<std::string, double>;

// Of one entry function (one compiled kernel).
struct EntryResources {
  std::int64_t registers = 0, stack_bytes = 0, spill_store_bytes = 0, spill_load_bytes = 0, shared_bytes = 0;
  // Instructions by class (the opcode before its first dot); empty when no disassembly was had.
  std::map<std::string, std::int64_t> instructions;
  friend bool operator==(const EntryResources&, const EntryResources&) = default;
};
using Resources = std::map<std::string, EntryResources>;  // by entry name

struct Baseline {
  Headroom headroom;
  Resources resources;
  std::map<std::string, double> balance;  // by planner
};

[[nodiscard]] std::string baseline_text(const std::string& name, const Baseline& baseline);
// InputError(place, ...) for anything that baseline_text would not write.
[[nodiscard]] Baseline parse_baseline(const std::string& text, const std::string& place);

// Four significant digits, rounded up: a limit derived from it is never below what was seen.
[[nodiscard]] double rounded_up(double value);

// One way in which what was measured is worse than the baseline allows. `excess`: measured over allowed.
struct Excess {
  std::string text;
  double excess = 0;
};

// r above limits.most, above times_baseline x the baseline's r (not below the floor); an operation and lane
// that the baseline does not know. A lane that was not measured is no excess.
[[nodiscard]] std::vector<Excess> headroom_excesses(const Headroom& measured, const Headroom& baseline,
                                                    const HeadroomLimits& limits);
// More of anything than the baseline and its allowance; an entry that the baseline does not know, or that
// is gone. Instructions are compared by class where both sides have them.
[[nodiscard]] std::vector<Excess> resource_excesses(const Resources& measured, const Resources& baseline,
                                                    const ResourceLimits& limits);

// "headroom mqa-logits/codes: 0.0812 was 0.0511 (x 1.59, worse)", one line per difference, in order.
[[nodiscard]] std::vector<std::string> differences(const std::optional<Baseline>& before,
                                                   const Baseline& after);

}  // namespace assay::tools::gate
