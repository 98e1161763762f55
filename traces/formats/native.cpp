// Assay's own format: keeps everything that any other carries. JSONL; the first line says what holds for
// all requests, the others are one request each, absent fields left out.
//
//   {"assay_trace": 1, "source": "azure-2023", "hash_tokens": 0, "prefix_ids": true, "origin_ns": 1700158623979960000}
//   {"arrival_ns": 0, "input_tokens": 4808, "output_tokens": 10}
//
// Times and durations are whole nanoseconds; arrival_ns is relative to origin_ns, the first on the clock of
// the source. "assay_trace" is the version; a reader refuses a newer one. docs/traces.md lists every field.
#include "traces/formats.h"
#include "traces/json_record.h"

namespace assay {

const FormatSpec& native_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "native";
    format.title = "Assay's own JSONL (keeps everything, nanoseconds)";
    format.fields = {{"arrival_ns", Field::kTime},
                     {"input_tokens", Field::kInput},
                     {"output_tokens", Field::kOutput},
                     {"hash_ids", Field::kHashIds},
                     {"session", Field::kSession},
                     {"kind", Field::kKind},
                     {"model", Field::kModel},
                     {"chat", Field::kChat},
                     {"parent_chat", Field::kParentChat},
                     {"turn", Field::kTurn},
                     {"images", Field::kImages},
                     {"elapsed_ns", Field::kElapsed},
                     {"delay_ns", Field::kDelay},
                     {"tool_wait_ns", Field::kToolWait},
                     {"request_id", Field::kRequestId},
                     {"wait_for", Field::kWaitFor},
                     {"branches", Field::kBranches},
                     {"prefix_reset", Field::kPrefixReset}};
    format.required = field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_unit = 0;
    format.header_line = true;
    format.ids_are_prefix_hashes = true;
    return format;
  }();
  return spec;
}

bool parse_native_header(const Line& line, TraceHeader& header, Fault& fault) {
  JsonCursor cursor(line, fault);
  std::int64_t version = 0;
  cursor.skip_space();
  if (!cursor.expect('{', "the header line {\"assay_trace\": 1, ...}")) return false;
  cursor.skip_space();
  while (!cursor.take('}')) {
    std::string key;
    if (!cursor.string(key)) return false;
    cursor.skip_space();
    if (!cursor.expect(':', "':'")) return false;
    cursor.skip_space();
    const char* at = cursor.at();
    std::int64_t number = 0;
    if (key == "assay_trace") {
      if (!cursor.integer(version, "a version")) return false;
      if (version != 1) return fail(fault, "header", line, at, "version 1 of the native format");
    } else if (key == "hash_tokens") {
      if (!cursor.integer(number, "a block size")) return false;
      if (number < 0 || number > (1 << 24)) return fail(fault, "header", line, at, "0 to 2^24 tokens");
      header.hash_tokens = static_cast<std::int32_t>(number);
    } else if (key == "origin_ns") {
      if (!cursor.integer(header.origin_ns, "a time in nanoseconds")) return false;
    } else if (key == "source") {
      if (!cursor.string(header.source)) return false;
    } else if (key == "prefix_ids") {
      if (!cursor.boolean(header.prefix_ids, "true or false")) return false;
    } else if (!cursor.skip_value(1)) {
      return false;
    }
    cursor.skip_space();
    if (cursor.take('}')) break;
    if (!cursor.expect(',', "',' or '}'")) return false;
    cursor.skip_space();
  }
  cursor.skip_space();
  if (!cursor.at_end()) return cursor.fail_here("syntax", "the end of the line");
  return version == 1 || fail(fault, "header", line, line.begin, "the header line {\"assay_trace\": 1, ...}");
}

}  // namespace assay
