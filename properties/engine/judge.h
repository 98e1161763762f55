// Judges the outputs of one case, operation by operation; the trial (trial.h) only moves bytes.
//
//   must-write segments   bytes that every correct kernel writes: compared bit by bit between runs
//   judge()               golden with its bound, masks, untouched bytes; then the twin a kernel claims
//
// Nothing here runs a kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "properties/cases/contents.h"
#include "properties/cases/kernel_case.h"
#include "properties/engine/claims.h"
#include "properties/engine/status.h"

namespace assay::properties {

// Bytes of one tensor of the operands.
struct Segment {
  std::int64_t tensor = 0, begin = 0, end = 0;
};

struct Judgement {
  Status status = Status::kPassed;
  std::string text;                 // place, expected, got
  double headroom = 0;              // worst error / bound; meaningless unless elements > 0
  std::int64_t row = -1, rows = 0;  // where the worst element lies; -1: nowhere in particular
  std::int64_t elements = 0;
  std::int64_t twin_elements = 0;  // compared bit by bit with the claimed twin
};

class CaseJudge {
 public:
  virtual ~CaseJudge() = default;
  [[nodiscard]] const std::vector<Segment>& must_write() const { return must_write_; }
  // data as after a run that began with this poison; inputs still in place.
  [[nodiscard]] virtual Judgement judge(const TensorPointers& data, const Claims& claims,
                                        Poison poison) const = 0;
  // "row 3, position 17" of a byte of an output.
  [[nodiscard]] virtual std::string place_of(std::int64_t tensor, std::int64_t byte) const = 0;

 protected:
  std::vector<Segment> must_write_;
};

// Both must outlive the judge.
[[nodiscard]] std::unique_ptr<CaseJudge> make_judge(const KernelCase& kernel_case, const Operands& operands);

// The twins that `arithmetic=` may name.
[[nodiscard]] bool is_known_twin(const std::string& name);

}  // namespace assay::properties
