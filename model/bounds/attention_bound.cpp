#include "model/bounds/attention_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "model/core/check.h"
#include "model/golden/attention_rows.h"
#include "model/golden/panel.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

constexpr double kU32 = 0x1p-24;
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
// Scores closer than this give the same p down to the bits that an fp32 sum keeps: their additions
// round alike.
constexpr double kTieWidth = 0x1p-20;
// Scores this far below the row's largest have p < 2^-86; they share one bucket.
constexpr double kFarBelow = 60;

// What one visible token of a row contributes.
struct Token {
  double score = 0, p = 0, eta = 0, eta_hard = 0;
  std::int64_t position = 0;
};

// The error of a score from its dot product, as a fraction of the sizes it came from.
struct ScoreError {
  double likely_of_mag = 0;  // truncating tensor cores: times max(M, min(A, 1.5 max(|s|, M)))
  double hard_of_size = 0;   // times A

  ScoreError(const Arithmetic& arithmetic, std::int64_t dims) {
    const double d = static_cast<double>(dims);
    // bf16 tensor cores lose less than D u32 A: (17 / 4 + 1) 2^-23 A per 16 dims.
    hard_of_size = (d + 8) * kU32;
    if (arithmetic.accumulator != Accumulator::kTensorCoreFp8) return;
    const std::int64_t steps = ceil_div(dims, 32);
    const double truncations = static_cast<double>(steps) * 34;
    likely_of_mag = (arithmetic.lambda * std::sqrt(truncations / 3) + truncations / 2) * 0x1p-13;
    hard_of_size = truncations * 0x1p-13;
  }
};

// The sums over a row's tokens that the bounds are made of, one entry per value dim.
struct RowSums {
  explicit RowSums(std::int64_t dims)
      : group(dims),
        groups2(dims),
        single2(dims),
        rounding(dims),
        spread(dims),
        spread_hard(dims),
        size(dims),
        size2(dims),
        value(dims) {}
  void clear() {
    for (Panel* sums : {&group, &groups2, &single2, &rounding, &spread, &spread_hard, &size, &size2})
      std::fill(sums->begin(), sums->end(), 0.0);
  }
  void close_group() {
    for (std::size_t d = 0; d < group.size(); ++d) {
      groups2[d] += group[d] * group[d];
      group[d] = 0;
    }
  }
  void add(const Token& token, double eps, const double* out) {
    for (std::size_t d = 0; d < value.size(); ++d) {
      const double v = value[d], rounded = eps * v, magnitude = token.p * std::fabs(v);
      const double away = token.p * std::fabs(v - out[d]);
      group[d] += rounded;
      single2[d] += rounded * rounded;
      rounding[d] += std::fabs(rounded);
      spread[d] += away * token.eta;
      spread_hard[d] += away * token.eta_hard;
      size[d] += magnitude;
      size2[d] += magnitude * magnitude;
    }
  }
  Panel group, groups2, single2, rounding, spread, spread_hard, size, size2;
  Panel value;  // the token's decoded value row
};

struct Worker {
  Worker(std::int64_t dims, std::int64_t value_dims)
      : scratch(dims, value_dims, 1),
        sums(value_dims),
        bounds(value_dims),
        key_magnitude(kTileTokens * dims),
        q_magnitude(dims),
        dots(kTileTokens),
        sizes(kTileTokens),
        peaks(kTileTokens) {}
  static std::int64_t bytes(std::int64_t dims, std::int64_t value_dims, std::int64_t tokens) {
    return AttentionScratch::bytes(dims, value_dims, 1) +
           8 * (9 * value_dims + kTileTokens * (2 * dims + 3)) +
           tokens * static_cast<std::int64_t>(sizeof(Token));
  }
  AttentionScratch scratch;
  RowSums sums;
  std::vector<double> bounds;
  Panel key_magnitude, q_magnitude, dots, sizes, peaks;
  std::vector<Token> tokens;
};

class RowBound {
 public:
  RowBound(const PagedAttentionCase& problem, const Arithmetic& arithmetic)
      : problem_(problem), arithmetic_(arithmetic), score_error_(arithmetic, problem.keys.layout.dims) {}

  // Bounds of one row's out into worker.bounds; returns that of its lse. out and lse are golden.
  double compute(std::int64_t sequence, std::int32_t kv_head, const AttentionRow& row, const double* out,
                 double lse, Worker& worker) const {
    const std::int64_t dims = problem_.values.layout.dims;
    collect_tokens(sequence, kv_head, row, lse, worker);
    std::vector<Token>& tokens = worker.tokens;
    std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
      return a.score < b.score || (a.score == b.score && a.position < b.position);
    });
    const double unit = unit_roundoff(arithmetic_.p_type), top = tokens.empty() ? 0.0 : tokens.back().score;
    const double floor = std::exp(top - lse) * underflow_floor(arithmetic_.p_type) / arithmetic_.p_scale;
    double bucket = std::numeric_limits<double>::quiet_NaN(), lse_error = 0, ties2 = 0, tied = 0, last = 0;
    worker.sums.clear();
    for (const Token& token : tokens) {
      const double here =
          token.score < top - kFarBelow ? kMinusInfinity : std::floor(token.score / (unit / 2));
      if (here != bucket) worker.sums.close_group();
      bucket = here;
      if (tied > 0 && token.score - last > kTieWidth) {
        ties2 += tied * tied;
        tied = 0;
      }
      tied += 1;
      last = token.score;
      lse_error += token.p * token.eta;
      load_value(sequence, kv_head, token.position, worker.sums.value.data());
      worker.sums.add(token, std::max(unit * token.p, floor), out);
    }
    worker.sums.close_group();
    ties2 += tied * tied;

    // A running fp32 sum of n terms errs like a random walk of n steps, equal terms like one long step.
    const double walk = arithmetic_.lambda / std::sqrt(3.0) * std::sqrt(ties2) * kU32;
    const double count = static_cast<double>(tokens.size());
    for (std::int64_t d = 0; d < dims; ++d) worker.bounds[d] = bound_of(worker.sums, d, out[d], walk, count);
    return lse_error + walk + 4 * kU32 * std::fabs(lse) + 8 * kU32;
  }

 private:
  double bound_of(const RowSums& sums, std::int64_t d, double out, double walk, double count) const {
    const double lambda = arithmetic_.lambda;
    // P V and the division by the sum of p.
    double adding = std::max(64 * kU32, walk) * sums.size[d] + walk * std::fabs(out);
    const double reached = std::min(sums.size[d], 1.5 * (std::fabs(out) + lambda * std::sqrt(sums.size2[d])));
    if (arithmetic_.accumulator == Accumulator::kTensorCore16) {
      adding += 2 * kU32 * std::ceil(count / 16) * reached;
    } else if (arithmetic_.accumulator == Accumulator::kTensorCoreFp8) {
      const double steps = std::ceil(count / 32);
      adding += (lambda * std::sqrt(34 * steps / 3) + steps) * 0x1p-13 * reached;
    }
    const double likely =
        lambda / std::sqrt(3.0) * std::sqrt(std::max(sums.groups2[d], sums.single2[d])) + sums.spread[d];
    const double certain = sums.rounding[d] + sums.spread_hard[d];
    return std::min(likely, certain) + adding;
  }

  void load_value(std::int64_t sequence, std::int32_t kv_head, std::int64_t position, double* value) const {
    double scale = 1;
    gather_tokens(problem_.values, sequence, {kv_head, 1}, position, 1, 1, value, &scale);
    if (problem_.values.scales.data == nullptr) return;
    for (std::int64_t d = 0; d < problem_.values.layout.dims; ++d) value[d] *= scale;
  }

  void collect_tokens(std::int64_t sequence, std::int32_t kv_head, const AttentionRow& row, double lse,
                      Worker& worker) const {
    const std::int64_t dims = problem_.keys.layout.dims;
    const bool needs_peaks = score_error_.likely_of_mag > 0;
    AttentionScratch& scratch = worker.scratch;
    decode_row(problem_.q.address({row.query, row.head, 0}), problem_.q.type, dims, scratch.q.data());
    for (std::int64_t d = 0; d < dims; ++d) worker.q_magnitude[d] = std::fabs(scratch.q[d]);
    worker.tokens.clear();
    for (std::int64_t begin = row.visible.begin; begin < row.visible.end; begin += kTileTokens) {
      const std::int64_t count = std::min(kTileTokens, row.visible.end - begin);
      gather_tokens(problem_.keys, sequence, {kv_head, 1}, begin, count, kTileTokens, scratch.keys.data(),
                    scratch.key_scales.data());
      for (std::int64_t i = 0; i < count * dims; ++i) worker.key_magnitude[i] = std::fabs(scratch.keys[i]);
      panel::dots(scratch.keys.data(), count, scratch.q.data(), 1, dims, worker.dots.data(), kTileTokens);
      panel::dots(worker.key_magnitude.data(), count, worker.q_magnitude.data(), 1, dims, worker.sizes.data(),
                  kTileTokens);
      if (needs_peaks)
        panel::peaks(worker.key_magnitude.data(), count, worker.q_magnitude.data(), 1, dims,
                     worker.peaks.data(), kTileTokens);
      for (std::int64_t t = 0; t < count; ++t)
        worker.tokens.push_back(token_of(worker, t, begin + t, scratch.key_scales[t], lse));
    }
  }

  Token token_of(const Worker& worker, std::int64_t t, std::int64_t position, double key_scale,
                 double lse) const {
    const double scale = std::fabs(key_scale * problem_.softmax_scale);
    const double size = worker.sizes[t] * scale, raw = std::fabs(worker.dots[t]) * scale;
    Token token;
    token.position = position;
    token.score = score_of(problem_, worker.dots[t], key_scale);
    token.p = std::exp(token.score - lse);
    const double after = 4 * kU32 * raw + 4 * kU32 + 8 * kU32 * problem_.soft_cap;
    token.eta_hard = std::expm1(score_error_.hard_of_size * size + after);
    token.eta = token.eta_hard;
    if (score_error_.likely_of_mag > 0) {
      const double peak = worker.peaks[t] * scale;
      const double mag = std::max(peak, std::min(size, 1.5 * std::max(raw, peak)));
      token.eta = std::min(token.eta, std::expm1(score_error_.likely_of_mag * mag + after));
    }
    return token;
  }

  const PagedAttentionCase& problem_;
  const Arithmetic& arithmetic_;
  ScoreError score_error_;
};

// visit(worker index, row, golden out, out bounds, golden lse, lse bound) for every (query, head).
template <typename Visit>
void for_each_row(const PagedAttentionCase& problem, const Arithmetic& arithmetic, const Execution& execution,
                  const Visit& visit) {
  validate(problem);
  const std::int64_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
  AttentionWork work;
  std::int64_t longest = 0;
  for (std::int32_t sequence = 0; sequence < problem.batch(); ++sequence) {
    append_work(problem, {sequence}, {0, problem.contexts[sequence]}, 1, work);
    longest = std::max<std::int64_t>(longest, problem.contexts[sequence]);
  }
  const int fitting = workers_within_scratch(execution.threads, Worker::bytes(dims, value_dims, longest));
  const int count =
      static_cast<int>(std::clamp<std::int64_t>(static_cast<std::int64_t>(work.items.size()), 1, fitting));
  std::vector<Worker> workers(count, Worker(dims, value_dims));
  const RowBound bound(problem, arithmetic);
  parallel_for(static_cast<std::int64_t>(work.items.size()), count, [&](std::int64_t index, int w) {
    const AttentionItem& item = work.items[index];
    const AttentionGroup& group = work.groups[item.group];
    const std::int64_t sequence = group.sequences.front();
    const std::vector<AttentionRow> rows = rows_of(problem, work, item);
    Worker& worker = workers[w];
    double lse[kRowsAtOnce];
    attend(problem, sequence, item.heads, group.tokens, rows, worker.scratch, lse);
    const Panel out(worker.scratch.sums.begin(),
                    worker.scratch.sums.begin() + static_cast<std::int64_t>(rows.size()) * value_dims);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const double* row_out = &out[r * value_dims];
      double lse_bound = 0;
      std::fill(worker.bounds.begin(), worker.bounds.end(), 0.0);
      // Rows that see nothing, and rows with a NaN, are compared by class.
      if (std::isfinite(lse[r]))
        lse_bound = bound.compute(sequence, item.heads.begin, rows[r], row_out, lse[r], worker);
      visit(w, rows[r], row_out, worker.bounds.data(), lse[r], lse_bound);
    }
  });
}

}  // namespace

AttentionComparison judge_attention(const PagedAttentionCase& problem, const TensorView<3>& got_out,
                                    const TensorView<2>& got_lse, const Arithmetic& arithmetic,
                                    const Execution& execution) {
  const Preconditions& table = paged_attention_preconditions();
  const std::int64_t value_dims = problem.values.layout.dims;
  check_view<3>(table, "got_out", got_out.data, got_out.shape,
                {problem.q.shape[0], problem.q.shape[1], value_dims});
  require(got_out.type != ElementType::kE4M3 && got_out.type != ElementType::kE5M2, table, "got_out.type",
          "fp32, bf16 or fp16", name_of(got_out.type));
  const bool judges_lse = got_lse.data != nullptr;
  if (judges_lse) {
    check_view<2>(table, "got_lse", got_lse.data, got_lse.shape, {problem.q.shape[0], problem.q.shape[1]});
    require(got_lse.type == ElementType::kFp32, table, "got_lse.type", "fp32", name_of(got_lse.type));
  }
  std::vector<AttentionComparison> workers(std::max(execution.threads, 1));
  for_each_row(problem, arithmetic, execution,
               [&](int w, const AttentionRow& row, const double* out, const double* bounds, double lse,
                   double lse_bound) {
                 for (std::int64_t d = 0; d < value_dims; ++d) {
                   const double got = load_element(got_out.address({row.query, row.head, d}), got_out.type);
                   workers[w].out.add({row.query, row.head, d}, out[d], bounds[d], got, got_out.type);
                   workers[w].tolerance.add(out[d], got);
                 }
                 if (judges_lse)
                   workers[w].lse.add({row.query, row.head, 0}, lse, lse_bound,
                                      load_element(got_lse.address({row.query, row.head}), got_lse.type),
                                      got_lse.type);
               });
  AttentionComparison result;
  for (const AttentionComparison& worker : workers) {
    result.out.merge(worker.out);
    result.lse.merge(worker.lse);
    result.tolerance.merge(worker.tolerance);
  }
  return result;
}

void attention_with_bounds(const PagedAttentionCase& problem, const ResultView<3>& out,
                           const ResultView<3>& out_bound, const ResultView<2>& lse,
                           const ResultView<2>& lse_bound, const Arithmetic& arithmetic,
                           const Execution& execution) {
  const Preconditions& table = paged_attention_preconditions();
  const Extents<3> shape{problem.q.shape[0], problem.q.shape[1], problem.values.layout.dims};
  check_view<3>(table, "out", out.data, out.shape, shape);
  check_view<3>(table, "out_bound", out_bound.data, out_bound.shape, shape);
  check_view<2>(table, "lse", lse.data, lse.shape, {shape[0], shape[1]});
  check_view<2>(table, "lse_bound", lse_bound.data, lse_bound.shape, {shape[0], shape[1]});
  for_each_row(problem, arithmetic, execution,
               [&](int, const AttentionRow& row, const double* values, const double* bounds, double row_lse,
                   double row_lse_bound) {
                 for (std::int64_t d = 0; d < shape[2]; ++d) {
                   *out.address({row.query, row.head, d}) = values[d];
                   *out_bound.address({row.query, row.head, d}) = bounds[d];
                 }
                 *lse.address({row.query, row.head}) = row_lse;
                 *lse_bound.address({row.query, row.head}) = row_lse_bound;
               });
}

}  // namespace assay
