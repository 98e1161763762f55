// What a writer writes its reader reads: for every format and any requests that the format can hold. And
// what it cannot hold is accounted for.
#include "traces/write.h"

#include <gtest/gtest.h>
// RapidCheck's header wants gtest's before it.
#include <rapidcheck/gtest.h>

#include "traces/formats.h"
#include "traces/testing.h"

namespace assay {
namespace {

bool holds_field(const FormatSpec& format, Field field) {
  for (const FieldName& name : format.fields)
    if (name.field == field) return true;
  return false;
}

// Any text that a cell or a JSON string may hold; for CSV without line breaks.
rc::Gen<std::string> any_text(bool csv) {
  const auto piece =
      csv ? rc::gen::elementOf(std::vector<std::string>{"a", "Z9", ",", "\"", " ", "\xc3\xa9", "'", "{"})
          : rc::gen::elementOf(std::vector<std::string>{"a", "Z9", ",", "\"", "\\", "\n", "\t", "\x01",
                                                        "\xe2\x82\xac", "\xf0\x9f\x98\x80", "/"});
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(piece),
                      [](const std::vector<std::string>& pieces) {
                        std::string out;
                        for (const std::string& one : pieces) out += one;
                        return out;
                      });
}

std::int64_t any_length() {
  return *rc::gen::oneOf(rc::gen::inRange<std::int64_t>(0, 3000),
                         rc::gen::inRange<std::int64_t>(0, INT64_MAX / 2));
}

// A request that `format` can hold: only its fields, times on its grid.
Request any_request(const FormatSpec& format, std::int32_t hash_tokens) {
  const bool csv = format.shape == Shape::kCsv;
  Request r;
  const std::int64_t grid = format.time_kind == TimeKind::kDate
                                ? (format.date_style == DateStyle::kOffset ? 1000 : 100)
                            : format.whole_time ? 1000000
                                                : 1;
  r.arrival_ns = *rc::gen::inRange<std::int64_t>(-4000000000000000, 4000000000000000) / grid * grid;
  const bool timed = (format.required & field_bit(Field::kTime)) != 0 || *rc::gen::inRange(0, 4) != 0;
  r.has_arrival = timed;
  const bool with_ids =
      holds_field(format, Field::kHashIds) && hash_tokens > 0 && *rc::gen::inRange(0, 4) != 0;
  r.input_tokens = with_ids ? *rc::gen::inRange<std::int64_t>(0, 40 * hash_tokens) : any_length();
  r.output_tokens = any_length();
  if (with_ids)
    for (std::int64_t i = 0; i < (r.input_tokens + hash_tokens - 1) / hash_tokens; ++i)
      r.hash_ids.push_back(
          *rc::gen::oneOf(rc::gen::inRange<std::int64_t>(0, 100000), rc::gen::arbitrary<std::int64_t>()));
  for (std::int64_t& id : r.hash_ids) id = id == INT64_MIN ? 0 : id;
  const auto text = [&](Field field, std::string& out) {
    if (holds_field(format, field)) out = *any_text(csv);
  };
  text(Field::kSession, r.session);
  text(Field::kKind, r.kind);
  text(Field::kModel, r.model);
  text(Field::kRequestId, r.request_id);
  const auto count = [&](Field field, std::int64_t& out, bool required) {
    if (holds_field(format, field)) out = *rc::gen::inRange<std::int64_t>(required ? 0 : -1, 1000000);
  };
  const bool bailian = format.name == "bailian";
  count(Field::kChat, r.chat, bailian);
  count(Field::kTurn, r.turn, false);
  if (r.chat >= 0) count(Field::kParentChat, r.parent_chat, false);
  count(Field::kImages, r.images, csv);
  count(Field::kElapsed, r.elapsed_ns, false);
  count(Field::kDelay, r.delay_ns, false);
  count(Field::kToolWait, r.tool_wait_ns, false);
  if (holds_field(format, Field::kWaitFor)) {
    r.wait_for = *rc::gen::container<std::vector<std::string>>(any_text(false));
    r.branches = *rc::gen::container<std::vector<std::string>>(any_text(false));
    r.prefix_reset = static_cast<std::int8_t>(*rc::gen::inRange(-1, 2));
  }
  return r;
}

// The property, over any pair of writer and format: "" when all requests come back.
std::string lost_in_round_trip(const FormatSpec& format, std::int32_t hash_tokens,
                               std::vector<Request> requests,
                               const std::function<void(std::string&)>& damage) {
  TraceHeader header;
  header.format = "test";
  header.hash_tokens = hash_tokens;
  TraceWriter writer(format, header);
  std::string text;
  // The reader counts from the first time of a format with absolute times, and repeats the last one where
  // there is none.
  std::int64_t origin = 0, last = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    writer.write(requests[i], text);
    if (i == 0 && format.absolute_time) origin = requests[i].arrival_ns;
    requests[i].arrival_ns = requests[i].has_arrival ? requests[i].arrival_ns - origin : last;
    last = requests[i].arrival_ns;
  }
  writer.finish(text);
  if (!writer.losses().empty()) return "a loss: " + writer.losses().front().what;
  damage(text);
  OpenOptions options;
  options.format = format.name;
  if (!format.header_line && hash_tokens > 0) options.hash_tokens = hash_tokens;
  ReadTrace back;
  try {
    back = read_text(text, options);
  } catch (const InputError& error) {
    return error.what();
  }
  if (back.requests.size() != requests.size()) return "another number of requests";
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::string field = difference(requests[i], back.requests[i]);
    if (!field.empty()) return field + " of request " + std::to_string(i) + "\n" + text;
  }
  return "";
}

RC_GTEST_PROP(RoundTrip, WhatAWriterWritesItsReaderReads, ()) {
  const FormatSpec& format = **rc::gen::elementOf(trace_formats());
  const std::int32_t hash_tokens = holds_field(format, Field::kHashIds) ? *rc::gen::inRange(1, 600) : 0;
  const auto count = *rc::gen::inRange(0, 8);
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) requests.push_back(any_request(format, hash_tokens));
  RC_LOG() << format.name;
  const std::string lost = lost_in_round_trip(format, hash_tokens, requests, [](std::string&) {});
  RC_LOG() << lost;
  RC_ASSERT(lost.empty());
}

TEST(RoundTrip, ACanaryThatDropsADigitOrALineIsFound) {
  Request request;
  request.arrival_ns = 5000000;
  request.input_tokens = 600;
  request.output_tokens = 12345;
  request.hash_ids = {7, 8};
  const std::vector<Request> requests(3, request);
  const FormatSpec& format = mooncake_format();
  EXPECT_EQ(lost_in_round_trip(format, 512, requests, [](std::string&) {}), "");
  EXPECT_NE(lost_in_round_trip(format, 512, requests,
                               [](std::string& text) { text.erase(text.rfind("12345") + 4, 1); }),
            "");
  EXPECT_NE(lost_in_round_trip(format, 512, requests,
                               [](std::string& text) { text.erase(0, text.find('\n') + 1); }),
            "");
  EXPECT_NE(lost_in_round_trip(format, 512, requests, [](std::string& text) { text[text.rfind('8')] = '9'; }),
            "");
}

TEST(Write, ATimeFinerThanTheFormatIsCutAndCounted) {
  TraceHeader header;
  Request request;
  request.arrival_ns = 1234567891;
  for (const auto& [format, expected] :
       {std::pair(&mooncake_format(), "{\"timestamp\": 1234,"),
        std::pair(&azure_2023_format(), "\n1970-01-01 00:00:01.2345678,"),
        std::pair(&azure_2024_format(), "\n1970-01-01 00:00:01.234567+00:00,")}) {
    TraceWriter writer(*format, header);
    std::string text;
    writer.write(request, text);
    EXPECT_NE(text.find(expected), std::string::npos) << text;
    ASSERT_EQ(writer.losses().size(), 1u);
    EXPECT_EQ(writer.losses()[0].requests, 1);
  }
}

TEST(Write, ALineBreakInACellBecomesASpaceAndIsCounted) {
  TraceHeader header;
  Request request;
  request.model = "two\nlines, \"quoted\"";
  TraceWriter writer(burstgpt_format(), header);
  std::string text;
  writer.write(request, text);
  EXPECT_NE(text.find("\"two lines, \"\"quoted\"\"\""), std::string::npos) << text;
  EXPECT_EQ(writer.losses().size(), 1u);
}

}  // namespace
}  // namespace assay
