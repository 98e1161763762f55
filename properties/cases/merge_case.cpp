#include "properties/cases/merge_case.h"

namespace assay::properties {

void check(const Checks& checks, const MergeParameters& p) {
  checks.range("heads", p.heads, 1, 1024);
  checks.range("dims", p.dims, 1, 1024);
  checks.wide_float("part_type", p.part_type);
  checks.wide_float("output", p.output);
  for (const std::int64_t content : p.row_content) checks.range("row_content", content, 0, kMany);
  for (std::size_t i = 0; i < 3; ++i) {
    checks.range("head_strides", p.head_strides[i], p.dims, kMany);
    checks.range("row_strides", p.row_strides[i], (p.heads - 1) * p.head_strides[i] + p.dims, kMany);
    checks.range("lse_strides", p.lse_strides[i], p.heads, kMany);
  }
}

std::string merge_summary(const MergeParameters& p) {
  return fmt::format(": {} queries, {} heads x {}, {} to {}", p.rows(), p.heads, p.dims, name_of(p.part_type),
                     name_of(p.output));
}

}  // namespace assay::properties
