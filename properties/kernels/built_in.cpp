#include "properties/kernels/built_in.h"

#include <cstring>
#include <vector>

#include "model/core/check.h"
#include "model/core/schedule.h"
#include "model/golden/mqa_logits.h"
#include "model/golden/schedule_metadata.h"
#include "model/twin/mqa_logits_twin.h"
#include "properties/kernels/call_views.h"

namespace assay::properties {
namespace {

// A refused shape is "unsupported"; anything else that a library throws is a failure of the kernel.
template <typename Body>
int guarded(const Body& body) {
  try {
    body();
    return ASSAY_OK;
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  }
}

int twin_paged(const assay_call* call) {
  return guarded([&] {
    twin::predict_paged_mqa_logits(paged_mqa_view(*call), logits_target(*call), logits_options(*call), {1});
  });
}
int twin_prefill(const assay_call* call) {
  return guarded(
      [&] { twin::predict_mqa_logits(mqa_view(*call), logits_target(*call), logits_options(*call), {1}); });
}

// Golden results, rounded once; what golden leaves untouched stays untouched here.
template <typename Golden>
void rounded(const twin::LogitsTarget& target, const Golden& golden) {
  constexpr double kUntouched = 1.2345678901234567e-300;  // no logit: far below fp32
  std::vector<double> exact(static_cast<std::size_t>(target.rows * target.columns), kUntouched);
  golden(compact_result<2>(exact.data(), {target.rows, target.columns}));
  for (std::int64_t row = 0; row < target.rows; ++row)
    for (std::int64_t column = 0; column < target.columns; ++column) {
      const double value = exact[static_cast<std::size_t>(row * target.columns + column)];
      if (value == kUntouched) continue;
      auto* address =
          static_cast<std::byte*>(target.data) + (row * target.row_stride + column) * bytes_of(target.type);
      const double nearest = round_to(target.type, value);
      if (target.type == ElementType::kFp32) {
        const auto bits = bit_cast<std::uint32_t>(static_cast<float>(nearest));
        std::memcpy(address, &bits, 4);
      } else {
        const auto bits = Bf16::encode(nearest, Overflow::kInfinity);
        std::memcpy(address, &bits, 2);
      }
    }
}
int golden_paged(const assay_call* call) {
  return guarded([&] {
    rounded(logits_target(*call), [&](const ResultView<2>& logits) {
      (void)paged_mqa_logits(paged_mqa_view(*call), logits, logits_options(*call), {1});
    });
  });
}
int golden_prefill(const assay_call* call) {
  return guarded([&] {
    rounded(logits_target(*call), [&](const ResultView<2>& logits) {
      (void)mqa_logits(mqa_view(*call), logits, logits_options(*call), {1});
    });
  });
}
int golden_schedule(const assay_call* call) {
  return guarded([&] {
    const std::vector<UnitPoint> points =
        schedule_metadata(schedule_contexts_view(*call), static_cast<std::int32_t>(call->ints[0]),
                          static_cast<std::int32_t>(call->ints[1]));
    std::memcpy(call->outputs[0].data, points.data(), points.size() * sizeof(UnitPoint));
  });
}

#define ASSAY_ALL_INVARIANTS "determinism=bitwise batch-invariant split-invariant block-renaming-invariant"

constexpr assay_kernel describe(int op, const char* name, const char* claims, int (*run)(const assay_call*)) {
  return {ASSAY_ABI_VERSION, sizeof(assay_kernel), op, ASSAY_DEVICE_CPU, name, claims, nullptr, nullptr, run};
}

const assay_kernel kKernels[] = {
    describe(ASSAY_OP_PAGED_MQA_LOGITS, "twin",
             ASSAY_ALL_INVARIANTS " arithmetic=hopper-e4m3-mqa-logits acc=fp8tc unit=1", twin_paged),
    describe(ASSAY_OP_MQA_LOGITS, "twin",
             ASSAY_ALL_INVARIANTS " arithmetic=hopper-e4m3-mqa-logits acc=fp8tc unit=1", twin_prefill),
    describe(ASSAY_OP_PAGED_MQA_LOGITS, "golden-rounded", ASSAY_ALL_INVARIANTS " acc=fp32 unit=1",
             golden_paged),
    describe(ASSAY_OP_MQA_LOGITS, "golden-rounded", ASSAY_ALL_INVARIANTS " acc=fp32 unit=1", golden_prefill),
    describe(ASSAY_OP_SCHEDULE_METADATA, "golden-rounded", ASSAY_ALL_INVARIANTS, golden_schedule),
    describe(ASSAY_OP_PAGED_MQA_LOGITS, "naive", ASSAY_ALL_INVARIANTS " acc=fp32 unit=1",
             run_naive_paged_mqa_logits),
    describe(ASSAY_OP_MQA_LOGITS, "naive", ASSAY_ALL_INVARIANTS " acc=fp32 unit=1", run_naive_mqa_logits),
    describe(ASSAY_OP_SCHEDULE_METADATA, "naive", ASSAY_ALL_INVARIANTS, run_naive_schedule_metadata),
    describe(ASSAY_OP_PAGED_ATTENTION, "golden-rounded", ASSAY_ALL_INVARIANTS " acc=fp32 p=fp32",
             run_golden_paged_attention),
    describe(ASSAY_OP_PAGED_ATTENTION, "naive", ASSAY_ALL_INVARIANTS " acc=fp32 p=fp32",
             run_naive_paged_attention),
    describe(ASSAY_OP_PAGED_ATTENTION, "decode-twin",
             "determinism=bitwise block-renaming-invariant arithmetic=hopper-paged-decode-264 acc=bf16tc p=q",
             run_decode_twin),
    describe(ASSAY_OP_MERGE, "golden-rounded", ASSAY_ALL_INVARIANTS, run_golden_merge),
    describe(ASSAY_OP_MERGE, "naive", ASSAY_ALL_INVARIANTS, run_naive_merge),
    describe(ASSAY_OP_CACHE_WRITE, "golden-rounded", ASSAY_ALL_INVARIANTS, run_golden_cache_write),
    describe(ASSAY_OP_CACHE_WRITE, "naive", ASSAY_ALL_INVARIANTS, run_naive_cache_write),
};

}  // namespace

std::vector<const assay_kernel*> built_in_kernels(const std::string& name) {
  std::vector<const assay_kernel*> found;
  for (const assay_kernel& kernel : kKernels)
    if (name == kernel.name) found.push_back(&kernel);
  return found;
}

std::vector<std::string> built_in_names() { return {"twin", "golden-rounded", "naive", "decode-twin"}; }

}  // namespace assay::properties
