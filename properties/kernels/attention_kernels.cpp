// Paged attention on the CPU: plain fp32 loops written from the contract, and golden rounded once.
//
//   s_t = cap(scale * q.k_t)    m = max s    p_t = e^(s_t - m)    out = sum p_t v_t / sum p_t
//   lse = m + ln sum p_t        a query that sees nothing: out = 0, lse = -inf
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/core/check.h"
#include "model/twin/attention_decode_twin.h"
#include "properties/cases/elements.h"
#include "properties/cases/operands.h"
#include "properties/kernels/built_in.h"
#include "properties/kernels/call_views.h"

namespace assay::properties {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

std::byte* address(const assay_tensor& t, std::int64_t element) {
  return static_cast<std::byte*>(t.data) + t.byte_offset +
         element * static_cast<std::int64_t>(t.dtype.bits / 8);
}
ElementType type_of(const assay_tensor& t) {
  return element_type_of({t.dtype.code, t.dtype.bits}, "call.out");
}
std::int32_t int_at(const assay_tensor& t, std::int64_t index) {
  std::int32_t value;
  std::memcpy(&value, address(t, index * t.strides[0]), sizeof value);
  return value;
}

// dims consecutive elements as fp32.
void load_row(const std::byte* from, ElementType type, std::int64_t dims, float* row) {
  for (std::int64_t d = 0; d < dims; ++d)
    row[d] = static_cast<float>(load_element(from + d * bytes_of(type), type));
}

void store_row(const assay_call& call, std::int64_t row, std::int64_t head, const float* out, float lse) {
  const assay_tensor &o = call.outputs[0], &l = call.outputs[1];
  const ElementType type = type_of(o);
  std::byte* to = address(o, row * o.strides[0] + head * o.strides[1]);
  for (std::int64_t d = 0; d < o.shape[2]; ++d)
    store_element(to + d * bytes_of(type), type, static_cast<double>(out[d]), Overflow::kInfinity);
  std::memcpy(address(l, row * l.strides[0] + head * l.strides[1]), &lse, 4);
}

class NaiveAttention {
 public:
  explicit NaiveAttention(const assay_call& call)
      : call_(call),
        q_(call.inputs[0]),
        q_begin_(call.inputs[1]),
        contexts_(call.inputs[6]),
        heads_first_(call.ints[2] != 0),
        block_tokens_(call.inputs[2].shape[heads_first_ ? 2 : 1]),
        kv_heads_(call.inputs[2].shape[heads_first_ ? 1 : 2]),
        dims_(q_.shape[2]),
        query_(static_cast<std::size_t>(dims_)),
        row_(query_.size()),
        out_(query_.size()) {}

  void run() {
    for (std::int64_t b = 0; b < contexts_.shape[0]; ++b) {
      const std::int64_t begin = int_at(q_begin_, b), end = int_at(q_begin_, b + 1);
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t head = 0; head < q_.shape[1]; ++head)
          run_head(b, row, int_at(contexts_, b) - (end - row), head);
    }
  }

 private:
  // `position`: where the query stands in its sequence.
  void run_head(std::int64_t b, std::int64_t row, std::int64_t position, std::int64_t head) {
    const std::int64_t kv_head = head / (q_.shape[1] / kv_heads_), window = call_.ints[1];
    std::int64_t begin = 0, end = int_at(contexts_, b);
    if (call_.ints[0] != 0) end = std::min(end, position + 1);
    if (window > 0) begin = std::max<std::int64_t>(0, position - window + 1);
    load_row(address(q_, row * q_.strides[0] + head * q_.strides[1]), type_of(q_), dims_, query_.data());
    std::fill(out_.begin(), out_.end(), 0.0f);
    if (begin >= end) return store_row(call_, row, head, out_.data(), kMinusInfinity);
    scores_.clear();
    float largest = kMinusInfinity, sum = 0;
    for (std::int64_t t = begin; t < end; ++t) {
      scores_.push_back(score(b, t, kv_head));
      largest = std::max(largest, scores_.back());
    }
    for (std::int64_t t = begin; t < end; ++t) {
      const float p = std::exp(scores_[static_cast<std::size_t>(t - begin)] - largest);
      sum += p;
      load_token(3, 5, b, t, kv_head);
      for (std::size_t d = 0; d < out_.size(); ++d) out_[d] += p * row_[d];
    }
    for (float& value : out_) value /= sum;
    store_row(call_, row, head, out_.data(), largest + std::log(sum));
  }

  float score(std::int64_t b, std::int64_t t, std::int64_t kv_head) {
    load_token(2, 4, b, t, kv_head);
    float dot = 0;
    for (std::size_t d = 0; d < row_.size(); ++d) dot += query_[d] * row_[d];
    const float s = dot * static_cast<float>(call_.reals[0]), cap = static_cast<float>(call_.reals[1]);
    return cap > 0 ? cap * std::tanh(s / cap) : s;
  }

  // row_ = token t of sequence b in a cache.
  void load_token(int cache_index, int table_index, std::int64_t b, std::int64_t t, std::int64_t kv_head) {
    const assay_tensor &cache = call_.inputs[cache_index], &table = call_.inputs[table_index];
    std::int32_t block;
    std::memcpy(&block, address(table, b * table.strides[0] + t / block_tokens_ * table.strides[1]), 4);
    const std::int64_t slot = t % block_tokens_;
    load_row(address(cache, block * cache.strides[0] + slot * cache.strides[heads_first_ ? 2 : 1] +
                                kv_head * cache.strides[heads_first_ ? 1 : 2]),
             type_of(cache), dims_, row_.data());
  }

  const assay_call& call_;
  const assay_tensor &q_, &q_begin_, &contexts_;
  bool heads_first_;
  std::int64_t block_tokens_, kv_heads_, dims_;
  std::vector<float> query_, row_, out_, scores_;
};

}  // namespace

int run_naive_paged_attention(const assay_call* call) {
  NaiveAttention(*call).run();
  return ASSAY_OK;
}

int run_golden_paged_attention(const assay_call* call) {
  try {
    const PagedAttentionCase problem = paged_attention_view(*call);
    const std::int64_t rows = problem.q.shape[0], heads = problem.q.shape[1],
                       dims = problem.values.layout.dims;
    std::vector<double> out(static_cast<std::size_t>(rows * heads * dims)),
        lse(static_cast<std::size_t>(rows * heads));
    (void)paged_attention(problem, compact_result<3>(out.data(), {rows, heads, dims}),
                          compact_result<2>(lse.data(), {rows, heads}), {1});
    const assay_tensor &o = call->outputs[0], &l = call->outputs[1];
    const ElementType type = type_of(o);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t at = row * heads + head;
        for (std::int64_t d = 0; d < dims; ++d)
          store_element(address(o, row * o.strides[0] + head * o.strides[1] + d), type,
                        out[static_cast<std::size_t>(at * dims + d)], Overflow::kInfinity);
        store_element(address(l, row * l.strides[0] + head * l.strides[1]), ElementType::kFp32,
                      lse[static_cast<std::size_t>(at)], Overflow::kInfinity);
      }
    return ASSAY_OK;
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  }
}

// The twin of sm90's paged decode in 264 parts: one query per sequence, types, dims and blocks as that kernel has.
int run_decode_twin(const assay_call* call) {
  try {
    const PagedAttentionCase problem = paged_attention_view(*call);
    const assay_tensor &o = call->outputs[0], &l = call->outputs[1];
    const std::int64_t rows = problem.q.shape[0], heads = problem.q.shape[1], dims = problem.q.shape[2];
    const std::int32_t block_tokens = problem.keys.layout.block_tokens;
    if ((dims != 64 && dims != 128) || problem.values.layout.dims != dims || block_tokens < 16 ||
        (block_tokens & (block_tokens - 1)) != 0)
      return ASSAY_UNSUPPORTED;
    const std::optional<DecodeTwinResult> result = predict_as_decode(problem, type_of(o), 264, {1});
    if (!result) return ASSAY_UNSUPPORTED;
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t at = row * heads + head;
        std::memcpy(address(o, row * o.strides[0] + head * o.strides[1]),
                    &result->out[static_cast<std::size_t>(at * dims)], static_cast<std::size_t>(dims) * 2);
        std::memcpy(address(l, row * l.strides[0] + head * l.strides[1]),
                    &result->lse[static_cast<std::size_t>(at)], 4);
      }
    return ASSAY_OK;
  } catch (const InputError&) {
    return ASSAY_UNSUPPORTED;
  }
}

}  // namespace assay::properties
