#include "model/twin/fp8_scores.h"

#include <algorithm>
#include <cstring>

#include "model/core/check.h"
#include "model/twin/tensor_core.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#define ASSAY_TWIN_X86 1
#endif

namespace assay::twin {
namespace {

// A code's bits moved under the fp32 exponent and multiplied by a power of two are its value, subnormals
// included. NaN and infinity are zero here and flagged.
template <typename Format>
constexpr bool is_finite(std::uint8_t code) {
  return (code & Format::kMagnitudeMask) < (Format::kHasInfinity ? Format::kInfinity : Format::kNan);
}
template <typename Format>
float value_of(std::uint8_t code) {
  const float rebias = bit_cast<float>(static_cast<std::uint32_t>(127 + 127 - Format::kBias) << 23);
  const std::uint32_t magnitude = is_finite<Format>(code) ? code & Format::kMagnitudeMask : 0;
  const std::uint32_t sign = static_cast<std::uint32_t>(code & Format::kSignBit) << 24;
  return bit_cast<float>(sign | magnitude << (23 - Format::kMantissa)) * rebias;
}
template <typename Format>
std::int8_t exponent_of(std::uint8_t code) {
  const int magnitude = code & Format::kMagnitudeMask;
  const int own = std::max(magnitude >> Format::kMantissa, 1) - Format::kBias;
  return static_cast<std::int8_t>(magnitude != 0 && is_finite<Format>(code) ? own : kNoExponent);
}

}  // namespace

template <typename Format>
void load_keys(const std::array<const std::uint8_t*, kTileTokens>& keys, int dims, KeyTile& tile) {
  ASSAY_CHECK(dims > 0 && dims <= kMaxDims && dims % kStepBytes == 0);
  tile.dims = dims;
  for (int t = 0; t < kTileTokens; ++t) {
    const std::uint8_t* key = keys[t];
    if (key == nullptr) {
      std::memset(tile.code[t], 0, dims);
    } else {
      std::memcpy(tile.code[t], key, dims);
    }
  }
  std::uint8_t nan[kTileTokens] = {}, infinite[kTileTokens] = {};
  // Eight elements at a time, transposed through one word per token; the loops over tokens vectorise.
  constexpr int kWord = 8;
  for (int begin = 0; begin < dims; begin += kWord) {
    std::uint8_t codes[kWord][kTileTokens];
    for (int t = 0; t < kTileTokens; ++t) {
      std::uint64_t word;
      std::memcpy(&word, tile.code[t] + begin, kWord);
      for (int i = 0; i < kWord; ++i) codes[i][t] = static_cast<std::uint8_t>(word >> (8 * i));
    }
    for (int i = 0; i < kWord; ++i) {
      const std::uint8_t* code = codes[i];
      float* value = tile.value[begin + i];
      std::int8_t* exponent = tile.exponent[begin + i];
      for (int t = 0; t < kTileTokens; ++t) value[t] = value_of<Format>(code[t]);
      for (int t = 0; t < kTileTokens; ++t) exponent[t] = exponent_of<Format>(code[t]);
      for (int t = 0; t < kTileTokens; ++t) {
        nan[t] |= static_cast<std::uint8_t>(Format::is_nan(code[t]));
        infinite[t] |= static_cast<std::uint8_t>(Format::is_infinity(code[t]));
      }
    }
  }
  tile.nan_tokens = tile.infinite_tokens = 0;
  for (int t = 0; t < kTileTokens; ++t) {
    tile.nan_tokens |= std::uint64_t{nan[t]} << t;
    tile.infinite_tokens |= std::uint64_t{infinite[t]} << t;
  }
}

template <typename Format>
void QueryHeads::load(const std::uint8_t* codes, int heads, int dims, std::int64_t head_stride) {
  heads_ = heads;
  dims_ = dims;
  const std::size_t elements = static_cast<std::size_t>(heads) * static_cast<std::size_t>(dims);
  value_.resize(elements);
  exponent_.resize(elements);
  code_.resize(elements);
  nan_.assign(static_cast<std::size_t>(heads), 0);
  infinite_.assign(static_cast<std::size_t>(heads), 0);
  for (int head = 0; head < heads; ++head) {
    const std::uint8_t* row = codes + head * head_stride;
    std::uint8_t nan = 0, infinite = 0;
    std::uint8_t* code = code_.data() + at(head);
    float* value = value_.data() + at(head);
    std::int8_t* exponent = exponent_.data() + at(head);
    std::memcpy(code, row, dims);
    for (int d = 0; d < dims; ++d) value[d] = value_of<Format>(code[d]);
    for (int d = 0; d < dims; ++d) exponent[d] = exponent_of<Format>(code[d]);
    for (int d = 0; d < dims; ++d) {
      nan |= static_cast<std::uint8_t>(Format::is_nan(code[d]));
      infinite |= static_cast<std::uint8_t>(Format::is_infinity(code[d]));
    }
    nan_[static_cast<std::size_t>(head)] = nan;
    infinite_[static_cast<std::size_t>(head)] = infinite;
  }
}

const char* name_of(ScorePath path) {
  switch (path) {
    case ScorePath::kPortable: return "portable";
    case ScorePath::kAvx2: return "avx2";
    case ScorePath::kAvx512: return "avx512";
  }
  return "?";
}

bool is_supported(ScorePath path) {
#if defined(ASSAY_TWIN_X86)
  if (path == ScorePath::kAvx2) return __builtin_cpu_supports("avx2");
  if (path == ScorePath::kAvx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  }
#endif
  return path == ScorePath::kPortable;
}

ScorePath fastest_score_path() {
  for (const ScorePath path : {ScorePath::kAvx512, ScorePath::kAvx2}) {
    if (is_supported(path)) return path;
  }
  return ScorePath::kPortable;
}

template <typename Format>
void score_tile(const QueryHeads& queries, const KeyTile& tile, ScorePath path, float* scores) {
  ASSAY_CHECK_EQ(queries.dims(), tile.dims);
  const auto score_head = path == ScorePath::kAvx512 ? score_head_avx512
                          : path == ScorePath::kAvx2 ? score_head_avx2
                                                     : score_head_portable;
  const float nan = bit_cast<float>(kCanonicalNan);
  for (int head = 0; head < queries.heads(); ++head) {
    float* row = scores + static_cast<std::ptrdiff_t>(head) * kTileTokens;
    score_head({queries.value(head), queries.exponent(head), tile.value[0], tile.exponent[0], tile.dims},
               row);
    if (queries.has_nan(head)) {
      std::fill(row, row + kTileTokens, nan);
      continue;
    }
    for (std::uint64_t left = tile.nan_tokens; left != 0; left &= left - 1) row[__builtin_ctzll(left)] = nan;
    if constexpr (Format::kHasInfinity) {
      std::uint64_t slow = queries.has_infinity(head) ? ~std::uint64_t{0} : tile.infinite_tokens;
      for (; slow != 0; slow &= slow - 1) {
        const int t = __builtin_ctzll(slow);
        row[t] = tensor_core_dot<Format>(queries.code(head), tile.code[t], tile.dims);
      }
    }
  }
}

// The algorithm in plain C++: for processors without AVX2, and to read before the vector paths.
void score_head_portable(const ScoreOperands& operands, float* scores) {
  std::fill(scores, scores + kTileTokens, 0.0f);
  for (int begin = 0; begin < operands.dims; begin += kStepBytes) {
    std::int8_t largest[kTileTokens];
    std::fill(largest, largest + kTileTokens, kNoExponent);
    for (int d = begin; d < begin + kStepBytes; ++d) {
      const std::int8_t* key = operands.key_exponent + static_cast<std::ptrdiff_t>(d) * kTileTokens;
      for (int t = 0; t < kTileTokens; ++t) {
        largest[t] = std::max(largest[t], static_cast<std::int8_t>(operands.query_exponent[d] + key[t]));
      }
    }
    float to_unit[kTileTokens];
    std::int32_t exponent[kTileTokens], sum[kTileTokens];
    for (int t = 0; t < kTileTokens; ++t) {
      const int own = static_cast<int>(bit_cast<std::uint32_t>(scores[t]) >> 23 & 0xff) - 127;
      exponent[t] = std::max<int>(largest[t], own);
      to_unit[t] = bit_cast<float>(static_cast<std::uint32_t>(127 + 13 - exponent[t]) << 23);
      sum[t] = static_cast<std::int32_t>(scores[t] * to_unit[t]);
    }
    for (int d = begin; d < begin + kStepBytes; ++d) {
      const float* key = operands.key_value + static_cast<std::ptrdiff_t>(d) * kTileTokens;
      for (int t = 0; t < kTileTokens; ++t) {
        sum[t] += static_cast<std::int32_t>(operands.query_value[d] * key[t] * to_unit[t]);
      }
    }
    for (int t = 0; t < kTileTokens; ++t) {
      const std::uint32_t bits = bit_cast<std::uint32_t>(static_cast<float>(sum[t])) & 0xfffffc00u;
      const float unit = bit_cast<float>(static_cast<std::uint32_t>(127 - 13 + exponent[t]) << 23);
      scores[t] = bit_cast<float>(bits) * unit;
    }
  }
}

#if !defined(ASSAY_TWIN_X86)
void score_head_avx2(const ScoreOperands& operands, float* scores) { score_head_portable(operands, scores); }
void score_head_avx512(const ScoreOperands& operands, float* scores) {
  score_head_portable(operands, scores);
}
#endif

template void load_keys<E4M3>(const std::array<const std::uint8_t*, kTileTokens>&, int, KeyTile&);
template void load_keys<E5M2>(const std::array<const std::uint8_t*, kTileTokens>&, int, KeyTile&);
template void QueryHeads::load<E4M3>(const std::uint8_t*, int, int, std::int64_t);
template void QueryHeads::load<E5M2>(const std::uint8_t*, int, int, std::int64_t);
template void score_tile<E4M3>(const QueryHeads&, const KeyTile&, ScorePath, float*);
template void score_tile<E5M2>(const QueryHeads&, const KeyTile&, ScorePath, float*);

}  // namespace assay::twin
