// Cache write's operands, values and bytes. Private to properties/cases and the judge.
//
//   address      +-1: token, head and K or V in bits: a row at a wrong slot says whose it is
//   gaussian     everything moderately
//   specials     +-0, subnormals, ties, values beyond every range; rows of zeros and of 1e-5
//   heavy-tail   rows over many octaves
//   nan          NaNs with a payload: they stay NaN, and do not enter a row's scale
//
// Rows whose slot is negative are poison.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/core/philox.h"
#include "properties/cases/contents.h"

namespace assay::properties {

class CacheRows {
 public:
  CacheRows(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims);
  // One head of one token's K (value = false) or V, in the rows' type. [dims]
  void row(std::int64_t content, std::int32_t head, bool value, ElementType type, std::byte* to) const;

 private:
  Lane lane_;
  std::int32_t heads_, dims_;
  RandomStream keys_, values_;
};

// Address lane: token, head and K or V of a row, from the signs of its elements.
struct RowAddress {
  std::int64_t content = 0;
  std::int32_t head = -1;  // -1: there are too few dims to say
  bool value = false;
};
[[nodiscard]] std::optional<RowAddress> row_address(const double* row, std::int32_t dims);

[[nodiscard]] Operands operands(const CacheWriteParameters& p);
// Physical blocks that slots name, in ascending order.
[[nodiscard]] std::vector<std::int64_t> blocks_named(const CacheWriteParameters& p);
[[nodiscard]] std::unique_ptr<CaseContents> make_cache_write_contents(const KernelCase& kernel_case,
                                                                      const Operands& operands);

}  // namespace assay::properties
