// Cache writes on the CPU: golden as it is, and plain loops written from the contract. Copies, conversions,
// rows quantised with a scale each, fused index keys.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "model/core/check.h"
#include "model/golden/cache_write.h"
#include "properties/cases/elements.h"
#include "properties/cases/operands.h"
#include "properties/kernels/built_in.h"

namespace assay::properties {
namespace {

std::byte* data_of(const assay_tensor& t) { return static_cast<std::byte*>(t.data) + t.byte_offset; }
ElementType type_of(const assay_tensor& t) {
  return element_type_of({t.dtype.code, t.dtype.bits}, "call.tensors");
}
bool is_fused(const assay_call& call) { return call.input_count == 2; }

std::int64_t slot_of_token(const assay_call& call, std::int64_t token) {
  const assay_tensor& slots = call.inputs[call.input_count - 1];
  std::int64_t slot;
  std::memcpy(&slot, data_of(slots) + token * slots.strides[0] * 8, sizeof slot);
  return slot;
}

// One row of dims elements, as fp32.
std::vector<float> row_of(const assay_tensor& rows, std::int64_t token, std::int64_t head) {
  const ElementType type = type_of(rows);
  const std::int64_t head_stride = rows.ndim == 3 ? rows.strides[1] : 0;
  const std::byte* from = data_of(rows) + (token * rows.strides[0] + head * head_stride) * bytes_of(type);
  std::vector<float> row(static_cast<std::size_t>(rows.shape[rows.ndim - 1]));
  for (std::size_t d = 0; d < row.size(); ++d)
    row[d] = static_cast<float>(load_element(from + static_cast<std::int64_t>(d) * bytes_of(type), type));
  return row;
}

// codes[d] = e4m3(row[d] / scale); returns the scale.
float quantise(const std::vector<float>& row, std::byte* codes) {
  float amax = 0;
  for (const float x : row) amax = std::fabs(x) > amax ? std::fabs(x) : amax;
  const float scale = std::max(amax, 1e-4f) / 448.0f;
  for (std::size_t d = 0; d < row.size(); ++d)
    codes[d] = static_cast<std::byte>(E4M3::encode(static_cast<double>(row[d] / scale)));
  return scale;
}

// K (half 0) or V (half 1) of one token to its block and place.
void write_token(const assay_call& call, int half, std::int64_t token, std::int64_t block,
                 std::int64_t place) {
  const assay_tensor &rows = call.inputs[half], &cache = call.outputs[half];
  const ElementType from = type_of(rows), to = type_of(cache);
  const std::int64_t bytes = bytes_of(to), dims = rows.shape[2];
  for (std::int64_t head = 0; head < rows.shape[1]; ++head) {
    std::byte* target =
        data_of(cache) +
        (block * cache.strides[0] + place * cache.strides[1] + head * cache.strides[2]) * bytes;
    if (call.output_count == 4) {
      const assay_tensor& scales = call.outputs[2 + half];
      const float scale = quantise(row_of(rows, token, head), target);
      std::memcpy(data_of(scales) + (block * scales.strides[0] + place * scales.strides[1] + head) * 4,
                  &scale, 4);
    } else if (from == to) {
      std::memcpy(target, data_of(rows) + (token * rows.strides[0] + head * rows.strides[1]) * bytes,
                  static_cast<std::size_t>(dims * bytes));
    } else {
      const std::vector<float> row = row_of(rows, token, head);
      for (std::int64_t d = 0; d < dims; ++d)
        store_element(target + d * bytes, to, static_cast<double>(row[static_cast<std::size_t>(d)]),
                      Overflow::kSaturate);
    }
  }
}

// Golden's view of one half of the call.
void golden_half(const assay_call& call, int half, const SlotView& slots) {
  const assay_tensor &rows = call.inputs[half], &cache = call.outputs[half];
  CacheTarget target;
  target.data = data_of(cache);
  target.type = type_of(cache);
  const auto bytes = static_cast<std::int32_t>(bytes_of(target.type));
  target.layout = {static_cast<std::int32_t>(cache.shape[1]),
                   static_cast<std::int32_t>(cache.shape[2]),
                   static_cast<std::int32_t>(cache.shape[3]),
                   bytes,
                   cache.strides[0] * bytes,
                   cache.strides[1] * bytes,
                   cache.strides[2] * bytes};
  target.blocks = cache.shape[0];
  if (call.output_count == 4) {
    const assay_tensor& scales = call.outputs[2 + half];
    target.row_scales = reinterpret_cast<float*>(data_of(scales));
    target.scale_block_stride = scales.strides[0];
    target.scale_slot_stride = scales.strides[1];
    target.scale_head_stride = scales.strides[2];
  }
  write_cache({data_of(rows),
               type_of(rows),
               {rows.shape[0], rows.shape[1], rows.shape[2]},
               {rows.strides[0], rows.strides[1], rows.strides[2]}},
              slots, target);
}

}  // namespace

int run_naive_cache_write(const assay_call* call) {
  const std::int64_t tokens = call->inputs[0].shape[0], block_tokens = call->ints[0];
  for (std::int64_t token = 0; token < tokens; ++token) {
    const std::int64_t slot = slot_of_token(*call, token);
    if (slot < 0) continue;
    const std::int64_t block = slot / block_tokens, place = slot % block_tokens;
    if (!is_fused(*call)) {
      for (const int half : {0, 1}) write_token(*call, half, token, block, place);
      continue;
    }
    const std::vector<float> row = row_of(call->inputs[0], token, 0);
    const auto dims = static_cast<std::int64_t>(row.size());
    std::byte* base = data_of(call->outputs[0]) + block * call->outputs[0].strides[0];
    const float scale = quantise(row, base + place * dims);
    std::memcpy(base + block_tokens * dims + place * 4, &scale, 4);
  }
  return ASSAY_OK;
}

int run_golden_cache_write(const assay_call* call) {
  try {
    const assay_tensor &rows = call->inputs[0], &slots = call->inputs[call->input_count - 1];
    const SlotView view{reinterpret_cast<const std::int64_t*>(data_of(slots)), slots.shape[0]};
    if (is_fused(*call)) {
      const assay_tensor& cache = call->outputs[0];
      const FusedIndexLayout layout{static_cast<std::int32_t>(call->ints[0]),
                                    static_cast<std::int32_t>(rows.shape[1]), cache.strides[0]};
      write_index_cache(
          {data_of(rows), type_of(rows), {rows.shape[0], rows.shape[1]}, {rows.strides[0], rows.strides[1]}},
          view, data_of(cache), layout, cache.shape[0]);
      return ASSAY_OK;
    }
    for (const int half : {0, 1}) golden_half(*call, half, view);
    return ASSAY_OK;
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  }
}

}  // namespace assay::properties
