// Plain loops in fp32, from the contract (docs/contracts.md section 3): nothing shared with the golden
// model or the twin but the decoding of a code. Slow, and meant to stay so.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/core/float_formats.h"
#include "model/core/logits_reduction.h"
#include "properties/kernels/built_in.h"

namespace assay::properties {
namespace {

const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int code = 0; code < 256; ++code) values[code] = E4M3::decode_float(static_cast<E4M3::Code>(code));
    return values;
  }();
  return table;
}

const std::uint8_t* bytes_of_tensor(const assay_tensor& t) {
  return static_cast<const std::uint8_t*>(t.data) + t.byte_offset;
}
template <typename T>
T load(const void* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}
std::int32_t int_at(const assay_tensor& t, std::int64_t element) {
  return load<std::int32_t>(bytes_of_tensor(t) + element * 4);
}

void store(const assay_tensor& logits, std::int64_t row, std::int64_t column, float value) {
  std::uint8_t* base = static_cast<std::uint8_t*>(logits.data) + logits.byte_offset;
  const std::int64_t element = row * logits.strides[0] + column;
  if (logits.dtype.bits == 32) {
    const std::uint32_t bits = fp32_output_bits(value);
    std::memcpy(base + element * 4, &bits, 4);
  } else {
    const std::uint16_t bits = bf16_output_bits(value);
    std::memcpy(base + element * 2, &bits, 2);
  }
}

// One logit. q: [heads] rows of dims codes, head_stride apart; weights: [heads].
float logit_of(const std::uint8_t* q, std::int64_t head_stride, const std::uint8_t* weights,
               const std::uint8_t* key, float scale, std::int64_t heads, std::int64_t dims) {
  const auto& value = e4m3_values();
  float sum = 0;
  for (std::int64_t h = 0; h < heads; ++h) {
    float score = 0;
    for (std::int64_t d = 0; d < dims; ++d) score += value[q[h * head_stride + d]] * value[key[d]];
    sum += load<float>(weights + h * 4) * (score > 0 ? score : 0.0f);
  }
  return sum * scale;
}

}  // namespace

int run_naive_paged_mqa_logits(const assay_call* call) {
  const assay_tensor &q = call->inputs[0], &weights = call->inputs[1], &cache = call->inputs[2],
                     &table = call->inputs[3], &contexts = call->inputs[4], &logits = call->outputs[0];
  const std::int64_t batch = q.shape[0], next_n = q.shape[1], heads = q.shape[2], dims = q.shape[3];
  const std::int64_t block_tokens = call->ints[0];
  const bool clean = call->ints[1] != 0;
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t i = 0; i < next_n; ++i) {
      const std::int64_t row = b * next_n + i;
      const std::int64_t limit = contexts.ndim == 2
                                     ? int_at(contexts, b * contexts.strides[0] + i * contexts.strides[1])
                                     : int_at(contexts, b * contexts.strides[0]) - next_n + i + 1;
      const std::uint8_t* query = bytes_of_tensor(q) + b * q.strides[0] + i * q.strides[1];
      for (std::int64_t t = 0; t < limit; ++t) {
        const std::int64_t block = int_at(table, b * table.strides[0] + t / block_tokens);
        const std::uint8_t* base = bytes_of_tensor(cache) + block * cache.strides[0];
        const std::int64_t slot = t % block_tokens;
        const float scale = load<float>(base + block_tokens * dims + slot * 4);
        store(logits, row, t,
              logit_of(query, q.strides[2], bytes_of_tensor(weights) + row * weights.strides[0] * 4,
                       base + slot * dims, scale, heads, dims));
      }
      if (clean)
        for (std::int64_t t = std::max<std::int64_t>(limit, 0); t < logits.shape[1]; ++t)
          store(logits, row, t, -std::numeric_limits<float>::infinity());
    }
  return ASSAY_OK;
}

int run_naive_mqa_logits(const assay_call* call) {
  const assay_tensor &q = call->inputs[0], &keys = call->inputs[1], &scales = call->inputs[2],
                     &weights = call->inputs[3], &logits = call->outputs[0];
  const std::int64_t rows = q.shape[0], heads = q.shape[1], dims = q.shape[2];
  const bool clean = call->ints[0] != 0, compressed = call->ints[1] != 0;
  for (std::int64_t m = 0; m < rows; ++m) {
    const std::int64_t start = int_at(call->inputs[4], m),
                       end = std::max<std::int64_t>(start, int_at(call->inputs[5], m));
    const std::int64_t shift = compressed ? start : 0;
    if (clean)
      for (std::int64_t column = 0; column < logits.shape[1]; ++column)
        if (column + shift < start || column + shift >= end)
          store(logits, m, column, -std::numeric_limits<float>::infinity());
    for (std::int64_t n = start; n < end; ++n)
      store(logits, m, n - shift,
            logit_of(bytes_of_tensor(q) + m * q.strides[0], q.strides[1],
                     bytes_of_tensor(weights) + m * weights.strides[0] * 4,
                     bytes_of_tensor(keys) + n * keys.strides[0],
                     load<float>(bytes_of_tensor(scales) + n * scales.strides[0] * 4), heads, dims));
  }
  return ASSAY_OK;
}

int run_naive_schedule_metadata(const assay_call* call) {
  const assay_tensor &contexts = call->inputs[0], &metadata = call->outputs[0];
  const std::int64_t batch = contexts.shape[0], unit = call->ints[0], parts = call->ints[1];
  const auto units_of = [&](std::int64_t b) {
    return (int_at(contexts, b * contexts.strides[0]) + unit - 1) / unit;
  };
  std::int64_t total = 0;
  for (std::int64_t b = 0; b < batch; ++b) total += units_of(b);
  auto* out =
      reinterpret_cast<std::int32_t*>(static_cast<std::uint8_t*>(metadata.data) + metadata.byte_offset);
  for (std::int64_t part = 0; part <= parts; ++part) {
    std::int64_t left = total * part / parts;
    std::int64_t b = 0;
    while (b < batch && left >= units_of(b)) left -= units_of(b++);
    out[part * 2] = static_cast<std::int32_t>(b);
    out[part * 2 + 1] = static_cast<std::int32_t>(b == batch ? 0 : left);
  }
  return ASSAY_OK;
}

}  // namespace assay::properties
