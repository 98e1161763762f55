// Golden paged attention in double: decode, append and prefill of a batch of sequences whose keys and
// values lie in paged caches.
//
//   s_j = cap(softmax_scale * sum_d q_d k_jd)        cap(x) = soft_cap * tanh(x / soft_cap), or x
//   out = sum_j exp(s_j - lse) v_j,   lse = log sum_j exp(s_j)      over the tokens j the query sees
//
// Query i of the n queries of a sequence with L tokens stands at position L - n + i (bottom-right
// alignment: the last query sees the last token). It sees j < L; causal: also j <= position; window:
// also j > position - window_tokens. A query that sees nothing has out = 0 and lse = -inf.
//
// A query head h reads KV head h / (Hq / Hkv). K and V may have their own tables (combined tables of
// two independent halves), their own types and scales; V may have another head dimension than K.
// A token's NaN reaches exactly the rows that see the token. Dead table entries are never looked at.
#pragma once

#include <cstdint>

#include "model/core/paged_layout.h"
#include "model/golden/preconditions.h"
#include "model/golden/tensor.h"

namespace assay {

// scale of (block, slot, head), fp32. Without data it is 1; with all strides zero it is per tensor.
struct CacheScales {
  const float* data = nullptr;
  std::int64_t block_stride = 0, slot_stride = 0, head_stride = 0;  // entries
  [[nodiscard]] double at(std::int64_t block, std::int64_t slot, std::int64_t head) const {
    return data == nullptr
               ? 1.0
               : static_cast<double>(data[block * block_stride + slot * slot_stride + head * head_stride]);
  }
};

// One half of a KV cache: keys or values, with the table that leads to them.
struct PagedCacheView {
  const void* data = nullptr;
  ElementType type = ElementType::kBf16;
  PagedLayout layout;  // heads = Hkv, dims = D (or the values' own D)
  std::int64_t blocks = 0;
  BlockTableView table;  // [B, max_blocks]
  CacheScales scales;
};

struct PagedAttentionCase {
  TensorView<3> q;     // [T, Hq, D]
  IndexView q_begin;   // [B + 1] prefix sums: sequence b owns queries q_begin[b] .. q_begin[b + 1]
  IndexView contexts;  // [B] tokens in the cache, the queries' own included
  PagedCacheView keys, values;
  double softmax_scale = 1.0;  // a quantised q's scale belongs in here
  bool causal = false;
  std::int32_t window_tokens = 0;  // 0 = no window; 1 = the query sees only its own position
  double soft_cap = 0.0;           // 0 = none

  [[nodiscard]] std::int64_t batch() const { return contexts.count; }
};

// The tokens that query `query` (of q's first axis) of `sequence` sees: [begin, end).
struct TokenRange {
  std::int64_t begin = 0, end = 0;
  friend constexpr bool operator==(const TokenRange&, const TokenRange&) = default;
};
[[nodiscard]] TokenRange visible_tokens(const PagedAttentionCase& problem, std::int64_t sequence,
                                        std::int64_t query);

struct AttentionReport {
  std::int64_t rows = 0;        // (query, head) pairs
  std::int64_t empty_rows = 0;  // saw no token
  std::int64_t nan_rows = 0;    // out or lse is NaN: a NaN or inf - inf in what the row sees
};

[[nodiscard]] const Preconditions& paged_attention_preconditions();
void validate(const PagedAttentionCase& problem);

// out [T, Hq, Dv], lse [T, Hq]. Queries outside every sequence (before q_begin[0]) are refused.
AttentionReport paged_attention(const PagedAttentionCase& problem, const ResultView<3>& out,
                                const ResultView<2>& lse, const Execution& execution);

}  // namespace assay
