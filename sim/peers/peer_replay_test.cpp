// SGLang and TensorRT-LLM on whole traces, beside vLLM's replay of the same ones.
#include "sim/peers/peer_replay.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "model/core/check.h"
#include "sim/cache/trace_in_memory.h"
#include "traces/generate.h"
#include "traces/open.h"

namespace assay {
namespace {

std::vector<Request> generated(std::int64_t requests, std::uint64_t seed) {
  GenerateOptions generate;
  generate.seed = seed;
  generate.requests = requests;
  generate.lengths = "chat";
  const auto source = generate_trace(generate);
  std::vector<Request> all;
  for (Request request; source->next(request);) all.push_back(request);
  return all;
}

ReplayOptions options_of(std::int32_t blocks, std::int32_t block_tokens, const char* clock) {
  ReplayOptions options;
  options.scheduler.blocks = blocks;
  options.scheduler.block_tokens = block_tokens;
  options.clock = StepClock::parse(clock);
  options.planners = {"deepgemm"};
  return options;
}

ReplayResult replay(const std::vector<Request>& requests, std::string_view engine,
                    const ReplayOptions& options) {
  TraceInMemory trace(16, requests);
  return engine == "vllm-v1" ? replay_serving(trace, options) : replay_peer(trace, engine, options);
}

TEST(PeerReplay, EveryRequestEndsAndTheLedgerSumsToTheWhole) {
  const auto requests = generated(400, 1);
  for (const std::string_view engine : peer_engine_names())
    for (const char* clock : {"none", "fixed:20"}) {
      ReplayOptions options = options_of(1500, 16, clock);
      options.check_every_step = true;
      const ReplayResult result = replay(requests, engine, options);
      EXPECT_EQ(result.completed + result.rejected(), 400) << engine;
      EXPECT_GT(result.completed, 350) << engine;
      double sum = 0;
      for (std::size_t place = 0; place < kLedgerPlaces.size(); ++place) sum += result.ledger.mean(place);
      EXPECT_NEAR(sum, 1, 1e-12) << engine;
      EXPECT_GT(result.first_admission.token_hits, 0) << engine;
      EXPECT_GT(result.decode_steps, 0) << engine;
      EXPECT_GT(result.run_blocks.mean(), 1) << engine;
      if (engine == "trtllm") {
        EXPECT_EQ(result.preemptions, 0);
      }
    }
}

// Far apart in time and in a pool that never fills, engines differ only in what they can match: vLLM and
// SGLang whole blocks before the last token, TensorRT-LLM parts of one too.
TEST(PeerReplay, WithoutPressureTheEnginesHitTheSameBlocks) {
  auto requests = generated(300, 2);
  for (std::size_t i = 0; i < requests.size(); ++i)
    requests[i].arrival_ns = static_cast<std::int64_t>(i) * 1'000'000'000'000;
  const ReplayOptions options = options_of(60'000, 16, "fixed:1");
  const ReplayResult vllm = replay(requests, "vllm-v1", options),
                     sglang = replay(requests, "sglang", options),
                     trtllm = replay(requests, "trtllm", options);
  EXPECT_GT(vllm.first_admission.block_hits, 500);
  EXPECT_EQ(sglang.first_admission.block_hits, vllm.first_admission.block_hits);
  EXPECT_EQ(sglang.first_admission.token_hits, vllm.first_admission.token_hits);
  EXPECT_GE(trtllm.first_admission.token_hits, vllm.first_admission.token_hits);
  EXPECT_EQ(trtllm.preemptions + sglang.preemptions + vllm.preemptions, 0);
  // What does not depend on a schedule is the same to the digit.
  EXPECT_EQ(sglang.live_slot_steps, vllm.live_slot_steps);
  EXPECT_EQ(trtllm.reserved_slot_steps, vllm.reserved_slot_steps);
  EXPECT_EQ(sglang.trace_digest, vllm.trace_digest);
}

TEST(PeerReplay, UnderPressureSglangRetractsAndTrtllmNeverDoes) {
  const auto requests = generated(400, 3);
  const ReplayOptions options = options_of(900, 16, "fixed:20");
  const ReplayResult sglang = replay(requests, "sglang", options),
                     trtllm = replay(requests, "trtllm", options);
  EXPECT_GT(sglang.preemptions, 0);
  EXPECT_GT(sglang.recomputed_tokens, 0);
  EXPECT_EQ(trtllm.preemptions, 0);
  EXPECT_GT(trtllm.ledger.mean(2), 0.01);  // reserved
}

TEST(PeerReplay, TheSameTraceGivesTheSameResultTwice) {
  const auto requests = generated(200, 4);
  for (const std::string_view engine : peer_engine_names()) {
    const ReplayOptions options = options_of(1000, 16, "fixed:20");
    const ReplayResult a = replay(requests, engine, options), b = replay(requests, engine, options);
    EXPECT_EQ(a.steps, b.steps);
    EXPECT_EQ(a.end_ns, b.end_ns);
    EXPECT_EQ(a.ledger.mean(0), b.ledger.mean(0));
    EXPECT_EQ(a.first_admission.token_hits, b.first_admission.token_hits);
  }
}

TEST(PeerReplay, OddWorkloadsAndOptionsGetAClearWord) {
  std::vector<Request> odd = {prompt_of(0, {}, 3), prompt_of(5, {}, 0), prompt_of(100'000, {}, 1),
                              prompt_of(7, {}, 1)};
  odd[3].arrival_ns = -5;
  for (const std::string_view engine : peer_engine_names()) {
    const ReplayResult result = replay(odd, engine, options_of(16, 16, "fixed:1"));
    EXPECT_EQ(result.rejected_empty_prompt, 1) << engine;
    EXPECT_EQ(result.rejected_too_large, 1) << engine;
    EXPECT_EQ(result.completed, 2) << engine;
    EXPECT_EQ(result.time_reversals, 1) << engine;
    ReplayOptions watermark = options_of(16, 16, "none");
    watermark.scheduler.watermark = 0.01;
    EXPECT_THROW((void)replay(odd, engine, watermark), InputError) << engine;
    const std::atomic<bool> interrupted{true};
    ReplayOptions stopped = options_of(16, 16, "none");
    stopped.interrupted = &interrupted;
    EXPECT_TRUE(replay(odd, engine, stopped).partial) << engine;
  }
  EXPECT_THROW((void)replay(odd, "orca", options_of(16, 16, "none")), InputError);
}

// The public conversation trace, when it is there: everything ends, nothing is lost.
TEST(PeerReplay, TheConversationTraceEndsUnderBothEngines) {
  const char* directory = std::getenv("ASSAY_TRACES");
  const std::filesystem::path path =
      std::filesystem::path(directory == nullptr ? "" : directory) / "mooncake_conversation.jsonl";
  if (directory == nullptr || !std::filesystem::exists(path))
    GTEST_SKIP() << "ASSAY_TRACES names no directory with mooncake_conversation.jsonl";
  for (const std::string_view engine : peer_engine_names()) {
    const auto trace = open_trace(path.string());
    ReplayOptions options = options_of(100'000, 64, "fixed:25");
    options.limit_requests = 2000;
    const ReplayResult result = replay_peer(*trace, engine, options);
    EXPECT_EQ(result.completed, 2000) << engine;
    EXPECT_GT(result.first_admission.token_hits, 1'000'000) << engine;
  }
}

}  // namespace
}  // namespace assay
