#include "traces/write.h"

#include <algorithm>
#include <charconv>

#include "model/core/check.h"
#include "traces/dates.h"
#include "traces/numbers.h"

namespace assay {
namespace {

void append_integer(std::int64_t value, std::string& out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

// The sum of two int64 fits uint64.
void append_total(const Request& request, std::string& out) {
  char digits[24];
  const std::uint64_t total =
      static_cast<std::uint64_t>(request.input_tokens) + static_cast<std::uint64_t>(request.output_tokens);
  out.append(digits, std::to_chars(digits, digits + sizeof digits, total).ptr);
}

// Which fields of a request hold something, kTime..kPrefixReset.
[[nodiscard]] bool holds(const Request& request, Field field) {
  switch (field) {
    case Field::kTime: return request.has_arrival;
    case Field::kHashIds: return !request.hash_ids.empty();
    case Field::kSession: return !request.session.empty();
    case Field::kKind: return !request.kind.empty();
    case Field::kModel: return !request.model.empty();
    case Field::kChat: return request.chat >= 0;
    case Field::kParentChat: return request.parent_chat >= 0 || request.chat >= 0;  // -1 is a root
    case Field::kTurn: return request.turn >= 0;
    case Field::kImages: return request.images >= 0;
    case Field::kElapsed: return request.elapsed_ns >= 0;
    case Field::kDelay: return request.delay_ns >= 0;
    case Field::kToolWait: return request.tool_wait_ns >= 0;
    case Field::kRequestId: return !request.request_id.empty();
    case Field::kWaitFor: return !request.wait_for.empty();
    case Field::kBranches: return !request.branches.empty();
    case Field::kPrefixReset: return request.prefix_reset >= 0;
    default: return true;
  }
}

constexpr std::string_view kLossNames[kFieldCount] = {
    "time",      "input tokens", "output tokens", "total",    "hash ids",     "session", "kind",
    "model",     "chat",         "parent chat",   "turn",     "images",       "elapsed", "delay",
    "tool wait", "request id",   "wait_for",      "branches", "prefix reset", "id scope"};

}  // namespace

void append_scaled(std::int64_t ns, std::int32_t unit, std::string& out) {
  if (unit == 0) {
    append_integer(ns, out);
    return;
  }
  const bool negative = ns < 0;
  const std::uint64_t magnitude =
      negative ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  if (negative) out += '-';
  const std::uint64_t divisor = kPowersOfTen[unit];
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, magnitude / divisor).ptr);
  std::uint64_t rest = magnitude % divisor;
  if (rest == 0) return;
  out += '.';
  for (std::uint64_t place = divisor / 10; rest != 0; place /= 10) {
    out += static_cast<char>('0' + rest / place);
    rest %= place;
  }
}

void append_json_string(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool append_csv_cell(std::string_view text, std::string& out) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return true;
  }
  bool kept = true;
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    const bool line_break = c == '\n' || c == '\r';  // one line, one record
    kept = kept && !line_break;
    out += line_break ? ' ' : c;
  }
  out += '"';
  return kept;
}

void TraceWriter::write_time(std::int64_t arrival_ns, std::string& out) {
  std::int64_t time_ns = arrival_ns;
  if (format_.absolute_time && __builtin_add_overflow(time_ns, source_.origin_ns, &time_ns))
    throw InputError("--to " + std::string(format_.name), "times within 292 years of 1970",
                     "one beyond, counted from the origin of the source");
  if (format_.time_kind == TimeKind::kNumber) {
    if (format_.whole_time) {  // cut towards the past, also before zero
      const auto unit = static_cast<std::int64_t>(kPowersOfTen[format_.time_unit]);
      const std::int64_t rest = (time_ns % unit + unit) % unit;
      cut_time_ += rest != 0 ? 1 : 0;
      if (time_ns >= INT64_MIN + rest) time_ns -= rest;
    }
    append_scaled(time_ns, format_.time_unit, out);
    return;
  }
  const bool offset = format_.date_style == DateStyle::kOffset;
  std::int64_t rest_ns = 0;
  out += format_date(time_ns, offset ? 6 : 7, rest_ns);
  if (offset) out += "+00:00";
  cut_time_ += rest_ns != 0 ? 1 : 0;
}

void TraceWriter::begin(std::string& out) {
  begun_ = true;
  for (const FieldName& name : format_.fields) held_ |= field_bit(name.field);
  if (format_.header_line) {
    const std::string& source = source_.source.empty() ? source_.format : source_.source;
    out += "{\"assay_trace\": 1, \"source\": ";
    append_json_string(source, out);
    out += ", \"hash_tokens\": ";
    append_integer(source_.hash_tokens, out);
    out += source_.prefix_ids ? ", \"prefix_ids\": true" : ", \"prefix_ids\": false";
    out += ", \"origin_ns\": ";
    append_integer(source_.origin_ns, out);
    out += "}\n";
  }
  if (format_.shape == Shape::kCsv) {
    for (std::size_t i = 0; i < format_.fields.size(); ++i) {
      if (i > 0) out += ',';
      out += format_.fields[i].name;
    }
    out += '\n';
  }
}

void TraceWriter::count_losses(const Request& request) {
  for (std::size_t i = 0; i < kFieldCount; ++i) {
    const auto field = static_cast<Field>(i);
    if (field == Field::kTotal || field == Field::kIdScope) continue;
    if ((held_ & field_bit(field)) == 0 && holds(request, field)) ++lost_[i];
  }
  if (!request.has_arrival && (format_.required & field_bit(Field::kTime)) != 0) ++invented_time_;
  if ((held_ & field_bit(Field::kHashIds)) != 0 && !request.hash_ids.empty()) ++written_ids_;
}

void TraceWriter::write_json(const Request& request, std::string& out) {
  std::uint32_t written = 0;
  bool first = true;
  out += '{';
  for (const FieldName& name : format_.fields) {
    if ((written & field_bit(name.field)) != 0) continue;  // another spelling
    written |= field_bit(name.field);
    const bool required = (format_.required & field_bit(name.field)) != 0;
    if (name.field == Field::kIdScope || (!required && !holds(request, name.field))) continue;
    out += first ? "\"" : ", \"";
    out += name.name;
    out += "\": ";
    first = false;
    const auto strings = [&](const std::vector<std::string>& list) {
      out += '[';
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (i > 0) out += ", ";
        append_json_string(list[i], out);
      }
      out += ']';
    };
    switch (name.field) {
      case Field::kTime: write_time(request.arrival_ns, out); break;
      case Field::kInput: append_integer(request.input_tokens, out); break;
      case Field::kOutput: append_integer(request.output_tokens, out); break;
      case Field::kTotal: append_total(request, out); break;
      case Field::kHashIds:
        out += '[';
        for (std::size_t i = 0; i < request.hash_ids.size(); ++i) {
          if (i > 0) out += ", ";
          append_integer(request.hash_ids[i], out);
        }
        out += ']';
        break;
      case Field::kSession: append_json_string(request.session, out); break;
      case Field::kKind: append_json_string(request.kind, out); break;
      case Field::kModel: append_json_string(request.model, out); break;
      case Field::kChat: append_integer(request.chat, out); break;
      case Field::kParentChat: append_integer(request.parent_chat, out); break;
      case Field::kTurn: append_integer(request.turn, out); break;
      case Field::kImages: append_integer(request.images, out); break;
      case Field::kElapsed: append_scaled(request.elapsed_ns, format_.time_unit, out); break;
      case Field::kDelay: append_scaled(request.delay_ns, format_.time_unit, out); break;
      case Field::kToolWait: append_scaled(request.tool_wait_ns, format_.time_unit, out); break;
      case Field::kRequestId: append_json_string(request.request_id, out); break;
      case Field::kWaitFor: strings(request.wait_for); break;
      case Field::kBranches: strings(request.branches); break;
      case Field::kPrefixReset: out += request.prefix_reset != 0 ? "true" : "false"; break;
      default: break;
    }
  }
  out += "}\n";
}

void TraceWriter::write_csv(const Request& request, std::string& out) {
  const auto text = [&](const std::string& cell) { cut_text_ += append_csv_cell(cell, out) ? 0 : 1; };
  for (std::size_t i = 0; i < format_.fields.size(); ++i) {
    if (i > 0) out += ',';
    switch (format_.fields[i].field) {
      case Field::kTime: write_time(request.arrival_ns, out); break;
      case Field::kInput: append_integer(request.input_tokens, out); break;
      case Field::kOutput: append_integer(request.output_tokens, out); break;
      case Field::kTotal: append_total(request, out); break;
      case Field::kImages: append_integer(std::max<std::int64_t>(request.images, 0), out); break;
      case Field::kElapsed:
        if (request.elapsed_ns >= 0) append_scaled(request.elapsed_ns, format_.time_unit, out);
        break;
      case Field::kModel: text(request.model); break;
      case Field::kKind: text(request.kind); break;
      case Field::kSession: text(request.session); break;
      default: break;
    }
  }
  out += '\n';
}

void TraceWriter::write(const Request& request, std::string& out) {
  if (!begun_) begin(out);
  count_losses(request);
  if (format_.shape == Shape::kCsv) {
    write_csv(request, out);
  } else {
    write_json(request, out);
  }
}

void TraceWriter::finish(std::string& out) {
  if (!begun_) begin(out);
}

bool TraceWriter::needs_hash_tokens() const {
  return written_ids_ > 0 && !format_.header_line && format_.hash_tokens != source_.hash_tokens;
}

std::vector<Loss> TraceWriter::losses() const {
  std::vector<Loss> out;
  for (std::size_t i = 0; i < kFieldCount; ++i)
    if (lost_[i] > 0) out.push_back({std::string(kLossNames[i]) + " left out", lost_[i]});
  if (invented_time_ > 0) out.push_back({"no time of its own: the last one written", invented_time_});
  if (cut_time_ > 0) out.push_back({"time cut to the digits of the format", cut_time_});
  if (cut_text_ > 0) out.push_back({"line breaks in a text replaced by spaces", cut_text_});
  return out;
}

}  // namespace assay
