// Replays verified by data: a healthy engine never shows a wrong element, every planted fault does, with names.
#include "properties/world/replay_verification.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/check.h"
#include "properties/kernels/registry.h"
#include "properties/world/step_pick.h"
#include "traces/open.h"
#include "traces/sample.h"

namespace assay::properties {
namespace {

ReplayOptions engine(std::int32_t blocks) {
  ReplayOptions o;
  o.scheduler.blocks = blocks;
  o.clock = StepClock::parse("fixed:25");
  o.limit_requests = 12;
  return o;
}

StepCheckOptions small_shape() {
  StepCheckOptions o;
  o.heads = 8;
  o.dims = 32;
  o.threads = 2;
  return o;
}

std::vector<std::int64_t> picked(const ReplayOptions& replay, std::int64_t count,
                                 StepPick pick = StepPick::kEven) {
  StepScores scores(pick, kH200SmCount, "assay");
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  (void)replay_serving(*reader, replay, [&](const StepView& view) { scores.observe(view); });
  return scores.pick(count);
}

ReplayVerificationResult verified(const char* kernel_name, const StepCheckOptions& check, EngineFault fault,
                                  std::int64_t count = 8) {
  const ReplayOptions replay = engine(3500);
  const KernelSet kernels(kernel_name);
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  return verify_replay(*reader, replay, picked(replay, count), *kernels.find(ASSAY_OP_PAGED_MQA_LOGITS),
                       check, fault);
}

TEST(VerifiedReplay, AHealthyEngineShowsNoWrongElementUnderAnyBuiltInKernel) {
  for (const char* kernel : {"twin", "golden-rounded", "naive"}) {
    const auto r = verified(kernel, small_shape(), EngineFault::kNone);
    EXPECT_EQ(r.data.steps, 8) << kernel;
    EXPECT_GT(r.data.elements, 10'000) << kernel;
    EXPECT_TRUE(r.data.passed()) << kernel << ": "
                                 << (r.data.listed.empty() ? "" : describe(r.data.listed[0]));
    EXPECT_EQ(r.data.misplaced_slots, 0);
    EXPECT_EQ(r.double_writes, 0);
    EXPECT_LT(r.data.worst_headroom, 1);
    EXPECT_EQ(r.data.twin_elements, std::string(kernel) == "twin" ? r.data.elements : 0);
  }
}

TEST(VerifiedReplay, TheDigestDoesNotDependOnThreads) {
  StepCheckOptions one = small_shape(), three = small_shape();
  one.threads = 1;
  three.threads = 3;
  EXPECT_EQ(verified("twin", one, EngineFault::kNone, 4).data.digest,
            verified("twin", three, EngineFault::kNone, 4).data.digest);
}

class FaultCanary : public testing::TestWithParam<EngineFault> {};

TEST_P(FaultCanary, AFaultOfTheEngineShowsAsWrongDataWithRequestTokenBlockAndSlot) {
  const auto r = verified("twin", small_shape(), GetParam(), 20);
  EXPECT_GT(r.fault_strikes, 0) << "the fault never struck";
  EXPECT_GT(r.data.wrong, 0);
  EXPECT_GT(r.data.misplaced_slots, 0);
  ASSERT_FALSE(r.data.listed.empty());
  const WrongElement& wrong = r.data.listed[0];
  EXPECT_GE(wrong.request, 0);
  EXPECT_GE(wrong.block, 1);
  EXPECT_FALSE(wrong.slot_is_right) << describe(wrong);
  const std::string text = describe(wrong);
  for (const char* word : {"request", "token", "block", "slot", "the engine is at fault"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(All, FaultCanary, testing::ValuesIn(kEngineFaults), [](const auto& tested) {
  std::string name = name_of(tested.param);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

// A kernel that reads the first sequence's first two blocks in the wrong order.
int run_swapped(const assay_call* call) {
  const KernelSet kernels("twin");
  assay_call swapped = *call;
  std::vector<assay_tensor> inputs(call->inputs, call->inputs + call->input_count);
  std::vector<std::int32_t> table(static_cast<std::size_t>(inputs[3].shape[0] * inputs[3].strides[0]));
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<const std::int32_t*>(inputs[3].data)[i];
  if (inputs[3].shape[1] > 1) std::swap(table[0], table[1]);
  inputs[3].data = table.data();
  swapped.inputs = inputs.data();
  return kernels.find(ASSAY_OP_PAGED_MQA_LOGITS)->run(&swapped);
}
int run_refusing(const assay_call*) { return ASSAY_UNSUPPORTED; }
int run_failing(const assay_call*) { return ASSAY_FAILED; }
int run_nothing(const assay_call*) { return ASSAY_OK; }
int run_scribbling(const assay_call* call) {
  static_cast<std::int32_t*>(call->inputs[4].data)[0] += 1;
  return ASSAY_OK;
}

Verification verified_by(int (*run)(const assay_call*)) {
  const assay_kernel kernel{ASSAY_ABI_VERSION,
                            sizeof(assay_kernel),
                            ASSAY_OP_PAGED_MQA_LOGITS,
                            ASSAY_DEVICE_CPU,
                            "broken",
                            "acc=fp8tc unit=1",
                            nullptr,
                            nullptr,
                            run};
  const ReplayOptions replay = engine(3500);
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  return verify_replay(*reader, replay, picked(replay, 3), kernel, small_shape()).data;
}

TEST(VerifiedReplay, AKernelThatReadsAnotherBlockIsBlamedAndNotTheEngine) {
  const Verification v = verified_by(run_swapped);
  EXPECT_GT(v.wrong, 0);
  EXPECT_EQ(v.misplaced_slots, 0);
  ASSERT_FALSE(v.listed.empty());
  EXPECT_NE(describe(v.listed[0]).find("the kernel is at fault"), std::string::npos);
}

TEST(VerifiedReplay, AKernelThatWritesNothingScribblesFailsOrDeclinesIsToldApart) {
  const Verification nothing = verified_by(run_nothing);
  EXPECT_EQ(nothing.wrong, nothing.elements);
  const Verification scribbling = verified_by(run_scribbling);
  EXPECT_EQ(scribbling.inputs_modified, 3);
  EXPECT_EQ(verified_by(run_failing).failed, 3);
  const Verification refusing = verified_by(run_refusing);
  EXPECT_EQ(refusing.unsupported, 3);
  EXPECT_EQ(refusing.steps, 0);
  EXPECT_TRUE(refusing.passed());
}

TEST(VerifiedReplay, ASlidingWindowAndAPoolOfHundredsOfGigabytesAreRefused) {
  const KernelSet kernels("twin");
  const auto* kernel = kernels.find(ASSAY_OP_PAGED_MQA_LOGITS);
  ReplayOptions windowed = engine(3500);
  windowed.scheduler.window_tokens = 64;
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  EXPECT_THROW((void)verify_replay(*reader, windowed, {1}, *kernel, small_shape()), InputError);
  EXPECT_THROW((void)make_step_check(*kernel, small_shape(), 1 << 28, 16), InputError);
}

TEST(VerifiedReplay, StepsOfAPublicTraceShowNoWrongElementWhateverTheBlocksAre) {
  const char* folder = std::getenv("ASSAY_TRACES");
  if (folder == nullptr) GTEST_SKIP() << "ASSAY_TRACES names no folder with the public traces";
  const std::string path = std::string(folder) + "/mooncake_conversation.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const KernelSet kernels("twin");
  for (const std::int32_t block_tokens : {16, 24, 512}) {  // inside a hash id, across two, one
    ReplayOptions replay = engine(120'000 / block_tokens);
    replay.scheduler.block_tokens = block_tokens;
    replay.limit_requests = 60;
    StepScores scores(StepPick::kFragmentation, kH200SmCount, "assay");
    const auto first = open_trace(path);
    (void)replay_serving(*first, replay, [&](const StepView& view) { scores.observe(view); });
    const auto second = open_trace(path);
    const auto r = verify_replay(*second, replay, scores.pick(3), *kernels.find(ASSAY_OP_PAGED_MQA_LOGITS),
                                 small_shape());
    EXPECT_EQ(r.data.steps, 3);
    EXPECT_TRUE(r.data.passed()) << describe(r.data.listed.at(0));
    EXPECT_EQ(r.data.twin_elements, r.data.elements);
  }
}

TEST(StepPick, EvenPicksTheFirstAndTheLastDecodeStepAndTheOthersTheWorst) {
  const ReplayOptions replay = engine(3500);
  StepScores even(StepPick::kEven, kH200SmCount, "assay");
  std::vector<StepScores> worst;
  for (const StepPick pick : {StepPick::kFragmentation, StepPick::kImbalance, StepPick::kLength})
    worst.emplace_back(pick, kH200SmCount, "assay");
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  (void)replay_serving(*reader, replay, [&](const StepView& view) {
    even.observe(view);
    for (StepScores& scores : worst) scores.observe(view);
  });
  const auto spread = even.pick(5);
  ASSERT_EQ(spread.size(), 5u);
  EXPECT_EQ(spread.front(), even.scored().front().step);
  EXPECT_EQ(spread.back(), even.scored().back().step);
  for (const StepScores& scores : worst) {
    const auto steps = scores.pick(6);
    ASSERT_EQ(steps.size(), 6u);
    EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
    double largest = 0;
    std::int64_t at = -1;
    for (const auto& s : scores.scored())
      if (s.score > largest) {
        largest = s.score;
        at = s.step;
      }
    EXPECT_NE(std::find(steps.begin(), steps.end(), at), steps.end()) << "the worst step is not picked";
  }
  EXPECT_EQ(even.pick(1 << 30).size(), even.scored().size());
  EXPECT_TRUE(even.pick(0).empty());
  EXPECT_THROW((void)step_pick_named("best", "--verify-pick"), InputError);
}

}  // namespace
}  // namespace assay::properties
