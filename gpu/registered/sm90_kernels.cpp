#include "gpu/registered/sm90_kernels.h"

#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "model/core/check.h"

namespace assay {
namespace {

template <typename T>
T* data_of(const assay_tensor& t) {
  return reinterpret_cast<T*>(static_cast<char*>(t.data) + t.byte_offset);
}

ElementType output_type(const assay_tensor& logits) {
  return logits.dtype.bits == 32 ? ElementType::kFp32 : ElementType::kBf16;
}

// The launchers take compact heads; anything else is declined, as is what they refuse.
void need(bool holds, const char* what) {
  if (!holds) throw InputError("call", what, "another layout");
}

template <typename Launch>
int declined_or_run(const Launch& launch) {
  try {
    launch();
    return ASSAY_OK;
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  } catch (const Error&) {
    return ASSAY_FAILED;
  }
}

PagedLogits paged_call(const assay_call& call) {
  const assay_tensor &q = call.inputs[0], &weights = call.inputs[1], &cache = call.inputs[2],
                     &table = call.inputs[3], &contexts = call.inputs[4], &logits = call.outputs[0];
  PagedLogits p;
  p.batch = static_cast<std::int32_t>(q.shape[0]);
  p.next_n = static_cast<std::int32_t>(q.shape[1]);
  p.heads = static_cast<std::int32_t>(q.shape[2]);
  p.dims = static_cast<std::int32_t>(q.shape[3]);
  need(q.strides[2] == q.shape[3], "compact heads in q");
  need(p.next_n == 1 || p.batch <= 1 || q.strides[0] == p.next_n * q.strides[1],
       "rows of q one stride apart");
  p.q = data_of<const std::uint8_t>(q);
  p.q_row_stride = p.next_n == 1 ? q.strides[0] : q.strides[1];
  p.weights = data_of<const float>(weights);
  p.weights_stride = weights.strides[0];
  p.cache = data_of<const std::uint8_t>(cache);
  p.layout = {static_cast<std::int32_t>(call.ints[0]), p.dims, cache.strides[0]};
  p.table = {data_of<const std::int32_t>(table), table.strides[0], static_cast<std::int32_t>(table.shape[1])};
  p.contexts = data_of<const std::int32_t>(contexts);
  p.context_columns = contexts.ndim == 2 ? static_cast<std::int32_t>(contexts.shape[1]) : 0;
  p.context_stride = contexts.strides[0];
  p.logits = data_of<void>(logits);
  p.type = output_type(logits);
  p.logits_stride = logits.strides[0];
  p.columns = logits.shape[1];
  p.clean = call.ints[1] != 0;
  return p;
}

MqaLogits prefill_call(const assay_call& call) {
  const assay_tensor &q = call.inputs[0], &keys = call.inputs[1], &logits = call.outputs[0];
  MqaLogits p;
  p.rows = static_cast<std::int32_t>(q.shape[0]);
  p.heads = static_cast<std::int32_t>(q.shape[1]);
  p.dims = static_cast<std::int32_t>(q.shape[2]);
  p.tokens = static_cast<std::int32_t>(keys.shape[0]);
  need(q.strides[1] == q.shape[2], "compact heads in q");
  p.q = data_of<const std::uint8_t>(q);
  p.q_row_stride = q.strides[0];
  p.keys = data_of<const std::uint8_t>(keys);
  p.key_stride = keys.strides[0];
  p.scales = data_of<const float>(call.inputs[2]);
  need(p.tokens < 2 || call.inputs[2].strides[0] == 1, "compact scales");
  p.weights = data_of<const float>(call.inputs[3]);
  p.weights_stride = call.inputs[3].strides[0];
  p.starts = data_of<const std::int32_t>(call.inputs[4]);
  p.ends = data_of<const std::int32_t>(call.inputs[5]);
  p.logits = data_of<void>(logits);
  p.type = output_type(logits);
  p.logits_stride = logits.strides[0];
  p.columns = logits.shape[1];
  p.clean = call.ints[0] != 0;
  p.compressed = call.ints[1] != 0;
  return p;
}

int run_paged(const assay_call* call) {
  return declined_or_run([&] { launch_paged_logits(paged_call(*call), call->stream); });
}
int run_prefill(const assay_call* call) {
  return declined_or_run([&] { launch_mqa_logits(prefill_call(*call), call->stream); });
}
int run_naive_paged(const assay_call* call) {
  return declined_or_run([&] { launch_naive_paged_logits(paged_call(*call), call->stream); });
}
int run_naive_prefill(const assay_call* call) {
  return declined_or_run([&] { launch_naive_mqa_logits(prefill_call(*call), call->stream); });
}

#define ASSAY_SM90_CLAIMS "determinism=bitwise batch-invariant split-invariant block-renaming-invariant "

constexpr assay_kernel describe(int op, const char* name, const char* claims, int (*run)(const assay_call*)) {
  return {
      ASSAY_ABI_VERSION, sizeof(assay_kernel), op, ASSAY_DEVICE_CUDA, name, claims, nullptr, nullptr, run};
}

const assay_kernel kKernels[] = {
    describe(ASSAY_OP_PAGED_MQA_LOGITS, "sm90",
             ASSAY_SM90_CLAIMS "arithmetic=hopper-e4m3-mqa-logits acc=fp8tc unit=64 align=16", run_paged),
    describe(ASSAY_OP_MQA_LOGITS, "sm90",
             ASSAY_SM90_CLAIMS "arithmetic=hopper-e4m3-mqa-logits acc=fp8tc unit=64 align=16", run_prefill),
    describe(ASSAY_OP_PAGED_MQA_LOGITS, "sm90-naive", ASSAY_SM90_CLAIMS "acc=fp32 unit=64 align=16",
             run_naive_paged),
    describe(ASSAY_OP_MQA_LOGITS, "sm90-naive", ASSAY_SM90_CLAIMS "acc=fp32 unit=64 align=16",
             run_naive_prefill),
};

}  // namespace

std::vector<const assay_kernel*> sm90_kernels(const std::string& name) {
  std::vector<const assay_kernel*> found;
  for (const assay_kernel& kernel : kKernels)
    if (name == kernel.name) found.push_back(&kernel);
  return found;
}

}  // namespace assay
