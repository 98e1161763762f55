// The replay: pencil-sized worlds with every number worked out by hand, odd input, and the public traces'
// figures where they are at hand.
#include "sim/engine/replay.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "traces/open.h"

namespace assay {
namespace {

class Listed : public RequestSource {
 public:
  explicit Listed(std::vector<Request> requests, std::int32_t hash_tokens = 4)
      : requests_(std::move(requests)) {
    header_.hash_tokens = hash_tokens;
  }
  const TraceHeader& header() const override { return header_; }
  bool next(Request& request) override {
    if (at_ == requests_.size()) return false;
    request = requests_[at_++];
    return true;
  }

 private:
  TraceHeader header_;
  std::vector<Request> requests_;
  std::size_t at_ = 0;
};

Request request(std::int64_t arrival_ms, std::int64_t input, std::int64_t output,
                std::vector<std::int64_t> ids = {}) {
  Request r;
  r.arrival_ns = arrival_ms * 1'000'000;
  r.input_tokens = input;
  r.output_tokens = output;
  r.hash_ids = std::move(ids);
  return r;
}

ReplayOptions options(std::int32_t blocks, std::int32_t block_tokens, const char* clock = "none") {
  ReplayOptions o;
  o.scheduler.blocks = blocks;
  o.scheduler.block_tokens = block_tokens;
  o.clock = StepClock::parse(clock);
  o.check_every_step = true;
  o.planners = {"assay"};
  return o;
}

TEST(Replay, OneRequestIsCountedSlotBySlot) {
  // 6 prompt tokens and 3 generated in blocks of 4: slots 6, 7, 8 are live in the three steps.
  Listed source({request(0, 6, 3)});
  const ReplayResult r = replay_serving(source, options(5, 4));
  EXPECT_EQ(r.steps, 3);
  EXPECT_EQ(r.completed, 1);
  EXPECT_EQ(r.scheduled_tokens, 6 + 1 + 1);
  EXPECT_EQ(r.decode_steps, 2);
  EXPECT_DOUBLE_EQ(r.ledger.mean(0), (6 + 7 + 8) / 60.0);  // live, of 20 slots in 3 steps
  EXPECT_DOUBLE_EQ(r.ledger.mean(1), (2 + 1 + 0) / 60.0);  // tail
  EXPECT_DOUBLE_EQ(r.ledger.mean(4), 4 / 20.0);            // null
  EXPECT_EQ(r.ledger.peak_live(), 8);
  EXPECT_EQ(r.live_slot_steps, 6 + 7 + 8);
  EXPECT_EQ(r.reserved_slot_steps, 8 + 8 + 8);
}

TEST(Replay, ATwinHitsAllButItsLastBlockBecauseOneTokenMustBeComputed) {
  Listed source({request(0, 8, 1, {1, 2}), request(0, 8, 1, {1, 2}), request(0, 9, 1, {1, 2, 3})});
  const ReplayResult r = replay_serving(source, options(20, 4));
  // First: nothing there. Second: both blocks are there, the last is capped. Third: two full blocks hit, and
  // a partial one.
  EXPECT_EQ(r.first_admission.block_references, 2 + 2 + 3);
  EXPECT_EQ(r.first_admission.block_hits, 0 + 1 + 2);
  EXPECT_EQ(r.misses.cap, 1);
  EXPECT_EQ(r.misses.partial, 1);
  EXPECT_EQ(r.misses.cold, 2);
  EXPECT_EQ(r.first_admission.token_hits, 4 + 8);
  EXPECT_DOUBLE_EQ(r.mean_request_ratio, (0 + 0.5 + 8.0 / 9) / 3);
}

TEST(Replay, ABlockLargerThanTheSharedPrefixIsToldFromAColdOne) {
  // Granules of 4, blocks of 8: the second request shares 4 tokens, half a block.
  Listed source({request(0, 16, 1, {1, 2, 3, 4}), request(0, 16, 1, {1, 5, 6, 7})});
  const ReplayResult r = replay_serving(source, options(20, 8));
  EXPECT_EQ(r.misses.granularity, 1);
  EXPECT_EQ(r.misses.cold, 3);
}

TEST(Replay, AnEvictedPrefixIsNamedAsSuch) {
  // Two usable blocks of 4: the second request needs both, so the first one's blocks are gone for the third.
  Listed source({request(0, 8, 1, {1, 2}), request(0, 8, 1, {3, 4}), request(0, 8, 1, {1, 2})});
  const ReplayResult r = replay_serving(source, options(3, 4));
  EXPECT_EQ(r.first_admission.block_hits, 0);
  EXPECT_EQ(r.misses.evicted, 2);
  EXPECT_EQ(r.misses.cold, 4);
  EXPECT_EQ(r.evictions, 4);
}

TEST(Replay, TheNewestIsPreemptedAndComputedAgain) {
  // Four usable blocks of 4. Two requests of 7 tokens fill them after one generated token each; at the ninth
  // token the older needs a fifth block, and the newer one pays.
  Listed source({request(0, 7, 6, {1, 2}), request(0, 7, 6, {3, 4})});
  const ReplayResult r = replay_serving(source, options(5, 4));
  EXPECT_EQ(r.preemptions, 1);
  EXPECT_EQ(r.preempted_requests, 1);
  EXPECT_EQ(r.completed, 2);
  EXPECT_GT(r.recomputed_tokens, 0);
}

TEST(Replay, WhatCanNeverFitIsRejectedBeforeItStarts) {
  // Three usable blocks of 4: 12 tokens fit, the last generated one is never written.
  Listed source(
      {request(0, 12, 1), request(0, 10, 3), request(0, 13, 1), request(0, 10, 4), request(0, 0, 5)});
  const ReplayResult r = replay_serving(source, options(4, 4));
  EXPECT_EQ(r.completed, 2);
  EXPECT_EQ(r.rejected_too_large, 2);
  EXPECT_EQ(r.rejected_empty_prompt, 1);
}

TEST(Replay, APromptForNoOutputRunsOnceAndEnds) {
  Listed source({request(0, 5, 0)});
  const ReplayResult r = replay_serving(source, options(5, 4));
  EXPECT_EQ(r.completed, 1);
  EXPECT_EQ(r.steps, 1);
  EXPECT_EQ(r.without_output, 1);
}

TEST(Replay, TimePassesBetweenArrivalsAndWeighsTheLedger) {
  // One step of 10 ms at 0 and one at 100 ms: between them 90 ms in which nothing runs.
  Listed source({request(0, 4, 1), request(100, 4, 1)});
  const ReplayResult r = replay_serving(source, options(5, 4, "fixed:10"));
  EXPECT_EQ(r.steps, 2);
  EXPECT_EQ(r.end_ns, 110'000'000);
  EXPECT_DOUBLE_EQ(r.ledger.mean(0), 4.0 / 20 * 20 / 110);
  EXPECT_DOUBLE_EQ(r.queue_seconds.mean(), 0);
  EXPECT_NEAR(r.first_token_seconds.mean(), 0.01, 1e-4);
}

TEST(Replay, TimeThatGoesBackwardsIsCountedAndDoesNoHarm) {
  Listed source({request(50, 4, 1), request(20, 4, 1), request(60, 4, 1)});
  const ReplayResult r = replay_serving(source, options(5, 4, "fixed:10"));
  EXPECT_EQ(r.time_reversals, 1);
  EXPECT_EQ(r.completed, 3);
}

TEST(Replay, APoolOfOneUsableBlockServesWhatFits) {
  Listed source({request(0, 3, 2), request(0, 4, 1), request(0, 5, 1)});
  const ReplayResult r = replay_serving(source, options(2, 4));
  EXPECT_EQ(r.completed, 2);
  EXPECT_EQ(r.rejected(), 1);
}

TEST(Replay, TenfoldOverloadEndsAndLosesNothing) {
  std::vector<Request> requests;
  for (int i = 0; i < 300; ++i)
    requests.push_back(request(i, 5 + i % 23, 1 + i % 17,
                               {i % 5, 100 + i % 7, 200 + i, 300 + i, 400 + i, 500 + i, 600 + i}));
  Listed source(requests);
  const ReplayResult r = replay_serving(source, options(12, 4, "fixed:20"));
  EXPECT_EQ(r.completed + r.rejected(), 300);
  EXPECT_GT(r.preemptions, 0);
  const MissCounts& m = r.misses;
  EXPECT_EQ(r.first_admission.block_hits + m.cold + m.evicted + m.partial + m.granularity + m.cap,
            r.first_admission.block_references);
}

TEST(Replay, AnEmptyTraceIsAResult) {
  Listed source({});
  const ReplayResult r = replay_serving(source, options(5, 4));
  EXPECT_EQ(r.requests, 0);
  EXPECT_DOUBLE_EQ(r.ledger.mean(5), 0.8);
}

TEST(Replay, AnInterruptedReplayIsPartialAndConsistent) {
  std::atomic<bool> stop{false};
  std::vector<Request> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(request(0, 8, 20));
  Listed source(requests);
  ReplayOptions o = options(20, 4);
  o.interrupted = &stop;
  const ReplayResult r = replay_serving(source, o, [&](const StepView& view) { stop = view.step == 30; });
  EXPECT_TRUE(r.partial);
  EXPECT_EQ(r.steps, 31);
  EXPECT_EQ(r.completed + r.rejected() + r.unfinished, r.requests);
}

TEST(Replay, TheSlidingWindowGivesBlocksBackWhileASequenceRuns) {
  Listed source({request(0, 4, 60)});
  ReplayOptions o = options(40, 4);
  o.scheduler.window_tokens = 8;
  std::int32_t most = 0;
  const ReplayResult r = replay_serving(source, o, [&](const StepView& view) {
    most = std::max(most, view.scheduler.pool().blocks() - 1 - view.scheduler.pool().free_blocks());
  });
  EXPECT_EQ(r.completed, 1);
  EXPECT_LE(most, 4) << "a window of 8 tokens touches at most 3 blocks of 4, and one is being begun";
}

TEST(Replay, TheSeriesStaysBoundedAndCoversEveryStep) {
  std::vector<Request> requests;
  for (int i = 0; i < 50; ++i) requests.push_back(request(0, 8, 40));
  Listed source(requests);
  ReplayOptions o = options(30, 4);
  o.series_points = 16;
  const ReplayResult r = replay_serving(source, o);
  std::int64_t steps = 0;
  for (const SeriesPoint& point : r.series) {
    steps += point.steps;
    double sum = 0;
    for (const double share : point.places) sum += share;
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  EXPECT_EQ(steps, r.steps);
  EXPECT_LE(r.series.size(), 32u);
}

TEST(StepClock, ReadsItsThreeSpellingsAndRefusesTheRest) {
  EXPECT_EQ(StepClock::parse("none").step_ns({}), 1);
  EXPECT_EQ(StepClock::parse("fixed:2.5").step_ns({}), 2'500'000);
  const StepClock roofline = StepClock::parse("roofline:llama-3-8b@h200");
  EXPECT_GT(roofline.step_ns({8192, 8192, 8192.0 * 8192}), roofline.step_ns({1, 1, 1}));
  for (const char* text : {"", "fixed:", "fixed:-1", "fixed:0", "fixed:x", "fixed:1ms", "roofline:llama-3-8b",
                           "roofline:no@h200", "roofline:llama-3-8b@no", "soon"})
    EXPECT_THROW((void)StepClock::parse(text), InputError) << text;
}

TEST(Models, KnowTheirBytesPerToken) {
  EXPECT_EQ(model_named("llama-3-70b", "x").kv_bytes_per_token(), 327'680);  // 320 KB
  EXPECT_EQ(model_named("opt-13b", "x").kv_bytes_per_token(), 819'200);      // 800 KB
}

TEST(Replay, ThePublicTracesGiveTheirPublishedSchedulefreeUtilisation) {
  const char* folder = std::getenv("ASSAY_TRACES");
  if (folder == nullptr) GTEST_SKIP() << "ASSAY_TRACES names no folder with the public traces";
  const std::string path = std::string(folder) + "/azure2023_code.csv";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  for (const auto& [block, percent] :
       std::vector<std::pair<int, double>>{{16, 99.6495}, {64, 98.5283}, {512, 88.9127}}) {
    const auto reader = open_trace(path);
    ReplayOptions o = options(200'000, block);
    o.check_every_step = false;
    o.planners.clear();
    const ReplayResult r = replay_serving(*reader, o);
    EXPECT_NEAR(100.0 * static_cast<double>(r.live_slot_steps) / static_cast<double>(r.reserved_slot_steps),
                percent, 5e-5);
    EXPECT_EQ(r.completed, 8819);
  }
}

}  // namespace
}  // namespace assay
