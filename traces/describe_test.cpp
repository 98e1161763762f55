// Statistics of a trace, against numbers computed by hand and against the known numbers of public traces.
#include "traces/describe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "model/core/philox.h"
#include "traces/open.h"
#include "traces/testing.h"

namespace assay {
namespace {

TraceStatistics statistics_of(TraceReader& trace) {
  TraceStatistics statistics;
  Request request;
  while (trace.next(request)) statistics.add(request, trace.header().hash_tokens);
  statistics.finish();
  return statistics;
}

double ratio(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// Three prompts by hand, blocks of 4 tokens:
//   10 tokens  ids 0 1 2    nothing known
//   12 tokens  ids 0 1 3    hits 0 1 -> 8 tokens
//    9 tokens  ids 0 5 3    hits 0 -> 4 tokens; 3 is known but behind a miss
TEST(Describe, EveryDefinitionOfAHitGivesItsOwnNumber) {
  OpenOptions options;
  options.hash_tokens = 4;
  auto trace = open_trace_in_memory(
      "{\"timestamp\": 0, \"input_length\": 10, \"output_length\": 1, \"hash_ids\": [0, 1, 2]}\n"
      "{\"timestamp\": 0, \"input_length\": 12, \"output_length\": 1, \"hash_ids\": [0, 1, 3]}\n"
      "{\"timestamp\": 5, \"input_length\": 9, \"output_length\": 0, \"hash_ids\": [0, 5, 3]}\n",
      "t", options);
  const TraceStatistics s = statistics_of(*trace);
  EXPECT_EQ(s.requests, 3);
  EXPECT_EQ(s.no_output, 1);
  EXPECT_EQ(s.equal_times, 1);
  EXPECT_EQ(s.reuse.references, 9);
  EXPECT_EQ(s.reuse.unique, 5);
  EXPECT_EQ(s.reuse.block_hits, 3);
  EXPECT_EQ(s.reuse.any_block_hits, 4);
  EXPECT_EQ(s.reuse.full_references, 2 + 3 + 2);
  EXPECT_EQ(s.reuse.full_hits, 3);
  EXPECT_EQ(s.reuse.token_hits, 12);
  EXPECT_DOUBLE_EQ(s.reuse.mean_request_ratio, (0.0 + 8.0 / 12 + 4.0 / 9) / 3);
  EXPECT_EQ(s.reuse.half_tokens, 12 + 9);
  EXPECT_EQ(s.reuse.half_token_hits, 12);
  EXPECT_EQ(s.reuse.used_once, 2);  // 2 and 5
}

TEST(Describe, TheKnownNumbersOfTheConversationTraceAreReproduced) {
  const std::string path = recorded_path("mooncake_conversation.jsonl");
  if (path.empty()) GTEST_SKIP() << "set ASSAY_TRACES to the folder of recorded traces";
  const TraceStatistics s = statistics_of(*open_trace(path));
  EXPECT_EQ(s.requests, 12031);
  EXPECT_NEAR(s.input.mean(), 12035.06, 0.005);
  EXPECT_EQ(s.input.median(), 6909.0);
  EXPECT_EQ(s.input.min(), 891);
  EXPECT_EQ(s.input.max(), 126195);
  EXPECT_NEAR(s.output.mean(), 342.62, 0.005);
  EXPECT_EQ(s.output.min(), 1);
  EXPECT_EQ(s.output.max(), 2000);
  EXPECT_EQ(s.last_ns - s.first_ns, 3536999000000);
  EXPECT_EQ(s.requests - s.equal_times, 1180);
  EXPECT_EQ(s.backwards, 0);
  EXPECT_EQ(s.reuse.references, 288500);
  EXPECT_EQ(s.reuse.unique, 182790);
  EXPECT_EQ(s.reuse.block_hits, 105710);
  EXPECT_EQ(s.reuse.any_block_hits, 105710);
  EXPECT_NEAR(ratio(s.reuse.token_hits, s.input.sum()), 0.373624, 5e-7);
  EXPECT_NEAR(ratio(s.reuse.full_hits, s.reuse.full_references), 0.3819, 5e-5);
  EXPECT_NEAR(s.reuse.mean_request_ratio, 0.4094, 5e-5);
  EXPECT_EQ(s.reuse.half_token_hits, 27038068);
  EXPECT_EQ(s.reuse.half_tokens, 67915607);
}

TEST(Describe, TheKnownNumbersOfTheSyntheticTraceAreReproduced) {
  const std::string path = recorded_path("mooncake_synthetic.jsonl");
  if (path.empty()) GTEST_SKIP() << "set ASSAY_TRACES to the folder of recorded traces";
  const TraceStatistics s = statistics_of(*open_trace(path));
  EXPECT_EQ(s.requests, 3993);
  EXPECT_NEAR(s.input.mean(), 15325.48, 0.005);
  EXPECT_EQ(s.input.median(), 11587.0);
  EXPECT_EQ(s.input.min(), 13);
  EXPECT_EQ(s.input.max(), 191378);
  EXPECT_NEAR(s.output.mean(), 149.12, 0.005);
  EXPECT_EQ(s.output.max(), 893);
  EXPECT_EQ(s.last_ns - s.first_ns, 1022025000000);
  EXPECT_EQ(s.requests - s.equal_times, 3982);
  EXPECT_EQ(s.reuse.references, 121877);
  EXPECT_EQ(s.reuse.unique, 43924);
  EXPECT_EQ(s.reuse.block_hits, 77953);
  EXPECT_NEAR(ratio(s.reuse.token_hits, s.input.sum()), 0.651244, 5e-7);
  EXPECT_NEAR(ratio(s.reuse.full_hits, s.reuse.full_references), 0.6594, 5e-5);
  EXPECT_NEAR(s.reuse.mean_request_ratio, 0.4315, 5e-5);
  EXPECT_EQ(s.reuse.half_token_hits, 31535563);
  EXPECT_EQ(s.reuse.half_tokens, 36552394);
}

TEST(Recency, ADistanceIsTheNumberOfDistinctKeysSince) {
  // Against the definition, with a line so short that it is renumbered many times.
  const RandomStream random(1, "recency");
  Recency recency(512);
  std::vector<std::int64_t> order;  // most recent last
  std::vector<std::int64_t> position(700, -1);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const auto key = static_cast<std::int64_t>(random.below(i, i % 3 == 0 ? 700 : 40));
    if (recency.full()) {
      for (auto& p : position)
        if (p >= 0) p = recency.rank(static_cast<std::uint32_t>(p));
      recency.renumbered();
    }
    auto& p = position[static_cast<std::size_t>(key)];
    const auto found = std::find(order.begin(), order.end(), key);
    if (p < 0) {
      ASSERT_EQ(found, order.end());
      p = recency.first_touch();
    } else {
      ASSERT_EQ(recency.distance(static_cast<std::uint32_t>(p)), order.end() - found - 1) << "touch " << i;
      p = recency.touch_again(static_cast<std::uint32_t>(p));
      order.erase(found);
    }
    order.push_back(key);
  }
}

TEST(IdTable, EveryKindOfIdIsFoundAgain) {
  struct Count {
    std::int64_t times = 0;
    bool used() const { return times > 0; }
  };
  IdTable<Count> table;
  const RandomStream random(1, "id table");
  std::vector<std::int64_t> ids;
  for (std::uint64_t i = 0; i < 30000; ++i) {
    const std::uint64_t any = random.u64(i);
    ids.push_back(i % 3 == 0 ? static_cast<std::int64_t>(any) : static_cast<std::int64_t>(any % 200000));
  }
  for (const std::int64_t id : ids) ++table[id].times;
  std::sort(ids.begin(), ids.end());
  std::int64_t distinct = 0, total = 0;
  for (std::size_t i = 0; i < ids.size();) {
    const auto end = std::upper_bound(ids.begin(), ids.end(), ids[i]) - ids.begin();
    ASSERT_NE(table.find(ids[i]), nullptr);
    ASSERT_EQ(table.find(ids[i])->times, end - static_cast<std::ptrdiff_t>(i));
    i = static_cast<std::size_t>(end);
    ++distinct;
  }
  table.for_each([&](std::int64_t, const Count& count) {
    --distinct;
    total += count.times;
  });
  EXPECT_EQ(distinct, 0);
  EXPECT_EQ(total, 30000);
  EXPECT_EQ(table.find(-1), nullptr);
}

TEST(Distribution, PercentilesAreNearestRankAndTheMedianAveragesTheMiddle) {
  Distribution lengths;
  for (const std::int64_t value : {5, 1, 3, 9000000, 3, 2}) lengths.add(value);
  EXPECT_EQ(lengths.min(), 1);
  EXPECT_EQ(lengths.max(), 9000000);
  EXPECT_EQ(lengths.median(), 3.0);
  lengths.add(7);
  lengths.add(8);
  EXPECT_EQ(lengths.median(), 4.0);
  EXPECT_EQ(lengths.percentile(50000), 3);
  EXPECT_EQ(lengths.percentile(87500), 8);
  EXPECT_EQ(lengths.percentile(87501), 9000000);
  EXPECT_EQ(lengths.percentile(0), 1);
  EXPECT_EQ(lengths.octaves(), (std::vector<std::int64_t>{0, 1, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

}  // namespace
}  // namespace assay
