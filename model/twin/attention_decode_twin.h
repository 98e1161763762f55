// Predicts paged decode attention bit for bit: the order of model/core/attention_order.h walked on a CPU, with
// the tensor core's own steps. out and lse must equal the kernel's in every bit.
//
// The instruction is mma.sync.m16n8k16, whose step is that of model/twin/tensor_core.h (docs/twin.md says what
// was measured). Slow on purpose: a step at a time, readable beside the kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/core/float_formats.h"
#include "model/core/paged_layout.h"
#include "model/golden/paged_attention.h"
#include "model/golden/tensor.h"

namespace assay {

// Host pointers; strides in elements. The fields mean what they mean in the kernel's own arguments.
struct DecodeTwinCase {
  ElementType type = ElementType::kBf16;
  std::int32_t batch = 0, q_heads = 0, kv_heads = 0, dims = 0;
  const std::uint16_t* q = nullptr;  // [batch, q_heads, dims]
  std::int64_t q_row_stride = 0, q_head_stride = 0;
  const void* keys = nullptr;
  const void* values = nullptr;
  PagedLayout key_layout, value_layout;
  BlockTableView key_table, value_table;
  const std::int32_t* contexts = nullptr;
  float softmax_scale = 1.0f;
  std::int32_t window_tokens = 0;
  std::int32_t parts = 0;  // CTAs of the launch
};

struct DecodeTwinResult {
  std::vector<std::uint16_t> out;  // [batch, q_heads, dims] compact
  std::vector<float> lse;          // [batch, q_heads]
};

[[nodiscard]] DecodeTwinResult predict_paged_decode(const DecodeTwinCase& call, const Execution& execution);

// The operation's call as decode in `parts` parts. Nothing unless every sequence has one query, queries, caches
// and `output` are of one 16-bit type, and there is no soft cap: that is not decode.
[[nodiscard]] std::optional<DecodeTwinResult> predict_as_decode(const PagedAttentionCase& problem,
                                                                ElementType output, std::int32_t parts,
                                                                const Execution& execution);

}  // namespace assay
