// Golden MQA logits (the score of a lightning indexer), prefill and paged decode, in double:
//
//   logits[r, t] = scale_t * sum_h weight[r, h] * max(0, sum_d q[r, h, d] * k[t, d])
//
// q and k are e4m3, so every dot product up to D = 1024 is exact in double (products are multiples of
// 2^-18 below 2^18); the residual of a logit is that of the sum over heads, at most
// (H + 2) * 2^-53 * |scale_t| * sum_h |weight * relu|.
//
// Which t belongs to row r:
//   prefill   start[r] <= t < end[r]                       (end <= start: an empty row)
//   paged     row r = b * next_n + i;  2-D contexts: t < context[b, i];
//             1-D contexts: t <= context[b] - next_n + i, i.e. t < limit of mqa_row_limit()
// Elsewhere the row is -inf when `clean` is set, and untouched when it is not.
//
// The relu of a NaN product follows the declared rule (0: what fmaxf does); golden reports how many
// there were and where the first one is, it does not swallow them. A NaN weight or scale makes a NaN.
//
// Reads the logical sequence through model/core layouts, never through code under test. Dead table
// entries are never looked at; live ones are checked. No fp4, no UE8M0-packed scales.
#pragma once

#include <cstdint>
#include <optional>

#include "model/core/paged_layout.h"
#include "model/golden/preconditions.h"
#include "model/golden/tensor.h"

namespace assay {

enum class ReluOfNan { kZero, kNan };

// The fused index cache: `blocks` blocks that start at data + block * layout.block_stride.
struct IndexCacheView {
  const void* data = nullptr;
  FusedIndexLayout layout;
  std::int64_t blocks = 0;
};

// [batch] when columns == 0, else [batch, columns] with the row maximum in the last column.
struct ContextView {
  const std::int32_t* data = nullptr;
  std::int64_t batch = 0;
  std::int32_t columns = 0;
  std::int64_t row_stride = 1;     // entries; slices of a wider tensor are fine
  std::int64_t column_stride = 1;  // entries
  [[nodiscard]] std::int32_t at(std::int64_t sequence, std::int32_t column) const {
    return data[sequence * row_stride + column * column_stride];
  }
  // The tokens a sequence has (what a scheduler counts).
  [[nodiscard]] std::int32_t length(std::int64_t sequence) const {
    return columns == 0 ? at(sequence, 0) : at(sequence, columns - 1);
  }
};

struct PagedMqaLogitsCase {
  TensorView<4> q;        // [B, next_n, H, D] e4m3
  TensorView<2> weights;  // [B * next_n, H] fp32
  IndexCacheView cache;
  BlockTableView table;  // [B, max_blocks]
  ContextView contexts;
  ReluOfNan relu_of_nan = ReluOfNan::kZero;
};

struct MqaLogitsCase {
  TensorView<3> q;           // [M, H, D] e4m3
  TensorView<2> keys;        // [N, D] e4m3
  TensorView<1> key_scales;  // [N] fp32
  TensorView<2> weights;     // [M, H] fp32
  IndexView starts, ends;    // [M], 0 <= start; end <= N
  ReluOfNan relu_of_nan = ReluOfNan::kZero;
};

// Which columns of a logits row must be written: [begin, end); {0, 0} when there are none.
struct KeyRange {
  std::int64_t begin = 0, end = 0;
  friend constexpr bool operator==(const KeyRange&, const KeyRange&) = default;
};
[[nodiscard]] KeyRange mqa_row_range(const PagedMqaLogitsCase& problem, std::int64_t row);
[[nodiscard]] KeyRange mqa_row_range(const MqaLogitsCase& problem, std::int64_t row);

struct LogitsOptions {
  bool clean = false;       // -inf outside the row's range
  bool compressed = false;  // prefill only: column t - start[row] instead of t
};

struct LogitsReport {
  std::int64_t elements = 0;      // logits written from the formula
  std::int64_t nan_products = 0;  // (row, head, t) whose dot product is NaN
  struct Place {
    std::int64_t row = 0, head = 0, position = 0;
  };
  std::optional<Place> first_nan;  // smallest (row, position, head)
};

// The tables of what is accepted; everything else is refused before anything is written.
[[nodiscard]] const Preconditions& paged_mqa_logits_preconditions();
[[nodiscard]] const Preconditions& mqa_logits_preconditions();
void validate(const PagedMqaLogitsCase& problem);
void validate(const MqaLogitsCase& problem);

// logits [B * next_n, columns], columns >= every limit.
LogitsReport paged_mqa_logits(const PagedMqaLogitsCase& problem, const ResultView<2>& logits,
                              const LogitsOptions& options, const Execution& execution);
// logits [M, columns]; columns >= N, or >= the longest range when compressed.
LogitsReport mqa_logits(const MqaLogitsCase& problem, const ResultView<2>& logits,
                        const LogitsOptions& options, const Execution& execution);

}  // namespace assay
