// Reading traces: formats, compressions, line ends, and what a malformed line says.
#include "traces/open.h"

#include <gtest/gtest.h>

#include <zlib.h>
#include <zstd.h>

#include <string>

#include "traces/lines.h"
#include "traces/testing.h"

namespace assay {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return out;
}

TEST(Open, AMooncakeLineBecomesARequest) {
  auto trace = open_trace_in_memory(
      "{\"timestamp\": 27482, \"input_length\": 1030, \"output_length\": 52, \"hash_ids\": [46, 47, 2353]}\n",
      "t");
  const auto requests = read_whole(*trace).requests;
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
  const auto requests = read_whole(*trace).requests;
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
  if (recorded_path("").empty()) GTEST_SKIP() << "set ASSAY_TRACES to the folder of recorded traces";
  const auto count = [&](const char* file, std::int64_t& input, std::int64_t& blocks) {
    auto trace = open_trace(recorded_path(file));
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

constexpr const char* kTwoLines =
    "{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 2, \"hash_ids\": [3]}\n"
    "{\"timestamp\": 2, \"input_length\": 6, \"output_length\": 3, \"hash_ids\": [4]}\n";

TEST(Lines, AByteOrderMarkCarriageReturnsBlankLinesAndAMissingLastEndAreAccepted) {
  const auto plain = read_text(kTwoLines);
  for (const char* text :
       {"\xef\xbb\xbf{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 2, \"hash_ids\": [3]}\r\n"
        "{\"timestamp\": 2, \"input_length\": 6, \"output_length\": 3, \"hash_ids\": [4]}\r\n",
        "\n  \n{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 2, \"hash_ids\": [3]}\n\r\n"
        "{\"timestamp\": 2, \"input_length\": 6, \"output_length\": 3, \"hash_ids\": [4]}",
        " {\"timestamp\" :1 ,\t\"input_length\":5,\"output_length\":2,\"hash_ids\":[ 3 ] } \n"
        "{\"hash_ids\":[4],\"output_length\":3,\"input_length\":6,\"timestamp\":2}\r\n"}) {
    const auto other = read_text(text);
    ASSERT_EQ(other.requests.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(difference(plain.requests[i], other.requests[i]), "");
  }
}

TEST(Lines, ALineLongerThanTheBufferIsReadAndOneLongerThanTheLimitIsRefused) {
  std::string ids = "0";
  for (int i = 1; i < 400000; ++i) ids += ", " + std::to_string(i);
  const std::string text =
      "{\"timestamp\": 0, \"input_length\": 204800000, \"output_length\": 1, \"hash_ids\": [" + ids + "]}\n" +
      kTwoLines;
  const auto trace = read_text(text);
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.requests[0].hash_ids.size(), 400000u);
  EXPECT_EQ(trace.requests[0].hash_ids.back(), 399999);
  EXPECT_EQ(trace.requests[2].line, 3);

  OpenOptions options;
  options.format = "mooncake";
  EXPECT_EQ(place_of_fault(std::string(kMaxLineBytes + 1, ' '), options), "t:1:1");
}

TEST(Open, NothingDependsOnHowTheBytesArrive) {
  // The same trace, compressed in every way, and in pieces: members, frames.
  const std::string text = file_text(sample_path("bailian.jsonl"));
  const auto plain = read_text(text);
  ASSERT_EQ(plain.requests.size(), 40u);
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  for (const std::string& bytes : {gzip(text), zstd(text), gzip(half) + gzip(rest), zstd(half) + zstd(rest),
                                   file_text(sample_path("bailian.jsonl.zst"))}) {
    const auto other = read_text(bytes);
    ASSERT_EQ(other.requests.size(), 40u);
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(difference(plain.requests[i], other.requests[i]), "") << i;
      EXPECT_EQ(plain.requests[i].line, other.requests[i].line);
    }
  }
}

TEST(Open, ACompressedStreamThatEndsEarlyOrIsDamagedIsRefusedAtEveryByte) {
  const std::string text = file_text(sample_path("vidur.csv"));
  for (const std::string& bytes : {gzip(text), zstd(text)}) {
    for (std::size_t size = 4; size < bytes.size(); ++size)
      EXPECT_THROW((void)read_text(bytes.substr(0, size)), InputError) << size;
    EXPECT_EQ(read_text(bytes).requests.size(), 40u);
    EXPECT_THROW((void)read_text(bytes + "rubbish"), InputError);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
      try {
        // A flag or name byte of the header may be harmless; but nothing may be read wrongly.
        EXPECT_EQ(read_text(damaged).requests.size(), 40u) << at;
      } catch (const InputError&) {
      }
    }
  }
}

TEST(Open, MalformedLinesAreCountedAndListedWhenTheyMayBeSkipped) {
  std::string text = kTwoLines;
  text += "{\"timestamp\": 3, \"input_length\": 6\n";
  text += "not json\n";
  text += "{\"timestamp\": 4, \"input_length\": 7, \"output_length\": 3, \"hash_ids\": [5]}\n";
  EXPECT_EQ(place_of_fault(text), "t:3:35");
  OpenOptions options;
  options.skip_bad = true;
  std::int64_t called = 0;
  options.on_bad = [&](const BadLine&) { ++called; };
  options.listed_bad_lines = 1;
  auto trace = open_trace_in_memory(text, "t", options);
  EXPECT_EQ(read_whole(*trace).requests.size(), 3u);
  EXPECT_EQ(trace->bad_count(), 2);
  EXPECT_EQ(called, 2);
  ASSERT_EQ(trace->bad_lines().size(), 1u);
  EXPECT_EQ(trace->bad_lines()[0].line, 3);
  EXPECT_EQ(trace->bad_lines()[0].fault.column, 35);
}

TEST(Open, ARoundedDownIdListIsRefusedUnlessAllowedAndThenGetsATailOfItsOwn) {
  const char* text =
      "{\"timestamp\": 1, \"input_length\": 1000, \"output_length\": 2, \"hash_ids\": [3]}\n"
      "{\"timestamp\": 2, \"input_length\": 1024, \"output_length\": 2, \"hash_ids\": [3, 4]}\n"
      "{\"timestamp\": 3, \"input_length\": 1000, \"output_length\": 2, \"hash_ids\": [3]}\n";
  EXPECT_EQ(place_of_fault(text), "t:1:72");
  OpenOptions options;
  options.hash_rounding = HashRounding::kFloor;
  const auto trace = read_text(text, options);
  EXPECT_EQ(trace.requests[0].hash_ids, (std::vector<std::int64_t>{3, -2}));
  EXPECT_EQ(trace.requests[1].hash_ids, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(trace.requests[2].hash_ids, (std::vector<std::int64_t>{3, -4})) << "a tail is nobody else's";
}

TEST(Open, TheUnitOfTimeAndTheGranularityMayBeGiven) {
  OpenOptions options;
  options.time_unit = 9;
  options.hash_tokens = 5;
  const auto trace = read_text(
      "{\"timestamp\": 1.5, \"input_length\": 11, \"output_length\": 2, \"hash_ids\": [3, 4, 5]}\n", options);
  EXPECT_EQ(trace.requests[0].arrival_ns, 1500000000);
  EXPECT_EQ(trace.header.hash_tokens, 5);
  EXPECT_EQ(trace.header.format, "mooncake");
}

TEST(Open, WhatIsNoTraceIsRefusedWithAClearWord) {
  for (const char* text : {"", "\n\n", "hello\nworld\n", "a,b,c\n1,2,3\n", "{}\n", "{\"x\": 1}\n", "[1,2]\n",
                           "\x1f", "PK\x03\x04", "{\"timestamp\": 1, \"input_length\": ",
                           "version https://git-lfs.github.com/spec/v1\noid sha256:00\n"})
    EXPECT_NE(place_of_fault(text), "") << text;
  EXPECT_THROW((void)open_trace("/nonexistent/trace"), InputError);
  EXPECT_THROW((void)open_trace("/"), InputError);
  OpenOptions options;
  options.format = "moonshine";
  EXPECT_EQ(place_of_fault(kTwoLines, options), "--format");
}

}  // namespace
}  // namespace assay
