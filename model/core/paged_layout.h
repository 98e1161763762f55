// Where a token's bytes lie in a paged cache: coordinates -> byte offset, and back.
//
//   NHD   [block, slot, kv_head, dim]     a token's heads side by side
//   HND   [block, kv_head, slot, dim]     a head's tokens side by side
//   fused [block] { keys[slot][dim] e4m3 ; scales[slot] fp32 }   index cache, one head
//
// All offsets are 64-bit: a pool is often a strided view of a larger one, with block strides of a
// megabyte and more, so that a small block id already lies beyond 2^31 bytes. The block stride may
// be larger than what a block holds; the rest belongs to somebody else.
#pragma once

#include <cstdint>
#include <string>

#include "model/core/check.h"
#include "model/core/host_device.h"
#include "model/core/ids.h"

namespace assay {

// Number of blocks (or units, or tiles) of `size` that hold `count` things.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t ceil_div(std::int64_t count, std::int64_t size) {
  return count <= 0 ? 0 : (count - 1) / size + 1;
}

struct PagedCoordinate {
  std::int64_t block = 0;
  std::int32_t slot = 0;  // token's place inside the block, [0, block_tokens)
  std::int32_t head = 0;
  std::int32_t dim = 0;
  friend constexpr bool operator==(const PagedCoordinate&, const PagedCoordinate&) = default;
};

enum class PagedOrder { kNhd, kHnd };

// One cache tensor (K or V). Strides in bytes; the innermost dimension is contiguous.
struct PagedLayout {
  std::int32_t block_tokens = 0;
  std::int32_t heads = 0;
  std::int32_t dims = 0;
  std::int32_t element_bytes = 0;
  std::int64_t block_stride = 0;
  std::int64_t slot_stride = 0;
  std::int64_t head_stride = 0;

  // Bytes that a block's own elements span, first to last.
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t block_span() const {
    return (block_tokens - 1) * slot_stride + (heads - 1) * head_stride +
           static_cast<std::int64_t>(dims) * element_bytes;
  }

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t offset(std::int64_t block, std::int32_t slot,
                                                                std::int32_t head, std::int32_t dim) const {
    return block * block_stride + slot * slot_stride + head * head_stride +
           static_cast<std::int64_t>(dim) * element_bytes;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t offset(const PagedCoordinate& at) const {
    return offset(at.block, at.slot, at.head, at.dim);
  }

  // Which of slot and head is the outer loop of a block. A dimension of size one has no say: its
  // stride may be anything (legal, and kernels trip on it), so it always counts as the inner one.
  struct Nesting {
    bool slot_is_outer;
    std::int64_t outer_stride, inner_stride, outer_count, inner_count;
  };
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr Nesting nesting() const {
    const bool slot_is_outer = heads == 1 || (block_tokens != 1 && slot_stride >= head_stride);
    return slot_is_outer ? Nesting{true, slot_stride, head_stride, block_tokens, heads}
                         : Nesting{false, head_stride, slot_stride, heads, block_tokens};
  }

  struct Inverse {
    bool inside = false;  // false: a gap between blocks, tokens or heads
    PagedCoordinate at;
  };
  // Which element owns the byte at `byte` (>= 0)?
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr Inverse inverse(std::int64_t byte) const {
    Inverse result;
    result.at.block = byte / block_stride;
    std::int64_t rest = byte % block_stride;
    const Nesting nest = nesting();
    const std::int64_t outer = index_of(rest, nest.outer_stride, nest.outer_count);
    rest -= outer * nest.outer_stride;
    const std::int64_t inner = index_of(rest, nest.inner_stride, nest.inner_count);
    rest -= inner * nest.inner_stride;
    if (rest >= static_cast<std::int64_t>(dims) * element_bytes) return result;
    result.at.slot = static_cast<std::int32_t>(nest.slot_is_outer ? outer : inner);
    result.at.head = static_cast<std::int32_t>(nest.slot_is_outer ? inner : outer);
    result.at.dim = static_cast<std::int32_t>(rest / element_bytes);
    result.inside = true;
    return result;
  }

 private:
  ASSAY_HOST_DEVICE static constexpr std::int64_t index_of(std::int64_t rest, std::int64_t stride,
                                                           std::int64_t count) {
    if (count == 1) return 0;
    return rest / stride < count ? rest / stride : count - 1;
  }
};

// A compact layout; block_stride 0 means "no gap between blocks".
[[nodiscard]] constexpr PagedLayout make_paged_layout(PagedOrder order, std::int32_t block_tokens,
                                                      std::int32_t heads, std::int32_t dims,
                                                      std::int32_t element_bytes,
                                                      std::int64_t block_stride = 0) {
  const std::int64_t row = static_cast<std::int64_t>(dims) * element_bytes;
  PagedLayout layout{block_tokens, heads, dims, element_bytes, block_stride, 0, 0};
  layout.slot_stride = order == PagedOrder::kNhd ? row * heads : row;
  layout.head_stride = order == PagedOrder::kNhd ? row : row * block_tokens;
  if (block_stride == 0) layout.block_stride = row * heads * block_tokens;
  return layout;
}

// Refuses layouts in which two coordinates could share a byte.
inline void validate(const PagedLayout& layout, const std::string& place) {
  const auto want = [&](bool holds, const char* expected, std::int64_t got) {
    if (!holds) throw InputError(place, expected, std::to_string(got));
  };
  want(layout.block_tokens > 0, "block_tokens > 0", layout.block_tokens);
  want(layout.heads > 0, "heads > 0", layout.heads);
  want(layout.dims > 0, "dims > 0", layout.dims);
  want(layout.element_bytes > 0, "element_bytes > 0", layout.element_bytes);
  const std::int64_t row = static_cast<std::int64_t>(layout.dims) * layout.element_bytes;
  const PagedLayout::Nesting nest = layout.nesting();
  if (nest.inner_count > 1)
    want(nest.inner_stride >= row, "the inner stride to hold one row of dims", nest.inner_stride);
  if (nest.outer_count > 1)
    want(nest.outer_stride >= (nest.inner_count - 1) * nest.inner_stride + row,
         "the outer stride to hold all inner rows", nest.outer_stride);
  want(layout.block_stride >= layout.block_span(), "block_stride to hold one block", layout.block_stride);
}

// The fused index-cache block: block_tokens * dims bytes of E4M3 keys, then block_tokens fp32 scales.
struct FusedIndexLayout {
  std::int32_t block_tokens = 0;
  std::int32_t dims = 0;
  std::int64_t block_stride = 0;  // bytes

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t key_bytes() const {
    return static_cast<std::int64_t>(block_tokens) * dims;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t block_bytes() const {
    return key_bytes() + static_cast<std::int64_t>(block_tokens) * 4;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t key_offset(std::int64_t block, std::int32_t slot,
                                                                    std::int32_t dim = 0) const {
    return block * block_stride + static_cast<std::int64_t>(slot) * dims + dim;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t scale_offset(std::int64_t block,
                                                                      std::int32_t slot) const {
    return block * block_stride + key_bytes() + static_cast<std::int64_t>(slot) * 4;
  }

  struct Inverse {
    enum class Part { kKey, kScale, kGap } part = Part::kGap;
    std::int64_t block = 0;
    std::int32_t slot = 0;
    std::int32_t byte = 0;  // dim of a key, or byte 0..3 of a scale
  };
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr Inverse inverse(std::int64_t offset) const {
    Inverse result;
    result.block = offset / block_stride;
    const std::int64_t rest = offset % block_stride;
    if (rest < key_bytes()) {
      result.part = Inverse::Part::kKey;
      result.slot = static_cast<std::int32_t>(rest / dims);
      result.byte = static_cast<std::int32_t>(rest % dims);
    } else if (rest < block_bytes()) {
      result.part = Inverse::Part::kScale;
      result.slot = static_cast<std::int32_t>((rest - key_bytes()) / 4);
      result.byte = static_cast<std::int32_t>((rest - key_bytes()) % 4);
    }
    return result;
  }
};

[[nodiscard]] constexpr FusedIndexLayout make_fused_index_layout(std::int32_t block_tokens, std::int32_t dims,
                                                                 std::int64_t block_stride = 0) {
  FusedIndexLayout layout{block_tokens, dims, block_stride};
  if (block_stride == 0) layout.block_stride = layout.block_bytes();
  return layout;
}

inline void validate(const FusedIndexLayout& layout, const std::string& place) {
  if (layout.block_tokens <= 0 || layout.dims <= 0 || layout.dims % 4 != 0)
    throw InputError(place, "block_tokens > 0 and dims a positive multiple of 4",
                     std::to_string(layout.block_tokens) + " and " + std::to_string(layout.dims));
  if (layout.block_stride < layout.block_bytes() || layout.block_stride % 4 != 0)
    throw InputError(place,
                     "block_stride a multiple of 4 and at least " + std::to_string(layout.block_bytes()),
                     std::to_string(layout.block_stride));
}

// A block table [sequence, max_blocks] of int32 ids. Entries past ceil(length / block_tokens) are dead
// and may hold anything. row_stride is in entries and may exceed max_blocks.
struct BlockTableView {
  const std::int32_t* entries = nullptr;  // [sequences, row_stride]
  std::int64_t row_stride = 0;
  std::int32_t max_blocks = 0;

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int32_t block(std::int64_t sequence,
                                                               std::int64_t index) const {
    return entries[sequence * row_stride + index];
  }
};

// The two halves of a combined table [sequence, 2, max_blocks]: 0 = K ids, 1 = V ids.
struct CombinedBlockTable {
  BlockTableView keys;
  BlockTableView values;
};
[[nodiscard]] ASSAY_HOST_DEVICE constexpr CombinedBlockTable split_combined_table(
    const std::int32_t* entries, std::int32_t max_blocks, std::int64_t sequence_stride) {
  return {{entries, sequence_stride, max_blocks}, {entries + max_blocks, sequence_stride, max_blocks}};
}

// slot = table[position / block_tokens] * block_tokens + position % block_tokens, 64-bit.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t slot_of(const BlockTableView& table,
                                                               std::int64_t sequence, std::int64_t position,
                                                               std::int32_t block_tokens) {
  return static_cast<std::int64_t>(table.block(sequence, position / block_tokens)) * block_tokens +
         position % block_tokens;
}

}  // namespace assay
