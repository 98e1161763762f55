// The steps of the shrinker: what "one step simpler" means for each operation.
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <numeric>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "properties/engine/simpler_steps.h"

namespace assay::properties {
namespace {

using Paged = PagedMqaParameters;
using Prefill = MqaParameters;
using Schedule = ScheduleParameters;

// ---- Paged logits

void refit_columns(Paged& p) {
  std::int64_t widest = 0;
  for (std::int64_t row = 0; row < p.rows(); ++row) widest = std::max(widest, p.limit(row));
  const std::int64_t gap = p.logits_stride - p.columns;
  p.columns = std::min(p.columns, widest);
  p.logits_stride = p.columns + gap;
}

// Sequences [begin, end) go.
void remove_sequences(KernelCase& c, Paged& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = p.contexts_2d ? p.next_n : 1;
  cut(p.pool.tables, begin, end);
  cut(p.contexts, begin * columns, end * columns);
  cut(p.row_content, begin * p.next_n, end * p.next_n);
  cut_rows(c, begin * p.next_n, end * p.next_n);
  if (c.relation_sequence >= end) c.relation_sequence -= static_cast<std::int32_t>(end - begin);
  c.relation_sequence = std::clamp(c.relation_sequence, 0, std::max(0, p.batch() - 1));
}

void set_length(Paged& p, std::int64_t sequence, std::int32_t length) {
  if (p.contexts_2d) {
    for (std::int32_t i = 0; i < p.next_n; ++i) {
      std::int32_t& context = p.contexts[static_cast<std::size_t>(sequence * p.next_n + i)];
      context = i + 1 == p.next_n ? length : std::min(context, length);
    }
  } else {
    p.contexts[static_cast<std::size_t>(sequence)] = length;
  }
  p.pool.tables[static_cast<std::size_t>(sequence)].resize(
      static_cast<std::size_t>(ceil_div(length, p.pool.block_tokens)));
}

void compact_q(Paged& p) {
  p.q_head_stride = p.dims;
  p.q_row_stride = p.heads * p.q_head_stride;
  p.q_sequence_stride = p.next_n * p.q_row_stride;
}

// One query per sequence is kept: the last.
void keep_last_query(KernelCase& c, Paged& p) {
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> contexts;
  for (std::int32_t b = 0; b < p.batch(); ++b) {
    rows.push_back(p.row_content[static_cast<std::size_t>(b * p.next_n + p.next_n - 1)]);
    contexts.push_back(p.length(b));
  }
  std::vector<ValueOverride> kept;
  for (ValueOverride item : c.overrides) {
    if (item.operand == "q" || item.operand == "weights") {
      if (item.at.empty() || item.at[0] % p.next_n != p.next_n - 1) continue;
      item.at[0] /= p.next_n;
    }
    kept.push_back(std::move(item));
  }
  c.overrides = std::move(kept);
  p.row_content = std::move(rows);
  p.contexts = std::move(contexts);
  p.next_n = 1;
  p.contexts_2d = false;
  p.contexts_stride = 1;
}

void paged_sequences(Steps& steps, const Paged& from) {
  const std::int64_t batch = from.batch();
  const auto without = [&](std::int64_t begin, std::int64_t end) {
    steps.add<Paged>([&](KernelCase& c, Paged& p) {
      remove_sequences(c, p, begin, end);
      prune_blocks(c, p.pool);
      tighten_tables(p.pool);
      refit_columns(p);
    });
  };
  for (std::int64_t size = batch; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < batch; begin += size) without(begin, std::min(batch, begin + size));
}

void paged_lengths(Steps& steps, const Paged& from) {
  for (std::int64_t b = 0; b < from.batch(); ++b) {
    const std::int32_t length = from.length(static_cast<std::int32_t>(b)), tokens = from.pool.block_tokens;
    std::vector<std::int32_t> lengths{0,         1, length / tokens * tokens, length / 2, length - tokens,
                                      length - 1};
    for (const std::int32_t shorter : lengths) {
      if (shorter < 0 || shorter >= length) continue;
      steps.add<Paged>([&](KernelCase& c, Paged& p) {
        set_length(p, b, shorter);
        prune_blocks(c, p.pool);
        refit_columns(p);
      });
    }
  }
}

void paged_layout(Steps& steps, const Paged& from) {
  using C = KernelCase;
  steps.add<Paged>([](C& c, Paged& p) { prune_blocks(c, p.pool); });
  steps.add<Paged>([](C&, Paged& p) { tighten_tables(p.pool); });
  steps.add<Paged>([](C&, Paged& p) { p.pool.table_stride = p.pool.table_columns; });
  steps.add<Paged>([](C&, Paged& p) { p.contexts_stride = p.contexts_2d ? p.next_n : 1; });
  steps.add<Paged>([](C&, Paged& p) { compact_q(p); });
  steps.add<Paged>([](C&, Paged& p) { p.weights_stride = p.heads; });
  steps.add<Paged>([](C&, Paged& p) {
    refit_columns(p);
    p.logits_stride = p.columns;
  });
  // Places: identity in a tight pool, then a tight pool, then a compact stride.
  const std::int64_t block_bytes = make_fused_index_layout(from.pool.block_tokens, from.dims).block_bytes();
  steps.add<Paged>([&](C&, Paged& p) {
    std::iota(p.pool.physical.begin(), p.pool.physical.end(), std::int64_t{0});
    p.pool.blocks = static_cast<std::int64_t>(p.pool.physical.size());
    p.pool.block_stride = block_bytes;
  });
  steps.add<Paged>([&](C&, Paged& p) {
    std::iota(p.pool.physical.rbegin(), p.pool.physical.rend(), std::int64_t{0});
    p.pool.blocks = static_cast<std::int64_t>(p.pool.physical.size());
    p.pool.block_stride = block_bytes;
  });
  steps.add<Paged>([&](C&, Paged& p) { p.pool.block_stride = block_bytes; });
  steps.add<Paged>([](C&, Paged& p) {
    const auto last = std::max_element(p.pool.physical.begin(), p.pool.physical.end());
    p.pool.blocks = last == p.pool.physical.end() ? 0 : *last + 1;
  });
  steps.add<Paged>([](C&, Paged& p) { own_blocks(p.pool); });
}

void paged_shape(Steps& steps, const Paged& from) {
  using C = KernelCase;
  for (const std::int32_t heads : {1, 8, 32})
    if (heads < from.heads)
      steps.add<Paged>([&](C& c, Paged& p) {
        p.heads = heads;
        compact_q(p);
        p.weights_stride = heads;
        c.overrides.clear();
      });
  for (const std::int32_t dims : {16, 32, 64})
    if (dims < from.dims)
      steps.add<Paged>([&](C& c, Paged& p) {
        p.dims = dims;
        compact_q(p);
        c.overrides.clear();
      });
  steps.add<Paged>([](C&, Paged& p) { p.clean = false; });
  steps.add<Paged>([](C&, Paged& p) { p.output = ElementType::kFp32; });
  steps.add<Paged>([](C&, Paged& p) {  // 1-D contexts where they say the same
    std::vector<std::int32_t> lengths;
    for (std::int32_t b = 0; b < p.batch(); ++b) lengths.push_back(p.length(b));
    p.contexts = std::move(lengths);
    p.contexts_2d = false;
    p.contexts_stride = 1;
    refit_columns(p);
  });
}

// ---- Prefill

void refit_columns(Prefill& p) {
  std::int64_t widest = p.compressed ? 0 : p.keys;
  for (std::size_t row = 0; row < p.starts.size(); ++row)
    if (p.compressed) widest = std::max<std::int64_t>(widest, p.ends[row] - p.starts[row]);
  const std::int64_t gap = p.logits_stride - p.columns;
  p.columns = std::min(p.columns, widest);
  p.logits_stride = p.columns + gap;
}

void compact_q(Prefill& p) {
  p.q_head_stride = p.dims;
  p.q_row_stride = p.heads * p.q_head_stride;
}

void prefill_steps(Steps& steps, const Prefill& from) {
  using C = KernelCase;
  const std::int64_t rows = from.rows();
  for (std::int64_t size = rows; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < rows; begin += size)
      steps.add<Prefill>([&](C& c, Prefill& p) {
        const std::int64_t end = std::min(rows, begin + size);
        cut(p.starts, begin, end);
        cut(p.ends, begin, end);
        cut(p.row_content, begin, end);
        cut_rows(c, begin, end);
        if (c.relation_sequence >= end) c.relation_sequence -= static_cast<std::int32_t>(end - begin);
        c.relation_sequence = std::clamp(c.relation_sequence, 0,
                                         static_cast<std::int32_t>(std::max<std::int64_t>(0, p.rows() - 1)));
        refit_columns(p);
      });
  for (const std::int64_t keys : {from.keys / 2, from.keys - 64, from.keys - 1})
    if (keys >= 0 && keys < from.keys)
      steps.add<Prefill>([&](C&, Prefill& p) {
        p.keys = keys;
        for (auto* list : {&p.starts, &p.ends})
          for (std::int32_t& value : *list)
            value = static_cast<std::int32_t>(std::min<std::int64_t>(value, keys));
        refit_columns(p);
      });
  for (std::size_t row = 0; row < from.starts.size(); ++row) {
    const std::int32_t start = from.starts[row], end = from.ends[row];
    for (const auto& [s, e] : {std::pair{0, end}, std::pair{start, start},
                               std::pair{start, start + (end - start) / 2}, std::pair{start, end - 1}})
      if (e >= s && e - s <= std::abs(end - start) + (s == 0 ? start : 0))
        steps.add<Prefill>([&, s = s, e = e](C&, Prefill& p) {
          p.starts[row] = s;
          p.ends[row] = e;
          refit_columns(p);
        });
  }
  steps.add<Prefill>([](C&, Prefill& p) { compact_q(p); });
  steps.add<Prefill>([](C&, Prefill& p) { p.key_stride = p.dims; });
  steps.add<Prefill>([](C&, Prefill& p) { p.weights_stride = p.heads; });
  steps.add<Prefill>([](C&, Prefill& p) {
    refit_columns(p);
    p.logits_stride = p.columns;
  });
  for (const std::int32_t heads : {1, 8, 32})
    if (heads < from.heads)
      steps.add<Prefill>([&](C& c, Prefill& p) {
        p.heads = heads;
        compact_q(p);
        p.weights_stride = heads;
        c.overrides.clear();
      });
  for (const std::int32_t dims : {16, 32, 64})
    if (dims < from.dims)
      steps.add<Prefill>([&](C& c, Prefill& p) {
        p.dims = dims;
        p.key_stride = dims;
        compact_q(p);
        c.overrides.clear();
      });
  steps.add<Prefill>([](C&, Prefill& p) { p.clean = false; });
  steps.add<Prefill>([](C&, Prefill& p) { p.output = ElementType::kFp32; });
}

// ---- Schedules

void schedule_steps(Steps& steps, const Schedule& from) {
  using C = KernelCase;
  const auto batch = static_cast<std::int64_t>(from.contexts.size());
  for (std::int64_t size = batch; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < batch && begin < 64 * size; begin += size)
      steps.add<Schedule>([&](C&, Schedule& p) { cut(p.contexts, begin, std::min(batch, begin + size)); });
  for (const std::int32_t parts : {1, 2, from.parts / 2, from.parts - 1})
    if (parts >= 1 && parts < from.parts) steps.add<Schedule>([&](C&, Schedule& p) { p.parts = parts; });
  steps.add<Schedule>([](C&, Schedule& p) { p.contexts_stride = 1; });
  for (std::int64_t b = 0; b < std::min<std::int64_t>(batch, 64); ++b) {
    const std::int32_t length = from.contexts[static_cast<std::size_t>(b)];
    for (const std::int32_t shorter : {0, 1, length / 2, length - from.unit_tokens, length - 1})
      if (shorter >= 0 && shorter < length)
        steps.add<Schedule>([&](C&, Schedule& p) { p.contexts[static_cast<std::size_t>(b)] = shorter; });
  }
}

}  // namespace

std::vector<KernelCase> simpler_cases(const KernelCase& kernel_case) {
  Steps steps(kernel_case);
  const auto* paged = std::get_if<Paged>(&kernel_case.parameters);
  if (paged != nullptr) {
    paged_sequences(steps, *paged);
    if (paged->next_n > 1)
      steps.add<Paged>([](KernelCase& c, Paged& p) {
        keep_last_query(c, p);
        compact_q(p);
        refit_columns(p);
      });
    paged_lengths(steps, *paged);
    paged_layout(steps, *paged);
    paged_shape(steps, *paged);
  }
  if (const auto* p = std::get_if<Prefill>(&kernel_case.parameters)) prefill_steps(steps, *p);
  if (const auto* p = std::get_if<Schedule>(&kernel_case.parameters)) schedule_steps(steps, *p);
  if (const auto* p = std::get_if<PagedAttentionParameters>(&kernel_case.parameters))
    attention_steps(steps, *p);
  if (const auto* p = std::get_if<MergeParameters>(&kernel_case.parameters)) merge_steps(steps, *p);
  if (const auto* p = std::get_if<CacheWriteParameters>(&kernel_case.parameters))
    cache_write_steps(steps, *p);
  steps.add_case([](KernelCase& c) {
    c.relation = Relation::kNone;
    c.relation_sequence = 0;
  });
  steps.add_case([](KernelCase& c) { c.guard_in_front = false; });
  steps.add_case([](KernelCase& c) { c.alignment_bytes = 16; });
  steps.add_case([](KernelCase& c) { c.weight_exponent = 0; });
  steps.add_case([](KernelCase& c) { c.overrides.clear(); });
  for (const Lane lane : lanes_of(kernel_case.operation())) {
    if (lane == kernel_case.lane) break;
    steps.add_case([&](KernelCase& c) { c.lane = lane; });
  }
  steps.add_case([](KernelCase& c) { c.seed = 1; });
  return steps.take();
}

}  // namespace assay::properties
