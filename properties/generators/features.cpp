#include "properties/generators/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string>

#include "model/core/check.h"
#include "properties/cases/attention_values.h"
#include "properties/cases/contents.h"

namespace assay::properties {
namespace {

enum Feature {
  kEmptyBatch,
  kZeroLength,
  kAllZero,
  kBlockBoundary,
  kPartialBlock,
  kOneSequence,
  kManySequences,
  kSeveralQueries,
  kContexts2d,
  kSharedBlocks,
  kTightTable,
  kWideTable,
  kStridedTable,
  kStridedQ,
  kOddStride,
  kSparsePool,
  kStridedPool,
  kNoSlackPool,
  kGuardInFront,
  kBf16Output,
  kCleanRows,
  kUnequalStarts,
  kEmptyRow,
  kCompressedRows,
  kOtherBlockSize,
  kRelated,
  kFewerUnitsThanParts,
  kSlicedContexts,
  kFarRows,
  kCausal,
  kWindow,
  kSoftCap,
  kHeadsFirst,
  kOwnValueBlocks,
  kHeadGroups,
  kOddHeadGroups,
  kSequenceWithoutQuery,
  kMoreQueriesThanTokens,
  kSkippedTokens,
  kConvertedRows,
  kRowScales,
  kIndexKeys,
  kMixedTypes,
};
constexpr const char* kNames[kFeatures] = {"empty-batch",
                                           "zero-length",
                                           "all-zero",
                                           "block-boundary",
                                           "partial-block",
                                           "one-sequence",
                                           "many-sequences",
                                           "several-queries",
                                           "contexts-2d",
                                           "shared-blocks",
                                           "tight-table",
                                           "wide-table",
                                           "strided-table",
                                           "strided-q",
                                           "odd-stride",
                                           "sparse-pool",
                                           "strided-pool",
                                           "no-slack-pool",
                                           "guard-in-front",
                                           "bf16-output",
                                           "clean",
                                           "unequal-starts",
                                           "empty-row",
                                           "compressed",
                                           "other-block-size",
                                           "related",
                                           "fewer-units-than-parts",
                                           "sliced-contexts",
                                           "far-rows",
                                           "causal",
                                           "window",
                                           "soft-cap",
                                           "heads-first",
                                           "own-value-blocks",
                                           "head-groups",
                                           "odd-head-groups",
                                           "sequence-without-query",
                                           "more-queries-than-tokens",
                                           "skipped-tokens",
                                           "converted-rows",
                                           "row-scales",
                                           "index-keys",
                                           "mixed-types"};

struct Bits {
  std::uint64_t value = 0;
  void set(Feature feature, bool on = true) { value |= on ? std::uint64_t{1} << feature : 0; }
};

// Sequences of these lengths on a pool whose blocks span block_bytes.
template <typename Length>
void pool(const Pool& pool, std::int64_t block_bytes, const Length& length_of, Bits& bits) {
  const auto batch = static_cast<std::int32_t>(pool.tables.size());
  bits.set(kEmptyBatch, batch == 0);
  bits.set(kOneSequence, batch == 1);
  bits.set(kManySequences, batch >= 16);
  std::int64_t longest = 0;
  std::set<std::int32_t> seen;
  std::size_t entries = 0, widest = 0;
  for (std::int32_t b = 0; b < batch; ++b) {
    const std::int32_t length = length_of(b);
    longest = std::max<std::int64_t>(longest, length);
    bits.set(kZeroLength, length == 0);
    bits.set(kBlockBoundary, length > 0 && length % pool.block_tokens == 0);
    bits.set(kPartialBlock, length % pool.block_tokens != 0);
    const auto& table = pool.tables[static_cast<std::size_t>(b)];
    seen.insert(table.begin(), table.end());
    entries += table.size();
    widest = std::max(widest, table.size());
  }
  bits.set(kAllZero, batch > 0 && longest == 0);
  bits.set(kSharedBlocks, seen.size() < entries);
  bits.set(kTightTable, batch > 0 && pool.table_stride == static_cast<std::int64_t>(widest) && widest > 0);
  bits.set(kWideTable, pool.table_columns > static_cast<std::int64_t>(widest));
  bits.set(kStridedTable, pool.table_stride > pool.table_columns);
  bits.set(kSparsePool, pool.blocks * pool.block_stride > kDenseBytes);
  bits.set(kStridedPool, pool.block_stride > block_bytes);
  bits.set(kNoSlackPool, pool.blocks == static_cast<std::int64_t>(pool.physical.size()));
  bits.set(kOtherBlockSize, pool.block_tokens != 64);
}

void paged(const PagedMqaParameters& p, Bits& bits) {
  pool(
      p.pool, std::int64_t{p.pool.block_tokens} * (p.dims + 4), [&](std::int32_t b) { return p.length(b); },
      bits);
  bits.set(kSeveralQueries, p.next_n > 1);
  bits.set(kContexts2d, p.contexts_2d && p.next_n > 1);
  bits.set(kStridedQ, p.q_head_stride != p.dims);
  bits.set(kOddStride,
           p.q_head_stride % 16 != 0 || p.q_row_stride % 16 != 0 || p.q_sequence_stride % 16 != 0);
  bits.set(kBf16Output, p.output == ElementType::kBf16);
  bits.set(kCleanRows, p.clean);
  bits.set(kFarRows,
           p.rows() > 1 && (p.rows() - 1) * p.logits_stride * bytes_of(p.output) >= std::int64_t{1} << 31);
  bits.set(kSlicedContexts, p.contexts_stride > (p.contexts_2d ? p.next_n : 1));
}

void prefill(const MqaParameters& p, Bits& bits) {
  bits.set(kEmptyBatch, p.rows() == 0);
  bits.set(kOneSequence, p.rows() == 1);
  bits.set(kManySequences, p.rows() >= 16);
  bits.set(kAllZero, p.rows() > 0 && p.keys == 0);
  for (std::size_t row = 0; row < p.starts.size(); ++row) {
    bits.set(kEmptyRow, p.ends[row] <= p.starts[row]);
    bits.set(kUnequalStarts, p.starts[row] != p.starts[0]);
  }
  bits.set(kStridedQ, p.q_head_stride != p.dims);
  bits.set(kOddStride, p.q_head_stride % 16 != 0 || p.q_row_stride % 16 != 0 || p.key_stride % 16 != 0);
  bits.set(kBf16Output, p.output == ElementType::kBf16);
  bits.set(kCleanRows, p.clean);
  bits.set(kCompressedRows, p.compressed);
}

void schedule(const ScheduleParameters& p, Bits& bits) {
  bits.set(kEmptyBatch, p.contexts.empty());
  bits.set(kOneSequence, p.contexts.size() == 1);
  bits.set(kManySequences, p.contexts.size() >= 16);
  std::int64_t units = 0;
  for (const std::int32_t context : p.contexts) {
    units += (std::int64_t{context} + p.unit_tokens - 1) / p.unit_tokens;
    bits.set(kZeroLength, context == 0);
    bits.set(kBlockBoundary, context > 0 && context % p.unit_tokens == 0);
    bits.set(kPartialBlock, context % p.unit_tokens != 0);
  }
  bits.set(kAllZero, !p.contexts.empty() && units == 0);
  bits.set(kFewerUnitsThanParts, units > 0 && units < p.parts);
  bits.set(kSlicedContexts, p.contexts_stride > 1);
}

void attention(const PagedAttentionParameters& p, Bits& bits) {
  pool(
      p.pool, p.key_layout().block_span(), [&](std::int32_t b) { return p.contexts[b]; }, bits);
  for (std::int32_t b = 0; b < p.batch(); ++b) {
    bits.set(kSeveralQueries, p.queries[b] > 1);
    bits.set(kSequenceWithoutQuery, p.queries[b] == 0);
    bits.set(kMoreQueriesThanTokens, p.queries[b] > p.contexts[b]);
  }
  bits.set(kStridedQ, p.q_head_stride != p.dims);
  bits.set(kOddStride, p.q_head_stride % 16 != 0 || p.q_row_stride % 16 != 0 || p.inner_stride % 16 != 0 ||
                           p.outer_stride % 16 != 0);
  bits.set(kBf16Output, p.output == ElementType::kBf16);
  bits.set(kSlicedContexts, p.contexts_stride > 1);
  bits.set(kCausal, p.causal);
  bits.set(kWindow, p.window_tokens > 0);
  bits.set(kSoftCap, p.soft_cap > 0);
  bits.set(kHeadsFirst, p.heads_first);
  bits.set(kOwnValueBlocks, !p.value_physical.empty());
  const std::int32_t group = p.heads / p.kv_heads;
  bits.set(kHeadGroups, group > 1);
  bits.set(kOddHeadGroups, (group & (group - 1)) != 0);
}

void merge(const MergeParameters& p, Bits& bits) {
  bits.set(kEmptyBatch, p.rows() == 0);
  bits.set(kOneSequence, p.rows() == 1);
  bits.set(kManySequences, p.rows() >= 16);
  bits.set(kBf16Output, p.output == ElementType::kBf16);
  bits.set(kMixedTypes, p.output != p.part_type);
  for (std::size_t i = 0; i < 3; ++i) {
    bits.set(kStridedQ, p.head_strides[i] != p.dims);
    bits.set(kOddStride, p.head_strides[i] % 16 != 0 || p.row_strides[i] % 16 != 0);
  }
}

void cache_write(const CacheWriteParameters& p, Bits& bits) {
  bits.set(kEmptyBatch, p.rows() == 0);
  bits.set(kOneSequence, p.rows() == 1);
  bits.set(kManySequences, p.rows() >= 16);
  std::size_t skipped = 0;
  for (const std::int64_t slot : p.slots) skipped += slot < 0;
  bits.set(kSkippedTokens, skipped > 0);
  bits.set(kAllZero, p.rows() > 0 && skipped == p.slots.size());
  bits.set(kOtherBlockSize, p.block_tokens != 64);
  bits.set(kSparsePool, p.blocks * p.block_stride > kDenseBytes);
  const std::int64_t block_bytes = p.index_keys ? p.fused().block_bytes() : p.layout(false).block_span();
  bits.set(kStridedPool, p.block_stride > block_bytes);
  bits.set(kStridedQ, p.row_head_stride != p.dims);
  bits.set(kOddStride, p.row_stride % 16 != 0 || p.inner_stride % 16 != 0 || p.outer_stride % 16 != 0);
  bits.set(kHeadsFirst, p.heads_first && !p.index_keys);
  bits.set(kConvertedRows, !p.quantises() && p.row_type != p.cache_type);
  bits.set(kRowScales, p.row_scales);
  bits.set(kIndexKeys, p.index_keys);
}

std::size_t cell(Operation operation, Lane lane, int feature) {
  return ((static_cast<std::size_t>(operation) - 1) * kLanes + static_cast<std::size_t>(lane)) * kFeatures +
         static_cast<std::size_t>(feature);
}

}  // namespace

const char* feature_name(int feature) { return kNames[feature]; }

std::uint64_t features_of(const KernelCase& kernel_case) {
  Bits bits;
  if (const auto* p = std::get_if<PagedMqaParameters>(&kernel_case.parameters)) paged(*p, bits);
  if (const auto* p = std::get_if<MqaParameters>(&kernel_case.parameters)) prefill(*p, bits);
  if (const auto* p = std::get_if<ScheduleParameters>(&kernel_case.parameters)) schedule(*p, bits);
  if (const auto* p = std::get_if<PagedAttentionParameters>(&kernel_case.parameters)) attention(*p, bits);
  if (const auto* p = std::get_if<MergeParameters>(&kernel_case.parameters)) merge(*p, bits);
  if (const auto* p = std::get_if<CacheWriteParameters>(&kernel_case.parameters)) cache_write(*p, bits);
  bits.set(kGuardInFront, kernel_case.guard_in_front);
  bits.set(kRelated, kernel_case.relation != Relation::kNone &&
                         kernel_case.operation() != Operation::kScheduleMetadata);
  return bits.value;
}

std::uint64_t possible_features(Operation operation) {
  Bits bits;
  const auto can = [&](std::initializer_list<Feature> features) {
    for (const Feature feature : features) bits.set(feature);
  };
  can({kEmptyBatch, kOneSequence, kManySequences, kGuardInFront});
  if (operation != Operation::kMerge) can({kAllZero});
  if (operation != Operation::kScheduleMetadata) can({kStridedQ, kOddStride, kRelated});
  switch (operation) {
    case Operation::kScheduleMetadata:
      can({kZeroLength, kBlockBoundary, kPartialBlock, kSlicedContexts, kFewerUnitsThanParts});
      break;
    case Operation::kMqaLogits:
      can({kBf16Output, kCleanRows, kUnequalStarts, kEmptyRow, kCompressedRows});
      break;
    case Operation::kPagedMqaLogits: can({kCleanRows, kContexts2d, kFarRows}); break;
    case Operation::kPagedAttention:
      can({kCausal, kWindow, kSoftCap, kHeadsFirst, kOwnValueBlocks, kHeadGroups, kOddHeadGroups,
           kSequenceWithoutQuery, kMoreQueriesThanTokens});
      break;
    case Operation::kMerge: can({kBf16Output, kMixedTypes}); break;
    case Operation::kCacheWrite:
      can({kSkippedTokens, kConvertedRows, kRowScales, kIndexKeys, kHeadsFirst, kSparsePool, kStridedPool,
           kOtherBlockSize});
      break;
  }
  if (operation == Operation::kPagedMqaLogits || operation == Operation::kPagedAttention)
    can({kBf16Output, kZeroLength, kBlockBoundary, kPartialBlock, kSlicedContexts, kSeveralQueries,
         kSharedBlocks, kTightTable, kWideTable, kStridedTable, kSparsePool, kStridedPool, kNoSlackPool,
         kOtherBlockSize});
  return bits.value;
}

Coverage::Coverage() : cells_(std::size(kOperations) * kLanes * kFeatures, 0) {}

void Coverage::add(const KernelCase& kernel_case) {
  const std::uint64_t features = features_of(kernel_case);
  // A schedule has no values: its lane means nothing, all its cells are those of the first lane.
  const Lane lane = kernel_case.operation() == Operation::kScheduleMetadata
                        ? lanes_of(Operation::kScheduleMetadata).front()
                        : kernel_case.lane;
  for (int feature = 0; feature < kFeatures; ++feature)
    if (features >> feature & 1) ++cells_[cell(kernel_case.operation(), lane, feature)];
}

void Coverage::add(const Coverage& other) {
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i] += other.cells_[i];
}

void Coverage::add(const std::vector<CellCount>& cells) {
  for (const auto& [index, count] : cells) {
    if (index < 0 || index >= static_cast<std::int64_t>(cells_.size()))
      throw InputError("coverage", fmt::format("a cell under {}", cells_.size()), std::to_string(index));
    cells_[static_cast<std::size_t>(index)] += count;
  }
}

std::vector<CellCount> Coverage::cells() const {
  std::vector<CellCount> result;
  for (std::size_t i = 0; i < cells_.size(); ++i)
    if (cells_[i] > 0) result.emplace_back(static_cast<std::int64_t>(i), cells_[i]);
  return result;
}

std::int64_t Coverage::hit() const {
  return std::count_if(cells_.begin(), cells_.end(), [](std::int64_t count) { return count > 0; });
}

std::int64_t Coverage::count(Operation operation, Lane lane, int feature) const {
  return cells_[cell(operation, lane, feature)];
}

namespace {
template <typename Visit>
void for_each_cell(const std::vector<Operation>& operations, const Visit& visit) {
  for (const Operation operation : operations)
    for (const Lane lane : lanes_of(operation)) {
      if (operation == Operation::kScheduleMetadata && lane != lanes_of(operation).front()) continue;
      for (int feature = 0; feature < kFeatures; ++feature)
        if (possible_features(operation) >> feature & 1 && !(feature == kSoftCap && points(lane)))
          visit(operation, lane, feature);
    }
}
}  // namespace

std::int64_t Coverage::possible(const std::vector<Operation>& operations) {
  std::int64_t cells = 0;
  for_each_cell(operations, [&](Operation, Lane, int) { ++cells; });
  return cells;
}

std::vector<std::string> Coverage::missing(const std::vector<Operation>& operations) const {
  std::vector<std::string> names;
  for_each_cell(operations, [&](Operation operation, Lane lane, int feature) {
    if (count(operation, lane, feature) == 0)
      names.push_back(std::string(name_of(operation)) + " x " + name_of(lane) + " x " + kNames[feature]);
  });
  return names;
}

}  // namespace assay::properties
