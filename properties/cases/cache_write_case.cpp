#include "properties/cases/cache_write_case.h"

#include "model/golden/cache_write.h"

namespace assay::properties {
namespace {
constexpr std::int64_t kFar = std::int64_t{1} << 40;  // bytes
}

PagedLayout CacheWriteParameters::layout(bool values) const {
  const std::int64_t bytes = bytes_of(cache_type), inner = inner_stride * bytes, outer = outer_stride * bytes;
  return {block_tokens,
          heads,
          dims,
          static_cast<std::int32_t>(bytes),
          values ? value_block_stride : block_stride,
          heads_first ? inner : outer,
          heads_first ? outer : inner};
}

FusedIndexLayout CacheWriteParameters::fused() const { return {block_tokens, dims, block_stride}; }

void check(const Checks& checks, const CacheWriteParameters& p) {
  checks.range("heads", p.heads, 1, p.index_keys ? 1 : 128);
  checks.range("dims", p.dims, 16, 1024);
  checks.range("dims % 4", p.dims % 4, 0, 0);
  checks.wide_float("row_type", p.row_type);
  if (p.quantises() && p.cache_type != ElementType::kE4M3)
    throw InputError(checks.place + ".cache_type", "e4m3 where rows have scales", name_of(p.cache_type));
  if (p.index_keys && p.row_scales)
    throw InputError(checks.place + ".row_scales", "none: fused blocks hold their scales", "true");
  if (p.cache_type == ElementType::kE5M2)
    throw InputError(checks.place + ".cache_type", "fp32, bf16, fp16 or e4m3", name_of(p.cache_type));
  checks.range("block_tokens", p.block_tokens, 1, 65536);
  checks.range("blocks", p.blocks, 0, std::int64_t{1} << 31);
  const std::int64_t inner_rows = p.heads_first ? p.block_tokens : p.heads;
  std::int64_t block_bytes = p.fused().block_bytes();
  if (!p.index_keys) {
    checks.range("inner_stride", p.inner_stride, p.dims, kMany);
    checks.range("outer_stride", p.outer_stride, (inner_rows - 1) * p.inner_stride + p.dims, kMany);
    block_bytes = p.layout(false).block_span();
    checks.range("value_block_stride", p.value_block_stride, block_bytes, std::int64_t{1} << 32);
    checks.range("value_block_stride % 4", p.value_block_stride % 4, 0, 0);
    checks.range("blocks * value_block_stride", p.blocks * p.value_block_stride, 0, kFar);
  }
  checks.range("block_stride", p.block_stride, block_bytes, std::int64_t{1} << 32);
  checks.range("block_stride % 4", p.block_stride % 4, 0, 0);
  checks.range("blocks * block_stride", p.blocks * p.block_stride, 0, kFar);
  if (p.row_scales)
    for (const std::int64_t stride : {p.scale_block_stride, p.value_scale_stride})
      checks.range("scale_block_stride", stride, std::int64_t{p.block_tokens} * p.heads, kMany);
  checks.count("row_content", p.row_content.size(), p.rows());
  for (const std::int64_t content : p.row_content) checks.range("row_content", content, 0, (1 << 16) - 1);
  for (const std::int64_t slot : p.slots) checks.range("slots", slot, -kFar, p.blocks * p.block_tokens - 1);
  const std::vector<DuplicateSlot> duplicates = find_duplicate_slots({p.slots.data(), p.rows()});
  if (!duplicates.empty())
    throw InputError(checks.place + ".slots", "different slots",
                     "twice " + std::to_string(duplicates.front().slot));
  checks.range("row_head_stride", p.row_head_stride, p.dims, kMany);
  checks.range("row_stride", p.row_stride, (p.heads - 1) * p.row_head_stride + p.dims, kMany);
}

std::string cache_write_summary(const CacheWriteParameters& p) {
  return fmt::format(": {} tokens, {} heads x {}, {} to {}{} in blocks of {}", p.rows(), p.heads, p.dims,
                     name_of(p.row_type), name_of(p.cache_type),
                     p.index_keys   ? " index keys"
                     : p.row_scales ? " with scales"
                                    : "",
                     p.block_tokens);
}

}  // namespace assay::properties
