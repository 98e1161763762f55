// Merge's operands, values and bytes. Private to properties/cases and the judge.
//
//   gaussian     outs and lses moderately apart
//   heavy-tail   lses up to +-100, outs over many octaves
//   uniform      equal lses: the mean of two
//   exact        one part has lse 0 and outweighs the other by e^142 or more: the result is that part, to the bit
//
// In every lane one part in eight saw nothing: its lse is -inf and its out is dead.
#pragma once

#include <memory>

#include "model/core/philox.h"
#include "properties/cases/contents.h"

namespace assay::properties {

// Parts are 0 (a) and 1 (b).
class MergeValues {
 public:
  MergeValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims);
  [[nodiscard]] float lse(int part, std::int64_t content, std::int32_t head) const;
  void out(int part, std::int64_t content, std::int32_t head, float* row) const;  // [dims]

 private:
  Lane lane_;
  std::int32_t heads_, dims_;
  RandomStream outs_[2], lses_[2];
};

[[nodiscard]] Operands operands(const MergeParameters& p);
[[nodiscard]] std::unique_ptr<CaseContents> make_merge_contents(const KernelCase& kernel_case,
                                                                const Operands& operands);

}  // namespace assay::properties
