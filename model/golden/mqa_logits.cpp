#include "model/golden/mqa_logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model/golden/mqa_tiles.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr std::int64_t kAny = std::int64_t{1} << 40;

std::string at(const char* name, std::int64_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

template <typename Case>
LogitsReport run(const Case& problem, std::int64_t heads, const ResultView<2>& logits,
                 const LogitsOptions& options, const Execution& execution) {
  if (options.clean) {
    for (std::int64_t row = 0; row < logits.shape[0]; ++row) {
      const KeyRange range = mqa_row_range(problem, row);
      const std::int64_t shift = options.compressed ? range.begin : 0;
      const std::int64_t begin = range.begin - shift, end = range.end - shift;
      for (std::int64_t t = 0; t < begin; ++t) *logits.address({row, t}) = kMinusInfinity;
      for (std::int64_t t = end; t < logits.shape[1]; ++t) *logits.address({row, t}) = kMinusInfinity;
    }
  }
  struct Worker {
    std::vector<double> weights, sums;
    LogitsReport report;
  };
  std::vector<Worker> workers(std::max(execution.threads, 1));
  for (Worker& worker : workers) {
    worker.weights.resize(heads);
    worker.sums.resize(kTileKeys);
  }
  visit_tiles(problem, {}, execution, [&](const MqaTile& tile, int w) {
    Worker& worker = workers[w];
    for (int query = 0; query < tile.queries; ++query) {
      const std::int64_t row = tile.first_row + query;
      const KeyRange range = mqa_row_range(problem, row);
      const KeyRange inside{std::clamp<std::int64_t>(range.begin - tile.key_begin, 0, tile.keys),
                            std::clamp<std::int64_t>(range.end - tile.key_begin, 0, tile.keys)};
      if (inside.begin >= inside.end) continue;
      for (std::int64_t head = 0; head < heads; ++head)
        worker.weights[head] = load_element(problem.weights.address({row, head}), problem.weights.type);
      sum_heads(tile, query, worker.weights.data(), problem.relu_of_nan, worker.sums.data());
      const std::int64_t shift = options.compressed ? range.begin : 0;
      for (std::int64_t t = inside.begin; t < inside.end; ++t)
        *logits.address({row, tile.key_begin + t - shift}) = worker.sums[t];
      worker.report.elements += inside.end - inside.begin;
      count_nan_products(tile, query, inside, worker.report);
    }
  });
  LogitsReport report;
  for (const Worker& worker : workers) merge_reports(report, worker.report);
  return report;
}

}  // namespace

const Preconditions& paged_mqa_logits_preconditions() {
  static const Preconditions table{
      "paged_mqa_logits",
      {{"batch", 0, kAny, 1},
       {"next_n", 1, 8, 1},
       {"heads", 1, 1024, 1},
       {"dims", 4, 1024, 4},
       {"block_tokens", 1, 65536, 1},
       {"max_blocks", 0, kAny, 1},
       {"blocks", 0, kAny, 1}},
      {{"q.type", {ElementType::kE4M3}}, {"weights.type", {ElementType::kFp32}}}};
  return table;
}

const Preconditions& mqa_logits_preconditions() {
  static const Preconditions table{
      "mqa_logits",
      {{"queries", 0, kAny, 1}, {"keys", 0, kAny, 1}, {"heads", 1, 1024, 1}, {"dims", 1, 1024, 1}},
      {{"q.type", {ElementType::kE4M3}},
       {"keys.type", {ElementType::kE4M3}},
       {"key_scales.type", {ElementType::kFp32}},
       {"weights.type", {ElementType::kFp32}}}};
  return table;
}

KeyRange mqa_row_range(const PagedMqaLogitsCase& problem, std::int64_t row) {
  const std::int64_t next_n = problem.q.shape[1];
  const std::int64_t sequence = row / next_n;
  const std::int32_t query = static_cast<std::int32_t>(row % next_n);
  if (problem.contexts.columns != 0) return {0, problem.contexts.at(sequence, query)};
  const std::int64_t limit = problem.contexts.at(sequence, 0) - next_n + query + 1;
  return {0, std::max<std::int64_t>(limit, 0)};
}

KeyRange mqa_row_range(const MqaLogitsCase& problem, std::int64_t row) {
  if (problem.ends[row] <= problem.starts[row]) return {0, 0};
  return {problem.starts[row], problem.ends[row]};
}

void validate(const PagedMqaLogitsCase& problem) {
  const Preconditions& table = paged_mqa_logits_preconditions();
  const auto& [batch, next_n, heads, dims] = problem.q.shape;
  const FusedIndexLayout& layout = problem.cache.layout;
  table.check("batch", batch);
  table.check("next_n", next_n);
  table.check("heads", heads);
  table.check("dims", dims);
  table.check("block_tokens", layout.block_tokens);
  table.check("max_blocks", problem.table.max_blocks);
  table.check("blocks", problem.cache.blocks);
  table.check_type("q.type", problem.q.type);
  table.check_type("weights.type", problem.weights.type);
  validate(layout, "paged_mqa_logits.cache.layout");
  require(layout.dims == dims, table, "cache.layout.dims", std::to_string(dims), std::to_string(layout.dims));
  require(problem.q.stride[3] == 1, table, "q.stride[3]", "1", std::to_string(problem.q.stride[3]));
  check_view<4>(table, "q", problem.q.data, problem.q.shape, problem.q.shape);
  check_view<2>(table, "weights", problem.weights.data, problem.weights.shape, {batch * next_n, heads});
  const ContextView& contexts = problem.contexts;
  require(contexts.batch == batch, table, "contexts.batch", std::to_string(batch),
          std::to_string(contexts.batch));
  require(contexts.columns == 0 || contexts.columns == next_n, table, "contexts.columns",
          "0 (one length per sequence) or next_n = " + std::to_string(next_n),
          std::to_string(contexts.columns));
  require(batch == 0 || contexts.data != nullptr, table, "contexts.data", "memory", "a null pointer");
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t length = contexts.length(b);
    for (std::int32_t i = 0; i < std::max(contexts.columns, 1); ++i)
      require(contexts.at(b, i) >= 0 && contexts.at(b, i) <= length, table, at("contexts", b),
              "0 to " + std::to_string(length) + " (the row's last column)",
              std::to_string(contexts.at(b, i)));
    const std::int64_t live = ceil_div(length, layout.block_tokens);
    require(live <= problem.table.max_blocks, table, at("contexts", b),
            "at most max_blocks * block_tokens = " +
                std::to_string(static_cast<std::int64_t>(problem.table.max_blocks) * layout.block_tokens),
            std::to_string(length));
    require(live == 0 || (problem.table.entries != nullptr && problem.cache.data != nullptr), table,
            "table.entries and cache.data", "memory", "a null pointer");
    for (std::int64_t i = 0; i < live; ++i) {
      const std::int32_t block = problem.table.block(b, i);
      require(block >= 0 && block < problem.cache.blocks, table, at("table", b) + at("", i),
              "a block id below " + std::to_string(problem.cache.blocks), std::to_string(block));
    }
  }
}

void validate(const MqaLogitsCase& problem) {
  const Preconditions& table = mqa_logits_preconditions();
  const auto& [queries, heads, dims] = problem.q.shape;
  table.check("queries", queries);
  table.check("keys", problem.keys.shape[0]);
  table.check("heads", heads);
  table.check("dims", dims);
  table.check_type("q.type", problem.q.type);
  table.check_type("keys.type", problem.keys.type);
  table.check_type("key_scales.type", problem.key_scales.type);
  table.check_type("weights.type", problem.weights.type);
  const std::int64_t keys = problem.keys.shape[0];
  require(problem.q.stride[2] == 1, table, "q.stride[2]", "1", std::to_string(problem.q.stride[2]));
  require(problem.keys.stride[1] == 1, table, "keys.stride[1]", "1", std::to_string(problem.keys.stride[1]));
  check_view<3>(table, "q", problem.q.data, problem.q.shape, problem.q.shape);
  check_view<2>(table, "keys", problem.keys.data, problem.keys.shape, {keys, dims});
  check_view<1>(table, "key_scales", problem.key_scales.data, problem.key_scales.shape, {keys});
  check_view<2>(table, "weights", problem.weights.data, problem.weights.shape, {queries, heads});
  for (const IndexView* view : {&problem.starts, &problem.ends}) {
    const std::string name = view == &problem.starts ? "starts" : "ends";
    require(view->count == queries, table, name + ".count", std::to_string(queries),
            std::to_string(view->count));
    require(queries == 0 || view->data != nullptr, table, name + ".data", "memory", "a null pointer");
  }
  for (std::int64_t m = 0; m < queries; ++m) {
    require(problem.starts[m] >= 0, table, at("starts", m), "0 or more", std::to_string(problem.starts[m]));
    require(problem.ends[m] <= keys, table, at("ends", m), "at most " + std::to_string(keys),
            std::to_string(problem.ends[m]));
  }
}

LogitsReport paged_mqa_logits(const PagedMqaLogitsCase& problem, const ResultView<2>& logits,
                              const LogitsOptions& options, const Execution& execution) {
  validate(problem);
  const Preconditions& table = paged_mqa_logits_preconditions();
  const std::int64_t rows = problem.q.shape[0] * problem.q.shape[1];
  require(!options.compressed, table, "options.compressed", "false (rows of a paged case start at 0)",
          "true");
  check_view<2>(table, "logits", logits.data, logits.shape, {rows, logits.shape[1]});
  for (std::int64_t row = 0; row < rows; ++row)
    require(mqa_row_range(problem, row).end <= logits.shape[1], table, "logits.shape[1]",
            "room for row " + std::to_string(row) + ", " + std::to_string(mqa_row_range(problem, row).end) +
                " columns",
            std::to_string(logits.shape[1]));
  return run(problem, problem.q.shape[2], logits, options, execution);
}

LogitsReport mqa_logits(const MqaLogitsCase& problem, const ResultView<2>& logits,
                        const LogitsOptions& options, const Execution& execution) {
  validate(problem);
  const Preconditions& table = mqa_logits_preconditions();
  check_view<2>(table, "logits", logits.data, logits.shape, {problem.q.shape[0], logits.shape[1]});
  for (std::int64_t row = 0; row < logits.shape[0]; ++row) {
    const KeyRange range = mqa_row_range(problem, row);
    const std::int64_t needed = options.compressed ? range.end - range.begin : range.end;
    require(needed <= logits.shape[1], table, "logits.shape[1]",
            "room for row " + std::to_string(row) + ", " + std::to_string(needed) + " columns",
            std::to_string(logits.shape[1]));
  }
  return run(problem, problem.q.shape[1], logits, options, execution);
}

}  // namespace assay
