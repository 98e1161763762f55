#include "model/twin/half_steps.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "model/core/check.h"

#if defined(__x86_64__) && defined(__AVX2__)
#define ASSAY_TWIN_AVX2 1
#include <immintrin.h>
#endif

namespace assay::twin {
namespace {

constexpr int kDepth = 16;  // products of a step
constexpr int kChunk = 16;  // lanes that stay in registers

template <typename Format>
std::int16_t exponent_of(typename Format::Code code) {
  const int field = (code & Format::kMagnitudeMask) >> Format::kMantissa;
  if ((code & Format::kMagnitudeMask) == 0) return kNoHalfExponent;
  return static_cast<std::int16_t>((field == 0 ? 1 : field) - Format::kBias);
}

template <typename Format>
bool is_special(typename Format::Code code) {
  return (code & Format::kMagnitudeMask) >= Format::kInfinity;
}

// 2^exponent, for exponents of normal doubles.
double power_of_two(std::int64_t exponent) {
  return bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// One step on kChunk lanes. value, exponent: [kDepth] rows, `stride` apart. Finite operands only.
void step_portable(const double* value, const std::int16_t* exponent, std::ptrdiff_t stride,
                   const double* shared_value, const std::int16_t* shared_exponent, float* accumulators) {
  std::int16_t largest[kChunk];
  for (int i = 0; i < kChunk; ++i) {
    const std::uint32_t magnitude = bit_cast<std::uint32_t>(accumulators[i]) & 0x7fffffffu;
    const int field = static_cast<int>(magnitude >> 23);
    largest[i] = static_cast<std::int16_t>(magnitude == 0 ? kNoHalfExponent : std::max(field, 1) - 127);
  }
  for (int k = 0; k < kDepth; ++k) {
    for (int i = 0; i < kChunk; ++i) {
      largest[i] =
          std::max(largest[i], static_cast<std::int16_t>(exponent[k * stride + i] + shared_exponent[k]));
    }
  }
  double to_unit[kChunk];
  std::int32_t low[kChunk], high[kChunk];
  for (int i = 0; i < kChunk; ++i) {
    to_unit[i] = power_of_two(25 - std::int64_t{largest[i]});
    low[i] = static_cast<std::int32_t>(static_cast<double>(accumulators[i]) * to_unit[i]);
    high[i] = 0;
  }
  for (int k = 0; k < kDepth; ++k) {
    std::int32_t* sum = k < kDepth / 2 ? low : high;
    for (int i = 0; i < kChunk; ++i) {
      sum[i] += static_cast<std::int32_t>(value[k * stride + i] * shared_value[k] * to_unit[i]);
    }
  }
  for (int i = 0; i < kChunk; ++i) {
    const double sum = static_cast<double>(low[i]) + static_cast<double>(high[i]);
    const double exact = sum * power_of_two(std::int64_t{largest[i]} - 25);
    const double normal = bit_cast<double>(bit_cast<std::uint64_t>(exact) & ~((std::uint64_t{1} << 29) - 1));
    // Clamped to the smallest normal number, the quanta fit int32 for every lane.
    const double clamped = std::min(std::max(exact, -0x1p-126), 0x1p-126);
    const double subnormal = static_cast<double>(static_cast<std::int32_t>(clamped * 0x1p149)) * 0x1p-149;
    accumulators[i] = static_cast<float>(std::fabs(exact) < 0x1p-126 ? subnormal : normal);
  }
}

#if defined(ASSAY_TWIN_AVX2)
// The same, 16 lanes of exponents in one vector and four vectors of four doubles each.
void step_avx2(const double* value, const std::int16_t* exponent, std::ptrdiff_t stride,
               const double* shared_value, const std::int16_t* shared_exponent, float* accumulators) {
  constexpr int kWide = 4, kVectors = kChunk / kWide;
  __m256i largest = _mm256_set1_epi16(kNoHalfExponent);
  for (int k = 0; k < kDepth; ++k) {
    const __m256i own = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(exponent + k * stride));
    largest = _mm256_max_epi16(largest, _mm256_add_epi16(own, _mm256_set1_epi16(shared_exponent[k])));
  }
  alignas(32) std::int16_t products[kChunk];
  _mm256_store_si256(reinterpret_cast<__m256i*>(products), largest);

  __m256d to_unit[kVectors], unit[kVectors];
  __m128i low[kVectors], high[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const __m128 before = _mm_loadu_ps(accumulators + v * kWide);
    const __m128i magnitude = _mm_and_si128(_mm_castps_si128(before), _mm_set1_epi32(0x7fffffff));
    const __m128i own =
        _mm_sub_epi32(_mm_max_epi32(_mm_srli_epi32(magnitude, 23), _mm_set1_epi32(1)), _mm_set1_epi32(127));
    const __m128i is_zero = _mm_cmpeq_epi32(magnitude, _mm_setzero_si128());
    const __m128i counted = _mm_blendv_epi8(own, _mm_set1_epi32(kNoHalfExponent), is_zero);
    const __m128i of_products =
        _mm_cvtepi16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(products + v * kWide)));
    const __m256i exponents = _mm256_cvtepi32_epi64(_mm_max_epi32(counted, of_products));
    const auto power = [](__m256i e) {
      return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(e, _mm256_set1_epi64x(1023)), 52));
    };
    to_unit[v] = power(_mm256_sub_epi64(_mm256_set1_epi64x(25), exponents));
    unit[v] = power(_mm256_sub_epi64(exponents, _mm256_set1_epi64x(25)));
    low[v] = _mm256_cvttpd_epi32(_mm256_mul_pd(_mm256_cvtps_pd(before), to_unit[v]));
    high[v] = _mm_setzero_si128();
  }
  const auto add = [&](int k, __m128i* sum) {
    const __m256d shared = _mm256_broadcast_sd(shared_value + k);
    for (int v = 0; v < kVectors; ++v) {
      const __m256d product = _mm256_mul_pd(_mm256_loadu_pd(value + k * stride + v * kWide), shared);
      sum[v] = _mm_add_epi32(sum[v], _mm256_cvttpd_epi32(_mm256_mul_pd(product, to_unit[v])));
    }
  };
  for (int k = 0; k < kDepth / 2; ++k) add(k, low);
  for (int k = kDepth / 2; k < kDepth; ++k) add(k, high);

  const __m256d smallest = _mm256_set1_pd(0x1p-126), minus_smallest = _mm256_set1_pd(-0x1p-126);
  const __m256d mantissa_23 = _mm256_castsi256_pd(_mm256_set1_epi64x(-(std::int64_t{1} << 29)));
  for (int v = 0; v < kVectors; ++v) {
    const __m256d sum = _mm256_add_pd(_mm256_cvtepi32_pd(low[v]), _mm256_cvtepi32_pd(high[v]));
    const __m256d exact = _mm256_mul_pd(sum, unit[v]);
    const __m256d normal = _mm256_and_pd(exact, mantissa_23);
    const __m256d clamped = _mm256_min_pd(_mm256_max_pd(exact, minus_smallest), smallest);
    const __m256d quanta =
        _mm256_cvtepi32_pd(_mm256_cvttpd_epi32(_mm256_mul_pd(clamped, _mm256_set1_pd(0x1p149))));
    const __m256d subnormal = _mm256_mul_pd(quanta, _mm256_set1_pd(0x1p-149));
    const __m256d is_normal =
        _mm256_cmp_pd(_mm256_andnot_pd(_mm256_set1_pd(-0.0), exact), smallest, _CMP_GE_OQ);
    _mm_storeu_ps(accumulators + v * kWide, _mm256_cvtpd_ps(_mm256_blendv_pd(subnormal, normal, is_normal)));
  }
}
#endif

}  // namespace

template <typename Format>
void HalfTile<Format>::resize(int depth, int lanes) {
  ASSAY_CHECK(depth > 0 && depth % kDepth == 0 && lanes >= 0);
  depth_ = depth;
  lanes_ = lanes;
  const std::size_t elements = static_cast<std::size_t>(depth) * padded();
  code_.assign(elements, 0);
  value_.resize(elements);
  exponent_.resize(elements);
  special_.assign(static_cast<std::size_t>(depth / kDepth) * padded(), 0);
}

template <typename Format>
std::size_t HalfTile<Format>::padded() const {
  return (lanes_ + kChunk - 1) / kChunk * kChunk;
}

// Fills value, exponent and special from the codes, in loops that vectorise. A code's bits moved under
// the fp32 exponent and multiplied by a power of two are its value, subnormals included.
template <typename Format>
void HalfTile<Format>::decode() {
  constexpr int kShift = 23 - Format::kMantissa;
  const float rebias = static_cast<float>(power_of_two(127 - Format::kBias));
  const std::size_t lanes = padded();
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const std::uint32_t magnitude = code_[i] & Format::kMagnitudeMask;
    const std::uint32_t sign = static_cast<std::uint32_t>(code_[i] & Format::kSignBit) << 16;
    const std::uint32_t finite = magnitude < Format::kInfinity ? magnitude : 0;
    value_[i] = static_cast<double>(bit_cast<float>(sign | finite << kShift) * rebias);
  }
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const int magnitude = code_[i] & Format::kMagnitudeMask;
    const int own = std::max(magnitude >> Format::kMantissa, 1) - Format::kBias;
    const bool counts = magnitude != 0 && magnitude < Format::kInfinity;
    exponent_[i] = static_cast<std::int16_t>(counts ? own : kNoHalfExponent);
  }
  for (int k = 0; k < depth_; ++k) {
    const Code* row = code_.data() + static_cast<std::size_t>(k) * lanes;
    std::uint8_t* special = special_.data() + static_cast<std::size_t>(k / kDepth) * lanes;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      special[lane] |= static_cast<std::uint8_t>((row[lane] & Format::kMagnitudeMask) >= Format::kInfinity);
    }
  }
}

template <typename Format>
void HalfTile<Format>::load_rows(const Code* const* rows, int depth, int lanes) {
  resize(depth, lanes);
  for (int k = 0; k < depth; ++k) {
    if (rows[k] == nullptr) continue;
    std::copy(rows[k], rows[k] + lanes, code_.data() + static_cast<std::size_t>(k) * padded());
  }
  decode();
}

template <typename Format>
void HalfTile<Format>::load_lanes(const Code* const* columns, int depth, int lanes) {
  resize(depth, lanes);
  const std::size_t stride = padded();
  for (int lane = 0; lane < lanes; ++lane) {
    if (columns[lane] == nullptr) continue;
    for (int k = 0; k < depth; ++k)
      code_[static_cast<std::size_t>(k) * stride + static_cast<std::size_t>(lane)] = columns[lane][k];
  }
  decode();
}

template <typename Format>
void HalfTile<Format>::slow_lane(const Code* shared, int k, int lane, float* accumulator) const {
  Code own[kDepth];
  for (int i = 0; i < kDepth; ++i) {
    own[i] = code_[static_cast<std::size_t>(k + i) * padded() + static_cast<std::size_t>(lane)];
  }
  *accumulator = tensor_core_step<Format>(own, shared + k, *accumulator);
}

template <typename Format>
void HalfTile<Format>::accumulate(const Code* shared, float* accumulators, HalfPath path) const {
  const auto stride = static_cast<std::ptrdiff_t>(padded());
#if defined(ASSAY_TWIN_AVX2)
  const auto step = path == HalfPath::kFastest ? step_avx2 : step_portable;
#else
  const auto step = step_portable;
  static_cast<void>(path);
#endif
  for (int k = 0; k < depth_; k += kDepth) {
    double shared_value[kDepth];
    std::int16_t shared_exponent[kDepth];
    bool shared_special = false;
    for (int i = 0; i < kDepth; ++i) {
      const Code code = shared[k + i];
      const bool special = is_special<Format>(code);
      shared_special = shared_special || special;
      shared_value[i] = special ? 0.0 : Format::decode(code);
      shared_exponent[i] = special ? kNoHalfExponent : exponent_of<Format>(code);
    }
    const std::uint8_t* special = special_.data() + k / kDepth * stride;
    for (int begin = 0; begin < lanes_; begin += kChunk) {
      const int count = std::min(kChunk, lanes_ - begin);
      float own[kChunk] = {}, before[kChunk] = {};
      std::copy(accumulators + begin, accumulators + begin + count, before);
      // What the fast path cannot do is done on a zero and replaced below.
      std::uint32_t slow = shared_special ? ~0u : 0u;
      for (int i = 0; i < kChunk; ++i) {
        const bool infinite = (bit_cast<std::uint32_t>(before[i]) & 0x7f800000u) == 0x7f800000u;
        slow |= static_cast<std::uint32_t>(special[begin + i] | infinite) << i;
        own[i] = infinite ? 0.0f : before[i];
      }
      step(value_.data() + k * stride + begin, exponent_.data() + k * stride + begin, stride, shared_value,
           shared_exponent, own);
      for (int i = 0; slow != 0 && i < count; ++i) {
        if ((slow >> i & 1) == 0) continue;
        own[i] = before[i];
        slow_lane(shared, k, begin + i, &own[i]);
      }
      std::copy(own, own + count, accumulators + begin);
    }
  }
}

template class HalfTile<Bf16>;
template class HalfTile<Fp16>;

}  // namespace assay::twin
