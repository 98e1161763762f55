// What is wrong with one line, and where. A parser fills a Fault and returns false; the reader turns it
// into an InputError (place file:line:column), a skipped line, or a lint finding. No exception is thrown
// per line, so a file of nothing but bad lines is read as fast as a good one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

struct Fault {
  std::string_view code;    // stable word for lint and scripts: "syntax", "overflow", "column-count", ...
  std::int64_t column = 1;  // 1-based, in bytes
  std::string expected, got;
};

// One line of a trace as the line reader hands it out. `end` excludes "\n" and "\r\n"; at least
// kLinePadding bytes behind `end` are readable (the digit scanner loads eight bytes at once), and *end is
// never a digit.
struct Line {
  const char* begin = nullptr;
  const char* end = nullptr;
  std::int64_t number = 0;       // 1-based
  bool carriage_return = false;  // the line ended in "\r\n"
  bool terminated = true;        // false: the file ended without a newline

  [[nodiscard]] std::string_view text() const { return {begin, static_cast<std::size_t>(end - begin)}; }
  [[nodiscard]] std::int64_t column(const char* p) const { return p - begin + 1; }
};

inline constexpr std::size_t kLinePadding = 64;

// The text at `p` for a message: at most 24 bytes, quoted, with unprintable bytes as \xNN.
[[nodiscard]] std::string show_text(const char* p, const char* end);

// Fills `fault` and returns false, so that a parser can `return fail(...)`.
bool fail(Fault& fault, std::string_view code, const Line& line, const char* at, std::string expected,
          std::string got);
bool fail(Fault& fault, std::string_view code, const Line& line, const char* at, std::string expected);

}  // namespace assay
