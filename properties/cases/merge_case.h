// Merge's part of a case: checks, JSON fields, a line for people. Private to properties/cases.
#pragma once

#include <string>

#include "properties/cases/case_checks.h"

namespace assay::properties {

void check(const Checks& checks, const MergeParameters& p);
[[nodiscard]] std::string merge_summary(const MergeParameters& p);

template <typename P, typename Io>
void merge_fields(P& p, Io& io) {
  io("heads", p.heads);
  io("dims", p.dims);
  io("part_type", p.part_type);
  io("output", p.output);
  io("row_content", p.row_content);
  io("row_strides", p.row_strides);
  io("head_strides", p.head_strides);
  io("lse_strides", p.lse_strides);
}

}  // namespace assay::properties
