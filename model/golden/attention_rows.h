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

inline constexpr std::int64_t kTileTokens = 128;
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

// The work of an operation: groups of sequences that read the same tokens, cut into items of at most
// kRowsAtOnce rows. Rows are made by the worker that needs them, so that a prefill of a hundred thousand
// queries holds no list of its rows.
struct AttentionGroup {
  std::vector<std::int32_t> sequences;   // the first one's tables lead to the tokens
  std::vector<std::int64_t> query_ends;  // inclusive prefix sum of the sequences' queries
  TokenRange tokens;
};
struct AttentionItem {
  std::int32_t group = 0, kv_head = 0;
  std::int64_t row_begin = 0,
               row_end = 0;  // rows of the KV head: query * (Hq / Hkv) + place in the head group
};
struct AttentionWork {
  std::vector<AttentionGroup> groups;
  std::vector<AttentionItem> items;
};

// All queries of `sequences` over `tokens`.
void append_work(const PagedAttentionCase& problem, const std::vector<std::int32_t>& sequences,
                 const TokenRange& tokens, AttentionWork& work);
[[nodiscard]] std::vector<AttentionRow> rows_of(const PagedAttentionCase& problem, const AttentionWork& work,
                                                const AttentionItem& item);

// Runs items (disjoint rows) and merges each row into (out, lse).
void run_work(const PagedAttentionCase& problem, const AttentionWork& work, const ResultView<3>& out,
              const ResultView<2>& lse, const Execution& execution);

// validate() plus the shapes of the results; then out = 0 and lse = -inf everywhere.
void begin_attention(const PagedAttentionCase& problem, const ResultView<3>& out, const ResultView<2>& lse);
[[nodiscard]] AttentionReport report_of(const ResultView<3>& out, const ResultView<2>& lse);

}  // namespace assay
