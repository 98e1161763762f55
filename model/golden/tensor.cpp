#include "model/golden/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace assay {
namespace {

template <typename Format>
struct ByteTable {
  double value[256];
  constexpr ByteTable() : value{} {
    for (int code = 0; code < 256; ++code) value[code] = Format::decode(static_cast<std::uint8_t>(code));
  }
};
constexpr ByteTable<E4M3> kE4M3Table;
constexpr ByteTable<E5M2> kE5M2Table;

// Branch-free, so that the compiler makes vectors of it: the code's exponent and mantissa are put where
// a float has them, and one exact scaling corrects the bias (subnormals included).
inline float fp16_to_float(std::uint16_t code) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(code & 0x7fff) << 13;
  const float scaled = bit_cast<float>(magnitude) * 0x1p112f;
  const std::uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return bit_cast<float>(bit_cast<std::uint32_t>(scaled) | special |
                         static_cast<std::uint32_t>(code & 0x8000) << 16);
}

template <typename Code>
Code load(const std::byte* at) {
  Code code;
  std::memcpy(&code, at, sizeof code);
  return code;
}

}  // namespace

double load_element(const void* address, ElementType type) {
  double value = 0;
  decode_row(address, type, 1, &value);
  return value;
}

void decode_row(const void* source, ElementType type, std::int64_t count, double* target) {
  const std::byte* from = static_cast<const std::byte*>(source);
  switch (type) {
    case ElementType::kFp32:
      for (std::int64_t i = 0; i < count; ++i) target[i] = static_cast<double>(load<float>(from + i * 4));
      return;
    case ElementType::kBf16:
      for (std::int64_t i = 0; i < count; ++i)
        target[i] = static_cast<double>(
            bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(from + i * 2)) << 16));
      return;
    case ElementType::kFp16:
      for (std::int64_t i = 0; i < count; ++i)
        target[i] = static_cast<double>(fp16_to_float(load<std::uint16_t>(from + i * 2)));
      return;
    case ElementType::kE4M3:
      for (std::int64_t i = 0; i < count; ++i) target[i] = kE4M3Table.value[std::to_integer<int>(from[i])];
      return;
    case ElementType::kE5M2:
      for (std::int64_t i = 0; i < count; ++i) target[i] = kE5M2Table.value[std::to_integer<int>(from[i])];
      return;
  }
}

double round_to(ElementType type, double value) {
  switch (type) {
    case ElementType::kFp32: return static_cast<double>(static_cast<float>(value));
    case ElementType::kBf16: return Bf16::decode(Bf16::encode(value, Overflow::kInfinity));
    case ElementType::kFp16: return Fp16::decode(Fp16::encode(value, Overflow::kInfinity));
    case ElementType::kE4M3: return E4M3::decode(E4M3::encode(value));
    case ElementType::kE5M2: return E5M2::decode(E5M2::encode(value, Overflow::kInfinity));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace assay
