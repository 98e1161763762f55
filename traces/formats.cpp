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
  for (const std::string& name : names)
    out += (out.empty() ? "" : ", ") + show_text(name.data(), name.data() + name.size());
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

// 2023 and 2024 have the same columns; a date of 2024 has an offset, one of 2023 a fraction.
[[nodiscard]] const FormatSpec& azure_of(std::string_view start, std::size_t at, Line line) {
  while (next_line(start, at, line)) {
    if (blank(line)) continue;
    const std::string_view date = line.text().substr(0, line.text().find(','));
    const bool offset = date.find('+') != std::string_view::npos || date.find('.') == std::string_view::npos;
    return offset ? azure_2024_format() : azure_2023_format();
  }
  return azure_2023_format();
}

[[nodiscard]] bool fits(const Request& request, std::int64_t hash_tokens) {
  const auto count = static_cast<std::int64_t>(request.hash_ids.size());
  return count == request.input_tokens / hash_tokens ||
         count == request.input_tokens / hash_tokens + (request.input_tokens % hash_tokens != 0 ? 1 : 0);
}

// Records with Mooncake's keys: 512-token ids are Mooncake, 16-token ids vLLM. Counts both over the lines
// at hand, so that a few broken ones do not decide.
[[nodiscard]] const FormatSpec& mooncake_or_vllm(std::string_view start, const std::string& name) {
  std::int64_t as_mooncake = 0, as_vllm = 0, neither = 0;
  Line line, example;
  std::size_t at = 0;
  Request request;
  RecordFacts facts;
  Fault fault;
  while (next_line(start, at, line)) {
    clear(request);
    if (blank(line) || !parse_json_record(mooncake_format(), line, request, facts, fault)) continue;
    if (request.hash_ids.empty()) continue;
    const bool mooncake = fits(request, mooncake_format().hash_tokens);
    const bool vllm = fits(request, vllm_timed_format().hash_tokens);
    as_mooncake += mooncake ? 1 : 0;
    as_vllm += vllm ? 1 : 0;
    neither += mooncake || vllm ? 0 : 1;
    if (!mooncake && !vllm && example.number == 0) {
      example = line;
      example.begin += facts.at(Field::kHashIds) - 1;
      fault.got = std::to_string(request.hash_ids.size()) + " ids for " +
                  std::to_string(request.input_tokens) + " tokens";
      fault.column = facts.at(Field::kHashIds);
    }
  }
  if (neither > as_mooncake && neither > as_vllm)
    throw InputError(name + ":" + std::to_string(example.number) + ":" + std::to_string(fault.column),
                     "hash ids of 512 tokens (mooncake) or 16 (vllm-timed), or --hash-tokens N", fault.got);
  return as_vllm > as_mooncake ? vllm_timed_format() : mooncake_format();
}

[[nodiscard]] const FormatSpec* match_json(const std::vector<std::string>& keys, std::string_view start,
                                           const std::string& name, std::int32_t hash_tokens) {
  if (has(keys, "assay_trace")) return &native_format();
  if (has(keys, "chat_id")) return &bailian_format();
  for (const char* key : {"session_id", "delay", "delay_ms", "wait_for", "branches", "prefix_reset",
                          "tool_wait_ms", "created_time", "request_id"})
    if (has(keys, key)) return &dynamo_format();
  if (has(keys, "input_tokens") && has(keys, "output_tokens") && has(keys, "timestamp"))
    return &dynamo_format();
  if (!has(keys, "timestamp") && !has(keys, "hash_ids")) return nullptr;
  if (!has(keys, "input_length") && !has(keys, "output_length")) return nullptr;
  return hash_tokens > 0 ? &mooncake_format() : &mooncake_or_vllm(start, name);
}

}  // namespace

const std::vector<const FormatSpec*>& trace_formats() {
  static const std::vector<const FormatSpec*> formats = {
      &mooncake_format(),         &bailian_format(),    &azure_2023_format(), &azure_2024_format(),
      &azure_multimodal_format(), &burstgpt_format(),   &burstgpt_3_format(), &vidur_format(),
      &dynamo_format(),           &vllm_timed_format(), &native_format()};
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

const FormatSpec& recognise_trace_format(std::string_view start, const std::string& name,
                                         std::int32_t hash_tokens) {
  const std::string expected =
      "a trace format that is recognised (else name it: --format " + trace_format_names() + ")";
  Line line;
  std::size_t at = 0;
  Fault fault;
  std::int64_t fault_line = 0;
  while (next_line(start, at, line)) {
    if (blank(line)) continue;
    const char* first = line.begin;
    while (*first == ' ' || *first == '\t') ++first;
    const std::string place = name + ":" + std::to_string(line.number) + ":1";
    if (*first != '{') {
      if (line.text().substr(0, 31) == "version https://git-lfs.github.")
        throw InputError(place, "a trace", "a git-lfs pointer; the trace itself is still to be fetched");
      std::vector<std::string> columns;
      Fault ignored;
      const FormatSpec* format = split_csv(line, columns, ignored) ? match_csv(columns) : nullptr;
      if (format == &azure_2023_format()) return azure_of(start, at, line);
      if (format != nullptr) return *format;
      if (fault_line == 0) throw InputError(place, expected, show_text(line.begin, line.end));
      continue;
    }
    std::vector<std::string> keys;
    // One bad line must not hide the format of the others; the first one is named if there is no other.
    Fault here;
    if (!json_keys(line, keys, here)) {
      if (fault_line == 0) {
        fault = here;
        fault_line = line.number;
      }
      continue;
    }
    const FormatSpec* format = match_json(keys, start, name, hash_tokens);
    if (format != nullptr) return *format;
    throw InputError(place, expected, "an object with the keys " + listed(keys));
  }
  if (fault_line == 0) throw InputError(name, "a trace", "no lines in it");
  throw InputError(name + ":" + std::to_string(fault_line) + ":" + std::to_string(fault.column),
                   fault.expected, fault.got);
}

}  // namespace assay
