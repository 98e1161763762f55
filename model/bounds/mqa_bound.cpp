#include "model/bounds/mqa_bound.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/core/check.h"
#include "model/golden/mqa_tiles.h"

namespace assay {
namespace {

constexpr double kU32 = 0x1p-24;

// What the accumulator loses per dot product of length D, in the terms of the header.
struct DotError {
  bool truncating = false;
  double sigma = 0;  // times A (fp32) or mag (truncating)
  double hard = 0;   // times A
  double bias = 0;   // truncating: times mag * |s| / A

  DotError(Accumulator accumulator, std::int64_t dims) {
    const double d = static_cast<double>(dims);
    switch (accumulator) {
      case Accumulator::kFp32:
        sigma = std::sqrt(d) * kU32;
        hard = d * kU32;
        return;
      case Accumulator::kTensorCore16: truncate(16, 0x1p-23, dims); return;
      case Accumulator::kTensorCoreFp8: truncate(32, 0x1p-13, dims); return;
    }
  }

 private:
  void truncate(std::int64_t step, double quantum, std::int64_t dims) {
    truncating = true;
    const std::int64_t steps = ceil_div(dims, step);
    const double truncations = static_cast<double>(steps * (step + 2));
    sigma = std::sqrt(truncations / 3) * quantum;
    hard = truncations * quantum;
    bias = truncations / 2 * quantum;
  }
};

// Golden logits and bounds of one query of a tile.
class TileBound {
 public:
  TileBound(std::int64_t heads, std::int64_t dims, const Arithmetic& arithmetic)
      : weights(heads),
        logits(kTileKeys),
        bounds(kTileKeys),
        arithmetic_(arithmetic),
        error_(arithmetic.accumulator, dims),
        variance_(kTileKeys),
        bias_(kTileKeys),
        hard_(kTileKeys),
        open_(kTileKeys) {}

  void compute(const MqaTile& tile, int query, ReluOfNan rule) {
    sum_heads(tile, query, weights.data(), rule, logits.data());
    for (std::vector<double>* sums : {&variance_, &bias_, &hard_, &open_})
      std::fill(sums->begin(), sums->end(), 0.0);
    for (int head = 0; head < tile.heads; ++head) {
      const std::int64_t row = (static_cast<std::int64_t>(query) * tile.heads + head) * tile.stride;
      if (error_.truncating) {
        add_truncating(tile, row, weights[head]);
      } else {
        add_fp32(tile, row, weights[head]);
      }
    }
    for (int t = 0; t < tile.keys; ++t) {
      const double scale = std::fabs(tile.key_scales[t]), tail = 2 * kU32 * std::fabs(logits[t]);
      const double likely =
          arithmetic_.lambda * std::sqrt(variance_[t]) + std::fabs(bias_[t]) + 16 * kU32 * open_[t];
      const double certain = hard_[t] + (tile.heads + 4) * kU32 * open_[t];
      bounds[t] = scale * std::min(likely, certain) + tail;
    }
  }

  std::vector<double> weights;         // [heads], filled by the caller
  std::vector<double> logits, bounds;  // [keys]

 private:
  // A head counts while its relu may be open: s >= -e. (False for NaN: its relu gives 0.)
  void add_fp32(const MqaTile& tile, std::int64_t row, double weight) {
    const double *dots = tile.dots + row, *sizes = tile.magnitudes + row;
    for (int t = 0; t < tile.keys; ++t) {
      const double hard = error_.hard * sizes[t];
      const double w = dots[t] >= -hard ? std::fabs(weight) : 0.0;
      const double size = dots[t] >= -hard ? sizes[t] : 0.0;
      const double sigma = w * error_.sigma * size;
      variance_[t] += sigma * sigma;
      hard_[t] += w * error_.hard * size;
      open_[t] += w * (dots[t] > 0 ? dots[t] : 0.0);
    }
  }

  void add_truncating(const MqaTile& tile, std::int64_t row, double weight) {
    const double *dots = tile.dots + row, *sizes = tile.magnitudes + row, *peaks = tile.peaks + row;
    for (int t = 0; t < tile.keys; ++t) {
      const bool open = dots[t] >= -error_.hard * sizes[t];
      const double w = open ? weight : 0.0, size = open ? sizes[t] : 0.0, dot = open ? dots[t] : 0.0;
      const double largest = 1.5 * std::max(std::fabs(dot), peaks[t]);
      const double mag = open ? std::max(peaks[t], std::min(size, largest)) : 0.0;
      const double sigma = w * error_.sigma * mag;
      variance_[t] += sigma * sigma;
      // Truncation shrinks every term: what the signs of the terms have in common, all heads have.
      bias_[t] += size > 0 ? w * error_.bias * mag * std::max(dot, 0.0) / size : 0.0;
      hard_[t] += std::fabs(w) * error_.hard * size;
      open_[t] += std::fabs(w) * std::max(dot, 0.0);
    }
  }

  Arithmetic arithmetic_;
  DotError error_;
  std::vector<double> variance_, bias_, hard_, open_;
};

std::int64_t heads_of(const PagedMqaLogitsCase& problem) { return problem.q.shape[2]; }
std::int64_t heads_of(const MqaLogitsCase& problem) { return problem.q.shape[1]; }
std::int64_t dims_of(const PagedMqaLogitsCase& problem) { return problem.q.shape[3]; }
std::int64_t dims_of(const MqaLogitsCase& problem) { return problem.q.shape[2]; }
std::int64_t rows_of(const PagedMqaLogitsCase& problem) { return problem.q.shape[0] * problem.q.shape[1]; }
std::int64_t rows_of(const MqaLogitsCase& problem) { return problem.q.shape[0]; }
const Preconditions& table_of(const PagedMqaLogitsCase&) { return paged_mqa_logits_preconditions(); }
const Preconditions& table_of(const MqaLogitsCase&) { return mqa_logits_preconditions(); }

// visit(worker, row, position, golden, bound) for every element inside the rows' ranges.
template <typename Case, typename Visit>
LogitsReport for_each_bounded(const Case& problem, const Arithmetic& arithmetic, const Execution& execution,
                              const Visit& visit) {
  std::vector<TileBound> workers(std::max(execution.threads, 1),
                                 TileBound(heads_of(problem), dims_of(problem), arithmetic));
  std::vector<LogitsReport> reports(workers.size());
  const TileNeeds needs{true, arithmetic.accumulator != Accumulator::kFp32};
  visit_tiles(problem, needs, execution, [&](const MqaTile& tile, int w) {
    TileBound& worker = workers[w];
    for (int query = 0; query < tile.queries; ++query) {
      const std::int64_t row = tile.first_row + query;
      const KeyRange range = mqa_row_range(problem, row);
      const std::int64_t begin = std::max(range.begin, tile.key_begin);
      const std::int64_t end = std::min(range.end, tile.key_begin + tile.keys);
      if (begin >= end) continue;
      for (std::int64_t head = 0; head < tile.heads; ++head)
        worker.weights[head] = load_element(problem.weights.address({row, head}), problem.weights.type);
      worker.compute(tile, query, problem.relu_of_nan);
      for (std::int64_t t = begin; t < end; ++t)
        visit(w, row, t, worker.logits[t - tile.key_begin], worker.bounds[t - tile.key_begin]);
      reports[w].elements += end - begin;
      count_nan_products(tile, query, {begin - tile.key_begin, end - tile.key_begin}, reports[w]);
    }
  });
  LogitsReport report;
  for (const LogitsReport& part : reports) merge_reports(report, part);
  return report;
}

// The part of a row that is not computed: masked or untouched, exactly.
void judge_outside(const TensorView<2>& got, std::int64_t row, const KeyRange& columns,
                   const LogitsJudgement& judgement, ComparisonReport& report) {
  if (judgement.outside == OutsideRule::kIgnore) return;
  const double minus_infinity = -std::numeric_limits<double>::infinity();
  const bool clean = judgement.outside == OutsideRule::kClean;
  const std::int64_t may_write_begin = columns.begin / judgement.may_write_unit * judgement.may_write_unit;
  const std::int64_t may_write_end =
      ceil_div(columns.end, judgement.may_write_unit) * judgement.may_write_unit;
  for (std::int64_t t = 0; t < got.shape[1]; ++t) {
    if (t >= columns.begin && t < columns.end) continue;
    const std::byte* address = got.address({row, t});
    const double value = load_element(address, got.type);
    bool right = value == minus_infinity;
    if (!clean) {
      if (t >= may_write_begin && t < may_write_end) continue;
      std::uint32_t bits = 0;
      std::memcpy(&bits, address, bytes_of(got.type));
      right = bits == (got.type == ElementType::kFp32 ? judgement.canary : judgement.canary & 0xffffu);
    }
    if (right) {
      report.count_right(1);
      continue;
    }
    report.add_finding({{row, t, 0},
                        clean ? minus_infinity : std::numeric_limits<double>::quiet_NaN(),
                        value,
                        0,
                        std::numeric_limits<double>::infinity(),
                        clean ? ElementClass::kMaskBroken : ElementClass::kStrayWrite});
  }
}

template <typename Case>
LogitsComparison judge(const Case& problem, const TensorView<2>& got, const Arithmetic& arithmetic,
                       const LogitsJudgement& judgement, const Execution& execution) {
  validate(problem);
  const Preconditions& table = table_of(problem);
  check_view<2>(table, "got", got.data, got.shape, {rows_of(problem), got.shape[1]});
  require(got.type == ElementType::kFp32 || got.type == ElementType::kBf16, table, "got.type", "fp32 or bf16",
          name_of(got.type));
  require(judgement.may_write_unit >= 1, table, "judgement.may_write_unit", "1 or more",
          std::to_string(judgement.may_write_unit));
  LogitsComparison result;
  const auto columns_of = [&](std::int64_t row) {
    KeyRange columns = mqa_row_range(problem, row);
    if (judgement.compressed) columns = {0, columns.end - columns.begin};
    return columns;
  };
  for (std::int64_t row = 0; row < got.shape[0]; ++row) {
    const KeyRange columns = columns_of(row);
    require(columns.end <= got.shape[1], table, "got.shape[1]",
            "room for row " + std::to_string(row) + ", " + std::to_string(columns.end) + " columns",
            std::to_string(got.shape[1]));
    judge_outside(got, row, columns, judgement, result.bound);
  }
  std::vector<LogitsComparison> workers(std::max(execution.threads, 1));
  result.golden = for_each_bounded(
      problem, arithmetic, execution,
      [&](int w, std::int64_t row, std::int64_t position, double golden, double bound) {
        const std::int64_t column =
            judgement.compressed ? position - mqa_row_range(problem, row).begin : position;
        const double value = load_element(got.address({row, column}), got.type);
        workers[w].bound.add({row, position, 0}, golden, judgement.exact ? 0.0 : bound, value, got.type);
        workers[w].tolerance.add(golden, value);
      });
  for (const LogitsComparison& worker : workers) {
    result.bound.merge(worker.bound);
    result.tolerance.merge(worker.tolerance);
  }
  return result;
}

template <typename Case>
void with_bounds(const Case& problem, const ResultView<2>& logits, const ResultView<2>& bounds,
                 const Arithmetic& arithmetic, const Execution& execution) {
  validate(problem);
  const Preconditions& table = table_of(problem);
  check_view<2>(table, "logits", logits.data, logits.shape, {rows_of(problem), logits.shape[1]});
  check_view<2>(table, "bounds", bounds.data, bounds.shape, logits.shape);
  for (std::int64_t row = 0; row < rows_of(problem); ++row)
    require(mqa_row_range(problem, row).end <= logits.shape[1], table, "logits.shape[1]",
            std::to_string(mqa_row_range(problem, row).end) + " columns or more",
            std::to_string(logits.shape[1]));
  for_each_bounded(problem, arithmetic, execution,
                   [&](int, std::int64_t row, std::int64_t position, double golden, double bound) {
                     *logits.address({row, position}) = golden;
                     *bounds.address({row, position}) = bound;
                   });
}

}  // namespace

LogitsComparison judge_logits(const PagedMqaLogitsCase& problem, const TensorView<2>& got,
                              const Arithmetic& arithmetic, const LogitsJudgement& judgement,
                              const Execution& execution) {
  require(!judgement.compressed, table_of(problem), "judgement.compressed", "false", "true");
  return judge(problem, got, arithmetic, judgement, execution);
}
LogitsComparison judge_logits(const MqaLogitsCase& problem, const TensorView<2>& got,
                              const Arithmetic& arithmetic, const LogitsJudgement& judgement,
                              const Execution& execution) {
  return judge(problem, got, arithmetic, judgement, execution);
}

void logits_with_bounds(const PagedMqaLogitsCase& problem, const ResultView<2>& logits,
                        const ResultView<2>& bounds, const Arithmetic& arithmetic,
                        const Execution& execution) {
  with_bounds(problem, logits, bounds, arithmetic, execution);
}
void logits_with_bounds(const MqaLogitsCase& problem, const ResultView<2>& logits,
                        const ResultView<2>& bounds, const Arithmetic& arithmetic,
                        const Execution& execution) {
  with_bounds(problem, logits, bounds, arithmetic, execution);
}

}  // namespace assay
