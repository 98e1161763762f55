// Paged decode attention on Hopper: one query token per sequence, keys and values in paged caches.
//
//   out[b, h] = softmax(softmax_scale * q[b, h] . k) v,  lse[b, h]     over the visible tokens of b
//
// Supported (refused otherwise, before any launch, with this table in the message):
//   element types   bf16, fp16 (q, K, V and out alike)
//   head dims       64, 128
//   block tokens    a power of two from 16 on
//   heads           q_heads a multiple of kv_heads, any ratio
//   caches          any strides that are multiples of 16 bytes; NHD and HND are two of them; K and V may
//                   have tables and ids of their own
//   lengths         0 and more; a sequence of length 0 gets out = 0, lse = -inf
//   window          0 (none) or the last window_tokens tokens
//
// One launch, nothing planned on the host: every CTA cuts its own range out of the batch, and the last
// CTA that finishes a piece of an item merges the item. The order of all arithmetic is declared in
// model/core/attention_order.h. No CUDA type appears here: pointers are device pointers, a stream is a
// void*.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/core/float_formats.h"
#include "model/core/paged_layout.h"

namespace assay {

struct PagedDecode {
  ElementType type = ElementType::kBf16;
  std::int32_t batch = 0, q_heads = 0, kv_heads = 0, dims = 0;
  const void* q = nullptr;                           // [batch, q_heads, dims]
  std::int64_t q_row_stride = 0, q_head_stride = 0;  // elements
  const void* keys = nullptr;
  const void* values = nullptr;
  PagedLayout key_layout, value_layout;
  BlockTableView key_table, value_table;   // device pointers
  const std::int32_t* contexts = nullptr;  // [batch]
  float softmax_scale = 1.0f;
  std::int32_t window_tokens = 0;
  void* out = nullptr;                                   // [batch, q_heads, dims]
  std::int64_t out_row_stride = 0, out_head_stride = 0;  // elements
  float* lse = nullptr;                                  // [batch, q_heads] compact, or null
  std::int32_t parts = 0;                                // CTAs, at most 264; 0 = two per SM
};

// What a launch needs beside its tensors. `scratch` may hold anything; `counters` must be zero before the
// first launch and are zero again after every launch.
struct PagedDecodeWorkspace {
  void* scratch = nullptr;
  std::size_t scratch_bytes = 0;
  std::int32_t* counters = nullptr;
  std::size_t counter_count = 0;
};
[[nodiscard]] std::size_t paged_decode_scratch_bytes(const PagedDecode& call, std::int32_t parts);
[[nodiscard]] std::size_t paged_decode_counter_count(const PagedDecode& call);

// Throws InputError for what is not supported and EnvironmentError for what CUDA refuses.
void validate(const PagedDecode& call);
void launch_paged_decode(const PagedDecode& call, const PagedDecodeWorkspace& workspace, void* stream);

// The readable one: a CTA per (sequence, query head), one block of the cache at a time, fp32. The seed's
// basic kernel; stays as baseline and second oracle.
void launch_basic_paged_decode(const PagedDecode& call, void* stream);

}  // namespace assay
