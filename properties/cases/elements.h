// One element of a tensor, stored: rounded once, to nearest even.
#pragma once

#include <cstdint>
#include <cstring>

#include "model/core/float_formats.h"

namespace assay::properties {

inline void store_element(void* address, ElementType type, double value, Overflow overflow) {
  const auto write = [&](auto code) { std::memcpy(address, &code, sizeof code); };
  switch (type) {
    case ElementType::kFp32: return write(static_cast<float>(value));
    case ElementType::kBf16: return write(Bf16::encode(value, overflow));
    case ElementType::kFp16: return write(Fp16::encode(value, overflow));
    case ElementType::kE4M3: return write(E4M3::encode(value));
    case ElementType::kE5M2: return write(E5M2::encode(value, overflow));
  }
}

}  // namespace assay::properties
