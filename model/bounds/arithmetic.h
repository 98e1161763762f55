// What a kernel declares about its arithmetic: the declaration selects the error bound. A kernel that
// declares nothing is judged as fp32 accumulation with bf16 probabilities; a false declaration shows
// as a failure.
#pragma once

#include "model/core/float_formats.h"

namespace assay {

// How a matrix product of a kernel adds up.
//   kFp32           IEEE fp32, round to nearest: CUDA cores, a textbook kernel
//   kTensorCore16   bf16/fp16 wgmma: per step of 16 products, terms truncated at 25 fraction bits below
//                   the largest, the fp32 result truncated to 23
//   kTensorCoreFp8  e4m3 wgmma: per step of 32 products, terms and the result truncated at 13 fraction
//                   bits (the accumulator is an E8M13 number)
enum class Accumulator { kFp32, kTensorCore16, kTensorCoreFp8 };

[[nodiscard]] constexpr const char* name_of(Accumulator accumulator) {
  switch (accumulator) {
    case Accumulator::kFp32: return "fp32";
    case Accumulator::kTensorCore16: return "tc16";
    case Accumulator::kTensorCoreFp8: return "fp8tc";
  }
  return "?";
}

// The unit roundoff of a format: half the spacing above 1.
[[nodiscard]] constexpr double unit_roundoff(ElementType type) {
  switch (type) {
    case ElementType::kFp32: return 0x1p-24;
    case ElementType::kBf16: return 0x1p-8;
    case ElementType::kFp16: return 0x1p-11;
    case ElementType::kE4M3: return 0x1p-4;
    case ElementType::kE5M2: return 0x1p-3;
  }
  return 0;
}

// Half the smallest subnormal: the absolute error of a value that underflows. For bf16 and fp32 it
// never matters (2^-134 and less).
[[nodiscard]] constexpr double underflow_floor(ElementType type) {
  switch (type) {
    case ElementType::kFp16: return 0x1p-25;
    case ElementType::kE4M3: return 0x1p-10;
    case ElementType::kE5M2: return 0x1p-17;
    default: return 0;
  }
}

struct Arithmetic {
  Accumulator accumulator = Accumulator::kFp32;  // of q.k, and of P.V
  ElementType p_type = ElementType::kBf16;       // attention: the type in which P meets V
  double p_scale = 1.0;                          // attention: P is multiplied by this before rounding
  double lambda = 6.0;                           // how many standard deviations the bound spans
};

}  // namespace assay
