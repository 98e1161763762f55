// Lint canaries: each text has one planted fault, which must be found at its line and column; and clean
// texts, in which nothing may be found.
#include "traces/lint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "traces/describe.h"
#include "traces/testing.h"

namespace assay {
namespace {

// `text` has an '@' where the finding must point; it is taken out before the text is linted.
struct Canary {
  const char* code;
  Severity severity;
  std::string text;
};

std::string mooncake(const std::string& time, const std::string& tokens, const std::string& ids,
                     const std::string& output = "1") {
  return "{\"timestamp\": " + time + ", \"input_length\": " + tokens + ", \"output_length\": " + output +
         ", \"hash_ids\": " + ids + "}\n";
}
const std::string kAzure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const std::string kBurst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";
const std::string kVidur = "arrived_at,num_prefill_tokens,num_decode_tokens\n";

std::vector<Canary> canaries() {
  constexpr auto kError = Severity::kError, kWarning = Severity::kWarning, kNote = Severity::kNote;
  const std::string good = mooncake("1", "600", "[1, 2]");
  return {
      {"time-backwards", kWarning, mooncake("9", "600", "[1, 2]") + mooncake("@8", "600", "[1, 3]")},
      {"missing-time", kError,
       good + "@{\"input_length\": 600, \"output_length\": 1, \"hash_ids\": [1, 3]}\n"},
      {"missing-time", kError, kAzure + "2023-11-16 18:17:03.9,5,6\n@,5,6\n"},
      {"missing-field", kError, good + "@{\"timestamp\": 1, \"input_length\": 600, \"hash_ids\": [1, 3]}\n"},
      {"column-count", kError, kAzure + "2023-11-16 18:17:03.9,5,6\n2023-11-16 18:17:03.9,5@\n"},
      {"column-count", kError, kAzure + "2023-11-16 18:17:03.9,5,6\n2023-11-16 18:17:03.9,5,6,@7\n"},
      {"column-count", kError, kBurst + "5,GPT-4,3,4,7,x\n19440110.0,abc,3.2,GPT-4,3,4,@7,x\n"},
      {"hash-count", kError, good + mooncake("2", "600", "@[1]")},
      {"hash-count", kError, good + mooncake("2", "600", "@[1, 3, 4]")},
      {"two-parents", kError, mooncake("1", "1024", "[1, 2]") + mooncake("2", "1024", "[3, @2]")},
      {"two-parents", kError, mooncake("1", "1024", "[1, 2]") + mooncake("2", "600", "[@2, 3]")},
      {"two-parents", kError, mooncake("1", "1500", "[1, 2,   @1]")},
      {"failed-request", kWarning, good + mooncake("2", "600", "[1, 4]", "@0")},
      {"failed-request", kWarning, kBurst + "5,GPT-4,3,4,7,x\n6,GPT-4,3,@0,3,x\n"},
      {"empty-prompt", kWarning, mooncake("1", "@0", "[]")},
      {"total", kWarning, kBurst + "5,GPT-4,3,4,@8,x\n"},
      {"overflow", kError, good + mooncake("1", "@99999999999999999999", "[1]")},
      {"overflow", kError, good + mooncake("@9223372036854775807", "600", "[1, 2]")},
      {"overflow", kError, kAzure + "2023-11-16 18:17:03.9,5,6\n@9999-11-16 18:17:03.9,5,6\n"},
      {"overflow", kError, good + mooncake("1", "600", "[1, @18446744073709551615]")},
      {"duplicate-line", kWarning, good + mooncake("1", "600", "[1, 3]") + "@" + good},
      {"duplicate-key", kError, good + "{\"timestamp\": 1, @\"timestamp\": 2, \"input_length\": 6}\n"},
      {"byte-order-mark", kNote, "\xef\xbb\xbf@" + good},
      {"crlf", kNote, "TIMESTAMP,ContextTokens,GeneratedTokens\r\n@2023-11-16 18:17:03.9,5,6\r\n"},
      {"mixed-line-ends", kWarning,
       kAzure + "2023-11-16 18:17:03.9,5,6\n@2023-11-16 18:17:04.9,5,6\r\n2023-11-16 18:17:05.9,5,6\n"},
      {"unterminated-last-line", kNote, kAzure + "2023-11-16 18:17:03.9,5,6@"},
      {"blank-line", kNote, good + "@\n" + mooncake("2", "600", "[1, 3]")},
      {"unknown-column", kNote, "@arrived_at,num_prefill_tokens,num_decode_tokens,pd_ratio\n0,1,2,0.5\n"},
      {"time-rounded", kNote, kVidur + "@0.12345678901,1,2\n"},
      {"no-ids", kWarning, good + "@{\"timestamp\": 2, \"input_length\": 5, \"output_length\": 1}\n"},
      {"local-ids", kWarning,
       "{\"timestamp\": 1, \"input_length\": 6, \"output_length\": 1, \"hash_id_scope\": @\"local\"}\n"},
      {"header", kError, "@arrived_at,num_prefill_tokens\n0,1\n"},
      {"header", kError, "@{\"timestamp\": 1, \"tokens\": 5}\n"},
      {"header", kError, "{\"assay_trace\": @7}\n{\"input_tokens\": 1, \"output_tokens\": 1}\n"},
      {"syntax", kError, good + "{\"a}@\n"},
      {"syntax", kError, good + "{\"timestamp\": 1@"},
      {"syntax", kError, good + mooncake("1", "0@12", "[1]")},
      {"syntax", kError, good + mooncake("1", "12", "[1 @2]")},
      {"syntax", kError, good + mooncake("1", "12", "[1,@]")},
      {"syntax", kError, good + "{\"timestamp\": 1} @{}\n"},
      {"utf-8", kError,
       good + "{\"timestamp\": 1, \"x@\xff\": 1, \"input_length\": 6, \"output_length\": 1}\n"},
      {"negative", kError, good + mooncake("1", "@-6", "[1]")},
      {"type", kError, good + mooncake("1", "@\"6\"", "[1]")},
      {"type", kError, good + mooncake("1", "@6.5", "[1]")},
      {"type", kError, good + mooncake("1", "6", "[@\"1\"]")},
      {"type", kError, kVidur + "0,1,2\n0,@x,2\n"},
  };
}

TEST(Lint, EveryPlantedFaultIsFoundAtItsLineAndColumn) {
  for (Canary canary : canaries()) {
    const std::size_t at = canary.text.find('@');
    const std::int64_t line =
        1 + std::count(canary.text.begin(), canary.text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    const std::size_t before = at == 0 ? std::string::npos : canary.text.rfind('\n', at - 1);
    std::int64_t column = static_cast<std::int64_t>(before == std::string::npos ? at + 1 : at - before);
    if (canary.text[0] == '\xef') column -= 3;  // a byte order mark is not part of the line
    canary.text.erase(at, 1);
    Linter linter({});
    linter.run_in_memory(canary.text, "t", {});
    EXPECT_EQ(linter.count(canary.code), 1) << canary.code << "\n" << canary.text;
    bool found = false;
    for (const Finding& finding : linter.findings()) {
      if (finding.code != canary.code) continue;
      found = true;
      EXPECT_EQ(finding.line, line) << canary.code << "\n" << canary.text;
      EXPECT_EQ(finding.column, column) << canary.code << "\n" << canary.text;
      EXPECT_EQ(finding.severity, canary.severity) << canary.code;
    }
    EXPECT_TRUE(found) << canary.code << "\n" << canary.text;
    // Nothing else may be blamed for it, but for what the fault really causes.
    for (const auto& [code, count] : linter.counts()) {
      const bool a_companion = (code == "unterminated-last-line" && std::string(canary.code) == "syntax") ||
                               (code == "crlf" && std::string(canary.code) == "mixed-line-ends");
      EXPECT_TRUE(code == canary.code || a_companion) << code << " beside " << canary.code << "\n"
                                                      << canary.text;
    }
  }
}

TEST(Lint, CleanTextsHaveNoFindings) {
  for (const std::string& text :
       {mooncake("1", "600", "[1, 2]") + mooncake("1", "600", "[1, 3]") + mooncake("2", "512", "[1]"),
        kAzure + "2023-11-16 18:17:03.9,5,6\n2023-11-16 18:17:04.9,5,6\n", kBurst + "5,GPT-4,3,4,7,x\n"}) {
    Linter linter({});
    linter.run_in_memory(text, "t", {});
    EXPECT_TRUE(linter.findings().empty()) << linter.findings().front().message;
  }
  for (const char* name : {"sample.jsonl", "azure-2024.csv", "bailian.jsonl", "native.jsonl", "vidur.csv",
                           "vllm-timed.jsonl", "dynamo.jsonl", "azure-multimodal.csv.gz"}) {
    Linter linter({});
    linter.run(sample_path(name), {});
    EXPECT_TRUE(linter.findings().empty()) << name << ": " << linter.findings().front().message;
  }
}

TEST(Lint, TwoTracesInOneFileAreToldApartFromOneBadId) {
  const std::string first = mooncake("1", "1024", "[0, 1]") + mooncake("5", "1024", "[0, 2]");
  const std::string second = mooncake("2", "1024", "[1, 2]");
  Linter linter({});
  linter.run_in_memory(first + second, "t", {});
  EXPECT_EQ(linter.count("local-ids"), 1);
  EXPECT_EQ(linter.findings()[1].line, 3);
  EXPECT_EQ(linter.findings()[1].column, 15) << "where time starts again";
}

TEST(Lint, IdsThatTwoFilesHaveInCommonAreFound) {
  Linter linter({});
  linter.run_in_memory(mooncake("1", "1024", "[0, 1]"), "a", {});
  EXPECT_EQ(linter.count("local-ids"), 0);
  linter.run_in_memory(mooncake("1", "1024", "[1, 2]"), "b", {});
  EXPECT_EQ(linter.count("local-ids"), 1);
  EXPECT_EQ(linter.count("two-parents"), 0) << "each file has ids of its own";
}

TEST(Lint, TimesAtBothEndsOfTheirRangeAreCompared) {
  const std::string text = kVidur + "9223372036.8,1,2\n-9223372036.8,1,2\n";
  Linter linter({});
  linter.run_in_memory(text, "t", {});
  EXPECT_EQ(linter.count("time-backwards"), 1);
  auto trace = open_trace_in_memory(text, "t");
  TraceStatistics statistics;
  Request request;
  while (trace->next(request)) statistics.add(request, 16);
  statistics.finish();
  EXPECT_NEAR(statistics.duration_s(), 18446744073.6, 1.0);
}

TEST(Lint, AContentHashMayHaveTwoParentsAndThatIsAWarning) {
  const auto bailian = [](const char* time, const char* ids) {
    return std::string("{\"chat_id\": 1, \"parent_chat_id\": -1, \"timestamp\": ") + time +
           ", \"input_length\": 32, \"output_length\": 1, \"type\": \"text\", \"turn\": 1, \"hash_ids\": [" +
           ids + "]}\n";
  };
  Linter linter({});
  linter.run_in_memory(bailian("1", "1, 2") + bailian("2", "3, 2"), "t", {});
  EXPECT_EQ(linter.count(Severity::kError), 0);
  EXPECT_EQ(linter.count("two-parents"), 1);
}

TEST(Lint, FindingsPastTheListAreCounted) {
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += mooncake(std::to_string(100 - i), "600", "[1, " + std::to_string(i + 2) + "]", "0");
  LintOptions options;
  options.listed_per_code = 3;
  Linter linter(options);
  linter.run_in_memory(text, "t", {});
  EXPECT_EQ(linter.count("failed-request"), 50);
  EXPECT_EQ(linter.count("time-backwards"), 49);
  EXPECT_EQ(linter.findings().size(), 6u);
}

TEST(Lint, AFileThatCannotBeReadIsAFindingAndNotACrash) {
  Linter linter({});
  linter.run("/nonexistent", {});
  linter.run_in_memory("\x1f\x8b\x08", "t", {});
  linter.run_in_memory("", "t", {});
  linter.run_in_memory("a,b\n1,2\n", "t", {});
  EXPECT_EQ(linter.count("unreadable"), 3);
  EXPECT_EQ(linter.count("header"), 1);
}

TEST(Lint, ThePublicTracesAreAsPublished) {
  if (recorded_path("").empty()) GTEST_SKIP() << "set ASSAY_TRACES to the folder of recorded traces";
  Linter linter({});
  linter.run(recorded_path("mooncake_synthetic.jsonl"), {});
  EXPECT_TRUE(linter.findings().empty());
  linter.run(recorded_path("azure2023_code.csv"), {});
  EXPECT_EQ(linter.count("crlf"), 1);
  EXPECT_EQ(linter.count("unterminated-last-line"), 1);
  EXPECT_EQ(linter.count(Severity::kError) + linter.count(Severity::kWarning), 0);
}

}  // namespace
}  // namespace assay
