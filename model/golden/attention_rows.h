// The inside of the golden attention: some query rows of a few KV heads against a range of tokens of one
// sequence, tile by tile, with a running maximum. Plain attention uses it once per sequence, the
// cascade once per shared segment and once per rest. KV heads go together because their rows lie side by
// side in memory (NHD); what is computed for one does not depend on which others are there.
//
//   tile of kTileTokens tokens:   S = K q^T        one Eigen product
//                                 p = exp(S - m)   m: running maximum per row
//                                 O = O e^(m_old - m) + p V
#pragma once

#include <cstdint>
#include <vector>

#include "model/golden/paged_attention.h"

namespace assay {

inline constexpr std::int64_t kTileTokens = 48;
// Rows that share one decoded tile at most, over all KV heads that go together.
inline constexpr std::int64_t kRowsAtOnce = 128;
inline constexpr std::int32_t kHeadsAtOnce = 8;

struct AttentionRow {
  std::int64_t query = 0;  // index on q's first axis
  std::int64_t head = 0;   // query head
  TokenRange visible;
};

// One worker's panels, for `heads` KV heads at once.
class AttentionScratch {
 public:
  AttentionScratch(std::int64_t dims, std::int64_t value_dims, std::int64_t heads);
  [[nodiscard]] static std::int64_t bytes(std::int64_t dims, std::int64_t value_dims, std::int64_t heads);

  // Rows of a KV head begin on a cache line, wherever the head stands among those that go together:
  // Eigen's small products peel by alignment, and the bits must not depend on the company.
  [[nodiscard]] static std::int64_t begin_of_head(std::int64_t head, std::int64_t rows, std::int64_t dims) {
    return head * ((rows * dims + 7) / 8 * 8);
  }
  [[nodiscard]] const double* out_of(std::int64_t head, std::int64_t row, std::int64_t rows,
                                     std::int64_t value_dims) const {
    return &sums[begin_of_head(head, rows, value_dims) + row * value_dims];
  }

  Panel q;                         // [heads][row, D]
  Panel keys;                      // [heads, kTileTokens, D]
  Panel values;                    // [heads, kTileTokens, Dv]
  Panel key_scales, value_scales;  // [heads, kTileTokens]
  Panel scores;                    // [kRowsAtOnce, kTileTokens]
  Panel sums;                      // [heads][row, Dv]
  Panel maximum, total;            // [kRowsAtOnce]
};

// KV heads [begin, begin + count).
struct HeadRange {
  std::int32_t begin = 0, count = 1;
};

// Tokens that will be gathered next, of the same sequence and heads: fetched into the cache while others
// are decoded.
struct TokensAhead {
  const PagedCacheView* cache = nullptr;
  std::int64_t begin = 0, end = 0;
};

// Decodes tokens [begin, begin + count): panel [heads, stride, dims] unscaled, scales [heads, stride],
// count <= stride.
void gather_tokens(const PagedCacheView& cache, std::int64_t sequence, const HeadRange& heads,
                   std::int64_t begin, std::int64_t count, std::int64_t stride, double* panel, double* scales,
                   const TokensAhead& ahead = {});

// The score of a dot product: scales and soft cap.
[[nodiscard]] double score_of(const PagedAttentionCase& problem, double dot, double key_scale);

// Partial results over the tokens that the rows see of `tokens`. `rows` are the rows of the first KV head;
// those of the next are the same with their heads moved up by Hq / Hkv. rows.size() * heads.count is at
// most kRowsAtOnce. scratch.out_of() has the outputs, lse [head, row]; who sees none gets 0 and -inf.
void attend(const PagedAttentionCase& problem, std::int64_t sequence, const HeadRange& heads,
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
  std::int32_t group = 0;
  HeadRange heads;
  std::int64_t row_begin = 0, row_end = 0;  // of a KV head: query * (Hq / Hkv) + place in the head group
};
struct AttentionWork {
  std::vector<AttentionGroup> groups;
  std::vector<AttentionItem> items;
};

// All queries of `sequences` over `tokens`, at most heads_at_once KV heads in an item.
void append_work(const PagedAttentionCase& problem, const std::vector<std::int32_t>& sequences,
                 const TokenRange& tokens, std::int32_t heads_at_once, AttentionWork& work);
// As many heads at once as leave every thread a few of `sequences` pieces of work.
[[nodiscard]] std::int32_t heads_at_once(const PagedAttentionCase& problem, std::int64_t sequences,
                                         const Execution& execution);
// The rows of the item's first KV head.
[[nodiscard]] std::vector<AttentionRow> rows_of(const PagedAttentionCase& problem, const AttentionWork& work,
                                                const AttentionItem& item);

// Runs items (disjoint rows) and merges each row into (out, lse).
void run_work(const PagedAttentionCase& problem, const AttentionWork& work, const ResultView<3>& out,
              const ResultView<2>& lse, const Execution& execution);

// validate() plus the shapes of the results; then out = 0 and lse = -inf everywhere.
void begin_attention(const PagedAttentionCase& problem, const ResultView<3>& out, const ResultView<2>& lse);
[[nodiscard]] AttentionReport report_of(const ResultView<3>& out, const ResultView<2>& lse);

}  // namespace assay
