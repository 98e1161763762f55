// Each format: its sample is recognised and read, its fields mean what they should, its faults are found.
#include "traces/formats.h"

#include <gtest/gtest.h>

#include "traces/describe.h"
#include "traces/generate.h"
#include "traces/sample.h"
#include "traces/testing.h"
#include "traces/write.h"

namespace assay {
namespace {

struct Sample {
  const char* file;
  const char* format;
  std::size_t requests;
  std::int32_t hash_tokens;
};
constexpr Sample kSamples[] = {
    {"sample.jsonl", "mooncake", 480, 512},  {"azure-2023.csv", "azure-2023", 40, 0},
    {"azure-2024.csv", "azure-2024", 40, 0}, {"azure-multimodal.csv.gz", "azure-multimodal", 40, 0},
    {"bailian.jsonl", "bailian", 40, 16},    {"bailian.jsonl.zst", "bailian", 40, 16},
    {"burstgpt.csv", "burstgpt", 40, 0},     {"burstgpt-3.csv", "burstgpt-3", 40, 0},
    {"dynamo.jsonl", "dynamo", 24, 512},     {"native.jsonl", "native", 40, 16},
    {"vidur.csv", "vidur", 40, 0},           {"vllm-timed.jsonl", "vllm-timed", 40, 16}};

TEST(Formats, EverySampleIsRecognisedAndReadToTheEnd) {
  for (const Sample& sample : kSamples) {
    const auto trace = read_whole(*open_trace(sample_path(sample.file)));
    EXPECT_EQ(trace.header.format, sample.format) << sample.file;
    EXPECT_EQ(trace.header.hash_tokens, sample.hash_tokens) << sample.file;
    EXPECT_EQ(trace.requests.size(), sample.requests) << sample.file;
    std::int64_t tokens = 0;
    for (const Request& request : trace.requests) tokens += request.input_tokens;
    EXPECT_GT(tokens, 1000) << sample.file;
  }
}

TEST(Formats, EveryFormatHasASampleAndANameThatFindsIt) {
  for (const FormatSpec* format : trace_formats()) {
    EXPECT_EQ(find_trace_format(format->name), format);
    bool sampled = false;
    for (const Sample& sample : kSamples) sampled = sampled || format->name == sample.format;
    EXPECT_TRUE(sampled) << format->name;
  }
  EXPECT_EQ(find_trace_format("csv"), nullptr);
}

TEST(Formats, TheNativeFormatKeepsEverythingThatAnyOtherCarries) {
  for (const Sample& sample : kSamples) {
    auto trace = open_trace(sample_path(sample.file));
    TraceWriter writer(native_format(), trace->header());
    std::string text;
    std::vector<Request> requests;
    Request request;
    while (trace->next(request)) {
      requests.push_back(request);
      writer.write(request, text);
    }
    EXPECT_TRUE(writer.losses().empty()) << sample.file;
    const auto back = read_text(text);
    EXPECT_EQ(back.header.origin_ns, trace->header().origin_ns);
    EXPECT_EQ(back.header.prefix_ids, trace->header().prefix_ids);
    ASSERT_EQ(back.requests.size(), requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(difference(requests[i], back.requests[i]), "") << sample.file << " " << i;

    // And from there to its own format again: the same requests, nothing lost.
    TraceWriter again(trace->format(), back.header);
    std::string own;
    for (const Request& one : back.requests) again.write(one, own);
    EXPECT_TRUE(again.losses().empty()) << sample.file << ": " << again.losses().front().what;
    OpenOptions options;
    options.format = sample.format;
    const auto last = read_text(own, options);
    EXPECT_EQ(last.header.origin_ns, trace->header().origin_ns);
    for (std::size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(difference(requests[i], last.requests[i]), "") << sample.file << " " << i;
  }
}

TEST(Formats, ConversionSaysWhatIsLost) {
  auto trace = open_trace(sample_path("dynamo.jsonl"));
  TraceWriter writer(vidur_format(), trace->header());
  std::string text;
  Request request;
  std::int64_t with_ids = 0, without_time = 0, count = 0;
  while (trace->next(request)) {
    ++count;
    with_ids += request.hash_ids.empty() ? 0 : 1;
    without_time += request.has_arrival ? 0 : 1;
    writer.write(request, text);
  }
  std::map<std::string, std::int64_t> losses;
  for (const Loss& loss : writer.losses()) losses[loss.what] = loss.requests;
  EXPECT_EQ(losses["hash ids left out"], with_ids);
  EXPECT_EQ(losses["session left out"], count);
  EXPECT_EQ(losses["no time of its own: the last one written"], without_time);
  EXPECT_GT(without_time, 0);
}

TEST(Formats, DynamosLaterTurnsHaveADelayInsteadOfATime) {
  const auto trace = read_whole(*open_trace(sample_path("dynamo.jsonl")));
  std::int64_t delays = 0;
  for (const Request& request : trace.requests) {
    EXPECT_NE(request.has_arrival, request.delay_ns >= 0);
    delays += request.delay_ns >= 0 ? 1 : 0;
  }
  EXPECT_GT(delays, 3);
  const auto aliases = read_text(
      "{\"session_id\": 7, \"created_time\": 5, \"input_tokens\": 3, \"output_tokens\": 1}\n"
      "{\"session_id\": 7, \"delay_ms\": 2.5, \"input_tokens\": 4, \"output_tokens\": 1, "
      "\"wait_for\": [\"a\", \"b\"], \"prefix_reset\": true, \"timestamp\": null}\n");
  EXPECT_EQ(aliases.header.format, "dynamo");
  EXPECT_EQ(aliases.requests[0].arrival_ns, 5000000);
  EXPECT_EQ(aliases.requests[0].session, "7");
  EXPECT_EQ(aliases.requests[1].delay_ns, 2500000);
  EXPECT_EQ(aliases.requests[1].arrival_ns, 5000000) << "the last time known";
  EXPECT_FALSE(aliases.requests[1].has_arrival);
  EXPECT_EQ(aliases.requests[1].wait_for, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(aliases.requests[1].prefix_reset, 1);
}

TEST(Formats, BurstGptStartsAtItsFirstRowAndKeepsFailedRequests) {
  const auto trace = read_whole(*open_trace(sample_path("burstgpt-3.csv")));
  EXPECT_EQ(trace.requests[0].arrival_ns, 0);
  EXPECT_EQ(trace.header.origin_ns, 19440110000000000);
  EXPECT_EQ(trace.requests[1].arrival_ns, 699000000);
  EXPECT_EQ(trace.requests[0].session, "");
  EXPECT_EQ(trace.requests[1].session.size(), 36u);
  EXPECT_EQ(trace.requests[17].output_tokens, 0);
  EXPECT_EQ(trace.requests[0].elapsed_ns, 10921000000);
}

TEST(Formats, ColumnsMayComeInAnyOrderQuotedAndWithOthersBetween) {
  auto trace = open_trace_in_memory(
      "num_decode_tokens,\"extra, column\",arrived_at,num_prefill_tokens\n"
      "8,\"a \"\"quoted\"\" cell, with comma\",0.25,\"3180\"\n",
      "t");
  const auto read = read_whole(*trace);
  EXPECT_EQ(read.header.format, "vidur");
  EXPECT_EQ(read.requests[0].arrival_ns, 250000000);
  EXPECT_EQ(read.requests[0].input_tokens, 3180);
  EXPECT_EQ(read.requests[0].output_tokens, 8);
  EXPECT_EQ(trace->unknown_columns(), (std::vector<std::string>{"extra, column"}));
}

TEST(Formats, AWrongColumnCountIsNamedAtTheFirstColumnTooManyOrAtTheEnd) {
  const std::string header = "arrived_at,num_prefill_tokens,num_decode_tokens\n";
  EXPECT_EQ(place_of_fault(header + "0,1,2\n0,1\n"), "t:3:4");
  EXPECT_EQ(place_of_fault(header + "0,1,2\n0,1,2,3\n"), "t:3:7");
  EXPECT_EQ(place_of_fault(header + "0,1,2,\n"), "t:2:7");
  EXPECT_EQ(place_of_fault(header + "0,x,2\n"), "t:2:3");
  EXPECT_EQ(place_of_fault(header + "0,-1,2\n"), "t:2:3");
  EXPECT_EQ(place_of_fault(header + "0,1.5,2\n"), "t:2:3");
  EXPECT_EQ(place_of_fault(header + ",1,2\n"), "t:2:1");
  EXPECT_EQ(place_of_fault(header + "0,99999999999999999999,2\n"), "t:2:3");
  EXPECT_EQ(place_of_fault(header + "9999999999999,1,2\n"), "t:2:1") << "seconds past 2^63 ns";
  EXPECT_EQ(place_of_fault(header + "0,\"1,2\n"), "t:2:3") << "a quote that is not closed";
  EXPECT_EQ(place_of_fault(header + "0,1.0e1,374.0\n"), "") << "whole numbers in another spelling";
}

TEST(Formats, AzureDatesOfEitherYearAreReadUnderEitherName) {
  const std::string rows =
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-29 23:59:59.9999999,1,1\n2024-03-01 "
      "00:00:00+00:00,1,1\n"
      "2024-03-01T02:00:00.5+02:00,1,1\n2024-03-01 00:00:01Z,1,1\n2024-02-29 18:30:02-0530,1,1\n";
  for (const char* name : {"azure-2023", "azure-2024"}) {
    OpenOptions options;
    options.format = name;
    const auto trace = read_text(rows, options);
    ASSERT_EQ(trace.requests.size(), 5u);
    EXPECT_EQ(trace.requests[1].arrival_ns, 100);
    EXPECT_EQ(trace.requests[2].arrival_ns, 500000100);
    EXPECT_EQ(trace.requests[3].arrival_ns, 1000000100);
    EXPECT_EQ(trace.requests[4].arrival_ns, 2000000100);
  }
  const std::string header = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const char* date :
       {"2023-02-29 00:00:00", "2023-13-01 00:00:00", "2023-01-01 24:00:00", "2023-01-01 00:60:00",
        "2023-01-01", "2023-01-01 00:00:00.", "2023-01-01 00:00:00+1", "0000-01-01 00:00:00",
        "9999-01-01 00:00:00", "1500-01-01 00:00:00", "2023-01-01 00:00:00 x"})
    EXPECT_EQ(place_of_fault(header + date + ",1,1\n"), "t:2:1") << date;
}

TEST(Formats, TheSameKeysAreMooncakeOrVllmByTheTokensThatAnIdCovers) {
  const auto line = [](int tokens, int ids) {
    std::string text = "{\"timestamp\": 1, \"input_length\": " + std::to_string(tokens) +
                       ", \"output_length\": 1, \"hash_ids\": [";
    for (int i = 0; i < ids; ++i) text += (i > 0 ? ", " : "") + std::to_string(i);
    return text + "]}\n";
  };
  EXPECT_EQ(read_text(line(1024, 2)).header.format, "mooncake");
  EXPECT_EQ(read_text(line(33, 3)).header.format, "vllm-timed");
  EXPECT_EQ(read_text(line(10, 1)).header.format, "mooncake") << "both fit";
  EXPECT_EQ(read_text(line(10, 1) + line(33, 3)).header.format, "vllm-timed");
  EXPECT_EQ(place_of_fault(line(1024, 16)), "t:1:72") << "64 tokens an id: neither";
  OpenOptions options;
  options.hash_tokens = 64;
  EXPECT_EQ(read_text(line(1024, 16), options).requests.size(), 1u);
}

TEST(Formats, ANativeHeaderIsCheckedAndANewerVersionRefused) {
  const std::string request = "{\"arrival_ns\": 5, \"input_tokens\": 3, \"output_tokens\": 1}\n";
  EXPECT_EQ(read_text("{\"assay_trace\": 1}\n" + request).requests[0].arrival_ns, 5);
  EXPECT_EQ(place_of_fault("{\"assay_trace\": 2}\n" + request), "t:1:17");
  EXPECT_EQ(place_of_fault("{\"assay_trace\": 1, \"hash_tokens\": -5}\n" + request), "t:1:35");
  EXPECT_EQ(
      place_of_fault("{\"assay_trace\": 1}\n{\"arrival_ns\": 5, \"input_tokens\": 3, \"output_tokens\": 1, "
                     "\"hash_ids\": [1]}\n"),
      "t:2:70")
      << "ids without a granularity";
  OpenOptions options;
  options.format = "native";
  EXPECT_EQ(place_of_fault(request, options), "t:1:1");
}

TEST(Sample, TheCompiledInSampleIsTheFileAndWhatItsCommandMakes) {
  const std::string file = file_text(sample_path("sample.jsonl"));
  EXPECT_EQ(sample_trace(), file);
  GenerateOptions options;  // the command of traces/samples/README.md
  options.seed = 7;
  options.requests = 480;
  options.rate = 2;
  options.arrivals = "bursts";
  options.lengths = "chat";
  options.turns = 4;
  options.system_prompts = 4;
  options.system_tokens = 1600;
  options.documents = 3;
  options.document_tokens = 2600;
  options.document_share = 0.5;
  options.twin_share = 0.04;
  options.hash_tokens = 512;
  const auto source = generate_trace(options);
  TraceWriter writer(mooncake_format(), source->header());
  std::string made;
  Request request;
  while (source->next(request)) writer.write(request, made);
  EXPECT_EQ(made, file);
}

TEST(Sample, ItsNumbersAreKnown) {
  auto trace = open_trace_in_memory(std::string(sample_trace()), "sample");
  TraceStatistics s;
  Request request;
  while (trace->next(request)) s.add(request, trace->header().hash_tokens);
  s.finish();
  EXPECT_EQ(s.requests, 480);
  EXPECT_EQ(s.input.sum(), 3068057);
  EXPECT_EQ(s.output.sum(), 104374);
  EXPECT_EQ(s.reuse.references, 6232);
  EXPECT_EQ(s.reuse.unique, 1811);
  EXPECT_EQ(s.reuse.block_hits, 4421);
  EXPECT_EQ(s.reuse.token_hits, 2258339);
  EXPECT_EQ(s.reuse.half_token_hits, 1395196);
}

}  // namespace
}  // namespace assay
