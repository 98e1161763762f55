// Golden cache writes: new K/V rows, and new index keys, go to their slots.
//
//   slot >= 0   block slot / block_tokens, place slot % block_tokens
//   slot < 0    the token is skipped, nothing is touched
//
// Copy: the element is converted to the cache's type (nearest even, saturating) after one fp32
// division by `scale` where the cache is quantised. Quantise: scale = max(amax, 1e-4) / 448 per row
// (a row is one token's head), code = e4m3(x / scale), the scale is stored beside it. NaN does not
// enter an amax; its code is NaN.
// Two tokens of one call that name the same slot are the caller's error and refused before any byte
// is written. Bytes outside the named slots keep their value.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/core/paged_layout.h"
#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"

namespace assay {

// 64-bit slots, [T].
struct SlotView {
  const std::int64_t* data = nullptr;
  std::int64_t count = 0;
};

struct DuplicateSlot {
  std::int64_t slot = 0;
  std::int64_t first_token = 0, second_token = 0;
};
// Every pair of neighbours that share a slot, ordered by second token. Negative slots do not count.
[[nodiscard]] std::vector<DuplicateSlot> find_duplicate_slots(const SlotView& slots);

// Where rows go. With per_row_scales the cache must be e4m3 and scales_data receives the scales.
struct CacheTarget {
  void* data = nullptr;
  ElementType type = ElementType::kBf16;
  PagedLayout layout;
  std::int64_t blocks = 0;
  float scale = 1.0f;           // e4m3 and e5m2 without per-row scales: code = encode(x / scale)
  float* row_scales = nullptr;  // per (block, slot, head); null = the one scale above
  std::int64_t scale_block_stride = 0, scale_slot_stride = 0, scale_head_stride = 0;
};

struct CacheWriteReport {
  std::int64_t written_tokens = 0;
  std::int64_t skipped_tokens = 0;
};

[[nodiscard]] const Preconditions& cache_write_preconditions();

// rows [T, Hkv, D] fp32, bf16 or fp16 (or the cache's own type: copied bit for bit).
CacheWriteReport write_cache(const TensorView<3>& rows, const SlotView& slots, const CacheTarget& target);
// rows [T, D] fp32, bf16 or fp16 -> quantised keys and their scales in fused index blocks.
CacheWriteReport write_index_cache(const TensorView<2>& rows, const SlotView& slots, void* data,
                                   const FusedIndexLayout& layout, std::int64_t blocks);

}  // namespace assay
