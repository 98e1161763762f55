#include "model/twin/mqa_logits_twin.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/golden/parallel.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {
namespace {

constexpr int kMaxHeads = 128;
constexpr std::int64_t kTaskTokens = 8 * kTileTokens;  // keys that one worker takes at once
constexpr std::int64_t kTaskRows = 16;                 // prefill: query rows decoded together

float load_float(const void* address) {
  float value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

// Stores logits and -inf in the output's type.
class RowWriter {
 public:
  RowWriter(const LogitsTarget& target, std::int64_t row)
      : type_(target.type),
        row_(static_cast<std::byte*>(target.data) + row * target.row_stride * bytes_of(target.type)) {}

  void store(std::int64_t column, float logit) const {
    if (type_ == ElementType::kFp32) {
      const std::uint32_t bits = fp32_output_bits(logit);
      std::memcpy(row_ + column * 4, &bits, 4);
    } else {
      const std::uint16_t bits = bf16_output_bits(logit);
      std::memcpy(row_ + column * 2, &bits, 2);
    }
  }
  void clean(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t column = begin; column < end; ++column) store(column, bit_cast<float>(0xff800000u));
  }

 private:
  ElementType type_;
  std::byte* row_;
};

struct KeyPlace {
  const void *key, *scale;
};

// What one worker holds: a key tile with its scales, and the scores of one query row against it.
struct Scratch {
  KeyTile tile;
  alignas(64) float scales[kTileTokens];
  alignas(64) float scores[kMaxHeads * kTileTokens];
  alignas(64) float logits[kTileTokens];

  // place(t) says where token t of the tile lies, t < count; the lanes behind have no token.
  template <typename Place>
  void load_tile(int dims, std::int64_t count, const Place& place) {
    std::array<const std::uint8_t*, kTileTokens> keys{};
    std::fill(scales, scales + kTileTokens, 0.0f);
    for (int t = 0; t < count; ++t) {
      const KeyPlace at = place(t);
      keys[t] = static_cast<const std::uint8_t*>(at.key);
      scales[t] = load_float(at.scale);
    }
    load_keys<E4M3>(keys, dims, tile);
  }
};

// A query row ready for the tiles.
struct QueryRow {
  QueryHeads heads;
  std::vector<float> weights;

  // codes: [head_count, dims]; row: of the weights.
  void load(const void* codes, int head_count, int dims, std::int64_t head_stride,
            const TensorView<2>& all_weights, std::int64_t row) {
    heads.load<E4M3>(static_cast<const std::uint8_t*>(codes), head_count, dims, head_stride);
    weights.resize(head_count);
    for (int h = 0; h < head_count; ++h) weights[h] = load_float(all_weights.address({row, h}));
  }
};

struct Worker {
  Scratch scratch;
  std::vector<QueryRow> rows;
};
std::vector<std::unique_ptr<Worker>> make_workers(const Execution& execution, std::int64_t rows) {
  std::vector<std::unique_ptr<Worker>> workers(workers_within_scratch(execution.threads, sizeof(Worker)));
  for (auto& worker : workers) {
    worker = std::make_unique<Worker>();
    worker->rows.resize(rows);
  }
  return workers;
}

// Everything outside each row's range, if wanted; shift as in write_row.
template <typename Case>
void clean_rows(const Case& problem, const LogitsTarget& logits, const LogitsOptions& options, int workers) {
  if (!options.clean) return;
  parallel_for(logits.rows, workers, [&](std::int64_t row, int) {
    const KeyRange range = mqa_row_range(problem, row);
    const std::int64_t shift = options.compressed ? range.begin : 0;
    const bool empty = range.begin >= range.end;
    const RowWriter writer(logits, row);
    writer.clean(0, empty ? logits.columns : range.begin - shift);
    if (!empty) writer.clean(range.end - shift, logits.columns);
  });
}

// Scores, reduction and stores of `row` for the tile's keys [tile_begin, tile_begin + kTileTokens),
// cut to `range`; column = token - shift.
void write_row(const QueryRow& query, Scratch& scratch, ScorePath path, const RowWriter& writer,
               std::int64_t tile_begin, const KeyRange& range, std::int64_t shift) {
  const std::int64_t begin = std::max(tile_begin, range.begin);
  const std::int64_t end = std::min(tile_begin + kTileTokens, range.end);
  if (begin >= end) return;
  score_tile<E4M3>(query.heads, scratch.tile, path, scratch.scores);
  reduce_tile(scratch.scores, query.weights.data(), scratch.scales, query.heads.heads(), scratch.logits);
  for (std::int64_t t = begin; t < end; ++t) writer.store(t - shift, scratch.logits[t - tile_begin]);
}

void check_target(const LogitsTarget& logits, std::int64_t rows, std::int64_t columns_needed) {
  const Preconditions& table = mqa_logits_twin_preconditions();
  table.check_type("logits", logits.type);
  const auto want = [&](bool holds, const char* what, const std::string& expected, std::int64_t got) {
    require(holds, table, what, expected, std::to_string(got));
  };
  want(logits.rows == rows, "logits.rows", std::to_string(rows), logits.rows);
  want(logits.columns >= columns_needed, "logits.columns", "at least " + std::to_string(columns_needed),
       logits.columns);
  want(logits.row_stride >= logits.columns, "logits.row_stride", "at least " + std::to_string(logits.columns),
       logits.row_stride);
  require(logits.data != nullptr || rows == 0 || logits.columns == 0, table, "logits.data", "memory",
          "a null pointer");
}

void check_shape(std::int64_t heads, std::int64_t dims, ReluOfNan relu_of_nan) {
  const Preconditions& table = mqa_logits_twin_preconditions();
  table.check("heads", heads);
  table.check("dims", dims);
  require(relu_of_nan == ReluOfNan::kZero, table, "relu_of_nan", "zero: the kernels' rule", "NaN");
}

}  // namespace

const Preconditions& mqa_logits_twin_preconditions() {
  static const Preconditions table{
      "mqa_logits_twin",
      {{"heads", LogitsReduction::kHeadsPerGroup, kMaxHeads, LogitsReduction::kHeadsPerGroup},
       {"dims", kStepBytes, kMaxDims, kStepBytes}},
      {{"logits", {ElementType::kFp32, ElementType::kBf16}}}};
  return table;
}

void reduce_tile(const float* scores, const float* weights, const float* scales, int heads, float* logits) {
  using R = LogitsReduction;
  alignas(64) float chain[R::kChains][kTileTokens];
  alignas(64) float total[R::kLanes][kTileTokens];
  for (int lane = 0; lane < R::kLanes; ++lane) {
    const int chains = R::chains(heads);
    for (int c = 0; c < chains; ++c) {
      for (int position = 0; position < R::chain_length(heads, c); ++position) {
        const int head = R::head_of(lane, c, position);
        const float* score = scores + static_cast<std::ptrdiff_t>(head) * kTileTokens;
        const float weight = weights[head];
        if (position == 0) {
          for (int t = 0; t < kTileTokens; ++t) chain[c][t] = exact::multiply(exact::relu(score[t]), weight);
        } else {
          for (int t = 0; t < kTileTokens; ++t) {
            chain[c][t] = exact::fused(exact::relu(score[t]), weight, chain[c][t]);
          }
        }
      }
    }
    for (int left = chains; left > 1; left = (left + 1) / 2) {
      for (int c = 0; c < left / 2; ++c) {
        for (int t = 0; t < kTileTokens; ++t) chain[c][t] = exact::add(chain[2 * c][t], chain[2 * c + 1][t]);
      }
      if (left % 2) std::copy(chain[left - 1], chain[left - 1] + kTileTokens, chain[left / 2]);
    }
    std::copy(chain[0], chain[0] + kTileTokens, total[lane]);
  }
  for (int t = 0; t < kTileTokens; ++t) {
    const float lanes[R::kLanes] = {total[0][t], total[1][t], total[2][t], total[3][t]};
    logits[t] = quad_logit(lanes, scales[t]);
  }
}

void predict_paged_mqa_logits(const PagedMqaLogitsCase& problem, const LogitsTarget& logits,
                              const LogitsOptions& options, const Execution& execution, ScorePath path) {
  validate(problem);
  const std::int64_t batch = problem.q.shape[0], next_n = problem.q.shape[1];
  const auto heads = static_cast<int>(problem.q.shape[2]), dims = static_cast<int>(problem.q.shape[3]);
  check_shape(heads, dims, problem.relu_of_nan);
  require(!options.compressed, mqa_logits_twin_preconditions(), "options.compressed",
          "false for paged logits", "true");

  // Tasks: up to kTaskTokens of the keys that any row of a sequence looks at.
  struct Task {
    std::int64_t sequence, key_begin, key_end;
  };
  std::vector<Task> tasks;
  std::int64_t columns_needed = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    std::int64_t end = 0;
    for (std::int64_t i = 0; i < next_n; ++i) end = std::max(end, mqa_row_range(problem, b * next_n + i).end);
    for (std::int64_t begin = 0; begin < end; begin += kTaskTokens) {
      tasks.push_back({b, begin, std::min(begin + kTaskTokens, end)});
    }
    columns_needed = std::max(columns_needed, end);
  }
  check_target(logits, batch * next_n, columns_needed);

  const FusedIndexLayout& layout = problem.cache.layout;
  const auto* cache = static_cast<const std::uint8_t*>(problem.cache.data);
  const auto workers = make_workers(execution, next_n);
  clean_rows(problem, logits, options, static_cast<int>(workers.size()));
  const auto run = [&](std::int64_t index, int w) {
    const Task& task = tasks[index];
    Worker& worker = *workers[w];
    for (std::int64_t i = 0; i < next_n; ++i) {
      worker.rows[i].load(problem.q.address({task.sequence, i, 0, 0}), heads, dims, problem.q.stride[2],
                          problem.weights, task.sequence * next_n + i);
    }
    for (std::int64_t begin = task.key_begin; begin < task.key_end; begin += kTileTokens) {
      worker.scratch.load_tile(dims, std::min<std::int64_t>(kTileTokens, task.key_end - begin), [&](int t) {
        const std::int64_t block = problem.table.block(task.sequence, (begin + t) / layout.block_tokens);
        const auto slot = static_cast<std::int32_t>((begin + t) % layout.block_tokens);
        return KeyPlace{cache + layout.key_offset(block, slot), cache + layout.scale_offset(block, slot)};
      });
      for (std::int64_t i = 0; i < next_n; ++i) {
        const std::int64_t row = task.sequence * next_n + i;
        write_row(worker.rows[i], worker.scratch, path, RowWriter(logits, row), begin,
                  mqa_row_range(problem, row), 0);
      }
    }
  };
  parallel_for(static_cast<std::int64_t>(tasks.size()), static_cast<int>(workers.size()), run);
}

void predict_mqa_logits(const MqaLogitsCase& problem, const LogitsTarget& logits,
                        const LogitsOptions& options, const Execution& execution, ScorePath path) {
  validate(problem);
  const std::int64_t row_count = problem.q.shape[0];
  const auto heads = static_cast<int>(problem.q.shape[1]), dims = static_cast<int>(problem.q.shape[2]);
  check_shape(heads, dims, problem.relu_of_nan);

  // Tasks: kTaskRows query rows against kTaskTokens keys of the union of their ranges.
  struct Task {
    std::int64_t row_begin, row_end, key_begin, key_end;
  };
  std::vector<Task> tasks;
  std::int64_t columns_needed = 0;
  for (std::int64_t row_begin = 0; row_begin < row_count; row_begin += kTaskRows) {
    const std::int64_t row_end = std::min(row_begin + kTaskRows, row_count);
    KeyRange all;
    for (std::int64_t row = row_begin; row < row_end; ++row) {
      const KeyRange range = mqa_row_range(problem, row);
      if (range.begin >= range.end) continue;
      all = all.begin == all.end ? range
                                 : KeyRange{std::min(all.begin, range.begin), std::max(all.end, range.end)};
      columns_needed = std::max(columns_needed, options.compressed ? range.end - range.begin : range.end);
    }
    for (std::int64_t key = all.begin; key < all.end; key += kTaskTokens) {
      tasks.push_back({row_begin, row_end, key, std::min(key + kTaskTokens, all.end)});
    }
  }
  check_target(logits, row_count, columns_needed);

  const auto workers = make_workers(execution, kTaskRows);
  clean_rows(problem, logits, options, static_cast<int>(workers.size()));
  const auto run = [&](std::int64_t index, int w) {
    const Task& task = tasks[index];
    Worker& worker = *workers[w];
    for (std::int64_t row = task.row_begin; row < task.row_end; ++row) {
      worker.rows[row - task.row_begin].load(problem.q.address({row, 0, 0}), heads, dims, problem.q.stride[1],
                                             problem.weights, row);
    }
    for (std::int64_t begin = task.key_begin; begin < task.key_end; begin += kTileTokens) {
      worker.scratch.load_tile(dims, std::min<std::int64_t>(kTileTokens, task.key_end - begin), [&](int t) {
        return KeyPlace{problem.keys.address({begin + t, 0}), problem.key_scales.address({begin + t})};
      });
      for (std::int64_t row = task.row_begin; row < task.row_end; ++row) {
        KeyRange range = mqa_row_range(problem, row);
        const std::int64_t shift = options.compressed ? range.begin : 0;
        range.end = std::min(range.end, task.key_end);
        write_row(worker.rows[row - task.row_begin], worker.scratch, path, RowWriter(logits, row), begin,
                  range, shift);
      }
    }
  };
  parallel_for(static_cast<std::int64_t>(tasks.size()), static_cast<int>(workers.size()), run);
}

}  // namespace assay::twin
