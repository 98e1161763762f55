// The grammar half of json_record.h: strings, numbers, arrays, skipped values.
#include <cstring>

#include "traces/json_record.h"
#include "traces/utf8.h"

namespace assay {
namespace {

[[nodiscard]] bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

[[nodiscard]] std::uint32_t hex_value(const char* p) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    value = value * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 63));
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  }
}

}  // namespace

std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    const char c = raw[++i];
    if (c == 'u') {
      std::uint32_t code = hex_value(raw.data() + i + 1);
      i += 4;
      if (code >= 0xd800 && code <= 0xdbff) {  // raw_string() saw that the low half follows
        code = 0x10000 + ((code - 0xd800) << 10) + (hex_value(raw.data() + i + 3) - 0xdc00);
        i += 6;
      }
      append_utf8(out, code);
    } else {
      constexpr char kFrom[] = "bfnrt", kTo[] = "\b\f\n\r\t";
      const char* at = std::strchr(kFrom, c);
      out += at != nullptr && *at != '\0' ? kTo[at - kFrom] : c;
    }
  }
  return out;
}

bool JsonCursor::take_null() {
  if (line_.end - p_ < 4 || std::memcmp(p_, "null", 4) != 0) return false;
  p_ += 4;
  return true;
}

bool JsonCursor::raw_string(std::string_view& raw, bool& escaped) {
  if (!expect('"', "a string")) return false;
  const char* first = p_;
  const char* end = line_.end;
  escaped = false;
  while (p_ < end) {
    const auto c = static_cast<unsigned char>(*p_);
    if (c == '"') {
      raw = {first, static_cast<std::size_t>(p_ - first)};
      ++p_;
      return true;
    }
    if (c < 0x20) return fail_here("syntax", "no control character in a string");
    if (c >= 0x80) {
      const int length = utf8_length(p_, end);
      if (length == 0) return fail_here("utf-8", "valid UTF-8");
      p_ += length;
      continue;
    }
    if (c != '\\') {
      ++p_;
      continue;
    }
    escaped = true;
    const char kind = end - p_ >= 2 ? p_[1] : '\0';
    if (kind == 'u') {
      const auto unit = [&](const char* at) {
        for (int i = 0; i < 4; ++i)
          if (at + i >= end || !is_hex(at[i])) return false;
        return true;
      };
      if (!unit(p_ + 2)) return fail_here("syntax", "four hexadecimal digits after \\u");
      const std::uint32_t code = hex_value(p_ + 2);
      if (code >= 0xdc00 && code <= 0xdfff) return fail_here("utf-8", "a high surrogate before a low one");
      if (code >= 0xd800 && code <= 0xdbff) {
        const bool low = end - p_ >= 12 && p_[6] == '\\' && p_[7] == 'u' && unit(p_ + 8) &&
                         hex_value(p_ + 8) >= 0xdc00 && hex_value(p_ + 8) <= 0xdfff;
        if (!low) return fail_here("utf-8", "a low surrogate after a high one");
        p_ += 6;
      }
      p_ += 6;
    } else if (kind != '\0' && std::strchr("\"\\/bfnrt", kind) != nullptr) {
      p_ += 2;
    } else {
      return fail_here("syntax", "a known escape");
    }
  }
  return fail_here("syntax", "the end of a string");
}

bool JsonCursor::string(std::string& out) {
  std::string_view raw;
  bool escaped = false;
  if (!raw_string(raw, escaped)) return false;
  if (escaped) {
    out = unescape(raw);
  } else {
    out.assign(raw);
  }
  return true;
}

bool JsonCursor::decimal(Decimal& out, const char* what) {
  const char* stop = nullptr;
  const char* behind = parse_decimal(p_, line_.end, out, &stop);
  if (behind != nullptr) {
    p_ = behind;
    return true;
  }
  // The start of another kind of value is a wrong type; anything else is no JSON.
  const bool other_type =
      stop == p_ && p_ < line_.end && std::strchr("\"{[tfn", *p_) != nullptr && *p_ != '\0';
  p_ = stop;
  return fail_here(other_type ? "type" : "syntax", what);
}

bool JsonCursor::integer(std::int64_t& out, const char* what) {
  const LongRun run = scan_digits(p_);
  const char after = run.count <= 16 ? p_[run.count] : '.';
  const bool plain =
      run.count > 0 && after != '.' && after != 'e' && after != 'E' && (*p_ != '0' || run.count == 1);
  if (plain) {
    out = static_cast<std::int64_t>(run.value);
    p_ += run.count;
    return true;
  }
  const char* start = p_;
  Decimal number;
  if (!decimal(number, what)) return false;
  switch (scale(number, 0, out)) {
    case Scaled::kExact: return true;
    case Scaled::kOverflow: p_ = start; return fail_here("overflow", std::string(what) + " below 2^63");
    case Scaled::kRounded: break;
  }
  p_ = start;
  return fail_here("type", what);
}

bool JsonCursor::boolean(bool& out, const char* what) {
  const auto literal = [&](const char* text, std::ptrdiff_t size) {
    if (line_.end - p_ < size || std::memcmp(p_, text, static_cast<std::size_t>(size)) != 0) return false;
    p_ += size;
    return true;
  };
  if (literal("true", 4)) {
    out = true;
    return true;
  }
  if (literal("false", 5)) {
    out = false;
    return true;
  }
  return fail_here("type", what);
}

bool JsonCursor::integers(std::vector<std::int64_t>& out, const char* what) {
  if (!take('[')) return fail_here("type", std::string("a list: ") + what);
  skip_space();
  if (take(']')) return true;
  for (;;) {
    // The common case: digits, then ", " or "]".
    const LongRun run = scan_digits(p_);
    const char after = run.count <= 16 ? p_[run.count] : '.';
    if (run.count > 0 && after == ',' && (*p_ != '0' || run.count == 1)) {
      out.push_back(static_cast<std::int64_t>(run.value));
      p_ += run.count + 1;
      if (*p_ == ' ') ++p_;
      continue;
    }
    skip_space();
    std::int64_t value = 0;
    if (!integer(value, what)) return false;
    out.push_back(value);
    skip_space();
    if (take(']')) return true;
    if (!expect(',', "',' or ']'")) return false;
    skip_space();
  }
}

bool JsonCursor::strings(std::vector<std::string>& out, const char* what) {
  if (!take('[')) return fail_here("type", std::string("a list: ") + what);
  skip_space();
  if (take(']')) return true;
  for (;;) {
    std::string text;
    if (p_ < line_.end && *p_ != '"') return fail_here("type", what);
    if (!string(text)) return false;
    out.push_back(std::move(text));
    skip_space();
    if (take(']')) return true;
    if (!expect(',', "',' or ']'")) return false;
    skip_space();
  }
}

bool JsonCursor::skip_value(int depth) {
  if (at_end()) return fail_here("syntax", "a value");
  switch (*p_) {
    case '"': {
      std::string_view raw;
      bool escaped = false;
      return raw_string(raw, escaped);
    }
    case '{':
    case '[': {
      if (depth >= kMaxDepth) return fail_here("syntax", "nesting of at most 256");
      const bool object = *p_++ == '{';
      const char close = object ? '}' : ']';
      skip_space();
      if (take(close)) return true;
      for (;;) {
        if (object) {
          std::string_view key;
          bool escaped = false;
          if (!raw_string(key, escaped)) return false;
          skip_space();
          if (!expect(':', "':'")) return false;
          skip_space();
        }
        if (!skip_value(depth + 1)) return false;
        skip_space();
        if (take(close)) return true;
        if (!expect(',', object ? "',' or '}'" : "',' or ']'")) return false;
        skip_space();
      }
    }
    case 'n': return take_null() || fail_here("syntax", "a value");
    case 't':
    case 'f': {
      bool ignored = false;
      return boolean(ignored, "a value") || fail_here("syntax", "a value");
    }
    default: {
      Decimal ignored;
      return decimal(ignored, "a value") || fail_here("syntax", "a value");
    }
  }
}

}  // namespace assay
