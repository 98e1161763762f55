// Draws merges of two partial attention results.
#include <numeric>

#include "properties/generators/generator_parts.h"

namespace assay::properties {

MergeParameters draw_merge(Draws& draws, const Swarm& swarm) {
  MergeParameters p;
  const std::vector<ElementType> types{ElementType::kFp32, ElementType::kBf16, ElementType::kFp16};
  p.part_type = draws.percent(50) ? ElementType::kFp32 : draws.pick(types);
  p.output = draws.percent(50) ? ElementType::kBf16 : draws.pick(types);
  p.heads = draws.pick<std::int32_t>({1, 2, 3, 7, 8, 16, 32});
  p.dims = draws.pick<std::int32_t>({1, 16, 64, 64, 80, 128, 128, 256});
  p.row_content.resize(static_cast<std::size_t>(draws.pick<std::int64_t>({0, 1, 2, 3, 5, 8, 17, 33})));
  std::iota(p.row_content.begin(), p.row_content.end(), std::int64_t{0});
  for (std::size_t i = 0; i < 3; ++i) {
    p.head_strides[i] = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
    p.row_strides[i] = p.heads * p.head_strides[i] + gap(draws, swarm);
    p.lse_strides[i] = p.heads + gap(draws, swarm) / 4;
  }
  return p;
}

}  // namespace assay::properties
