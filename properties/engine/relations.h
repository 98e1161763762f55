// Metamorphic relations: a second case whose outputs follow from the first one's, bit for bit, if the
// kernel keeps what it claims. No oracle is needed, so they also see what golden's bound forgives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "properties/cases/kernel_case.h"
#include "properties/engine/claims.h"

namespace assay::properties {

struct RelatedCase {
  KernelCase second;
  // Rows [begin, begin + rows) of the first case's output are the rows of the second's, in order.
  std::int64_t row_begin = 0;
  double factor = 1;  // second = factor * first
  // Where a row is the same number of must-write bytes in both: that many. 0: it is not.
  std::int64_t row_bytes = 0;
};

// Which claim makes the relation an obligation ("" when the relation does not fit the case).
[[nodiscard]] std::string claim_behind(Relation relation);
// Has the operation such a second case at all?
[[nodiscard]] bool applies(Operation operation, Relation relation);
[[nodiscard]] bool obliges(const Claims& claims, Relation relation);

// Nothing when the case has no such second: no sequences, no blocks, another operation.
[[nodiscard]] std::optional<RelatedCase> related_case(const KernelCase& kernel_case);

}  // namespace assay::properties
