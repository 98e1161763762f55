#include "model/golden/attention_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/core/check.h"
#include "model/golden/merge.h"
#include "model/golden/panel.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

const std::byte* row_of(const PagedCacheView& cache, std::int64_t sequence, std::int32_t kv_head,
                        std::int64_t position) {
  const PagedLayout& layout = cache.layout;
  return static_cast<const std::byte*>(cache.data) +
         layout.offset(cache.table.block(sequence, position / layout.block_tokens),
                       static_cast<std::int32_t>(position % layout.block_tokens), kv_head, 0);
}

bool all_finite(const double* values, std::int64_t count) {
  std::uint64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i)
    found |= static_cast<std::uint64_t>((bit_cast<std::uint64_t>(values[i]) & 0x7ff0000000000000u) ==
                                        0x7ff0000000000000u);
  return found == 0;
}

// Turns one row's dot products of a tile into probabilities relative to the row's new maximum, and
// scales what the row has so far. Returns false when the row sees nothing of the tile.
bool soft_max_row(const PagedAttentionCase& problem, const TokenRange& seen, std::int64_t tile_begin,
                  std::int64_t count, std::int64_t row, const double* key_scales, double* sums,
                  AttentionScratch& scratch) {
  double* scores = &scratch.scores[row * kTileTokens];
  const std::int64_t begin = std::clamp<std::int64_t>(seen.begin - tile_begin, 0, count);
  const std::int64_t end = std::clamp<std::int64_t>(seen.end - tile_begin, 0, count);
  std::fill(scores, scores + std::min(begin, count), 0.0);
  if (begin >= end) {
    std::fill(scores, scores + count, 0.0);
    return false;
  }
  std::fill(scores + end, scores + count, 0.0);
  if (problem.soft_cap == 0) {
    for (std::int64_t t = begin; t < end; ++t) scores[t] = scores[t] * key_scales[t] * problem.softmax_scale;
  } else {
    for (std::int64_t t = begin; t < end; ++t) scores[t] = score_of(problem, scores[t], key_scales[t]);
  }
  double maximum = scratch.maximum[row];
  for (std::int64_t t = begin; t < end; ++t) maximum = scores[t] > maximum ? scores[t] : maximum;
  const double old = scratch.maximum[row];
  if (old != maximum) {
    const double factor = old == kMinusInfinity ? 0.0 : std::exp(old - maximum);
    const std::int64_t dims = problem.values.layout.dims;
    // A row that has met a NaN keeps it: 0 * NaN is NaN.
    scratch.total[row] *= factor;
    for (std::int64_t d = 0; d < dims; ++d) sums[d] *= factor;
    scratch.maximum[row] = maximum;
  }
  // Only -inf so far: nothing to add unless there is a NaN among them, which must show.
  const double shift = maximum == kMinusInfinity ? 0.0 : maximum;
  scratch.total[row] += panel::exponentials(scores + begin, end - begin, shift);
  return true;
}

// p V with masked tokens left out one by one: a NaN in V must not reach rows that do not see it.
void weighted_sums_slowly(const double* scores, const double* values, const std::vector<AttentionRow>& rows,
                          const TokenRange& range, std::int64_t tile_begin, std::int64_t count,
                          std::int64_t dims, double* sums) {
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t token = tile_begin + t;
      if (token < std::max(range.begin, rows[r].visible.begin) ||
          token >= std::min(range.end, rows[r].visible.end))
        continue;
      const double weight = scores[r * kTileTokens + t];
      for (std::int64_t d = 0; d < dims; ++d) sums[r * dims + d] += weight * values[t * dims + d];
    }
}

// One tile of one KV head: scores, probabilities, sums. `head` is its place among those that go together.
class TileOfHead {
 public:
  TileOfHead(const PagedAttentionCase& problem, const TokenRange& tokens,
             const std::vector<AttentionRow>& rows, std::int64_t head, AttentionScratch& scratch)
      : problem_(problem),
        tokens_(tokens),
        rows_(rows),
        scratch_(scratch),
        head_(head),
        first_row_(head * static_cast<std::int64_t>(rows.size())),
        sums_(&scratch.sums[AttentionScratch::begin_of_head(head, static_cast<std::int64_t>(rows.size()),
                                                            problem.values.layout.dims)]) {}

  // Returns whether any row sees any token of the tile.
  bool score(std::int64_t begin, std::int64_t count) {
    const std::int64_t dims = problem_.keys.layout.dims, rows = static_cast<std::int64_t>(rows_.size());
    panel::dots(&scratch_.keys[head_ * kTileTokens * dims], count,
                &scratch_.q[AttentionScratch::begin_of_head(head_, rows, dims)], rows, dims,
                &scratch_.scores[first_row_ * kTileTokens], kTileTokens);
    bool any = false;
    masked_ = false;
    for (std::int64_t r = 0; r < rows; ++r) {
      const TokenRange seen{std::max(tokens_.begin, rows_[r].visible.begin),
                            std::min(tokens_.end, rows_[r].visible.end)};
      any = soft_max_row(problem_, seen, begin, count, first_row_ + r,
                         &scratch_.key_scales[head_ * kTileTokens], sums_ + r * problem_.values.layout.dims,
                         scratch_) ||
            any;
      masked_ = masked_ || seen.begin > begin || seen.end < begin + count;
    }
    return any;
  }

  void add_values(std::int64_t begin, std::int64_t count) {
    const std::int64_t dims = problem_.values.layout.dims;
    double* values = &scratch_.values[head_ * kTileTokens * dims];
    const double* scores = &scratch_.scores[first_row_ * kTileTokens];
    if (problem_.values.scales.data != nullptr)
      for (std::int64_t t = 0; t < count; ++t)
        for (std::int64_t d = 0; d < dims; ++d)
          values[t * dims + d] *= scratch_.value_scales[head_ * kTileTokens + t];
    if (masked_ && !all_finite(values, count * dims)) {
      weighted_sums_slowly(scores, values, rows_, tokens_, begin, count, dims, sums_);
    } else {
      panel::weighted_sums(scores, kTileTokens, static_cast<std::int64_t>(rows_.size()), values, count, dims,
                           sums_);
    }
  }

 private:
  const PagedAttentionCase& problem_;
  const TokenRange& tokens_;
  const std::vector<AttentionRow>& rows_;
  AttentionScratch& scratch_;
  std::int64_t head_, first_row_;
  double* sums_;  // [row, Dv]
  bool masked_ = false;
};

}  // namespace

AttentionScratch::AttentionScratch(std::int64_t dims, std::int64_t value_dims, std::int64_t heads)
    : q(kRowsAtOnce * dims + 8 * heads),
      keys(heads * kTileTokens * dims),
      values(heads * kTileTokens * value_dims),
      key_scales(heads * kTileTokens),
      value_scales(heads * kTileTokens),
      scores(kRowsAtOnce * kTileTokens),
      sums(kRowsAtOnce * value_dims + 8 * heads),
      maximum(kRowsAtOnce),
      total(kRowsAtOnce) {}

std::int64_t AttentionScratch::bytes(std::int64_t dims, std::int64_t value_dims, std::int64_t heads) {
  // Twice, for what Eigen packs.
  return 2 * 8 * ((kRowsAtOnce + heads * kTileTokens) * (dims + value_dims) + kRowsAtOnce * kTileTokens);
}

void gather_tokens(const PagedCacheView& cache, std::int64_t sequence, const HeadRange& heads,
                   std::int64_t begin, std::int64_t count, std::int64_t stride, double* panel, double* scales,
                   const TokensAhead& ahead) {
  const PagedLayout& layout = cache.layout;
  for (std::int64_t t = 0; t < count; ++t)
    for (std::int32_t h = 0; h < heads.count; ++h) {
      if (ahead.cache != nullptr && ahead.begin + t < ahead.end) {
        const PagedLayout& next = ahead.cache->layout;
        const std::byte* row = row_of(*ahead.cache, sequence, heads.begin + h, ahead.begin + t);
        for (std::int64_t byte = 0; byte < next.dims * next.element_bytes; byte += 64)
          __builtin_prefetch(row + byte);
      }
      const std::int64_t position = begin + t;
      decode_row(row_of(cache, sequence, heads.begin + h, position), cache.type, layout.dims,
                 panel + (h * stride + t) * layout.dims);
      scales[h * stride + t] = cache.scales.at(cache.table.block(sequence, position / layout.block_tokens),
                                               position % layout.block_tokens, heads.begin + h);
    }
}

double score_of(const PagedAttentionCase& problem, double dot, double key_scale) {
  const double score = dot * key_scale * problem.softmax_scale;
  return problem.soft_cap == 0 ? score : problem.soft_cap * std::tanh(score / problem.soft_cap);
}

void attend(const PagedAttentionCase& problem, std::int64_t sequence, const HeadRange& heads,
            const TokenRange& tokens, const std::vector<AttentionRow>& rows, AttentionScratch& scratch,
            double* lse) {
  const std::int64_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
  const std::int64_t ratio = problem.q.shape[1] / problem.keys.layout.heads;
  const std::int64_t per_head = static_cast<std::int64_t>(rows.size()), count = per_head * heads.count;
  ASSAY_CHECK_LE(count, kRowsAtOnce);
  std::fill(scratch.sums.begin(), scratch.sums.end(), 0.0);
  for (std::int64_t r = 0; r < count; ++r) {
    const AttentionRow& row = rows[r % per_head];
    const std::int64_t head = r / per_head;
    decode_row(problem.q.address({row.query, row.head + head * ratio, 0}), problem.q.type, dims,
               &scratch.q[AttentionScratch::begin_of_head(head, per_head, dims) + r % per_head * dims]);
    scratch.maximum[r] = kMinusInfinity;
    scratch.total[r] = 0;
  }
  TokenRange needed{tokens.end, tokens.begin};  // union of what the rows see
  for (const AttentionRow& row : rows) {
    if (row.visible.begin >= row.visible.end) continue;
    needed.begin = std::min(needed.begin, std::max(tokens.begin, row.visible.begin));
    needed.end = std::max(needed.end, std::min(tokens.end, row.visible.end));
  }
  std::vector<TileOfHead> of_head;
  for (std::int32_t h = 0; h < heads.count; ++h) of_head.emplace_back(problem, tokens, rows, h, scratch);
  for (std::int64_t begin = needed.begin; begin < needed.end; begin += kTileTokens) {
    const std::int64_t tile = std::min(kTileTokens, needed.end - begin);
    gather_tokens(problem.keys, sequence, heads, begin, tile, kTileTokens, scratch.keys.data(),
                  scratch.key_scales.data(), {&problem.values, begin, begin + tile});
    bool any = false;
    for (TileOfHead& head : of_head) any = head.score(begin, tile) || any;
    if (!any) continue;
    gather_tokens(problem.values, sequence, heads, begin, tile, kTileTokens, scratch.values.data(),
                  scratch.value_scales.data(), {&problem.keys, begin + tile, needed.end});
    for (TileOfHead& head : of_head) head.add_values(begin, tile);
  }
  for (std::int64_t r = 0; r < count; ++r) {
    double* sums = &scratch.sums[AttentionScratch::begin_of_head(r / per_head, per_head, value_dims) +
                                 r % per_head * value_dims];
    if (scratch.total[r] == 0) {  // saw nothing
      std::fill(sums, sums + value_dims, 0.0);
      lse[r] = kMinusInfinity;
      continue;
    }
    for (std::int64_t d = 0; d < value_dims; ++d) sums[d] /= scratch.total[r];
    lse[r] = (scratch.maximum[r] == kMinusInfinity ? 0.0 : scratch.maximum[r]) + std::log(scratch.total[r]);
  }
}

std::int32_t heads_at_once(const PagedAttentionCase& problem, std::int64_t sequences,
                           const Execution& execution) {
  const std::int64_t pieces = sequences * problem.keys.layout.heads;
  const std::int64_t enough = pieces / (4 * std::max<std::int64_t>(execution.threads, 1));
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(enough, 1, kHeadsAtOnce));
}

void append_work(const PagedAttentionCase& problem, const std::vector<std::int32_t>& sequences,
                 const TokenRange& tokens, std::int32_t heads_at_once, AttentionWork& work) {
  AttentionGroup group{sequences, {}, tokens};
  std::int64_t queries = 0;
  for (const std::int32_t sequence : sequences) {
    queries += problem.q_begin[sequence + 1] - problem.q_begin[sequence];
    group.query_ends.push_back(queries);
  }
  const std::int32_t kv_heads = problem.keys.layout.heads;
  const std::int64_t rows = queries * (problem.q.shape[1] / kv_heads);
  const std::int64_t at_once = std::min(std::max<std::int64_t>(rows, 1), kRowsAtOnce);
  const std::int32_t together = std::min(heads_at_once, static_cast<std::int32_t>(kRowsAtOnce / at_once));
  const std::int32_t index = static_cast<std::int32_t>(work.groups.size());
  for (std::int32_t head = 0; head < kv_heads; head += together)
    for (std::int64_t begin = 0; begin < rows; begin += at_once)
      work.items.push_back(
          {index, {head, std::min(together, kv_heads - head)}, begin, std::min(begin + at_once, rows)});
  work.groups.push_back(std::move(group));
}

std::vector<AttentionRow> rows_of(const PagedAttentionCase& problem, const AttentionWork& work,
                                  const AttentionItem& item) {
  const AttentionGroup& group = work.groups[item.group];
  const std::int64_t ratio = problem.q.shape[1] / problem.keys.layout.heads;
  std::vector<AttentionRow> rows;
  std::size_t place = 0;
  for (std::int64_t row = item.row_begin; row < item.row_end; ++row) {
    const std::int64_t nth = row / ratio;
    while (nth >= group.query_ends[place]) ++place;
    const std::int32_t sequence = group.sequences[place];
    const std::int64_t query = problem.q_begin[sequence + 1] - (group.query_ends[place] - nth);
    rows.push_back({query, item.heads.begin * ratio + row % ratio, visible_tokens(problem, sequence, query)});
  }
  return rows;
}

void run_work(const PagedAttentionCase& problem, const AttentionWork& work, const ResultView<3>& out,
              const ResultView<2>& lse, const Execution& execution) {
  const std::int64_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
  const std::int64_t items = static_cast<std::int64_t>(work.items.size());
  const int fitting =
      workers_within_scratch(execution.threads, AttentionScratch::bytes(dims, value_dims, kHeadsAtOnce));
  const int workers = static_cast<int>(std::clamp<std::int64_t>(items, 1, fitting));
  std::vector<AttentionScratch> scratch(workers, AttentionScratch(dims, value_dims, kHeadsAtOnce));
  const std::int64_t ratio = problem.q.shape[1] / problem.keys.layout.heads;
  parallel_for(items, workers, [&](std::int64_t index, int worker) {
    const AttentionItem& item = work.items[index];
    const AttentionGroup& group = work.groups[item.group];
    const std::vector<AttentionRow> rows = rows_of(problem, work, item);
    double part[kRowsAtOnce];
    attend(problem, group.sequences.front(), item.heads, group.tokens, rows, scratch[worker], part);
    // A result's last axis is contiguous (begin_attention checked it).
    const std::int64_t per_head = static_cast<std::int64_t>(rows.size());
    for (std::int64_t h = 0; h < item.heads.count; ++h)
      for (std::int64_t r = 0; r < per_head; ++r) {
        const std::int64_t query = rows[r].query, head = rows[r].head + h * ratio;
        merge_row(out.address({query, head, 0}), *lse.address({query, head}),
                  scratch[worker].out_of(h, r, per_head, value_dims), part[h * per_head + r], value_dims);
      }
  });
}

void begin_attention(const PagedAttentionCase& problem, const ResultView<3>& out, const ResultView<2>& lse) {
  validate(problem);
  const Preconditions& table = paged_attention_preconditions();
  const std::int64_t queries = problem.q.shape[0], heads = problem.q.shape[1];
  check_view<3>(table, "out", out.data, out.shape, {queries, heads, problem.values.layout.dims});
  check_view<2>(table, "lse", lse.data, lse.shape, {queries, heads});
  require(out.stride[2] == 1, table, "out.stride[2]", "1", std::to_string(out.stride[2]));
  for (std::int64_t t = 0; t < queries; ++t)
    for (std::int64_t h = 0; h < heads; ++h) {
      std::fill_n(out.address({t, h, 0}), out.shape[2], 0.0);
      *lse.address({t, h}) = kMinusInfinity;
    }
}

AttentionReport report_of(const ResultView<3>& out, const ResultView<2>& lse) {
  AttentionReport report;
  for (std::int64_t t = 0; t < lse.shape[0]; ++t)
    for (std::int64_t h = 0; h < lse.shape[1]; ++h) {
      const double value = *lse.address({t, h});
      bool nan = std::isnan(value);
      for (std::int64_t d = 0; d < out.shape[2] && !nan; ++d) nan = std::isnan(*out.address({t, h, d}));
      ++report.rows;
      report.empty_rows += value == kMinusInfinity;
      report.nan_rows += nan;
    }
  return report;
}

}  // namespace assay
