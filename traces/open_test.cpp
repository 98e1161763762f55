// Reading traces: formats, compressions, line ends, and what a malformed line says.
#include "traces/open.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "model/core/check.h"

namespace assay {
namespace {

std::vector<Request> read_all(TraceReader& trace) {
  std::vector<Request> out;
  Request request;
  while (trace.next(request)) out.push_back(request);
  return out;
}

std::string traces_directory() {
  const char* directory = std::getenv("ASSAY_TRACES");
  return directory == nullptr ? "" : directory;
}

TEST(Open, AMooncakeLineBecomesARequest) {
  auto trace = open_trace_in_memory(
      "{\"timestamp\": 27482, \"input_length\": 1030, \"output_length\": 52, \"hash_ids\": [46, 47, 2353]}\n",
      "t");
  const auto requests = read_all(*trace);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(trace->header().format, "mooncake");
  EXPECT_EQ(trace->header().hash_tokens, 512);
  EXPECT_EQ(requests[0].arrival_ns, 27482000000);
  EXPECT_EQ(requests[0].input_tokens, 1030);
  EXPECT_EQ(requests[0].output_tokens, 52);
  EXPECT_EQ(requests[0].hash_ids, (std::vector<std::int64_t>{46, 47, 2353}));
  EXPECT_EQ(requests[0].line, 1);
}

TEST(Open, AnAzureRowBecomesARequestAndTheFirstTimeIsTheOrigin) {
  auto trace = open_trace_in_memory(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n"
      "2023-11-16 18:17:04.0319600,3180,8",
      "t");
  const auto requests = read_all(*trace);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(trace->header().format, "azure-2023");
  EXPECT_EQ(requests[0].arrival_ns, 0);
  EXPECT_EQ(requests[1].arrival_ns, 52000000);
  EXPECT_EQ(trace->header().origin_ns, 1700158623979960000);
  EXPECT_EQ(requests[1].input_tokens, 3180);
  EXPECT_EQ(requests[1].output_tokens, 8);
  EXPECT_TRUE(requests[1].hash_ids.empty());
  EXPECT_EQ(requests[1].line, 3);
}

TEST(Open, AMalformedLineIsNamedByFileLineAndColumn) {
  auto trace = open_trace_in_memory(
      "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n"
      "{\"timestamp\": 0, \"input_length\": x, \"output_length\": 1}\n",
      "some.jsonl");
  Request request;
  ASSERT_TRUE(trace->next(request));
  try {
    (void)trace->next(request);
    FAIL() << "the second line was accepted";
  } catch (const InputError& error) {
    EXPECT_EQ(error.place(), "some.jsonl:2:34");
  }
}

TEST(Open, TheRecordedTracesHaveTheirKnownSizes) {
  const std::string directory = traces_directory();
  if (directory.empty()) GTEST_SKIP() << "set ASSAY_TRACES to the folder of recorded traces";
  const auto count = [&](const char* file, std::int64_t& input, std::int64_t& blocks) {
    auto trace = open_trace(directory + "/" + file);
    std::int64_t requests = 0;
    Request request;
    input = blocks = 0;
    while (trace->next(request)) {
      ++requests;
      input += request.input_tokens;
      blocks += static_cast<std::int64_t>(request.hash_ids.size());
    }
    return requests;
  };
  std::int64_t input = 0, blocks = 0;
  EXPECT_EQ(count("mooncake_conversation.jsonl", input, blocks), 12031);
  EXPECT_EQ(blocks, 288500);
  EXPECT_EQ(count("mooncake_synthetic.jsonl", input, blocks), 3993);
  EXPECT_EQ(blocks, 121877);
  EXPECT_EQ(count("azure2023_code.csv", input, blocks), 8819);
  EXPECT_EQ(count("azure2023_conv.csv", input, blocks), 19366);
}

}  // namespace
}  // namespace assay
