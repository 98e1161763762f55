#include "properties/world/attention_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/core/check.h"
#include "model/twin/attention_decode_twin.h"
#include "properties/cases/operands.h"

namespace assay::properties {
namespace {

const assay_tensor& input(const assay_call& call, int index, int ndim) {
  if (call.op != ASSAY_OP_PAGED_ATTENTION || call.input_count != 7 || call.output_count != 2)
    throw InputError("call", "paged attention with 7 inputs and 2 outputs",
                     std::to_string(call.input_count) + " and " + std::to_string(call.output_count));
  const assay_tensor& tensor = call.inputs[index];
  if (tensor.ndim != ndim || tensor.strides == nullptr)
    throw InputError("call.inputs[" + std::to_string(index) + "]",
                     std::to_string(ndim) + " axes with strides", std::to_string(tensor.ndim));
  return tensor;
}
const std::byte* data_of(const assay_tensor& t) {
  return static_cast<const std::byte*>(t.data) + t.byte_offset;
}
const std::int32_t* ints_of(const assay_tensor& t) {
  return reinterpret_cast<const std::int32_t*>(data_of(t));
}
ElementType type_of(const assay_tensor& t) {
  return element_type_of({t.dtype.code, t.dtype.bits}, "call.inputs");
}

PagedCacheView cache_view(const assay_call& call, int cache_index, int table_index) {
  const assay_tensor& t = input(call, cache_index, 4);
  const assay_tensor& table = input(call, table_index, 2);
  const bool heads_first = call.ints[2] == 1;
  const int slot = heads_first ? 2 : 1, head = heads_first ? 1 : 2;
  PagedCacheView view;
  view.data = data_of(t);
  view.type = type_of(t);
  const std::int64_t bytes = bytes_of(view.type);
  view.layout = {static_cast<std::int32_t>(t.shape[slot]),
                 static_cast<std::int32_t>(t.shape[head]),
                 static_cast<std::int32_t>(t.shape[3]),
                 static_cast<std::int32_t>(bytes),
                 t.strides[0] * bytes,
                 t.strides[slot] * bytes,
                 t.strides[head] * bytes};
  view.blocks = t.shape[0];
  view.table = {ints_of(table), table.strides[0], static_cast<std::int32_t>(table.shape[1])};
  return view;
}

template <typename Body>
int guarded(const Body& body) {
  try {
    return body();
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  }
}

bool is_decode(const PagedAttentionCase& problem) {
  if (problem.q.type != ElementType::kBf16 || problem.keys.type != ElementType::kBf16 ||
      problem.values.type != ElementType::kBf16 || problem.soft_cap != 0)
    return false;
  for (std::int64_t b = 0; b < problem.batch(); ++b)
    if (problem.q_begin[b + 1] - problem.q_begin[b] != 1) return false;
  return problem.q.shape[0] == problem.batch();
}

void store_row(const assay_call& call, std::int64_t row, std::int64_t head, const std::uint16_t* out,
               std::int64_t dims, float lse) {
  const assay_tensor &o = call.outputs[0], &l = call.outputs[1];
  std::memcpy(
      static_cast<std::byte*>(o.data) + o.byte_offset + (row * o.strides[0] + head * o.strides[1]) * 2, out,
      static_cast<std::size_t>(dims) * 2);
  std::memcpy(
      static_cast<std::byte*>(l.data) + l.byte_offset + (row * l.strides[0] + head * l.strides[1]) * 4, &lse,
      4);
}

int run_twin(const assay_call* call) {
  return guarded([&]() -> int {
    const PagedAttentionCase problem = attention_view(*call);
    if (!is_decode(problem) || problem.keys.layout.dims != problem.values.layout.dims)
      return ASSAY_UNSUPPORTED;
    DecodeTwinCase twin;
    twin.batch = static_cast<std::int32_t>(problem.batch());
    twin.q_heads = static_cast<std::int32_t>(problem.q.shape[1]);
    twin.kv_heads = problem.keys.layout.heads;
    twin.dims = problem.keys.layout.dims;
    if (twin.dims % 16 != 0) return ASSAY_UNSUPPORTED;
    twin.q = static_cast<const std::uint16_t*>(problem.q.data);
    twin.q_row_stride = problem.q.stride[0];
    twin.q_head_stride = problem.q.stride[1];
    twin.keys = problem.keys.data;
    twin.values = problem.values.data;
    twin.key_layout = problem.keys.layout;
    twin.value_layout = problem.values.layout;
    twin.key_table = problem.keys.table;
    twin.value_table = problem.values.table;
    twin.contexts = problem.contexts.data;
    twin.softmax_scale = static_cast<float>(problem.softmax_scale);
    twin.window_tokens = problem.window_tokens;
    twin.parts = kDecodeTwinParts;
    const DecodeTwinResult result = predict_paged_decode(twin, {1});
    for (std::int64_t row = 0; row < twin.batch; ++row)
      for (std::int64_t head = 0; head < twin.q_heads; ++head) {
        const auto at = static_cast<std::size_t>(row * twin.q_heads + head);
        store_row(*call, row, head, &result.out[at * static_cast<std::size_t>(twin.dims)], twin.dims,
                  result.lse[at]);
      }
    return ASSAY_OK;
  });
}

int run_golden(const assay_call* call) {
  return guarded([&]() -> int {
    const PagedAttentionCase problem = attention_view(*call);
    if (!is_decode(problem)) return ASSAY_UNSUPPORTED;
    const std::int64_t rows = problem.q.shape[0], heads = problem.q.shape[1],
                       dims = problem.values.layout.dims;
    std::vector<double> out(static_cast<std::size_t>(rows * heads * dims)),
        lse(static_cast<std::size_t>(rows * heads));
    (void)paged_attention(problem, compact_result<3>(out.data(), {rows, heads, dims}),
                          compact_result<2>(lse.data(), {rows, heads}), {1});
    std::vector<std::uint16_t> codes(static_cast<std::size_t>(dims));
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t head = 0; head < heads; ++head) {
        for (std::int64_t d = 0; d < dims; ++d)
          codes[static_cast<std::size_t>(d)] = Bf16::encode(
              out[static_cast<std::size_t>((row * heads + head) * dims + d)], Overflow::kInfinity);
        store_row(*call, row, head, codes.data(), dims,
                  static_cast<float>(lse[static_cast<std::size_t>(row * heads + head)]));
      }
    return ASSAY_OK;
  });
}

float value_of(const std::byte* address) {
  std::uint16_t code = 0;
  std::memcpy(&code, address, sizeof code);
  return Bf16::decode_float(code);
}

int run_naive(const assay_call* call) {
  return guarded([&]() -> int {
    const PagedAttentionCase problem = attention_view(*call);
    if (!is_decode(problem)) return ASSAY_UNSUPPORTED;
    const std::int64_t heads = problem.q.shape[1], group = heads / problem.keys.layout.heads;
    const std::int32_t dims = problem.keys.layout.dims, value_dims = problem.values.layout.dims;
    const auto element = [&](const PagedCacheView& cache, std::int64_t row, std::int64_t t, std::int32_t head,
                             std::int32_t d) {
      const std::int64_t slot = slot_of(cache.table, row, t, cache.layout.block_tokens);
      return value_of(static_cast<const std::byte*>(cache.data) +
                      cache.layout.offset(slot / cache.layout.block_tokens,
                                          static_cast<std::int32_t>(slot % cache.layout.block_tokens), head,
                                          d));
    };
    std::vector<float> scores, out(static_cast<std::size_t>(value_dims));
    std::vector<std::uint16_t> codes(out.size());
    for (std::int64_t row = 0; row < problem.batch(); ++row)
      for (std::int64_t h = 0; h < heads; ++h) {
        const auto kv = static_cast<std::int32_t>(h / group);
        const std::int64_t context = problem.contexts[row];
        const std::int64_t begin =
            problem.window_tokens > 0 ? std::max<std::int64_t>(0, context - problem.window_tokens) : 0;
        float largest = -std::numeric_limits<float>::infinity(), sum = 0;
        scores.clear();
        for (std::int64_t t = begin; t < context; ++t) {
          float s = 0;
          for (std::int32_t d = 0; d < dims; ++d)
            s += value_of(problem.q.address({row, h, d})) * element(problem.keys, row, t, kv, d);
          scores.push_back(s * static_cast<float>(problem.softmax_scale));
          largest = std::max(largest, scores.back());
        }
        std::fill(out.begin(), out.end(), 0.0f);
        for (std::int64_t t = begin; t < context; ++t) {
          const float p = std::exp(scores[static_cast<std::size_t>(t - begin)] - largest);
          sum += p;
          for (std::int32_t d = 0; d < value_dims; ++d)
            out[static_cast<std::size_t>(d)] += p * element(problem.values, row, t, kv, d);
        }
        for (std::size_t d = 0; d < out.size(); ++d)
          codes[d] =
              Bf16::encode(static_cast<double>(context == 0 ? 0.0f : out[d] / sum), Overflow::kInfinity);
        store_row(*call, row, h, codes.data(), value_dims,
                  context == 0 ? -std::numeric_limits<float>::infinity() : largest + std::log(sum));
      }
    return ASSAY_OK;
  });
}

constexpr assay_kernel described(const char* name, const char* claims, int (*run)(const assay_call*)) {
  return {ASSAY_ABI_VERSION,
          sizeof(assay_kernel),
          ASSAY_OP_PAGED_ATTENTION,
          ASSAY_DEVICE_CPU,
          name,
          claims,
          nullptr,
          nullptr,
          run};
}

const assay_kernel kKernels[] = {
    described(
        "twin",
        "determinism=bitwise block-renaming-invariant arithmetic=hopper-paged-decode-132 acc=bf16tc p=bf16",
        run_twin),
    described("golden-rounded",
              "determinism=bitwise batch-invariant block-renaming-invariant acc=fp32 p=fp32", run_golden),
    described("naive", "determinism=bitwise batch-invariant block-renaming-invariant acc=fp32 p=fp32",
              run_naive),
};

}  // namespace

PagedAttentionCase attention_view(const assay_call& call) {
  PagedAttentionCase problem;
  const assay_tensor& q = input(call, 0, 3);
  problem.q = {data_of(q),
               type_of(q),
               {q.shape[0], q.shape[1], q.shape[2]},
               {q.strides[0], q.strides[1], q.strides[2]}};
  const assay_tensor &begin = input(call, 1, 1), &contexts = input(call, 6, 1);
  problem.q_begin = {ints_of(begin), begin.shape[0], begin.strides[0]};
  problem.contexts = {ints_of(contexts), contexts.shape[0], contexts.strides[0]};
  problem.keys = cache_view(call, 2, 4);
  problem.values = cache_view(call, 3, 5);
  problem.causal = call.ints[0] != 0;
  problem.window_tokens = static_cast<std::int32_t>(call.ints[1]);
  problem.softmax_scale = call.reals[0];
  problem.soft_cap = call.reals[1];
  validate(problem);
  return problem;
}

const assay_kernel* built_in_attention_kernel(const std::string& name) {
  for (const assay_kernel& kernel : kKernels)
    if (name == kernel.name) return &kernel;
  return nullptr;
}

}  // namespace assay::properties
