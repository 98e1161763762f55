// Attention of a replay's steps, judged by data: healthy engines and kernels pass, with and without a window; a
// fault of the engine is named through a needle; a kernel's own fault is the kernel's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "properties/world/attention_kernels.h"
#include "properties/world/replay_verification.h"
#include "properties/world/step_pick.h"
#include "traces/open.h"
#include "traces/sample.h"

namespace assay::properties {
namespace {

ReplayVerificationResult verified(const assay_kernel& kernel, EngineFault fault, std::int64_t count,
                                  std::int32_t window = 0, std::int32_t requests = 6) {
  ReplayOptions replay;
  replay.scheduler.blocks = 3500;
  replay.scheduler.window_tokens = window;
  replay.clock = StepClock::parse("fixed:25");
  replay.limit_requests = requests;
  StepScores scores(StepPick::kEven, kH200SmCount, "assay");
  const auto first = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  (void)replay_serving(*first, replay, [&](const StepView& view) { scores.observe(view); });
  StepCheckOptions check;
  check.heads = 4;
  check.kv_heads = 2;
  check.dims = 32;
  check.threads = 2;
  const auto second = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  return verify_replay(*second, replay, scores.pick(count), kernel, check, fault);
}

TEST(VerifiedAttention, AHealthyEngineShowsNoWrongOutputUnderAnyBuiltInKernelWithAndWithoutAWindow) {
  for (const char* name : {"twin", "golden-rounded", "naive"})
    for (const std::int32_t window : {0, 300}) {
      const auto r = verified(*built_in_attention_kernel(name), EngineFault::kNone, 4, window);
      EXPECT_EQ(r.data.steps, 4) << name;
      EXPECT_GT(r.data.elements, 500) << name;
      EXPECT_TRUE(r.data.passed()) << name << ": "
                                   << (r.data.listed.empty() ? "" : describe(r.data.listed[0]));
      EXPECT_LT(r.data.worst_headroom, 1);
      EXPECT_EQ(r.data.twin_elements, std::string(name) == "twin" ? r.data.elements : 0);
    }
  EXPECT_EQ(built_in_attention_kernel("fast"), nullptr);
}

class AttentionCanary : public testing::TestWithParam<EngineFault> {};

TEST_P(AttentionCanary, AFaultOfTheEngineIsNamedThroughANeedle) {
  const auto r = verified(*built_in_attention_kernel("golden-rounded"), GetParam(), 24, 0, 8);
  EXPECT_GT(r.fault_strikes, 0);
  EXPECT_GT(r.data.misplaced_slots, 0);
  EXPECT_FALSE(r.data.passed());
  ASSERT_FALSE(r.data.listed.empty());
  const WrongElement& first = r.data.listed[0];
  EXPECT_GE(first.request, 0);
  EXPECT_GE(first.token, 0) << describe(first);
  EXPECT_GE(first.block, 1);
  EXPECT_NE(describe(first).find("the engine is at fault"), std::string::npos) << describe(first);
  // Attention sums over tokens in any order: two blocks that change places change nothing but names.
  EXPECT_EQ(r.data.wrong == 0, GetParam() == EngineFault::kBlocksSwapped);
  EXPECT_EQ(first.unseen, GetParam() == EngineFault::kBlocksSwapped);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionCanary, testing::ValuesIn(kEngineFaults), [](const auto& tested) {
  std::string name = name_of(tested.param);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

// Kernels that err: one token less, the wrong KV head, nothing written, one bit off.
int run_short(const assay_call* call) {
  assay_call shorter = *call;
  std::vector<assay_tensor> inputs(call->inputs, call->inputs + call->input_count);
  std::vector<std::int32_t> contexts(static_cast<std::size_t>(inputs[6].shape[0]));
  for (std::size_t i = 0; i < contexts.size(); ++i)
    contexts[i] = static_cast<const std::int32_t*>(inputs[6].data)[i] - 1;
  inputs[6].data = contexts.data();
  shorter.inputs = inputs.data();
  return built_in_attention_kernel("golden-rounded")->run(&shorter);
}
int run_nothing(const assay_call*) { return ASSAY_OK; }
int run_one_bit_off(const assay_call* call) {
  const int status = built_in_attention_kernel("twin")->run(call);
  static_cast<std::uint16_t*>(call->outputs[0].data)[5] ^= 1;
  return status;
}

Verification verified_by(int (*run)(const assay_call*), const char* claims) {
  const assay_kernel kernel{ASSAY_ABI_VERSION,
                            sizeof(assay_kernel),
                            ASSAY_OP_PAGED_ATTENTION,
                            ASSAY_DEVICE_CPU,
                            "broken",
                            claims,
                            nullptr,
                            nullptr,
                            run};
  return verified(kernel, EngineFault::kNone, 3).data;
}

TEST(VerifiedAttention, AKernelThatErrsIsFoundAndTheEngineIsNotBlamed) {
  const Verification shorter = verified_by(run_short, "acc=fp32 p=fp32");
  EXPECT_GT(shorter.wrong, 0);
  EXPECT_EQ(shorter.misplaced_slots, 0);
  for (const WrongElement& wrong : shorter.listed)
    EXPECT_EQ(describe(wrong).find("the engine is at fault"), std::string::npos) << describe(wrong);
  const Verification nothing = verified_by(run_nothing, "acc=fp32 p=fp32");
  EXPECT_EQ(nothing.wrong, nothing.elements);
  const Verification bit =
      verified_by(run_one_bit_off, "acc=bf16tc p=bf16 arithmetic=hopper-paged-decode-132");
  EXPECT_EQ(bit.wrong, 0) << "a flipped last bit of bf16 lies within the bound of these claims";
  EXPECT_EQ(bit.twin_mismatches, 3);
  EXPECT_FALSE(bit.passed());
}

TEST(AttentionKernels, BothOrdersOfAxesAndAGapBetweenBlocksAreReadAlike) {
  // One sequence of 5 tokens in blocks 1 and 0 of 4, two KV heads, dims 16: NHD and HND copies of one cache.
  constexpr std::int64_t kBlocks = 2, kTokens = 4, kHeads = 2, kDims = 16, kGap = 8;
  constexpr std::int64_t kBlock = kTokens * kHeads * kDims + kGap;
  std::vector<std::uint16_t> nhd(kBlocks * kBlock, 0xffff), hnd = nhd, q(kHeads * kDims, 0x3f80);
  for (std::int64_t b = 0; b < kBlocks; ++b)
    for (std::int64_t t = 0; t < kTokens; ++t)
      for (std::int64_t h = 0; h < kHeads; ++h)
        for (std::int64_t d = 0; d < kDims; ++d) {
          const auto code =
              Bf16::encode(static_cast<double>((b * 31 + t * 17 + h * 5 + d * 3) % 13) / 16 - 0.4);
          nhd[static_cast<std::size_t>(b * kBlock + (t * kHeads + h) * kDims + d)] = code;
          hnd[static_cast<std::size_t>(b * kBlock + (h * kTokens + t) * kDims + d)] = code;
        }
  std::int32_t q_begin[] = {0, 1}, table[] = {1, 0}, contexts[] = {5};
  const auto outputs_of = [&](const assay_kernel& kernel, std::vector<std::uint16_t>& pool,
                              bool heads_first) {
    std::vector<std::uint16_t> out(kHeads * kDims);
    std::vector<float> lse(kHeads);
    std::int64_t q_shape[] = {1, kHeads, kDims}, q_strides[] = {kHeads * kDims, kDims, 1};
    std::int64_t begin_shape[] = {2}, one[] = {1}, table_shape[] = {1, 2}, table_strides[] = {2, 1};
    std::int64_t pool_shape[] = {kBlocks, heads_first ? kHeads : kTokens, heads_first ? kTokens : kHeads,
                                 kDims};
    std::int64_t pool_strides[] = {kBlock, heads_first ? kTokens * kDims : kHeads * kDims, kDims, 1};
    std::int64_t lse_shape[] = {1, kHeads}, lse_strides[] = {kHeads, 1};
    const auto tensor = [](void* data, std::uint8_t code, std::uint8_t bits, int ndim, std::int64_t* shape,
                           std::int64_t* strides) {
      return assay_tensor{data, {ASSAY_DEVICE_CPU, 0}, ndim, {code, bits, 1}, shape, strides, 0};
    };
    const assay_tensor keys = tensor(pool.data(), ASSAY_TYPE_BFLOAT, 16, 4, pool_shape, pool_strides);
    const assay_tensor tables = tensor(table, ASSAY_TYPE_INT, 32, 2, table_shape, table_strides);
    const assay_tensor inputs[] = {tensor(q.data(), ASSAY_TYPE_BFLOAT, 16, 3, q_shape, q_strides),
                                   tensor(q_begin, ASSAY_TYPE_INT, 32, 1, begin_shape, one),
                                   keys,
                                   keys,
                                   tables,
                                   tables,
                                   tensor(contexts, ASSAY_TYPE_INT, 32, 1, one, one)};
    const assay_tensor outputs[] = {tensor(out.data(), ASSAY_TYPE_BFLOAT, 16, 3, q_shape, q_strides),
                                    tensor(lse.data(), ASSAY_TYPE_FLOAT, 32, 2, lse_shape, lse_strides)};
    const std::int64_t ints[] = {1, 0, heads_first ? 1 : 0};
    const double reals[] = {0.25, 0.0};
    assay_call call{};
    call.size = sizeof call;
    call.op = ASSAY_OP_PAGED_ATTENTION;
    call.input_count = 7;
    call.output_count = 2;
    call.inputs = inputs;
    call.outputs = outputs;
    call.ints = ints;
    call.reals = reals;
    EXPECT_EQ(kernel.run(&call), ASSAY_OK) << kernel.name;
    return std::pair{out, lse};
  };
  const auto golden = outputs_of(*built_in_attention_kernel("golden-rounded"), nhd, false);
  for (const char* name : {"golden-rounded", "naive", "twin"}) {
    const assay_kernel& kernel = *built_in_attention_kernel(name);
    const auto one = outputs_of(kernel, nhd, false), other = outputs_of(kernel, hnd, true);
    EXPECT_EQ(one.first, other.first) << name;
    for (std::size_t i = 0; i < one.second.size(); ++i) {
      EXPECT_EQ(one.second[i], other.second[i]) << name;
      EXPECT_NEAR(one.second[i], golden.second[i], 1e-5) << name;
    }
    for (std::size_t i = 0; i < one.first.size(); ++i)
      EXPECT_NEAR(Bf16::decode(one.first[i]), Bf16::decode(golden.first[i]), 4e-3) << name;
  }
}

}  // namespace
}  // namespace assay::properties
