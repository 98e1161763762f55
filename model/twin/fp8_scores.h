// Scores of one head against 64 keys at a time: tensor_core_dot on vectors, equal to it in every bit.
//
// The step of tensor_core.h needs no integer shifts when it is done in fp32:
//
//   product     v_a * v_b is exact (8 significant bits)
//   cut         trunc(product * 2^(13 - E)): the scaling is exact, float -> int32 truncates toward zero
//   add         33 terms below 2^15: exact in int32, and the sum below 2^21 is exact in fp32
//   result      the fp32 sum with its low 10 mantissa bits cleared (that is 13 fraction bits, toward
//               zero), times 2^(E - 13), exact
//
// E is the maximum over the products' exponents e_a + e_b (kept as int8 beside the values; a zero
// carries kNoExponent and loses every comparison) and the accumulator's own. So a step costs two
// passes over its 32 products: add and maximum in int8, then multiply, multiply, convert, add.
//
// Lanes are tokens: a KeyTile is decoded and transposed once and used by every head of every query
// row. NaN codes are decoded as zero and kept as masks: a score with a NaN in its row or key is the
// canonical NaN. Infinities (e5m2) take the slow reference, pair by pair.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "model/core/float_formats.h"

namespace assay::twin {

constexpr int kTileTokens = 64;
constexpr int kMaxDims = 128;
constexpr std::int8_t kNoExponent = -64;  // below every exponent, and twice it fits int8

// A key tile: kTileTokens keys of `dims` elements, decoded, one row per element.
struct KeyTile {
  alignas(64) float value[kMaxDims][kTileTokens];
  alignas(64) std::int8_t exponent[kMaxDims][kTileTokens];
  alignas(64) std::uint8_t code[kTileTokens][kMaxDims];
  std::uint64_t nan_tokens = 0;       // bit t: key t holds a NaN code
  std::uint64_t infinite_tokens = 0;  // bit t: key t holds an infinity
  int dims = 0;
};

// Decodes kTileTokens keys. keys[t] points at dims codes, or is null for a lane without a token
// (its scores are zero). dims: a multiple of 32, at most kMaxDims.
template <typename Format>
void load_keys(const std::array<const std::uint8_t*, kTileTokens>& keys, int dims, KeyTile& tile);

// Query heads, decoded: rows of `dims` elements.
class QueryHeads {
 public:
  // codes: [heads, dims], head_stride bytes from one head to the next.
  template <typename Format>
  void load(const std::uint8_t* codes, int heads, int dims, std::int64_t head_stride);

  [[nodiscard]] int heads() const { return heads_; }
  [[nodiscard]] int dims() const { return dims_; }
  [[nodiscard]] const float* value(int head) const { return value_.data() + at(head); }
  [[nodiscard]] const std::int8_t* exponent(int head) const { return exponent_.data() + at(head); }
  [[nodiscard]] const std::uint8_t* code(int head) const { return code_.data() + at(head); }
  [[nodiscard]] bool has_nan(int head) const { return nan_[static_cast<std::size_t>(head)] != 0; }
  [[nodiscard]] bool has_infinity(int head) const { return infinite_[static_cast<std::size_t>(head)] != 0; }

 private:
  [[nodiscard]] std::size_t at(int head) const { return static_cast<std::size_t>(head) * dims_; }

  int heads_ = 0, dims_ = 0;
  std::vector<float> value_;
  std::vector<std::int8_t> exponent_;
  std::vector<std::uint8_t> code_, nan_, infinite_;
};

enum class ScorePath : std::uint8_t { kPortable, kAvx2, kAvx512 };
[[nodiscard]] const char* name_of(ScorePath path);
[[nodiscard]] bool is_supported(ScorePath path);  // compiled in, and this processor has it
[[nodiscard]] ScorePath fastest_score_path();

// scores[head][t] = tensor_core_dot<Format>(query head, key t). scores: [queries.heads(), kTileTokens].
template <typename Format>
void score_tile(const QueryHeads& queries, const KeyTile& tile, ScorePath path, float* scores);

// One head against one tile; what the vector paths implement.
struct ScoreOperands {
  const float* query_value;           // [dims]
  const std::int8_t* query_exponent;  // [dims]
  const float* key_value;             // [dims, kTileTokens], 64-byte aligned
  const std::int8_t* key_exponent;    // [dims, kTileTokens], 64-byte aligned
  int dims;                           // a multiple of 32
};
void score_head_portable(const ScoreOperands& operands, float* scores);
void score_head_avx2(const ScoreOperands& operands, float* scores);
void score_head_avx512(const ScoreOperands& operands, float* scores);

}  // namespace assay::twin
