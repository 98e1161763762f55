#include "traces/fault.h"

#include <algorithm>

namespace assay {

std::string show_text(const char* p, const char* end) {
  if (p >= end) return "the end of the line";
  constexpr std::ptrdiff_t kShown = 24;
  constexpr char kHex[] = "0123456789abcdef";
  const bool cut = end - p > kShown;
  std::string out = "'";
  for (const char* c = p; c < p + std::min(end - p, kShown); ++c) {
    const auto byte = static_cast<unsigned char>(*c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += *c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out + (cut ? "...'" : "'");
}

bool fail(Fault& fault, std::string_view code, const Line& line, const char* at, std::string expected,
          std::string got) {
  fault.code = code;
  fault.column = line.column(at);
  fault.expected = std::move(expected);
  fault.got = std::move(got);
  return false;
}

bool fail(Fault& fault, std::string_view code, const Line& line, const char* at, std::string expected) {
  return fail(fault, code, line, at, std::move(expected), show_text(at, line.end));
}

}  // namespace assay
