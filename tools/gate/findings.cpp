#include "tools/gate/findings.h"

#include <algorithm>

namespace assay::tools::gate {

const char* name_of(Outcome outcome) {
  constexpr const char* kNames[kOutcomes] = {"held",  "not run", "inconclusive",   "regression",
                                             "wrong", "broken",  "mutant survived"};
  return kNames[static_cast<int>(outcome)];
}

namespace {

// docs of the program: 6 a mutant survived > 5 broken world > 1 wrong > 3 regression > 4 inconclusive.
int code_of(Outcome outcome) {
  constexpr int kCodes[kOutcomes] = {0, 0, 4, 3, 1, 5, 6};
  return kCodes[static_cast<int>(outcome)];
}

}  // namespace

int exit_code_of(const std::vector<Finding>& findings) {
  Outcome worst = Outcome::kHeld;
  for (const Finding& finding : findings) worst = std::max(worst, finding.outcome);
  return code_of(worst);
}

std::vector<const Finding*> worst_first(const std::vector<Finding>& findings) {
  std::vector<const Finding*> list;
  for (const Finding& finding : findings)
    if (code_of(finding.outcome) != 0) list.push_back(&finding);
  std::stable_sort(list.begin(), list.end(), [](const Finding* a, const Finding* b) {
    return a->outcome != b->outcome ? a->outcome > b->outcome : a->severity > b->severity;
  });
  return list;
}

bool is_failure(Outcome outcome) {
  return outcome == Outcome::kRegression || outcome == Outcome::kWrong || outcome == Outcome::kMutantLives;
}
bool is_error(Outcome outcome) { return outcome == Outcome::kUndecided || outcome == Outcome::kBroken; }

Tally tally_of(const std::vector<Finding>& findings) {
  Tally tally;
  for (const Finding& finding : findings) {
    tally.held += finding.outcome == Outcome::kHeld;
    tally.not_run += finding.outcome == Outcome::kNotRun;
    tally.failed += is_failure(finding.outcome);
    tally.errors += is_error(finding.outcome);
  }
  return tally;
}

}  // namespace assay::tools::gate
