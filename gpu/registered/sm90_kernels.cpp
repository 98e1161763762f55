#include "gpu/registered/sm90_kernels.h"

#include <cuda_runtime_api.h>

#include <vector>

#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "gpu/sm90_paged_attention/decode.h"
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

// CTAs of a decode launch: two per SM of an H200, whatever the device, so that a result does not depend on it.
constexpr std::int32_t kDecodeParts = 264;

ElementType half_type(const assay_tensor& t) {
  need(t.dtype.bits == 16 && (t.dtype.code == ASSAY_TYPE_BFLOAT || t.dtype.code == ASSAY_TYPE_FLOAT),
       "bf16 or fp16");
  return t.dtype.code == ASSAY_TYPE_BFLOAT ? ElementType::kBf16 : ElementType::kFp16;
}

PagedLayout cache_layout(const assay_tensor& cache, bool heads_first) {
  const int slot = heads_first ? 2 : 1, head = heads_first ? 1 : 2;
  return {static_cast<std::int32_t>(cache.shape[slot]),
          static_cast<std::int32_t>(cache.shape[head]),
          static_cast<std::int32_t>(cache.shape[3]),
          2,
          cache.strides[0] * 2,
          cache.strides[slot] * 2,
          cache.strides[head] * 2};
}

BlockTableView table_of(const assay_tensor& table) {
  return {data_of<const std::int32_t>(table), table.strides[0], static_cast<std::int32_t>(table.shape[1])};
}

// One query per sequence; that q_begin says so, plan_decode() looks.
PagedDecode decode_call(const assay_call& call) {
  const assay_tensor &q = call.inputs[0], &keys = call.inputs[2], &values = call.inputs[3],
                     &contexts = call.inputs[6], &out = call.outputs[0], &lse = call.outputs[1];
  PagedDecode d;
  d.type = half_type(q);
  for (const assay_tensor* t : {&keys, &values, &out}) need(half_type(*t) == d.type, "one element type");
  d.batch = static_cast<std::int32_t>(contexts.shape[0]);
  need(q.shape[0] == d.batch, "one query per sequence");
  need(contexts.strides[0] == 1 || d.batch < 2, "compact contexts");
  need(call.reals[1] == 0, "no soft cap");
  d.q_heads = static_cast<std::int32_t>(q.shape[1]);
  d.dims = static_cast<std::int32_t>(q.shape[2]);
  d.q = data_of<const void>(q);
  d.q_row_stride = q.strides[0];
  d.q_head_stride = q.strides[1];
  d.keys = data_of<const void>(keys);
  d.values = data_of<const void>(values);
  d.key_layout = cache_layout(keys, call.ints[2] != 0);
  d.value_layout = cache_layout(values, call.ints[2] != 0);
  d.kv_heads = d.key_layout.heads;
  d.key_table = table_of(call.inputs[4]);
  d.value_table = table_of(call.inputs[5]);
  d.contexts = data_of<const std::int32_t>(contexts);
  d.softmax_scale = static_cast<float>(call.reals[0]);
  d.window_tokens = static_cast<std::int32_t>(call.ints[1]);
  d.out = data_of<void>(out);
  d.out_row_stride = out.strides[0];
  d.out_head_stride = out.strides[1];
  need(lse.strides[0] == d.q_heads || d.batch < 2, "compact lse");
  d.lse = data_of<float>(lse);
  d.parts = kDecodeParts;
  validate(d);
  return d;
}

std::uint64_t counter_bytes(const PagedDecode& call) {
  return (paged_decode_counter_count(call) * sizeof(std::int32_t) + 255) / 256 * 256;
}

// workspace: counters, then scratch. 0 for what is declined anyway.
std::uint64_t decode_workspace(const assay_call* call) {
  try {
    const PagedDecode decode = decode_call(*call);
    return counter_bytes(decode) + paged_decode_scratch_bytes(decode, kDecodeParts);
  } catch (const InputError&) {
    return 0;
  }
}

int plan_decode(const assay_call* call) {
  return declined_or_run([&] {
    const PagedDecode decode = decode_call(*call);
    const auto stream = static_cast<cudaStream_t>(call->stream);
    const assay_tensor& q_begin = call->inputs[1];
    std::vector<std::int32_t> begins(static_cast<std::size_t>(decode.batch) + 1);
    const auto check = [](cudaError_t status, const char* what) {
      if (status != cudaSuccess) throw EnvironmentError(what, "success", cudaGetErrorString(status));
    };
    need(q_begin.strides[0] == 1, "compact q_begin");
    check(cudaMemcpyAsync(begins.data(), data_of<const std::int32_t>(q_begin), begins.size() * 4,
                          cudaMemcpyDeviceToHost, stream),
          "reading q_begin");
    check(cudaStreamSynchronize(stream), "reading q_begin");
    for (std::size_t b = 0; b < begins.size(); ++b)
      need(begins[b] == static_cast<std::int32_t>(b), "one query per sequence");
    if (call->workspace_bytes > 0)
      check(cudaMemsetAsync(call->workspace, 0, counter_bytes(decode), stream), "zeroing the counters");
  });
}

int run_decode(const assay_call* call) {
  return declined_or_run([&] {
    const PagedDecode decode = decode_call(*call);
    auto* workspace = static_cast<std::byte*>(call->workspace);
    launch_paged_decode(decode,
                        {workspace + counter_bytes(decode), paged_decode_scratch_bytes(decode, kDecodeParts),
                         reinterpret_cast<std::int32_t*>(workspace), paged_decode_counter_count(decode)},
                        call->stream);
  });
}

int run_naive_decode(const assay_call* call) {
  return declined_or_run([&] { launch_basic_paged_decode(decode_call(*call), call->stream); });
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

constexpr assay_kernel describe(int op, const char* name, const char* claims, int (*run)(const assay_call*),
                                std::uint64_t (*workspace)(const assay_call*) = nullptr,
                                int (*plan)(const assay_call*) = nullptr) {
  return {ASSAY_ABI_VERSION, sizeof(assay_kernel), op, ASSAY_DEVICE_CUDA, name, claims, workspace, plan, run};
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
    // Where a sequence is cut depends on the whole batch: no claim to be invariant under it.
    describe(ASSAY_OP_PAGED_ATTENTION, "sm90",
             "determinism=bitwise block-renaming-invariant arithmetic=hopper-paged-decode-264 acc=bf16tc "
             "p=q align=16",
             run_decode, decode_workspace, plan_decode),
    describe(ASSAY_OP_PAGED_ATTENTION, "sm90-naive",
             "determinism=bitwise batch-invariant block-renaming-invariant acc=fp32 p=fp32 align=16",
             run_naive_decode, nullptr, plan_decode),
};

}  // namespace

std::vector<const assay_kernel*> sm90_kernels(const std::string& name) {
  std::vector<const assay_kernel*> found;
  for (const assay_kernel& kernel : kKernels)
    if (name == kernel.name) found.push_back(&kernel);
  return found;
}

}  // namespace assay
