// Statistics of a trace, against numbers computed by hand and against the known numbers of public traces.
#include "traces/describe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "model/core/philox.h"
#include "traces/open.h"
#include "traces/random_shapes.h"
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

// The definitions once more, on standard containers and request by request.
ReuseSummary slow_reuse(const std::vector<Request>& requests, std::int64_t g) {
  ReuseSummary out;
  std::set<std::int64_t> known;
  std::map<std::int64_t, std::int64_t> uses;
  std::vector<std::int64_t> recent;  // most recent last
  double ratios = 0;
  for (std::size_t index = 0; index < requests.size(); ++index) {
    const Request& r = requests[index];
    bool leading = true;
    std::int64_t hit_tokens = 0;
    for (std::size_t i = 0; i < r.hash_ids.size(); ++i) {
      const std::int64_t tokens = std::min(g, r.input_tokens - static_cast<std::int64_t>(i) * g);
      const bool hit = known.count(r.hash_ids[i]) > 0;
      leading = leading && hit;
      ++out.references;
      out.full_references += tokens == g ? 1 : 0;
      out.any_block_hits += hit ? 1 : 0;
      out.block_hits += leading ? 1 : 0;
      out.full_hits += leading && tokens == g ? 1 : 0;
      hit_tokens += leading ? tokens : 0;
    }
    out.token_hits += hit_tokens;
    if (r.input_tokens > 0) ratios += static_cast<double>(hit_tokens) / static_cast<double>(r.input_tokens);
    if (index >= requests.size() / 2) {
      out.half_tokens += r.input_tokens;
      out.half_token_hits += hit_tokens;
    }
    for (const std::int64_t id : r.hash_ids) {
      const auto at = std::find(recent.begin(), recent.end(), id);
      if (at != recent.end()) {
        std::size_t slot = 0;
        for (std::int64_t d = recent.end() - at - 1; d > 0; d >>= 1) ++slot;
        if (slot >= out.distance_octaves.size()) out.distance_octaves.resize(slot + 1);
        ++out.distance_octaves[slot];
        recent.erase(at);
      }
      recent.push_back(id);
      known.insert(id);
      ++uses[id];
    }
  }
  out.unique = static_cast<std::int64_t>(known.size());
  for (const auto& [id, count] : uses) out.used_once += count == 1 ? 1 : 0;
  out.mean_request_ratio = ratios / static_cast<double>(requests.size());
  return out;
}

std::string reuse_difference(const ReuseSummary& a, const ReuseSummary& b) {
  if (a.references != b.references || a.unique != b.unique || a.used_once != b.used_once) return "blocks";
  if (a.block_hits != b.block_hits) return "block_hits";
  if (a.any_block_hits != b.any_block_hits) return "any_block_hits";
  if (a.full_references != b.full_references || a.full_hits != b.full_hits) return "full_hits";
  if (a.token_hits != b.token_hits) return "token_hits";
  if (a.half_tokens != b.half_tokens || a.half_token_hits != b.half_token_hits) return "half";
  if (std::abs(a.mean_request_ratio - b.mean_request_ratio) > 1e-12) return "mean_request_ratio";
  return a.distance_octaves == b.distance_octaves ? "" : "distance_octaves";
}

TEST(Describe, AgreesWithTheDefinitionsOnRandomTracesAndNoWrongOneDoes) {
  Draws draws(RandomStream(1, "describe"));
  for (int trace = 0; trace < 60; ++trace) {
    const std::int64_t g = 1 + static_cast<std::int64_t>(draws.below(20));
    std::vector<Request> requests(1 + draws.below(40));
    for (Request& r : requests) {
      r.input_tokens = static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(12 * g)));
      // Ids of every kind: dense, far apart, negative, twice in one prompt.
      for (std::int64_t i = 0; i < (r.input_tokens + g - 1) / g; ++i) {
        const auto id = static_cast<std::int64_t>(draws.below(30));
        r.hash_ids.push_back(trace % 3 == 0   ? id
                             : trace % 3 == 1 ? id * 1000003 - 7
                                              : -id * 4611686018427387);
      }
    }
    TraceStatistics fast;
    for (const Request& r : requests) fast.add(r, static_cast<std::int32_t>(g));
    fast.finish();
    ReuseSummary slow = slow_reuse(requests, g);
    ASSERT_EQ(reuse_difference(fast.reuse, slow), "") << trace;
    // The comparison is not blind: granularity off by one, or the requests in another order.
    if (slow.full_hits > 0) {
      EXPECT_NE(reuse_difference(fast.reuse, slow_reuse(requests, g + 1)), "") << trace;
    }
    std::reverse(requests.begin(), requests.end());
    if (requests.size() > 10) {
      EXPECT_NE(reuse_difference(fast.reuse, slow_reuse(requests, g)), "") << trace;
    }
  }
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
