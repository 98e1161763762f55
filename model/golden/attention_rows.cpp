#include "model/golden/attention_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/golden/merge.h"
#include "model/golden/panel.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// Rows that are fetched ahead while one is decoded.
constexpr std::int64_t kRowsAhead = 8;

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
                  std::int64_t count, std::int64_t row, AttentionScratch& scratch) {
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
    for (std::int64_t t = begin; t < end; ++t)
      scores[t] = scores[t] * scratch.key_scales[t] * problem.softmax_scale;
  } else {
    for (std::int64_t t = begin; t < end; ++t)
      scores[t] = score_of(problem, scores[t], scratch.key_scales[t]);
  }
  double maximum = scratch.maximum[row];
  for (std::int64_t t = begin; t < end; ++t) maximum = scores[t] > maximum ? scores[t] : maximum;
  const double old = scratch.maximum[row];
  if (old != maximum) {
    const double factor = old == kMinusInfinity ? 0.0 : std::exp(old - maximum);
    const std::int64_t dims = problem.values.layout.dims;
    // A row that has met a NaN keeps it: 0 * NaN is NaN.
    scratch.total[row] *= factor;
    for (std::int64_t d = 0; d < dims; ++d) scratch.sums[row * dims + d] *= factor;
    scratch.maximum[row] = maximum;
  }
  // Only -inf so far: nothing to add unless there is a NaN among them, which must show.
  const double shift = maximum == kMinusInfinity ? 0.0 : maximum;
  scratch.total[row] += panel::exponentials(scores + begin, end - begin, shift);
  return true;
}

// p V with masked tokens left out one by one: a NaN in V must not reach rows that do not see it.
void weighted_sums_slowly(const PagedAttentionCase& problem, const std::vector<AttentionRow>& rows,
                          const TokenRange& range, std::int64_t tile_begin, std::int64_t count,
                          AttentionScratch& scratch) {
  const std::int64_t dims = problem.values.layout.dims;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t token = tile_begin + t;
      if (token < std::max(range.begin, rows[r].visible.begin) ||
          token >= std::min(range.end, rows[r].visible.end))
        continue;
      const double weight = scratch.scores[r * kTileTokens + t];
      for (std::int64_t d = 0; d < dims; ++d)
        scratch.sums[r * dims + d] += weight * scratch.values[t * dims + d];
    }
}

}  // namespace

AttentionScratch::AttentionScratch(std::int64_t dims, std::int64_t value_dims)
    : q(kRowsAtOnce * dims),
      keys(kTileTokens * dims),
      values(kTileTokens * value_dims),
      key_scales(kTileTokens),
      value_scales(kTileTokens),
      scores(kRowsAtOnce * kTileTokens),
      sums(kRowsAtOnce * value_dims),
      maximum(kRowsAtOnce),
      total(kRowsAtOnce) {}

std::int64_t AttentionScratch::bytes(std::int64_t dims, std::int64_t value_dims) {
  // Twice, for what Eigen packs.
  return 2 * 8 * ((kRowsAtOnce + kTileTokens) * (dims + value_dims) + kRowsAtOnce * kTileTokens);
}

void gather_tokens(const PagedCacheView& cache, std::int64_t sequence, std::int32_t kv_head,
                   std::int64_t begin, std::int64_t count, double* panel, double* scales) {
  const PagedLayout& layout = cache.layout;
  const std::byte* data = static_cast<const std::byte*>(cache.data);
  const std::int64_t row_bytes = static_cast<std::int64_t>(layout.dims) * layout.element_bytes;
  const auto row_of = [&](std::int64_t position) {
    return data + layout.offset(cache.table.block(sequence, position / layout.block_tokens),
                                static_cast<std::int32_t>(position % layout.block_tokens), kv_head, 0);
  };
  for (std::int64_t t = 0; t < count; ++t) {
    const std::int64_t position = begin + t;
    // One head's rows lie kilobytes apart (NHD): without a hint every row waits for memory.
    if (t + kRowsAhead < count) {
      const std::byte* ahead = row_of(position + kRowsAhead);
      for (std::int64_t line = 0; line < row_bytes; line += 64) __builtin_prefetch(ahead + line);
    }
    decode_row(row_of(position), cache.type, layout.dims, panel + t * layout.dims);
    scales[t] = cache.scales.at(cache.table.block(sequence, position / layout.block_tokens),
                                position % layout.block_tokens, kv_head);
  }
}

double score_of(const PagedAttentionCase& problem, double dot, double key_scale) {
  const double score = dot * key_scale * problem.softmax_scale;
  return problem.soft_cap == 0 ? score : problem.soft_cap * std::tanh(score / problem.soft_cap);
}

void attend(const PagedAttentionCase& problem, std::int64_t sequence, std::int32_t kv_head,
            const TokenRange& tokens, const std::vector<AttentionRow>& rows, AttentionScratch& scratch,
            double* lse) {
  const std::int64_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
  const std::int64_t count = static_cast<std::int64_t>(rows.size());
  TokenRange needed{tokens.end, tokens.begin};  // union of what the rows see
  for (std::int64_t r = 0; r < count; ++r) {
    decode_row(problem.q.address({rows[r].query, rows[r].head, 0}), problem.q.type, dims,
               &scratch.q[r * dims]);
    scratch.maximum[r] = kMinusInfinity;
    scratch.total[r] = 0;
    if (rows[r].visible.begin >= rows[r].visible.end) continue;
    needed.begin = std::min(needed.begin, std::max(tokens.begin, rows[r].visible.begin));
    needed.end = std::max(needed.end, std::min(tokens.end, rows[r].visible.end));
  }
  std::fill_n(scratch.sums.begin(), count * value_dims, 0.0);
  for (std::int64_t begin = needed.begin; begin < needed.end; begin += kTileTokens) {
    const std::int64_t tile = std::min(kTileTokens, needed.end - begin);
    gather_tokens(problem.keys, sequence, kv_head, begin, tile, scratch.keys.data(),
                  scratch.key_scales.data());
    panel::dots(scratch.keys.data(), tile, scratch.q.data(), count, dims, scratch.scores.data(), kTileTokens);
    bool any = false, masked = false;
    for (std::int64_t r = 0; r < count; ++r) {
      const TokenRange seen{std::max(tokens.begin, rows[r].visible.begin),
                            std::min(tokens.end, rows[r].visible.end)};
      any = soft_max_row(problem, seen, begin, tile, r, scratch) || any;
      masked = masked || seen.begin > begin || seen.end < begin + tile;
    }
    if (!any) continue;
    gather_tokens(problem.values, sequence, kv_head, begin, tile, scratch.values.data(),
                  scratch.value_scales.data());
    if (problem.values.scales.data != nullptr)
      for (std::int64_t t = 0; t < tile; ++t)
        for (std::int64_t d = 0; d < value_dims; ++d)
          scratch.values[t * value_dims + d] *= scratch.value_scales[t];
    if (masked && !all_finite(scratch.values.data(), tile * value_dims)) {
      weighted_sums_slowly(problem, rows, tokens, begin, tile, scratch);
    } else {
      panel::weighted_sums(scratch.scores.data(), kTileTokens, count, scratch.values.data(), tile, value_dims,
                           scratch.sums.data());
    }
  }
  for (std::int64_t r = 0; r < count; ++r) {
    double* sums = &scratch.sums[r * value_dims];
    if (scratch.total[r] == 0) {  // saw nothing
      std::fill(sums, sums + value_dims, 0.0);
      lse[r] = kMinusInfinity;
      continue;
    }
    for (std::int64_t d = 0; d < value_dims; ++d) sums[d] /= scratch.total[r];
    lse[r] = (scratch.maximum[r] == kMinusInfinity ? 0.0 : scratch.maximum[r]) + std::log(scratch.total[r]);
  }
}

void append_work(const PagedAttentionCase& problem, const std::vector<std::int32_t>& sequences,
                 const TokenRange& tokens, AttentionWork& work) {
  AttentionGroup group{sequences, {}, tokens};
  std::int64_t queries = 0;
  for (const std::int32_t sequence : sequences) {
    queries += problem.q_begin[sequence + 1] - problem.q_begin[sequence];
    group.query_ends.push_back(queries);
  }
  const std::int64_t rows = queries * (problem.q.shape[1] / problem.keys.layout.heads);
  const std::int32_t index = static_cast<std::int32_t>(work.groups.size());
  for (std::int32_t kv_head = 0; kv_head < problem.keys.layout.heads; ++kv_head)
    for (std::int64_t begin = 0; begin < rows; begin += kRowsAtOnce)
      work.items.push_back({index, kv_head, begin, std::min(begin + kRowsAtOnce, rows)});
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
    rows.push_back({query, item.kv_head * ratio + row % ratio, visible_tokens(problem, sequence, query)});
  }
  return rows;
}

void run_work(const PagedAttentionCase& problem, const AttentionWork& work, const ResultView<3>& out,
              const ResultView<2>& lse, const Execution& execution) {
  const std::int64_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
  const std::int64_t items = static_cast<std::int64_t>(work.items.size());
  const int fitting = workers_within_scratch(execution.threads, AttentionScratch::bytes(dims, value_dims));
  const int workers = static_cast<int>(std::clamp<std::int64_t>(items, 1, fitting));
  std::vector<AttentionScratch> scratch(workers, AttentionScratch(dims, value_dims));
  parallel_for(items, workers, [&](std::int64_t index, int worker) {
    const AttentionItem& item = work.items[index];
    const AttentionGroup& group = work.groups[item.group];
    const std::vector<AttentionRow> rows = rows_of(problem, work, item);
    double part[kRowsAtOnce];
    attend(problem, group.sequences.front(), item.kv_head, group.tokens, rows, scratch[worker], part);
    // A result's last axis is contiguous (begin_attention checked it).
    for (std::size_t r = 0; r < rows.size(); ++r)
      merge_row(out.address({rows[r].query, rows[r].head, 0}), *lse.address({rows[r].query, rows[r].head}),
                &scratch[worker].sums[r * value_dims], part[r], value_dims);
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
