// The inside of the golden attention: some query rows of one KV head against a range of tokens of one
// sequence, tile by tile, with a running maximum. Plain attention uses it once per sequence, the
// cascade once per shared segment and once per rest.
//
//   tile of kTileTokens tokens:   S = K q^T        one Eigen product
//                                 p = exp(S - m)   m: running maximum per row
//                                 O = O e^(m_old - m) + p V
#pragma once

#include <cstdint>
#include <vector>

#include "model/golden/paged_attention.h"

namespace assay {

inline constexpr std::int64_t kTileTokens = 256;
// Rows that share one decoded tile at most.
inline constexpr std::int64_t kRowsAtOnce = 128;

struct AttentionRow {
  std::int64_t query = 0;  // index on q's first axis
  std::int64_t head = 0;   // query head
  TokenRange visible;
};

// One worker's panels.
class AttentionScratch {
 public:
  AttentionScratch(std::int64_t dims, std::int64_t value_dims);
  [[nodiscard]] static std::int64_t bytes(std::int64_t dims, std::int64_t value_dims);

  Panel q;                         // [kRowsAtOnce, D]
  Panel keys;                      // [kTileTokens, D]
  Panel values;                    // [kTileTokens, Dv]
  Panel key_scales, value_scales;  // [kTileTokens]
  Panel scores;                    // [kRowsAtOnce, kTileTokens]
  Panel sums;                      // [kRowsAtOnce, Dv]
  Panel maximum, total;            // [kRowsAtOnce]
};

// Decodes tokens [begin, begin + count) of one KV head: panel [count, dims] unscaled, scales [count].
void gather_tokens(const PagedCacheView& cache, std::int64_t sequence, std::int32_t kv_head,
                   std::int64_t begin, std::int64_t count, double* panel, double* scales);

// The score of a dot product: scales and soft cap.
[[nodiscard]] double score_of(const PagedAttentionCase& problem, double dot, double key_scale);

// Partial results of `rows` (at most kRowsAtOnce) over the tokens that they see of `tokens`:
// scratch.sums holds out [row, Dv], lse [row]; rows that see none get 0 and -inf.
void attend(const PagedAttentionCase& problem, std::int64_t sequence, std::int32_t kv_head,
            const TokenRange& tokens, const std::vector<AttentionRow>& rows, AttentionScratch& scratch,
            double* lse);

// Work items of a set of sequences: (KV head, at most kRowsAtOnce rows) pairs that cover all query rows.
struct AttentionItem {
  std::int64_t sequence = 0;  // whose tables lead to the tokens
  std::int32_t kv_head = 0;
  TokenRange tokens;
  std::vector<AttentionRow> rows;
};
// Appends items for all queries of `sequences` over `tokens`, read through the first one's tables.
void append_items(const PagedAttentionCase& problem, const std::vector<std::int32_t>& sequences,
                  const TokenRange& tokens, std::vector<AttentionItem>& items);

// Runs items (disjoint rows) and merges each row into (out, lse).
void run_items(const PagedAttentionCase& problem, const std::vector<AttentionItem>& items,
               const ResultView<3>& out, const ResultView<2>& lse, const Execution& execution);

// validate() plus the shapes of the results; then out = 0 and lse = -inf everywhere.
void begin_attention(const PagedAttentionCase& problem, const ResultView<3>& out, const ResultView<2>& lse);
[[nodiscard]] AttentionReport report_of(const ResultView<3>& out, const ResultView<2>& lse);

}  // namespace assay
