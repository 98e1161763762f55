// score_head on AVX2 and on AVX-512: the text of score_head_portable with 8 and 16 lanes. The AVX-512
// function is compiled for that processor alone and called only where the processor has it, so the
// program runs on every x86-64-v3 machine.
#include "model/twin/fp8_scores.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns about the undefined vectors inside its own AVX-512 header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "model/twin/tensor_core.h"

#define ASSAY_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))

namespace assay::twin {

// 64 tokens are done as two halves of 32: four vectors of sums and four of scales stay in registers.
void score_head_avx2(const ScoreOperands& operands, float* scores) {
  constexpr int kLanes = 8, kVectors = 4, kHalf = kLanes * kVectors;
  const __m256i mantissa_13 = _mm256_set1_epi32(static_cast<int>(0xfffffc00u));
  for (int half = 0; half < kTileTokens; half += kHalf) {
    const float* key_value = operands.key_value + half;
    const std::int8_t* key_exponent = operands.key_exponent + half;
    __m256 accumulator[kVectors];
    for (__m256& a : accumulator) a = _mm256_setzero_ps();
    for (int begin = 0; begin < operands.dims; begin += kStepBytes) {
      __m256i largest = _mm256_set1_epi8(kNoExponent);  // 32 tokens
      for (int d = begin; d < begin + kStepBytes; ++d) {
        const __m256i key = _mm256_load_si256(
            reinterpret_cast<const __m256i*>(key_exponent + static_cast<std::ptrdiff_t>(d) * kTileTokens));
        largest =
            _mm256_max_epi8(largest, _mm256_add_epi8(key, _mm256_set1_epi8(operands.query_exponent[d])));
      }
      alignas(32) std::int8_t largest_bytes[kHalf];
      _mm256_store_si256(reinterpret_cast<__m256i*>(largest_bytes), largest);
      __m256 to_unit[kVectors], unit[kVectors];
      __m256i sum[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const __m256i own =
            _mm256_sub_epi32(_mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(accumulator[v]), 23),
                                              _mm256_set1_epi32(0xff)),
                             _mm256_set1_epi32(127));
        const __m256i products = _mm256_cvtepi8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(largest_bytes + v * kLanes)));
        const __m256i exponent = _mm256_max_epi32(products, own);
        to_unit[v] = _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(127 + 13), exponent), 23));
        unit[v] = _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_add_epi32(_mm256_set1_epi32(127 - 13), exponent), 23));
        sum[v] = _mm256_cvttps_epi32(_mm256_mul_ps(accumulator[v], to_unit[v]));
      }
      for (int d = begin; d < begin + kStepBytes; ++d) {
        const __m256 query = _mm256_broadcast_ss(operands.query_value + d);
        const float* key = key_value + static_cast<std::ptrdiff_t>(d) * kTileTokens;
        for (int v = 0; v < kVectors; ++v) {
          const __m256 product = _mm256_mul_ps(query, _mm256_load_ps(key + v * kLanes));
          sum[v] = _mm256_add_epi32(sum[v], _mm256_cvttps_epi32(_mm256_mul_ps(product, to_unit[v])));
        }
      }
      for (int v = 0; v < kVectors; ++v) {
        const __m256i cut = _mm256_and_si256(_mm256_castps_si256(_mm256_cvtepi32_ps(sum[v])), mantissa_13);
        accumulator[v] = _mm256_mul_ps(_mm256_castsi256_ps(cut), unit[v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(scores + half + v * kLanes, accumulator[v]);
  }
}

ASSAY_TARGET_AVX512 void score_head_avx512(const ScoreOperands& operands, float* scores) {
  constexpr int kLanes = 16, kVectors = 4;
  static_assert(kLanes * kVectors == kTileTokens);
  const __m512i mantissa_13 = _mm512_set1_epi32(static_cast<int>(0xfffffc00u));
  __m512 accumulator[kVectors];
  for (int v = 0; v < kVectors; ++v) accumulator[v] = _mm512_setzero_ps();
  for (int begin = 0; begin < operands.dims; begin += kStepBytes) {
    __m512i largest = _mm512_set1_epi8(kNoExponent);  // 64 tokens
    for (int d = begin; d < begin + kStepBytes; ++d) {
      const __m512i key =
          _mm512_load_si512(operands.key_exponent + static_cast<std::ptrdiff_t>(d) * kTileTokens);
      largest = _mm512_max_epi8(largest, _mm512_add_epi8(key, _mm512_set1_epi8(operands.query_exponent[d])));
    }
    alignas(64) std::int8_t largest_bytes[kTileTokens];
    _mm512_store_si512(largest_bytes, largest);
    __m512 to_unit[kVectors], unit[kVectors];
    __m512i sum[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const __m512i own =
          _mm512_sub_epi32(_mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(accumulator[v]), 23),
                                            _mm512_set1_epi32(0xff)),
                           _mm512_set1_epi32(127));
      const __m512i products =
          _mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(largest_bytes + v * kLanes)));
      const __m512i exponent = _mm512_max_epi32(products, own);
      to_unit[v] =
          _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_sub_epi32(_mm512_set1_epi32(127 + 13), exponent), 23));
      unit[v] =
          _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_set1_epi32(127 - 13), exponent), 23));
      sum[v] = _mm512_cvttps_epi32(_mm512_mul_ps(accumulator[v], to_unit[v]));
    }
    for (int d = begin; d < begin + kStepBytes; ++d) {
      const __m512 query = _mm512_set1_ps(operands.query_value[d]);
      const float* key = operands.key_value + static_cast<std::ptrdiff_t>(d) * kTileTokens;
      for (int v = 0; v < kVectors; ++v) {
        const __m512 product = _mm512_mul_ps(query, _mm512_load_ps(key + v * kLanes));
        sum[v] = _mm512_add_epi32(sum[v], _mm512_cvttps_epi32(_mm512_mul_ps(product, to_unit[v])));
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const __m512i cut = _mm512_and_si512(_mm512_castps_si512(_mm512_cvtepi32_ps(sum[v])), mantissa_13);
      accumulator[v] = _mm512_mul_ps(_mm512_castsi512_ps(cut), unit[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(scores + v * kLanes, accumulator[v]);
}

}  // namespace assay::twin
#endif
