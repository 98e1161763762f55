// One case, one kernel, one verdict: the runs that it takes and the order in which they are believed.
//
//   run 1   first poison      memory: guards, margins, inputs unchanged?   every must-write element written?
//   run 2   second poison     equal bits?  no: run 3 with the first poison tells a leak from a race
//   judge   golden + bound + masks + untouched bytes, then the twin that the kernel claims
//   relate  a second case whose outputs follow from this one's (relations.h), when a claim obliges
//
// A verdict depends on the case and the kernel only: not on the worker's history, time or threads.
#pragma once

#include <cstdint>
#include <string>

#include "properties/cases/kernel_case.h"
#include "properties/engine/claims.h"
#include "properties/engine/status.h"
#include "properties/workers/worker_process.h"

namespace assay::properties {

struct Outcome {
  Status status = Status::kPassed;
  std::string text;     // "" when passed
  double headroom = 0;  // worst error / bound of this case
  std::int64_t elements = 0, twin_elements = 0;
  std::int64_t witness = 0;  // a planted fault made a difference that often
  bool relation_checked = false;
  std::uint64_t digest = 0;  // of status and must-write bytes
};

// The checks of a trial, each of which some planted fault dies by alone. Only the selftest leaves one out,
// to show that its fault then lives: a check that can be left out unnoticed checks nothing.
enum class Check : std::uint8_t {
  kNone,          // all are made
  kMargins,       // bytes around a tensor are as they were
  kUnwritten,     // every must-write element was written
  kSecondPoison,  // other dead bytes, same result
  kGolden,        // golden, bound, masks
  kEveryRow,      // ... of every row, not only of the last
  kTwin,          // the bits of the twin that is claimed
  kRelation,      // the second case that a claim obliges to
  kExit,          // a process that leaves with exit(0) has failed
  kHiddenValues,  // plan() sees integer tensors only
};
inline constexpr Check kChecks[] = {Check::kMargins,  Check::kUnwritten, Check::kSecondPoison,
                                    Check::kGolden,   Check::kEveryRow,  Check::kTwin,
                                    Check::kRelation, Check::kExit,      Check::kHiddenValues};
[[nodiscard]] const char* name_of(Check check);

// Runs the kernel of `worker` that does the case's operation; UNSUPPORTED when there is none.
// Throws what the worker's start throws.
[[nodiscard]] Outcome try_case(WorkerProcess& worker, const KernelCase& kernel_case,
                               Check left_out = Check::kNone);

// As try_case; a numerical failure in a lane that cannot name blocks is tried again in the address lane,
// whose verdict is taken when it is WRONG_BLOCK. `named` is then the case that shows it.
struct Diagnosis {
  Outcome outcome;
  KernelCase named;
};
[[nodiscard]] Diagnosis diagnose(WorkerProcess& worker, const KernelCase& kernel_case);

}  // namespace assay::properties
