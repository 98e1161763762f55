// Filling tensors with what belongs to nobody: bytes, words, dead table entries. Private to properties/cases.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "properties/cases/contents.h"

namespace assay::properties {

// What exists of a pool that is too large to exist as a whole: its blocks, and the foreign one.
[[nodiscard]] std::vector<ByteRange> islands_of(const Pool& pool, std::int64_t block_bytes);

void fill_bytes(std::byte* data, const Operand& operand, std::uint8_t byte);

template <typename T>
void fill_words(std::byte* data, std::int64_t span_bytes, T word) {
  for (std::int64_t at = 0; at + static_cast<std::int64_t>(sizeof(T)) <= span_bytes; at += sizeof(T))
    std::memcpy(data + at, &word, sizeof(T));
}

// What dead bytes of floats hold: NaN in every format, or large finite numbers (fp16 6e4, bf16 and fp32 1e36).
[[nodiscard]] inline std::uint8_t float_poison(Poison poison) {
  return poison == Poison::kFirst ? 0xff : 0x7b;
}
// Gaps between lengths.
[[nodiscard]] std::int32_t integer_poison(Poison poison);

// Physical ids, and what dead entries hold.
void fill_table(Poison poison, const Operand& operand, const Pool& pool, std::byte* table);

}  // namespace assay::properties
