// The schema half of json_record.h: which key goes where.
#include "traces/json_record.h"

#include <limits>

namespace assay {
namespace {

constexpr const char* kWhat[kFieldCount] = {
    "a number as time",
    "a whole number of input tokens",
    "a whole number of output tokens",
    "a whole number of tokens",
    "whole numbers as hash ids",
    "a string as session",
    "a string as kind",
    "a string as model",
    "a whole number as chat",
    "a whole number as parent chat",
    "a whole number as turn",
    "a whole number of images",
    "a number as elapsed time",
    "a number as delay",
    "a number as tool wait",
    "a string as request id",
    "strings as requests to wait for",
    "strings as branches",
    "true or false",
    "a string as scope of the ids",
};

// A string, or a number in its own spelling: some tools write ids as numbers.
[[nodiscard]] bool text_or_number(JsonCursor& cursor, std::string& out, const char* what) {
  const char* from = cursor.at();
  if (!cursor.at_end() && *from == '"') return cursor.string(out);
  Decimal ignored;
  if (!cursor.decimal(ignored, what)) return false;
  out.assign(from, cursor.at());
  return true;
}

// Reads values into a request, one field at a time.
struct RecordReader {
  const FormatSpec& spec;
  const Line& line;
  Request& request;
  RecordFacts& facts;
  Fault& fault;

  [[nodiscard]] bool count(JsonCursor& cursor, Field field, std::int64_t& out, std::int64_t least) {
    const char* at = cursor.at();
    const char* what = kWhat[static_cast<std::size_t>(field)];
    if (!cursor.integer(out, what)) return false;
    return out >= least || fail(fault, "negative", line, at, what);
  }

  [[nodiscard]] bool duration(JsonCursor& cursor, Field field, std::int64_t& out, bool may_be_negative) {
    const char* at = cursor.at();
    const char* what = kWhat[static_cast<std::size_t>(field)];
    Decimal number;
    if (!cursor.decimal(number, what)) return false;
    const Scaled scaled = scale(number, spec.time_unit, out);
    if (scaled == Scaled::kOverflow)
      return fail(fault, "overflow", line, at, std::string(what) + " within 292 years");
    if (scaled == Scaled::kRounded) facts.time_rounded = true;
    return may_be_negative || out >= 0 || fail(fault, "negative", line, at, what);
  }

  [[nodiscard]] bool value(JsonCursor& cursor, Field field) {
    const char* what = kWhat[static_cast<std::size_t>(field)];
    switch (field) {
      case Field::kTime: request.has_arrival = true; return duration(cursor, field, request.arrival_ns, true);
      case Field::kInput: return count(cursor, field, request.input_tokens, 0);
      case Field::kOutput: return count(cursor, field, request.output_tokens, 0);
      case Field::kTotal: return count(cursor, field, facts.total_tokens, 0);
      case Field::kHashIds: return cursor.integers(request.hash_ids, what);
      case Field::kSession: return text_or_number(cursor, request.session, what);
      case Field::kKind: return text_or_number(cursor, request.kind, what);
      case Field::kModel: return text_or_number(cursor, request.model, what);
      case Field::kChat: return count(cursor, field, request.chat, -1);
      case Field::kParentChat: return count(cursor, field, request.parent_chat, -1);
      case Field::kTurn: return count(cursor, field, request.turn, -1);
      case Field::kImages: return count(cursor, field, request.images, 0);
      case Field::kElapsed: return duration(cursor, field, request.elapsed_ns, false);
      case Field::kDelay: return duration(cursor, field, request.delay_ns, false);
      case Field::kToolWait: return duration(cursor, field, request.tool_wait_ns, false);
      case Field::kRequestId: return text_or_number(cursor, request.request_id, what);
      case Field::kWaitFor: return cursor.strings(request.wait_for, what);
      case Field::kBranches: return cursor.strings(request.branches, what);
      case Field::kPrefixReset: {
        bool reset = false;
        if (!cursor.boolean(reset, what)) return false;
        request.prefix_reset = reset ? 1 : 0;
        return true;
      }
      case Field::kIdScope: {
        std::string scope;
        if (!cursor.string(scope)) return false;
        facts.ids_local = scope == "local";
        return true;
      }
      case Field::kCount: break;
    }
    return false;
  }
};

// The table entry for `key`, starting behind the last hit: records of one file repeat their order.
[[nodiscard]] const FieldName* find(const std::vector<FieldName>& fields, std::string_view key,
                                    std::size_t& next) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t at = next + i < fields.size() ? next + i : next + i - fields.size();
    if (fields[at].name == key) {
      next = at + 1 < fields.size() ? at + 1 : 0;
      return &fields[at];
    }
  }
  return nullptr;
}

}  // namespace

bool parse_json_record(const FormatSpec& spec, const Line& line, Request& request, RecordFacts& facts,
                       Fault& fault) {
  JsonCursor cursor(line, fault);
  RecordReader reader{spec, line, request, facts, fault};
  facts = RecordFacts{};
  std::uint32_t written = 0;
  std::size_t next = 0;
  cursor.skip_space();
  if (!cursor.expect('{', "a JSON object")) return false;
  cursor.skip_space();
  if (!cursor.take('}')) {
    for (;;) {
      const char* key_at = cursor.at();
      std::string_view key;
      std::string unescaped;
      bool escaped = false;
      if (!cursor.raw_string(key, escaped)) return false;
      if (escaped) key = unescaped = unescape(key);
      cursor.skip_space();
      if (!cursor.expect(':', "':'")) return false;
      cursor.skip_space();
      const FieldName* found = find(spec.fields, key, next);
      if (found == nullptr) {
        if (!cursor.skip_value(1)) return false;
      } else {
        const auto index = static_cast<std::size_t>(found->field);
        if ((written & field_bit(found->field)) != 0)
          return fail(fault, "duplicate-key", line, key_at, "each field once");
        written |= field_bit(found->field);
        const auto column = static_cast<std::int32_t>(cursor.column());
        if (!cursor.take_null()) {  // null is what absent looks like in many writers
          facts.column[index] = column;
          if (!reader.value(cursor, found->field)) return false;
        }
      }
      cursor.skip_space();
      if (cursor.take('}')) break;
      if (!cursor.expect(',', "',' or '}'")) return false;
      cursor.skip_space();
    }
  }
  cursor.skip_space();
  if (!cursor.at_end()) return cursor.fail_here("syntax", "the end of the line");
  const std::uint32_t missing = spec.required & ~facts.seen();
  if (missing != 0) {
    for (const FieldName& name : spec.fields)
      if ((missing & field_bit(name.field)) != 0)
        return fail(fault, name.field == Field::kTime ? "missing-time" : "missing-field", line, line.begin,
                    "a field \"" + std::string(name.name) + "\"", "a record without it");
  }
  return true;
}

bool json_keys(const Line& line, std::vector<std::string>& keys, Fault& fault) {
  JsonCursor cursor(line, fault);
  cursor.skip_space();
  if (!cursor.expect('{', "a JSON object")) return false;
  cursor.skip_space();
  if (cursor.take('}')) return true;
  for (;;) {
    std::string key;
    if (!cursor.string(key)) return false;
    keys.push_back(std::move(key));
    cursor.skip_space();
    if (!cursor.expect(':', "':'")) return false;
    cursor.skip_space();
    if (!cursor.skip_value(1)) return false;
    cursor.skip_space();
    if (cursor.take('}')) return true;
    if (!cursor.expect(',', "',' or '}'")) return false;
    cursor.skip_space();
  }
}

}  // namespace assay
