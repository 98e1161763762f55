#include "properties/kernels/call_views.h"

#include <string>

#include "model/core/check.h"
#include "properties/cases/operands.h"

namespace assay::properties {
namespace {

const assay_tensor& tensor(const assay_tensor* tensors, std::int32_t count, int index, int ndim,
                           DataType type) {
  if (index >= count)
    throw InputError("call.tensors", std::to_string(index + 1) + " or more", std::to_string(count));
  const assay_tensor& t = tensors[index];
  if (t.ndim != ndim || t.dtype.code != type.code || t.dtype.bits != type.bits)
    throw InputError("call.tensor[" + std::to_string(index) + "]",
                     std::to_string(ndim) + " axes of type " + std::to_string(type.code),
                     std::to_string(t.ndim) + " axes of type " + std::to_string(t.dtype.code));
  return t;
}
const assay_tensor& input(const assay_call& call, int index, int ndim, DataType type) {
  return tensor(call.inputs, call.input_count, index, ndim, type);
}

void* data_of(const assay_tensor& t) { return static_cast<std::byte*>(t.data) + t.byte_offset; }

template <int kRank>
TensorView<kRank> view_of(const assay_tensor& t, ElementType type) {
  TensorView<kRank> view{data_of(t), type, {}, {}};
  for (int axis = 0; axis < kRank; ++axis) view.shape[axis] = t.shape[axis];
  view.stride = compact_stride<kRank>(view.shape);
  for (int axis = 0; t.strides != nullptr && axis < kRank; ++axis) view.stride[axis] = t.strides[axis];
  return view;
}

std::int64_t stride_of(const assay_tensor& t, int axis) {
  if (t.strides != nullptr) return t.strides[axis];
  std::int64_t stride = 1;
  for (int inner = t.ndim - 1; inner > axis; --inner) stride *= t.shape[inner];
  return stride;
}

const std::int32_t* int32s(const assay_tensor& t) { return static_cast<const std::int32_t*>(data_of(t)); }

ContextView contexts_of(const assay_tensor& t) {
  return {int32s(t), t.shape[0], t.ndim == 2 ? static_cast<std::int32_t>(t.shape[1]) : 0, stride_of(t, 0),
          t.ndim == 2 ? stride_of(t, 1) : 1};
}

// Inputs `cache_index` [blocks, ...] and `table_index` [B, max].
PagedCacheView cache_view(const assay_call& call, int cache_index, int table_index, bool heads_first) {
  const assay_tensor& t = call.inputs[cache_index];
  const ElementType type = element_type_of({t.dtype.code, t.dtype.bits}, "call.cache");
  (void)input(call, cache_index, 4, data_type_of(type));
  const assay_tensor& table = input(call, table_index, 2, kInt32);
  const int slot = heads_first ? 2 : 1, head = heads_first ? 1 : 2;
  const auto bytes = static_cast<std::int32_t>(bytes_of(type));
  PagedCacheView view;
  view.data = data_of(t);
  view.type = type;
  view.layout = {static_cast<std::int32_t>(t.shape[slot]),
                 static_cast<std::int32_t>(t.shape[head]),
                 static_cast<std::int32_t>(t.shape[3]),
                 bytes,
                 stride_of(t, 0) * bytes,
                 stride_of(t, slot) * bytes,
                 stride_of(t, head) * bytes};
  view.blocks = t.shape[0];
  view.table = {int32s(table), stride_of(table, 0), static_cast<std::int32_t>(table.shape[1])};
  return view;
}

IndexView index_view(const assay_tensor& t) { return {int32s(t), t.shape[0], stride_of(t, 0)}; }

}  // namespace

PagedMqaLogitsCase paged_mqa_view(const assay_call& call) {
  PagedMqaLogitsCase view;
  view.q = view_of<4>(input(call, 0, 4, kFloat8), ElementType::kE4M3);
  view.weights = view_of<2>(input(call, 1, 2, kFloat32), ElementType::kFp32);
  const assay_tensor& cache = input(call, 2, 2, kBytes);
  view.cache = {data_of(cache),
                {static_cast<std::int32_t>(call.ints[0]), static_cast<std::int32_t>(view.q.shape[3]),
                 stride_of(cache, 0)},
                cache.shape[0]};
  const assay_tensor& table = input(call, 3, 2, kInt32);
  view.table = {int32s(table), stride_of(table, 0), static_cast<std::int32_t>(table.shape[1])};
  const int context_axes = call.input_count > 4 && call.inputs[4].ndim == 2 ? 2 : 1;
  view.contexts = contexts_of(input(call, 4, context_axes, kInt32));
  return view;
}

MqaLogitsCase mqa_view(const assay_call& call) {
  MqaLogitsCase view;
  view.q = view_of<3>(input(call, 0, 3, kFloat8), ElementType::kE4M3);
  view.keys = view_of<2>(input(call, 1, 2, kFloat8), ElementType::kE4M3);
  view.key_scales = view_of<1>(input(call, 2, 1, kFloat32), ElementType::kFp32);
  view.weights = view_of<2>(input(call, 3, 2, kFloat32), ElementType::kFp32);
  for (const int index : {4, 5}) {
    const assay_tensor& t = input(call, index, 1, kInt32);
    (index == 4 ? view.starts : view.ends) = {int32s(t), t.shape[0], stride_of(t, 0)};
  }
  return view;
}

PagedAttentionCase paged_attention_view(const assay_call& call) {
  if (call.input_count != 7) throw InputError("call.inputs", "7 tensors", std::to_string(call.input_count));
  const assay_tensor& q = call.inputs[0];
  const ElementType type = element_type_of({q.dtype.code, q.dtype.bits}, "call.q");
  PagedAttentionCase view;
  view.q = view_of<3>(input(call, 0, 3, data_type_of(type)), type);
  view.q_begin = index_view(input(call, 1, 1, kInt32));
  view.contexts = index_view(input(call, 6, 1, kInt32));
  view.keys = cache_view(call, 2, 4, call.ints[2] != 0);
  view.values = cache_view(call, 3, 5, call.ints[2] != 0);
  view.causal = call.ints[0] != 0;
  view.window_tokens = static_cast<std::int32_t>(call.ints[1]);
  view.softmax_scale = call.reals[0];
  view.soft_cap = call.reals[1];
  return view;
}

ContextView schedule_contexts_view(const assay_call& call) { return contexts_of(input(call, 0, 1, kInt32)); }

twin::LogitsTarget logits_target(const assay_call& call) {
  if (call.output_count < 1 || call.outputs[0].ndim != 2)
    throw InputError("call.outputs", "logits [rows, columns]",
                     std::to_string(call.output_count) + " tensors");
  const assay_tensor& t = call.outputs[0];
  return {data_of(t), element_type_of({t.dtype.code, t.dtype.bits}, "call.logits"), t.shape[0], t.shape[1],
          stride_of(t, 0)};
}

LogitsOptions logits_options(const assay_call& call) {
  if (call.op == ASSAY_OP_PAGED_MQA_LOGITS) return {call.ints[1] != 0, false};
  return {call.ints[0] != 0, call.ints[1] != 0};
}

}  // namespace assay::properties
