#include "traces/formats.h"

#include <algorithm>
#include <cstring>

#include "model/core/check.h"
#include "traces/csv_record.h"
#include "traces/json_record.h"

namespace assay {
namespace {

// The lines of `start`, as views with room behind; the last one only if nothing else is there.
[[nodiscard]] bool next_line(std::string_view start, std::size_t& at, Line& line) {
  if (at >= start.size()) return false;
  const std::size_t newline = start.find('\n', at);
  const bool cut = newline == std::string_view::npos;
  if (cut && line.number > 0) return false;  // perhaps cut in the middle
  const std::size_t end = cut ? start.size() : newline;
  line.begin = start.data() + at;
  line.end = start.data() + end;
  if (line.end > line.begin && line.end[-1] == '\r') --line.end;
  ++line.number;
  at = end + 1;
  return true;
}

[[nodiscard]] bool blank(const Line& line) {
  return std::all_of(line.begin, line.end, [](char c) { return c == ' ' || c == '\t' || c == '\r'; });
}

[[nodiscard]] bool has(const std::vector<std::string>& keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

[[nodiscard]] std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// Which table knows all it requires among the columns, with the most columns known.
[[nodiscard]] const FormatSpec* match_csv(const std::vector<std::string>& columns) {
  const FormatSpec* best = nullptr;
  std::size_t best_known = 0;
  for (const FormatSpec* format : trace_formats()) {
    if (format->shape != Shape::kCsv) continue;
    std::uint32_t seen = 0;
    std::size_t known = 0;
    for (const FieldName& name : format->fields)
      if (has(columns, name.name)) {
        seen |= field_bit(name.field);
        ++known;
      }
    if ((format->required & ~seen) == 0 && known > best_known) {
      best = format;
      best_known = known;
    }
  }
  return best;
}

}  // namespace

const std::vector<const FormatSpec*>& trace_formats() {
  static const std::vector<const FormatSpec*> formats = {&mooncake_format(), &azure_2023_format()};
  return formats;
}

const FormatSpec* find_trace_format(std::string_view name) {
  for (const FormatSpec* format : trace_formats())
    if (format->name == name) return format;
  return nullptr;
}

std::string trace_format_names() {
  std::string out;
  for (const FormatSpec* format : trace_formats()) {
    if (!out.empty()) out += ", ";
    out += format->name;
  }
  return out;
}

const FormatSpec& recognise_trace_format(std::string_view start, const std::string& name) {
  const std::string expected =
      "a trace format that is recognised (else name it: --format " + trace_format_names() + ")";
  Line line;
  std::size_t at = 0;
  Fault fault;
  while (next_line(start, at, line)) {
    if (blank(line)) continue;
    const char* first = line.begin;
    while (*first == ' ' || *first == '\t') ++first;
    const std::string place = name + ":" + std::to_string(line.number) + ":1";
    if (*first != '{') {
      std::vector<std::string> columns;
      const FormatSpec* format = split_csv(line, columns, fault) ? match_csv(columns) : nullptr;
      if (format != nullptr) return *format;
      throw InputError(place, expected, "the columns " + show_text(line.begin, line.end));
    }
    std::vector<std::string> keys;
    if (!json_keys(line, keys, fault)) continue;  // one bad line must not hide the format of the others
    if (has(keys, "timestamp") && has(keys, "input_length") && has(keys, "output_length"))
      return mooncake_format();
    throw InputError(place, expected, "an object with the keys " + listed(keys));
  }
  if (fault.code.empty()) throw InputError(name, "a trace", "no lines in it");
  throw InputError(name + ":" + std::to_string(line.number) + ":" + std::to_string(fault.column),
                   fault.expected, fault.got);
}

}  // namespace assay
