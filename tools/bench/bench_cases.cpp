// The cases and the work behind shapes (bench_shape.h): compact tensors, shuffled places, nothing shared.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "tools/bench/bench_shape.h"

namespace assay::tools {
namespace {

using properties::CacheWriteParameters;
using properties::MergeParameters;
using properties::MqaParameters;
using properties::Operation;
using properties::PagedAttentionParameters;
using properties::PagedMqaParameters;
using properties::ScheduleParameters;

std::int64_t output_bytes(const BenchShape& s) { return s.output == ElementType::kBf16 ? 2 : 4; }

// Query i of a sequence sees the tokens up to its own: ctx - next_n + i + 1 of them.
std::int64_t visible_tokens(const BenchShape& s, std::int32_t i) {
  return std::max<std::int64_t>(0, std::int64_t{s.context_tokens} - s.next_n + i + 1);
}

std::vector<std::int64_t> numbers(std::int64_t count) {
  std::vector<std::int64_t> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), std::int64_t{0});
  return list;
}

void shuffle(std::vector<std::int64_t>& list, const char* name) {
  const RandomStream stream(1, name);
  for (std::size_t i = list.size(); i > 1; --i)
    std::swap(list[i - 1], list[stream.below(i, static_cast<std::uint32_t>(i))]);
}

// Every sequence its own blocks, in shuffled places.
properties::Pool pool_of(const BenchShape& s, std::int64_t block_bytes) {
  properties::Pool pool;
  pool.block_tokens = s.block_tokens;
  const std::int64_t each = ceil_div(s.context_tokens, s.block_tokens), blocks = each * s.batch;
  pool.blocks = blocks + 1;  // one of nobody
  pool.block_stride = block_bytes;
  pool.physical = numbers(blocks);
  pool.content = pool.physical;
  shuffle(pool.physical, "bench places");
  std::int32_t next = 0;
  for (std::int32_t b = 0; b < s.batch; ++b) {
    std::vector<std::int32_t>& table = pool.tables.emplace_back(static_cast<std::size_t>(each));
    for (std::int32_t& block : table) block = next++;
  }
  pool.table_columns = static_cast<std::int32_t>(each);
  pool.table_stride = each;
  return pool;
}

PagedMqaParameters paged_of(const BenchShape& s) {
  PagedMqaParameters p;
  p.heads = s.heads;
  p.dims = s.dims;
  p.next_n = s.next_n;
  p.contexts.assign(static_cast<std::size_t>(s.batch), s.context_tokens);
  p.pool = pool_of(s, make_fused_index_layout(s.block_tokens, s.dims).block_bytes());
  p.row_content = numbers(p.rows());
  p.q_head_stride = s.dims;
  p.q_row_stride = std::int64_t{s.heads} * s.dims;
  p.q_sequence_stride = s.next_n * p.q_row_stride;
  p.weights_stride = s.heads;
  p.output = s.output;
  p.columns = s.context_tokens;
  p.logits_stride = ceil_div(s.context_tokens, 256) * 256;
  return p;
}

MqaParameters prefill_of(const BenchShape& s) {
  MqaParameters p;
  p.heads = s.heads;
  p.dims = s.dims;
  p.keys = s.context_tokens;
  p.starts.assign(static_cast<std::size_t>(s.queries), 0);
  p.ends.assign(static_cast<std::size_t>(s.queries), s.context_tokens);
  p.row_content = numbers(s.queries);
  p.q_head_stride = p.key_stride = s.dims;
  p.q_row_stride = std::int64_t{s.heads} * s.dims;
  p.weights_stride = s.heads;
  p.output = s.output;
  p.columns = s.context_tokens;
  p.logits_stride = ceil_div(s.context_tokens, 256) * 256;
  return p;
}

PagedAttentionParameters attention_of(const BenchShape& s) {
  PagedAttentionParameters p;
  p.heads = s.heads;
  p.kv_heads = s.kv_heads;
  p.dims = s.dims;
  p.output = s.output;
  p.inner_stride = s.dims;
  p.outer_stride = std::int64_t{s.kv_heads} * s.dims;
  p.pool = pool_of(s, s.block_tokens * p.outer_stride * bytes_of(p.kv_type));
  p.value_block_stride = p.pool.block_stride;
  p.value_table_stride = p.pool.table_stride;
  p.contexts.assign(static_cast<std::size_t>(s.batch), s.context_tokens);
  p.queries.assign(static_cast<std::size_t>(s.batch), s.next_n);
  p.row_content = numbers(std::int64_t{s.batch} * s.next_n);
  p.q_head_stride = p.out_head_stride = s.dims;
  p.q_row_stride = p.out_row_stride = std::int64_t{s.heads} * s.dims;
  p.lse_stride = s.heads;
  p.causal = true;
  p.softmax_scale = 1 / std::sqrt(static_cast<float>(s.dims));  // an fp32 number, as kernels take it
  return p;
}

// Two parts of every output, compact.
MergeParameters merge_of(const BenchShape& s) {
  MergeParameters p;
  p.heads = s.heads;
  p.dims = s.dims;
  p.output = s.output;
  p.row_content = numbers(s.queries);
  for (std::size_t i = 0; i < 3; ++i) {
    p.head_strides[i] = s.dims;
    p.row_strides[i] = std::int64_t{s.heads} * s.dims;
    p.lse_strides[i] = s.heads;
  }
  return p;
}

// bf16 rows into bf16 caches, every row to a slot somewhere in the pool.
CacheWriteParameters cache_write_of(const BenchShape& s) {
  CacheWriteParameters p;
  p.heads = s.kv_heads;
  p.dims = s.dims;
  p.block_tokens = s.block_tokens;
  p.blocks = ceil_div(s.queries, s.block_tokens) + 1;
  p.inner_stride = p.row_head_stride = s.dims;
  p.outer_stride = p.row_stride = std::int64_t{s.kv_heads} * s.dims;
  p.block_stride = p.value_block_stride = s.block_tokens * p.outer_stride * bytes_of(p.cache_type);
  p.scale_block_stride = p.value_scale_stride = std::int64_t{s.block_tokens} * s.kv_heads;
  p.row_content = numbers(s.queries);
  p.slots = numbers(p.blocks * s.block_tokens);
  shuffle(p.slots, "bench slots");
  p.slots.resize(static_cast<std::size_t>(s.queries));
  return p;
}

ScheduleParameters schedule_of(const BenchShape& s) {
  ScheduleParameters p;
  const RandomStream stream(1, "bench contexts");
  for (std::int32_t b = 0; b < s.batch; ++b)
    p.contexts.push_back(1 +
                         static_cast<std::int32_t>(stream.below(
                             static_cast<std::uint64_t>(b), static_cast<std::uint32_t>(s.context_tokens))));
  p.unit_tokens = s.unit_tokens;
  p.parts = s.parts;
  return p;
}

}  // namespace

properties::KernelCase case_of(const BenchShape& shape, std::uint64_t seed) {
  properties::KernelCase result;
  result.seed = seed;
  result.alignment_bytes = 256;
  if (shape.operation == Operation::kPagedMqaLogits) {
    result.parameters = paged_of(shape);
  } else if (shape.operation == Operation::kMqaLogits) {
    result.parameters = prefill_of(shape);
  } else if (shape.operation == Operation::kPagedAttention) {
    result.parameters = attention_of(shape);
  } else if (shape.operation == Operation::kMerge) {
    result.parameters = merge_of(shape);
  } else if (shape.operation == Operation::kCacheWrite) {
    result.parameters = cache_write_of(shape);
  } else {
    result.parameters = schedule_of(shape);
    result.lane = properties::lanes_of(shape.operation).front();
  }
  validate(result, text_of(shape));
  return result;
}

BenchWork work_of(const BenchShape& s) {
  BenchWork work;
  if (s.operation == Operation::kPagedMqaLogits || s.operation == Operation::kPagedAttention)
    work.query_tokens = std::int64_t{s.batch} * s.next_n;
  else if (s.operation != Operation::kScheduleMetadata)
    work.query_tokens = s.queries;
  const std::int64_t row = std::int64_t{s.heads} * s.dims;
  if (s.operation == Operation::kPagedMqaLogits) {
    std::int64_t logits = 0;
    for (std::int32_t i = 0; i < s.next_n; ++i) logits += s.batch * visible_tokens(s, i);
    const std::int64_t tokens = std::int64_t{s.batch} * s.context_tokens,
                       rows = std::int64_t{s.batch} * s.next_n;
    work.live_bytes = rows * (row + 4 * s.heads) + tokens * (s.dims + 4) +
                      4 * s.batch * (1 + ceil_div(s.context_tokens, s.block_tokens)) +
                      logits * output_bytes(s);
    work.operations = 2.0 * s.heads * (s.dims + 1) * static_cast<double>(logits);
  } else if (s.operation == Operation::kMqaLogits) {
    const std::int64_t logits = std::int64_t{s.queries} * s.context_tokens;
    work.live_bytes = s.queries * (row + 4 * s.heads + 8) + std::int64_t{s.context_tokens} * (s.dims + 4) +
                      logits * output_bytes(s);
    work.operations = 2.0 * s.heads * (s.dims + 1) * static_cast<double>(logits);
  } else if (s.operation == Operation::kPagedAttention) {
    std::int64_t seen = 0;
    for (std::int32_t i = 0; i < s.next_n; ++i) seen += s.batch * visible_tokens(s, i);
    const std::int64_t rows = std::int64_t{s.batch} * s.next_n,
                       tokens = std::int64_t{s.batch} * s.context_tokens;
    work.live_bytes =
        rows * (row * (2 + output_bytes(s)) + 4 * s.heads) + 2 * tokens * s.kv_heads * s.dims * 2 +
        8 * s.batch * ceil_div(s.context_tokens, s.block_tokens) + 4 * s.batch + 4 * (s.batch + 1);
    work.operations = 4.0 * static_cast<double>(row) * static_cast<double>(seen);
  } else if (s.operation == Operation::kMerge) {
    const std::int64_t outputs = s.queries * row, lses = std::int64_t{s.queries} * s.heads;
    work.live_bytes = outputs * (2 * 4 + output_bytes(s)) + 3 * 4 * lses;
    work.operations = 4.0 * static_cast<double>(outputs);
  } else if (s.operation == Operation::kCacheWrite) {
    work.live_bytes = s.queries * (std::int64_t{s.kv_heads} * s.dims * 2 * 2 * 2 + 8);
  } else {
    work.live_bytes = 4 * std::int64_t{s.batch} + 8 * (std::int64_t{s.parts} + 1);
    work.operations = static_cast<double>(s.batch) + s.parts;
  }
  return work;
}

}  // namespace assay::tools
