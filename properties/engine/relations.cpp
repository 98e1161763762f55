#include "properties/engine/relations.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "properties/cases/cache_write_contents.h"

namespace assay::properties {
namespace {

// Other physical ids, drawn among all blocks of the pool.
void rename(Pool& pool, std::uint64_t seed) {
  const RandomStream random(seed, "rename");
  const auto count = static_cast<std::int64_t>(pool.physical.size());
  if (pool.blocks <= 4 * count + 64) {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(pool.blocks));
    std::iota(ids.begin(), ids.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < count; ++i)
      std::swap(ids[static_cast<std::size_t>(i)],
                ids[random.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(pool.blocks - i)) +
                    static_cast<std::size_t>(i)]);
    std::copy_n(ids.begin(), count, pool.physical.begin());
    return;
  }
  std::set<std::int64_t> taken;  // a sparse pool
  std::uint64_t draw = 0;
  for (std::int64_t& id : pool.physical) {
    do {
      id = static_cast<std::int64_t>(random.below(draw++, static_cast<std::uint64_t>(pool.blocks)));
    } while (!taken.insert(id).second);
  }
}

// Heads keep their stride: many kernels take them compact, and the generator widens them, too.
void widen(PagedMqaParameters& p, std::int64_t by) {
  p.q_row_stride += 3 * by;
  p.q_sequence_stride += 3 * by * p.next_n;
  p.weights_stride += by / 4 + 1;
  p.pool.table_columns += 2;
  p.pool.table_stride += 5;
  p.pool.block_stride += 4 * by;
  p.contexts_stride += 3;
  p.logits_stride += by;
}
void widen(MqaParameters& p, std::int64_t by) {
  p.q_row_stride += 3 * by;
  p.key_stride += by;
  p.weights_stride += by / 4 + 1;
  p.logits_stride += by;
}

// Every sequence its own copy of what it shares; how many blocks that took.
std::size_t copy_shared(KernelCase& second, Pool& pool) {
  const std::size_t before = pool.physical.size();
  std::vector<bool> used(pool.physical.size(), false);
  std::set<std::int64_t> taken(pool.physical.begin(), pool.physical.end());
  const std::vector<ValueOverride> overrides = second.overrides;
  std::int64_t next = 0;
  for (auto& table : pool.tables)
    for (std::int32_t& logical : table) {
      const auto index = static_cast<std::size_t>(logical);
      if (!used[index]) {
        used[index] = true;
        continue;
      }
      while (taken.count(next) != 0) ++next;
      if (next >= pool.blocks) pool.blocks = next + 1;
      taken.insert(next);
      const std::int64_t copy = static_cast<std::int64_t>(pool.physical.size());
      pool.physical.push_back(next);
      pool.content.push_back(pool.content[index]);
      used.push_back(true);
      for (ValueOverride item : overrides)
        if ((item.operand == "keys" || item.operand == "values" || item.operand == "scales") &&
            !item.at.empty() && item.at[0] == logical) {
          item.at[0] = copy;
          second.overrides.push_back(std::move(item));
        }
      logical = static_cast<std::int32_t>(copy);
    }
  return pool.physical.size() - before;
}

// Overrides of q and weights name rows: those of [begin, end) move to the front, others go.
void keep_rows(KernelCase& second, std::int64_t begin, std::int64_t end) {
  std::vector<ValueOverride> kept;
  for (ValueOverride item : second.overrides) {
    if (item.operand == "q" || item.operand == "weights") {
      if (item.at.empty() || item.at[0] < begin || item.at[0] >= end) continue;
      item.at[0] -= begin;
    }
    kept.push_back(std::move(item));
  }
  second.overrides = std::move(kept);
}

template <typename T>
std::vector<T> slice(const std::vector<T>& from, std::int64_t begin, std::int64_t end) {
  return {from.begin() + begin, from.begin() + end};
}

void row_alone(KernelCase& second, PagedMqaParameters& p, std::int64_t sequence) {
  p.pool.tables = {p.pool.tables[static_cast<std::size_t>(sequence)]};
  const std::int64_t columns = p.contexts_2d ? p.next_n : 1, first = sequence * p.next_n;
  p.contexts = slice(p.contexts, sequence * columns, (sequence + 1) * columns);
  p.row_content = slice(p.row_content, first, first + p.next_n);
  keep_rows(second, first, first + p.next_n);
}

// Each query a sequence of its own, as long as what it sees.
void split_queries(PagedMqaParameters& p) {
  const PagedMqaParameters whole = p;
  p.next_n = 1;
  p.contexts_2d = false;
  p.contexts_stride = 1;
  p.contexts.clear();
  p.pool.tables.clear();
  for (std::int64_t row = 0; row < whole.rows(); ++row) {
    const std::int64_t limit = whole.limit(row);
    const auto& table = whole.pool.tables[static_cast<std::size_t>(row / whole.next_n)];
    p.contexts.push_back(static_cast<std::int32_t>(limit));
    p.pool.tables.push_back(slice(table, 0, ceil_div(limit, whole.pool.block_tokens)));
  }
  p.q_sequence_stride = whole.q_row_stride;
}

std::optional<RelatedCase> related(RelatedCase result, PagedMqaParameters& p) {
  KernelCase& second = result.second;
  const std::int64_t sequence = second.relation_sequence;
  switch (second.relation) {
    case Relation::kNone: return std::nullopt;
    case Relation::kRenameBlocks:
      if (p.pool.physical.empty()) return std::nullopt;
      rename(p.pool, second.seed);
      break;
    case Relation::kWiden: widen(p, 16); break;
    case Relation::kCopyShared:
      if (copy_shared(second, p.pool) == 0) return std::nullopt;
      break;
    case Relation::kDoubleWeights:
      ++second.weight_exponent;
      result.factor = 2;
      break;
    case Relation::kRowAlone:
      if (p.batch() < 2) return std::nullopt;
      result.row_begin = sequence * p.next_n;
      row_alone(second, p, sequence);
      break;
    case Relation::kSplitQueries:
      if (p.next_n < 2 || p.batch() == 0) return std::nullopt;
      split_queries(p);
      break;
  }
  second.relation = Relation::kNone;
  second.relation_sequence = 0;
  return result;
}

std::optional<RelatedCase> related(RelatedCase result, MqaParameters& p) {
  KernelCase& second = result.second;
  const std::int64_t row = second.relation_sequence;
  switch (second.relation) {
    case Relation::kWiden: widen(p, 16); break;
    case Relation::kDoubleWeights:
      ++second.weight_exponent;
      result.factor = 2;
      break;
    case Relation::kRowAlone:
      if (p.rows() < 2) return std::nullopt;
      result.row_begin = row;
      p.starts = slice(p.starts, row, row + 1);
      p.ends = slice(p.ends, row, row + 1);
      p.row_content = slice(p.row_content, row, row + 1);
      keep_rows(second, row, row + 1);
      break;
    default: return std::nullopt;
  }
  second.relation = Relation::kNone;
  second.relation_sequence = 0;
  return result;
}

// ---- Paged attention

void widen(PagedAttentionParameters& p, std::int64_t by) {
  p.q_row_stride += 3 * by;
  p.out_row_stride += by;
  p.lse_stride += by / 4 + 1;
  p.pool.table_columns += 2;
  p.pool.table_stride += 5;
  p.value_table_stride += 7;
  p.pool.block_stride += 4 * by;
  p.value_block_stride += 8 * by;
  p.contexts_stride += 3;
}

void attention_row_alone(KernelCase& second, PagedAttentionParameters& p, std::int32_t sequence) {
  const std::int64_t begin = p.row_begin(sequence), end = p.row_begin(sequence + 1);
  p.pool.tables = {p.pool.tables[static_cast<std::size_t>(sequence)]};
  p.contexts = {p.contexts[static_cast<std::size_t>(sequence)]};
  p.queries = {p.queries[static_cast<std::size_t>(sequence)]};
  p.row_content = slice(p.row_content, begin, end);
  keep_rows(second, begin, end);
}

// Each query a sequence of its own that ends where the query stands. Without a causal mask it sees what lies
// behind it, too, and where its window begins would not survive that.
bool split_queries(PagedAttentionParameters& p) {
  if (!p.causal && p.window_tokens > 0) return false;
  const PagedAttentionParameters whole = p;
  p.contexts.clear();
  p.pool.tables.clear();
  for (std::int32_t b = 0; b < whole.batch(); ++b)
    for (std::int32_t i = 0; i < whole.queries[static_cast<std::size_t>(b)]; ++i) {
      const std::int64_t context = whole.contexts[static_cast<std::size_t>(b)];
      const std::int64_t own =
          p.causal ? std::max<std::int64_t>(0, context - whole.queries[static_cast<std::size_t>(b)] + i + 1)
                   : context;
      p.contexts.push_back(static_cast<std::int32_t>(own));
      p.pool.tables.push_back(
          slice(whole.pool.tables[static_cast<std::size_t>(b)], 0, ceil_div(own, whole.pool.block_tokens)));
    }
  p.queries.assign(p.contexts.size(), 1);
  return p.queries != whole.queries;
}

std::optional<RelatedCase> related(RelatedCase result, PagedAttentionParameters& p) {
  KernelCase& second = result.second;
  const std::int32_t sequence = second.relation_sequence;
  switch (second.relation) {
    case Relation::kRenameBlocks:
      if (p.pool.physical.empty()) return std::nullopt;
      if (!p.value_physical.empty()) {
        Pool values = p.value_pool();
        rename(values, second.seed + 1);
        p.value_physical = values.physical;
      }
      rename(p.pool, second.seed);
      break;
    case Relation::kWiden: widen(p, 16); break;
    case Relation::kCopyShared: {
      const std::set<std::int64_t> taken(p.value_physical.begin(), p.value_physical.end());
      std::size_t copies = copy_shared(second, p.pool);
      if (copies == 0) return std::nullopt;
      for (std::int64_t id = 0; !taken.empty() && copies > 0; ++id)
        if (taken.count(id) == 0) {
          p.value_physical.push_back(id);
          p.pool.blocks = std::max(p.pool.blocks, id + 1);
          --copies;
        }
      break;
    }
    case Relation::kRowAlone:
      if (p.batch() < 2) return std::nullopt;
      result.row_begin = p.row_begin(sequence);
      attention_row_alone(second, p, sequence);
      break;
    case Relation::kSplitQueries:
      if (!split_queries(p)) return std::nullopt;
      break;
    default: return std::nullopt;
  }
  second.relation = Relation::kNone;
  second.relation_sequence = 0;
  return result;
}

// ---- Merge and cache write: rows stand for themselves

void widen(MergeParameters& p, std::int64_t by) {
  for (std::size_t i = 0; i < 3; ++i) {
    p.row_strides[i] += by * static_cast<std::int64_t>(i + 1);
    p.lse_strides[i] += by / 4 + 1;
  }
}
void widen(CacheWriteParameters& p, std::int64_t by) {
  p.row_stride += 3 * by;
  p.block_stride += 4 * by;
  p.value_block_stride += 8 * by;
  p.scale_block_stride += 3;
  p.value_scale_stride += 5;
}

std::optional<RelatedCase> related(RelatedCase result, MergeParameters& p) {
  KernelCase& second = result.second;
  const std::int64_t row = second.relation_sequence;
  switch (second.relation) {
    case Relation::kWiden: widen(p, 16); break;
    case Relation::kRowAlone:
      if (p.rows() < 2) return std::nullopt;
      result.row_begin = row;
      p.row_content = slice(p.row_content, row, row + 1);
      break;
    default: return std::nullopt;
  }
  second.relation = Relation::kNone;
  second.relation_sequence = 0;
  return result;
}

std::optional<RelatedCase> related(RelatedCase result, CacheWriteParameters& p) {
  KernelCase& second = result.second;
  const std::int64_t token = second.relation_sequence;
  switch (second.relation) {
    case Relation::kWiden: widen(p, 16); break;
    case Relation::kRenameBlocks: {
      Pool pool;
      pool.blocks = p.blocks;
      pool.physical = blocks_named(p);
      if (pool.physical.empty()) return std::nullopt;
      const std::vector<std::int64_t> before = pool.physical;
      rename(pool, second.seed);
      for (std::int64_t& slot : p.slots) {
        if (slot < 0) continue;
        const auto at = std::lower_bound(before.begin(), before.end(), slot / p.block_tokens);
        slot = pool.physical[static_cast<std::size_t>(at - before.begin())] * p.block_tokens +
               slot % p.block_tokens;
      }
      break;
    }
    case Relation::kRowAlone:
      if (p.rows() < 2 || p.slots[static_cast<std::size_t>(token)] < 0) return std::nullopt;
      result.row_begin = std::count_if(p.slots.begin(), p.slots.begin() + token,
                                       [](std::int64_t slot) { return slot >= 0; });
      p.slots = slice(p.slots, token, token + 1);
      p.row_content = slice(p.row_content, token, token + 1);
      break;
    default: return std::nullopt;
  }
  second.relation = Relation::kNone;
  second.relation_sequence = 0;
  return result;
}

// Must-write bytes of a row, where every row has as many.
std::int64_t row_bytes(const PagedAttentionParameters& p) {
  return p.heads * (std::int64_t{p.dims} * bytes_of(p.output) + 4);
}
std::int64_t row_bytes(const MergeParameters& p) {
  return p.heads * (std::int64_t{p.dims} * bytes_of(p.output) + 4);
}
std::int64_t row_bytes(const CacheWriteParameters& p) {
  if (p.index_keys) return p.dims + 4;
  return 2 * p.heads * (std::int64_t{p.dims} * bytes_of(p.cache_type) + (p.row_scales ? 4 : 0));
}

}  // namespace

std::string claim_behind(Relation relation) {
  switch (relation) {
    case Relation::kNone: return "";
    case Relation::kRowAlone: return "batch-invariant";
    case Relation::kSplitQueries: return "split-invariant";
    case Relation::kRenameBlocks: return "block-renaming-invariant";
    default: return "determinism=bitwise";
  }
}

bool applies(Operation operation, Relation relation) {
  if (operation == Operation::kScheduleMetadata) return false;
  if (operation == Operation::kPagedMqaLogits) return relation != Relation::kNone;
  if (operation == Operation::kPagedAttention)
    return relation != Relation::kNone && relation != Relation::kDoubleWeights;
  if (operation == Operation::kMerge) return relation == Relation::kWiden || relation == Relation::kRowAlone;
  if (operation == Operation::kCacheWrite)
    return relation == Relation::kWiden || relation == Relation::kRowAlone ||
           relation == Relation::kRenameBlocks;
  return relation == Relation::kWiden || relation == Relation::kDoubleWeights ||
         relation == Relation::kRowAlone;
}

bool obliges(const Claims& claims, Relation relation) {
  switch (relation) {
    case Relation::kNone: return false;
    case Relation::kRowAlone: return claims.batch_invariant;
    case Relation::kSplitQueries: return claims.split_invariant;
    case Relation::kRenameBlocks: return claims.renaming_invariant || claims.bitwise;
    default: return claims.bitwise;
  }
}

std::optional<RelatedCase> related_case(const KernelCase& kernel_case) {
  return std::visit(
      [&](const auto& parameters) -> std::optional<RelatedCase> {
        using P = std::decay_t<decltype(parameters)>;
        if constexpr (std::is_same_v<P, ScheduleParameters>) {
          return std::nullopt;
        } else {
          RelatedCase result{kernel_case, 0, 1, 0};
          if constexpr (!std::is_same_v<P, PagedMqaParameters> && !std::is_same_v<P, MqaParameters>)
            result.row_bytes = row_bytes(parameters);
          P p = parameters;
          std::optional<RelatedCase> made = related(std::move(result), p);
          if (made) made->second.parameters = std::move(p);
          return made;
        }
      },
      kernel_case.parameters);
}

}  // namespace assay::properties
