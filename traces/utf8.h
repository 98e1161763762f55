// Valid UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace assay {

// Length of the sequence that begins at `p` with a byte >= 0x80; 0 if it is not one.
[[nodiscard]] inline int utf8_length(const char* p, const char* end) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(p + i < end ? p[i] : 0); };
  const unsigned char a = byte(0), b = byte(1);
  const auto tail = [](unsigned char c) { return (c & 0xc0) == 0x80; };
  if (a >= 0xc2 && a <= 0xdf) return tail(b) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    if (!tail(b) || !tail(byte(2))) return 0;
    if (a == 0xe0 && b < 0xa0) return 0;
    return a == 0xed && b > 0x9f ? 0 : 3;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    if (!tail(b) || !tail(byte(2)) || !tail(byte(3))) return 0;
    if (a == 0xf0 && b < 0x90) return 0;
    return a == 0xf4 && b > 0x8f ? 0 : 4;
  }
  return 0;
}

// The first byte that is not part of valid UTF-8; `end` when all is.
[[nodiscard]] inline const char* find_invalid_utf8(const char* p, const char* end) {
  while (p < end) {
    if (static_cast<unsigned char>(*p) < 0x80) {
      ++p;
      continue;
    }
    const int length = utf8_length(p, end);
    if (length == 0) return p;
    p += length;
  }
  return end;
}

}  // namespace assay
