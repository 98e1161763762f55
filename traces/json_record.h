// One JSON object on one line -> one request. A strict scanner for the schema of a trace record, not a
// JSON library: it makes no tree, copies nothing it does not keep, and reads integers eight digits at a
// time. It accepts exactly what the JSON grammar accepts (any order of keys, any spacing, escapes, unknown
// keys of any shape, valid UTF-8 only) with three rules of its own: a known key may appear once, nesting
// stops at kMaxDepth, and integers are int64. Its slow twin in the tests is nlohmann::json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "traces/fault.h"
#include "traces/numbers.h"
#include "traces/record.h"

namespace assay {

inline constexpr int kMaxDepth = 256;

// A position in a line and the grammar's productions. Every function returns false with `fault` filled.
class JsonCursor {
 public:
  JsonCursor(const Line& line, Fault& fault) : line_(line), p_(line.begin), fault_(fault) {}

  [[nodiscard]] const char* at() const { return p_; }
  [[nodiscard]] std::int64_t column() const { return line_.column(p_); }
  [[nodiscard]] bool at_end() const { return p_ >= line_.end; }

  void skip_space() {
    while (p_ < line_.end && (*p_ == ' ' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }
  // True and past it when the next byte is `c`.
  [[nodiscard]] bool take(char c) {
    if (p_ < line_.end && *p_ == c) {
      ++p_;
      return true;
    }
    return false;
  }
  [[nodiscard]] bool expect(char c, const char* what) {
    return take(c) || fail(fault_, "syntax", line_, p_, what);
  }
  bool fail_here(std::string_view code, std::string expected) {
    return fail(fault_, code, line_, p_, std::move(expected));
  }
  [[nodiscard]] bool take_null();

  // The bytes between the quotes, checked; `escaped` says that they hold backslashes.
  [[nodiscard]] bool raw_string(std::string_view& raw, bool& escaped);
  [[nodiscard]] bool string(std::string& out);
  [[nodiscard]] bool integer(std::int64_t& out, const char* what);
  [[nodiscard]] bool decimal(Decimal& out, const char* what);
  [[nodiscard]] bool boolean(bool& out, const char* what);
  [[nodiscard]] bool integers(std::vector<std::int64_t>& out, const char* what);
  [[nodiscard]] bool strings(std::vector<std::string>& out, const char* what);
  // Any value, checked and forgotten.
  [[nodiscard]] bool skip_value(int depth);

 private:
  const Line& line_;
  const char* p_;
  Fault& fault_;
};

// Replaces the escapes of a checked raw string by what they mean (UTF-8).
[[nodiscard]] std::string unescape(std::string_view raw);

// Fills `request` (cleared) from the object on `line`.
[[nodiscard]] bool parse_json_record(const FormatSpec& spec, const Line& line, Request& request,
                                     RecordFacts& facts, Fault& fault);

// The top-level keys of the object on `line`, in order; for recognising a format.
[[nodiscard]] bool json_keys(const Line& line, std::vector<std::string>& keys, Fault& fault);

}  // namespace assay
