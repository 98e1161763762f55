// The steps of merge: rows, shape, strides.
#include <algorithm>

#include "properties/engine/simpler_steps.h"

namespace assay::properties {
namespace {

using C = KernelCase;

void compact(MergeParameters& p) {
  p.head_strides.fill(p.dims);
  p.row_strides.fill(p.heads * p.dims);
  p.lse_strides.fill(p.heads);
}

}  // namespace

void merge_steps(Steps& steps, const MergeParameters& from) {
  const std::int64_t rows = from.rows();
  for (std::int64_t size = rows; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < rows; begin += size)
      steps.add<MergeParameters>([&](C& c, MergeParameters& p) {
        cut(p.row_content, begin, std::min(rows, begin + size));
        c.relation_sequence =
            std::clamp<std::int32_t>(c.relation_sequence, 0, std::max(0, static_cast<int>(p.rows()) - 1));
      });
  for (const std::int32_t heads : {1, from.heads / 2, from.heads - 1})
    if (heads >= 1 && heads < from.heads)
      steps.add<MergeParameters>([&](C&, MergeParameters& p) {
        p.heads = heads;
        compact(p);
      });
  for (const std::int32_t dims : {1, 16, from.dims / 2})
    if (dims >= 1 && dims < from.dims)
      steps.add<MergeParameters>([&](C&, MergeParameters& p) {
        p.dims = dims;
        compact(p);
      });
  steps.add<MergeParameters>([](C&, MergeParameters& p) { compact(p); });
  steps.add<MergeParameters>([](C&, MergeParameters& p) { p.part_type = p.output = ElementType::kFp32; });
}

}  // namespace assay::properties
