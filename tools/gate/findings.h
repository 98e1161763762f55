// What a gate says, check by check, and the one exit code that follows.
//
//   check      a name ("corpus", "headroom", "receipt") of one kernel, or of the whole run
//   outcome    held | broken (with a kind) | undecided | not run here | the world is broken
//   exit code  the first of 6 > 5 > 1 > 3 > 4 that any finding asks for; 0 when none does
//
// Nothing that did not run counts as held: "not run here" must be answered by another finding (a receipt).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay::tools::gate {

// Ordered from best to worst, as annotations and exit codes want them.
enum class Outcome : std::uint8_t {
  kHeld,
  kNotRun,      // nothing to do here, said so; asks for no exit code
  kUndecided,   // 4: inconclusive
  kRegression,  // 3: performance or resources
  kWrong,       // 1: a wrong result, a false claim, a receipt that does not match
  kBroken,      // 5: no device, a worker that does not start
  kMutantLives  // 6: the judges cannot be believed
};
inline constexpr int kOutcomes = 7;
[[nodiscard]] const char* name_of(Outcome outcome);

struct Finding {
  std::string kernel;  // the kernel's name in gate.json; "" = of the whole run
  std::string check;
  Outcome outcome = Outcome::kHeld;
  std::string text;           // one line for people: figures when held, what is wrong when not
  std::string file;           // where an annotation points, relative to gate.json; "" = gate.json itself
  double seconds = 0;         // that the check took
  double severity = 0;        // among findings of one outcome, larger is worse (an excess as a ratio)
  std::string continue_with;  // a command that shows more; "" = none
};

// 0 when everything held or was not run.
[[nodiscard]] int exit_code_of(const std::vector<Finding>& findings);

// Findings that ask for an exit code, worst first; ties keep their order.
[[nodiscard]] std::vector<const Finding*> worst_first(const std::vector<Finding>& findings);

struct Tally {
  std::int64_t held = 0, not_run = 0, failed = 0, errors = 0;  // failed: 6, 1, 3; errors: 5, 4
};
[[nodiscard]] Tally tally_of(const std::vector<Finding>& findings);
// JUnit's two words: a failure is a verdict about the kernel, an error means that there is none.
[[nodiscard]] bool is_failure(Outcome outcome);
[[nodiscard]] bool is_error(Outcome outcome);

}  // namespace assay::tools::gate
