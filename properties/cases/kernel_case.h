// One case for a kernel: every parameter explicit, so that a file of it says the same in ten years,
// whatever the generator has become. Contents are named Philox streams of (lane, seed), addressed by
// *content coordinates*, plus overrides.
//
//   logical block   what sequences' tables name; several sequences may name the same one
//   physical[l]     where logical block l lies in the pool         renaming changes this and no value
//   content[l]      whose values it holds: slot s of block l draws as slot content[l] * block_tokens + s
//   row_content[r]  the same for rows of q and weights             taking a row alone changes no value
//
// A case is checked when it is read or made (validate); everything after may rely on it.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "model/core/float_formats.h"
#include "model/core/paged_layout.h"
#include "properties/cases/operands.h"
#include "properties/cases/values.h"

namespace assay::properties {

struct Pool {
  std::int32_t block_tokens = 64;
  std::int64_t blocks = 0;                        // physical blocks; what no table names is poison
  std::int64_t block_stride = 0;                  // bytes
  std::vector<std::int64_t> physical, content;    // [logical blocks]
  std::vector<std::vector<std::int32_t>> tables;  // [sequences] logical blocks
  std::int32_t table_columns = 0;                 // at least the longest table
  std::int64_t table_stride = 0;                  // entries, at least table_columns
};

struct PagedMqaParameters {
  std::int32_t heads = 32, dims = 32, next_n = 1;
  Pool pool;
  std::vector<std::int32_t> contexts;  // [B], or [B * next_n] with contexts_2d
  bool contexts_2d = false;
  std::int64_t contexts_stride = 1;       // entries from one sequence to the next
  std::vector<std::int64_t> row_content;  // [B * next_n]
  std::int64_t q_head_stride = 0, q_row_stride = 0, q_sequence_stride = 0;  // elements (bytes)
  std::int64_t weights_stride = 0;                                          // elements
  ElementType output = ElementType::kFp32;
  std::int64_t columns = 0, logits_stride = 0;
  bool clean = false;

  [[nodiscard]] std::int32_t batch() const { return static_cast<std::int32_t>(pool.tables.size()); }
  [[nodiscard]] std::int64_t rows() const { return std::int64_t{batch()} * next_n; }
  [[nodiscard]] std::int32_t length(std::int32_t sequence) const {
    return contexts_2d ? contexts[sequence * next_n + next_n - 1] : contexts[sequence];
  }
  // Must-write columns of row r: [0, limit).
  [[nodiscard]] std::int64_t limit(std::int64_t row) const;
};

struct MqaParameters {
  std::int32_t heads = 32, dims = 32;
  std::int64_t keys = 0;
  std::vector<std::int32_t> starts, ends;  // [M]
  std::vector<std::int64_t> row_content;   // [M]
  std::int64_t q_head_stride = 0, q_row_stride = 0, key_stride = 0, weights_stride = 0;
  ElementType output = ElementType::kFp32;
  std::int64_t columns = 0, logits_stride = 0;
  bool clean = false, compressed = false;

  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(starts.size()); }
};

struct ScheduleParameters {
  std::vector<std::int32_t> contexts;
  std::int64_t contexts_stride = 1;
  std::int32_t unit_tokens = 256, parts = 1;
};

// Keys and values lie in two pools of the same shape. Logical block l is block pool.physical[l] of the keys'
// and value_physical[l] of the values' (the same when that is empty).
struct PagedAttentionParameters {
  std::int32_t heads = 8, kv_heads = 8, dims = 64;
  ElementType q_type = ElementType::kBf16, kv_type = ElementType::kBf16, output = ElementType::kBf16;
  bool heads_first = false;       // [block, head, slot, dim] instead of [block, slot, head, dim]
  std::int64_t inner_stride = 0;  // elements from a row of dims to the next (head or slot)
  std::int64_t outer_stride = 0;  // elements from one slot (heads_first: head) of a block to the next
  Pool pool;                      // of the keys
  std::vector<std::int64_t> value_physical;     // [logical blocks], or empty
  std::int64_t value_block_stride = 0;          // bytes
  std::int64_t value_table_stride = 0;          // entries
  std::vector<std::int32_t> contexts, queries;  // [B]: tokens in the cache, and how many of them are new
  std::int64_t contexts_stride = 1;
  std::vector<std::int64_t> row_content;                                                      // [T]
  std::int64_t q_head_stride = 0, q_row_stride = 0, out_head_stride = 0, out_row_stride = 0;  // elements
  std::int64_t lse_stride = 0;
  bool causal = false;
  std::int32_t window_tokens = 0;  // 0: none
  double softmax_scale = 1, soft_cap = 0;

  [[nodiscard]] std::int32_t batch() const { return static_cast<std::int32_t>(pool.tables.size()); }
  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(row_content.size()); }
  [[nodiscard]] std::int64_t row_begin(std::int32_t sequence) const;
  // The sequence's tokens [begin, end) that its query sees; query is counted from the sequence's first.
  struct Tokens {
    std::int64_t begin = 0, end = 0;
  };
  [[nodiscard]] Tokens visible(std::int32_t sequence, std::int64_t query) const;
  [[nodiscard]] PagedLayout key_layout() const;
  [[nodiscard]] Pool value_pool() const;  // the values' places, and the same tables
};

// Two partial results [T, heads, dims] and [T, heads] of the same queries. Which of them saw nothing
// (lse = -inf) is drawn with the values.
struct MergeParameters {
  std::int32_t heads = 8, dims = 64;
  ElementType part_type = ElementType::kFp32, output = ElementType::kBf16;
  std::vector<std::int64_t> row_content;  // [T]
  // Of part a, part b and the result; elements.
  std::array<std::int64_t, 3> row_strides{}, head_strides{}, lse_strides{};

  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(row_content.size()); }
};

// New rows of K and V [T, heads, dims] to their slots, or index keys [T, dims] into fused blocks. What no slot
// names keeps every bit.
struct CacheWriteParameters {
  std::int32_t heads = 2, dims = 64;
  ElementType row_type = ElementType::kBf16, cache_type = ElementType::kBf16;
  bool index_keys = false;  // one tensor of keys, e4m3 with a scale per row, in fused blocks
  bool row_scales = false;  // e4m3 with a scale per row and head, in tensors of their own
  std::int32_t block_tokens = 16;
  std::int64_t blocks = 0;
  bool heads_first = false;                                     // as in PagedAttentionParameters
  std::int64_t inner_stride = 0, outer_stride = 0;              // elements; not of fused blocks
  std::int64_t block_stride = 0, value_block_stride = 0;        // bytes
  std::int64_t scale_block_stride = 0, value_scale_stride = 0;  // fp32 numbers from block to block
  std::vector<std::int64_t> slots, row_content;                 // [T]; a negative slot: not written
  std::int64_t row_stride = 0, row_head_stride = 0;             // elements

  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(slots.size()); }
  [[nodiscard]] bool quantises() const { return index_keys || row_scales; }
  [[nodiscard]] PagedLayout layout(bool values) const;  // not of fused blocks
  [[nodiscard]] FusedIndexLayout fused() const;
};

// A second execution whose outputs must agree bit for bit with the first, by a claim of the kernel.
//   rename-blocks   other physical ids                              determinism=bitwise
//   widen           wider tables, rows and strides                  determinism=bitwise
//   copy-shared     every sequence its own copy of shared blocks    determinism=bitwise
//   double-weights  weights times two: logits times two             determinism=bitwise
//   row-alone       one sequence without the others                 batch-invariant
//   split-queries   every query a sequence of its own               split-invariant
enum class Relation : std::uint8_t {
  kNone,
  kRenameBlocks,
  kWiden,
  kCopyShared,
  kDoubleWeights,
  kRowAlone,
  kSplitQueries,
};
inline constexpr Relation kRelations[] = {Relation::kRenameBlocks, Relation::kWiden,
                                          Relation::kCopyShared,   Relation::kDoubleWeights,
                                          Relation::kRowAlone,     Relation::kSplitQueries};
[[nodiscard]] const char* name_of(Relation relation);

// What a value of one element is, instead of what its lane draws. Coordinates are logical:
//   q [row, head, dim]   weights [row, head]   keys [logical block or 0, slot, dim]   scales [.., slot]
//   paged attention: keys and values [logical block, slot, kv_head, dim]
struct ValueOverride {
  std::string operand;
  std::vector<std::int64_t> at;
  std::uint32_t bits = 0;
  friend bool operator==(const ValueOverride&, const ValueOverride&) = default;
};

struct KernelCase {
  std::variant<PagedMqaParameters, MqaParameters, ScheduleParameters, PagedAttentionParameters,
               MergeParameters, CacheWriteParameters>
      parameters;
  Lane lane = Lane::kGaussian;
  std::uint64_t seed = 1;
  std::int32_t weight_exponent = 0;  // weights are multiplied by this power of two
  // Where a tensor meets its guard page: behind its last byte (reads past the end fault), or before its
  // first byte. The base pointer is a multiple of alignment_bytes.
  bool guard_in_front = false;
  std::int32_t alignment_bytes = 1;
  Relation relation = Relation::kNone;
  std::int32_t relation_sequence = 0;  // row-alone: which one
  std::vector<ValueOverride> overrides;

  [[nodiscard]] Operation operation() const;
};

// Throws InputError(place + field, expected, got).
void validate(const KernelCase& kernel_case, const std::string& place);

inline constexpr const char* kCaseSchema = "assay.case/1";
[[nodiscard]] nlohmann::ordered_json to_json(const KernelCase& kernel_case);
// Reads and validates. Unknown keys are refused: a case that silently lost a parameter proves nothing.
[[nodiscard]] KernelCase case_from_json(const nlohmann::ordered_json& document, const std::string& place);

// FNV-1a over the JSON text: names a case.
[[nodiscard]] std::uint64_t digest_of(const KernelCase& kernel_case);
[[nodiscard]] std::uint64_t fnv1a(const void* bytes, std::size_t count,
                                  std::uint64_t hash = 0xcbf29ce484222325ull);
[[nodiscard]] std::string hex_of(std::uint64_t digest);

// "2 sequences, 3 blocks, 130 tokens, 32 heads x 32, lane address": for people.
[[nodiscard]] std::string summary_of(const KernelCase& kernel_case);
[[nodiscard]] std::int64_t sequences_of(const KernelCase& kernel_case);
[[nodiscard]] std::int64_t blocks_of(const KernelCase& kernel_case);  // logical

}  // namespace assay::properties
