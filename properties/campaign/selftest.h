// The suite tested by planted faults: does every mutant die, by the oracle that should see it, soon, and
// as a small case?
//
//   survivor            no failing case within the budget
//   killed elsewhere    failing, but with a verdict that the named oracle does not give: a survivor, too
//   no witness          the planted line never made a difference: nothing was tested
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "properties/campaign/campaign.h"
#include "properties/mutants/mutants.h"

namespace assay::properties {

struct SelftestOptions {
  // The worker of a kernel name, e.g. "mutant:K5a".
  std::function<WorkerCommand(const std::string& kernel)> worker;
  std::uint64_t seed = 1;
  std::int64_t cases = 4000;  // budget of one mutant
  double seconds = 60;
  int workers = 1;  // mutants at once
  ShrinkLimits shrink;
  std::vector<std::string> only;  // names; empty: all
};

struct MutantVerdict {
  std::string name, fault, oracle;
  bool killed = false;  // by a verdict of the named oracle
  std::string status;   // of the first failing case; "" when none failed
  std::string text;
  std::int64_t cases = 0;  // until it failed
  std::int64_t witness = 0;
  double seconds = 0;
  KernelCase shrunk;
  std::int64_t sequences = 0, blocks = 0, shrink_tries = 0;  // of the shrunk case
};

// A check of the trial, left out: some case of its mutant must be killed with it and live without it.
struct CheckVerdict {
  Check check = Check::kNone;
  std::string mutant;     // the planted fault that the check is there for
  bool detected = false;  // leaving it out was noticed
  std::int64_t killed_with = 0, killed_without = 0, cases = 0;
};
[[nodiscard]] std::vector<CheckVerdict> run_check_selftest(const SelftestOptions& options);

// In the order of kernel_mutants(). The callback sees each verdict as it comes; false stops.
[[nodiscard]] std::vector<MutantVerdict> run_selftest(
    const SelftestOptions& options, const std::function<bool(const MutantVerdict&)>& seen = {});

}  // namespace assay::properties
