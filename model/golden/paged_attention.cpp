#include "model/golden/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/golden/attention_rows.h"

namespace assay {
namespace {

constexpr std::int64_t kAny = std::int64_t{1} << 40;

// Live ids of one half of the cache; `name` is keys or values.
void validate_half(const PagedAttentionCase& problem, const PagedCacheView& cache, const std::string& name) {
  const Preconditions& table = paged_attention_preconditions();
  validate(cache.layout, std::string(table.operation) + "." + name + ".layout");
  table.check("blocks", cache.blocks);
  table.check("max_blocks", cache.table.max_blocks);
  table.check_type((name + ".type").c_str(), cache.type);
  require(cache.layout.element_bytes == bytes_of(cache.type), table, name + ".layout.element_bytes",
          std::to_string(bytes_of(cache.type)), std::to_string(cache.layout.element_bytes));
  for (std::int64_t b = 0; b < problem.batch(); ++b) {
    const std::int64_t length = problem.contexts[b];
    const std::int64_t live = ceil_div(length, cache.layout.block_tokens);
    const std::string place = name + ".table[" + std::to_string(b) + "]";
    require(live <= cache.table.max_blocks, table, place,
            std::to_string(live) + " blocks for " + std::to_string(length) + " tokens",
            std::to_string(cache.table.max_blocks));
    require(live == 0 || (cache.table.entries != nullptr && cache.data != nullptr), table,
            place + " and " + name + ".data", "memory", "a null pointer");
    for (std::int64_t i = 0; i < live; ++i) {
      const std::int32_t block = cache.table.block(b, i);
      require(block >= 0 && block < cache.blocks, table, place + "[" + std::to_string(i) + "]",
              "a block id below " + std::to_string(cache.blocks), std::to_string(block));
    }
  }
}

}  // namespace

const Preconditions& paged_attention_preconditions() {
  static const std::vector<ElementType> kAll{ElementType::kFp32, ElementType::kBf16, ElementType::kFp16,
                                             ElementType::kE4M3, ElementType::kE5M2};
  static const Preconditions table{"paged_attention",
                                   {{"batch", 0, kAny, 1},
                                    {"queries", 0, kAny, 1},
                                    {"kv_heads", 1, 1024, 1},
                                    {"query_heads", 1, 65536, 1},
                                    {"dims", 1, 1024, 1},
                                    {"value_dims", 1, 1024, 1},
                                    {"block_tokens", 1, 65536, 1},
                                    {"max_blocks", 0, kAny, 1},
                                    {"blocks", 0, kAny, 1},
                                    {"window_tokens", 0, kAny, 1}},
                                   {{"q.type", kAll}, {"keys.type", kAll}, {"values.type", kAll}}};
  return table;
}

TokenRange visible_tokens(const PagedAttentionCase& problem, std::int64_t sequence, std::int64_t query) {
  const std::int64_t length = problem.contexts[sequence];
  // Bottom-right: the sequence's last query stands at its last token.
  const std::int64_t position = length - (problem.q_begin[sequence + 1] - query);
  TokenRange seen{0, length};
  if (problem.causal) seen.end = std::min(seen.end, position + 1);
  if (problem.window_tokens > 0)
    seen.begin = std::max<std::int64_t>(seen.begin, position - problem.window_tokens + 1);
  return seen.begin < seen.end ? seen : TokenRange{0, 0};
}

void validate(const PagedAttentionCase& problem) {
  const Preconditions& table = paged_attention_preconditions();
  const auto& [queries, heads, dims] = problem.q.shape;
  const PagedLayout& keys = problem.keys.layout;
  const PagedLayout& values = problem.values.layout;
  table.check("batch", problem.batch());
  table.check("queries", queries);
  table.check("query_heads", heads);
  table.check("dims", dims);
  table.check("kv_heads", keys.heads);
  table.check("value_dims", values.dims);
  table.check("block_tokens", keys.block_tokens);
  table.check("window_tokens", problem.window_tokens);
  table.check_type("q.type", problem.q.type);
  require(heads % keys.heads == 0, table, "query_heads",
          "a multiple of kv_heads = " + std::to_string(keys.heads), std::to_string(heads));
  require(keys.dims == dims, table, "keys.layout.dims", std::to_string(dims), std::to_string(keys.dims));
  require(values.heads == keys.heads, table, "values.layout.heads", std::to_string(keys.heads),
          std::to_string(values.heads));
  require(values.block_tokens == keys.block_tokens, table, "values.layout.block_tokens",
          std::to_string(keys.block_tokens), std::to_string(values.block_tokens));
  require(problem.q.stride[2] == 1, table, "q.stride[2]", "1", std::to_string(problem.q.stride[2]));
  check_view<3>(table, "q", problem.q.data, problem.q.shape, problem.q.shape);
  require(std::isfinite(problem.softmax_scale), table, "softmax_scale", "a finite number",
          std::to_string(problem.softmax_scale));
  require(std::isfinite(problem.soft_cap) && problem.soft_cap >= 0, table, "soft_cap", "0 (none) or more",
          std::to_string(problem.soft_cap));
  require(problem.q_begin.count == problem.batch() + 1, table, "q_begin.count",
          std::to_string(problem.batch() + 1), std::to_string(problem.q_begin.count));
  require(problem.q_begin.data != nullptr, table, "q_begin.data", "memory", "a null pointer");
  require(problem.batch() == 0 || problem.contexts.data != nullptr, table, "contexts.data", "memory",
          "a null pointer");
  require(problem.q_begin[0] == 0, table, "q_begin[0]", "0", std::to_string(problem.q_begin[0]));
  for (std::int64_t b = 0; b < problem.batch(); ++b) {
    require(problem.contexts[b] >= 0, table, "contexts[" + std::to_string(b) + "]", "0 or more",
            std::to_string(problem.contexts[b]));
    require(problem.q_begin[b + 1] >= problem.q_begin[b], table, "q_begin[" + std::to_string(b + 1) + "]",
            "at least " + std::to_string(problem.q_begin[b]), std::to_string(problem.q_begin[b + 1]));
  }
  require(problem.q_begin[problem.batch()] == queries, table, "q_begin[B]", std::to_string(queries),
          std::to_string(problem.q_begin[problem.batch()]));
  validate_half(problem, problem.keys, "keys");
  validate_half(problem, problem.values, "values");
}

AttentionReport paged_attention(const PagedAttentionCase& problem, const ResultView<3>& out,
                                const ResultView<2>& lse, const Execution& execution) {
  begin_attention(problem, out, lse);
  AttentionWork work;
  const std::int32_t together = heads_at_once(problem, problem.batch(), execution);
  for (std::int32_t sequence = 0; sequence < problem.batch(); ++sequence)
    append_work(problem, {sequence}, {0, problem.contexts[sequence]}, together, work);
  run_work(problem, work, out, lse, execution);
  return report_of(out, lse);
}

}  // namespace assay
