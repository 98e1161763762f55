// Input lanes: each sees bugs that the others cannot (docs/golden.md has the matrix).
//
//   lane          sees                                                    is blind to
//   gaussian      everything moderately                                   one-token bugs under fp8 P
//   heavy-tail    scale plumbing, overflow, maximum logic                 small errors elsewhere
//   needle        wrong block or slot: the output is a V row              lse, scale
//   uniform       dropped or repeated tokens, lengths                     rescaling, scale
//   plateau, two-plateau, near-tie                                        (the harness' own false alarms)
//   ramp          rescaling: the running maximum changes in every tile    indices
//   address       names the block and slot that were read                 numerics
//   exact-qk, exact-w (logits)   silent downgrades, by bit equality       overflow
//   specials      +-0, subnormals, 448; poison in unreachable memory      -
//
// Every value comes from a named Philox stream and from exact arithmetic (no libm), so that a lane is
// the same bits on every machine, and any tensor can be drawn alone. Every lane poisons what the
// contract calls dead: tails of last blocks, blocks of nobody, dead table entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"

namespace assay {

enum class MqaLane { kGaussian, kHeavyTail, kExactQk, kExactW, kAddress, kSpecials };
inline constexpr MqaLane kMqaLanes[] = {MqaLane::kGaussian, MqaLane::kHeavyTail, MqaLane::kExactQk,
                                        MqaLane::kExactW,   MqaLane::kAddress,   MqaLane::kSpecials};
[[nodiscard]] const char* name_of(MqaLane lane);

struct MqaShape {
  std::int32_t next_n = 1, heads = 64, dims = 128, block_tokens = 64;
  std::vector<std::int32_t> contexts;  // [B]
  bool contexts_2d = false;            // then row b gets contexts[b] - next_n + 1 + i for query i
  std::int64_t block_stride = 0;       // bytes; 0 = compact
  std::int32_t spare_blocks = 3;       // blocks of nobody, full of poison
};

// Owns its memory; problem() points into it.
struct MqaLaneCase {
  MqaShape shape;
  std::vector<std::uint8_t> q;        // [B, next_n, H, D] e4m3
  std::vector<float> weights;         // [B * next_n, H]
  std::vector<std::uint8_t> cache;    // [blocks, block_stride]
  std::vector<std::int32_t> table;    // [B, table_stride]
  std::vector<std::int32_t> lengths;  // [B] or [B, next_n]
  std::int32_t blocks = 0, max_blocks = 0, table_stride = 0;
  [[nodiscard]] PagedMqaLogitsCase problem() const;
  [[nodiscard]] std::int64_t rows() const {
    return static_cast<std::int64_t>(shape.contexts.size()) * shape.next_n;
  }
};
[[nodiscard]] MqaLaneCase make_mqa_lane(MqaLane lane, const MqaShape& shape, std::uint64_t seed);

enum class AttentionLane {
  kGaussian,
  kHeavyTail,
  kNeedle,
  kUniform,
  kPlateau,
  kTwoPlateau,
  kNearTie,
  kRamp,
  kValueMean,
  kAddress,
  kSpecials,
};
inline constexpr AttentionLane kAttentionLanes[] = {
    AttentionLane::kGaussian,  AttentionLane::kHeavyTail,  AttentionLane::kNeedle,  AttentionLane::kUniform,
    AttentionLane::kPlateau,   AttentionLane::kTwoPlateau, AttentionLane::kNearTie, AttentionLane::kRamp,
    AttentionLane::kValueMean, AttentionLane::kAddress,    AttentionLane::kSpecials};
[[nodiscard]] const char* name_of(AttentionLane lane);

struct AttentionShape {
  std::int32_t query_heads = 8, kv_heads = 8, dims = 128, block_tokens = 64;
  ElementType type = ElementType::kBf16;  // of q, K and V (e4m3: K and V, with q in bf16)
  PagedOrder order = PagedOrder::kNhd;
  std::vector<std::int32_t> contexts;  // [B]
  std::vector<std::int32_t> queries;   // [B]; empty = one each
  bool combined_tables = false;        // V gets ids of its own
  std::int32_t spare_blocks = 3;
};

struct AttentionLaneCase {
  AttentionShape shape;
  std::vector<std::byte> q;                          // [T, Hq, D]
  std::vector<std::byte> keys;                       // pool
  std::vector<std::byte> values;                     // pool
  std::vector<std::int32_t> key_table, value_table;  // [B, max_blocks]
  std::vector<std::int32_t> q_begin, lengths;
  PagedLayout layout;
  std::int32_t blocks = 0, max_blocks = 0;
  double softmax_scale = 1;
  [[nodiscard]] PagedAttentionCase problem() const;
  [[nodiscard]] std::int64_t queries() const { return q_begin.back(); }
};
[[nodiscard]] AttentionLaneCase make_attention_lane(AttentionLane lane, const AttentionShape& shape,
                                                    std::uint64_t seed);

// Needle and address lanes: which logical position head `head` of query `query` is pointed at. The
// arguments are those of make_attention_lane.
[[nodiscard]] std::int64_t needle_position(const AttentionLaneCase& lane_case, AttentionLane lane,
                                           std::uint64_t seed, std::int64_t query, std::int32_t head);

// Address lane: the physical place whose V row `out` is; nothing when it is no single V row.
struct PhysicalPlace {
  std::int64_t block = 0;
  std::int32_t slot = 0;
  friend constexpr bool operator==(const PhysicalPlace&, const PhysicalPlace&) = default;
};
[[nodiscard]] std::optional<PhysicalPlace> decode_value_address(const double* out, std::int32_t dims,
                                                                std::int32_t block_tokens);
// Address lane of the logits: an fp32 logit is the physical slot number itself.
[[nodiscard]] std::optional<PhysicalPlace> decode_logit_address(double logit, std::int32_t block_tokens);

}  // namespace assay
