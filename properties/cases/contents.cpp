#include "properties/cases/contents.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "properties/cases/attention_contents.h"
#include "properties/cases/cache_write_contents.h"
#include "properties/cases/fills.h"
#include "properties/cases/merge_contents.h"

namespace assay::properties {
namespace {

FusedIndexLayout layout_of(const PagedMqaParameters& p) {
  return {p.pool.block_tokens, p.dims, p.pool.block_stride};
}

constexpr std::int64_t kMayWriteMargin = 1024;  // columns: no schedule's unit is larger

// Rows that lie gigabytes apart: each with the columns up to which its last unit may be written.
std::vector<ByteRange> islands_of_rows(const PagedMqaParameters& p, const Operand& logits) {
  std::vector<ByteRange> islands;
  const std::int64_t bytes = bytes_of(p.output),
                     width = std::min(p.logits_stride, (p.columns / kMayWriteMargin + 2) * kMayWriteMargin);
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    const std::int64_t begin = row * p.logits_stride * bytes;
    const ByteRange range{begin, std::min(begin + width * bytes, logits.span_bytes)};
    if (!islands.empty() && islands.back().end >= range.begin)
      islands.back().end = range.end;
    else
      islands.push_back(range);
  }
  return islands;
}

Operands operands(const PagedMqaParameters& p) {
  Operands call;
  call.operation = Operation::kPagedMqaLogits;
  const std::int64_t batch = p.batch(), block_bytes = layout_of(p).block_bytes();
  call.tensors.push_back(make_operand("q", false, kFloat8, {batch, p.next_n, p.heads, p.dims},
                                      {p.q_sequence_stride, p.q_row_stride, p.q_head_stride, 1}));
  call.tensors.push_back(
      make_operand("weights", false, kFloat32, {p.rows(), p.heads}, {p.weights_stride, 1}));
  Operand cache =
      make_operand("cache", false, kBytes, {p.pool.blocks, block_bytes}, {p.pool.block_stride, 1});
  if (cache.span_bytes > kDenseBytes) cache.islands = islands_of(p.pool, block_bytes);
  call.tensors.push_back(std::move(cache));
  call.tensors.push_back(
      make_operand("block_table", false, kInt32, {batch, p.pool.table_columns}, {p.pool.table_stride, 1}));
  call.tensors.push_back(
      p.contexts_2d ? make_operand("contexts", false, kInt32, {batch, p.next_n}, {p.contexts_stride, 1})
                    : make_operand("contexts", false, kInt32, {batch}, {p.contexts_stride}));
  Operand logits =
      make_operand("logits", true, data_type_of(p.output), {p.rows(), p.columns}, {p.logits_stride, 1});
  if (logits.span_bytes > kDenseBytes) logits.islands = islands_of_rows(p, logits);
  call.tensors.push_back(std::move(logits));
  call.ints = {p.pool.block_tokens, p.clean ? 1 : 0};
  return call;
}

Operands operands(const MqaParameters& p) {
  Operands call;
  call.operation = Operation::kMqaLogits;
  call.tensors.push_back(
      make_operand("q", false, kFloat8, {p.rows(), p.heads, p.dims}, {p.q_row_stride, p.q_head_stride, 1}));
  call.tensors.push_back(make_operand("k", false, kFloat8, {p.keys, p.dims}, {p.key_stride, 1}));
  call.tensors.push_back(make_operand("scale", false, kFloat32, {p.keys}, {1}));
  call.tensors.push_back(
      make_operand("weights", false, kFloat32, {p.rows(), p.heads}, {p.weights_stride, 1}));
  call.tensors.push_back(make_operand("starts", false, kInt32, {p.rows()}, {1}));
  call.tensors.push_back(make_operand("ends", false, kInt32, {p.rows()}, {1}));
  call.tensors.push_back(
      make_operand("logits", true, data_type_of(p.output), {p.rows(), p.columns}, {p.logits_stride, 1}));
  call.ints = {p.clean ? 1 : 0, p.compressed ? 1 : 0};
  return call;
}

Operands operands(const ScheduleParameters& p) {
  Operands call;
  call.operation = Operation::kScheduleMetadata;
  call.tensors.push_back(make_operand("contexts", false, kInt32,
                                      {static_cast<std::int64_t>(p.contexts.size())}, {p.contexts_stride}));
  call.tensors.push_back(make_operand("metadata", true, kInt32, {p.parts + 1, 2}, {2, 1}));
  call.ints = {p.unit_tokens, p.parts};
  return call;
}

// ---- Filling

float weights_poison(Poison poison) {
  return poison == Poison::kFirst ? bit_cast<float>(0x7fc0deadu) : 3e38f;
}
// q [rows, heads, dims] and weights [rows, heads], drawn and overridden.
struct QueryValues {
  std::vector<std::uint8_t> q;
  std::vector<float> weights;

  QueryValues(const KernelCase& kernel_case, const MqaValues& values,
              const std::vector<std::int64_t>& row_content, std::int32_t heads, std::int32_t dims) {
    const std::int64_t rows = static_cast<std::int64_t>(row_content.size());
    q.resize(static_cast<std::size_t>(rows * heads * dims));
    weights.resize(static_cast<std::size_t>(rows * heads));
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int32_t h = 0; h < heads; ++h) {
        values.query(row_content[r], h, &q[(r * heads + h) * dims]);
        weights[r * heads + h] = std::ldexp(values.weight(row_content[r], h), kernel_case.weight_exponent);
      }
    for (const ValueOverride& item : kernel_case.overrides) {
      if (item.operand == "q" && item.at.size() == 3 && item.at[0] < rows && item.at[1] < heads &&
          item.at[2] < dims)
        q[(item.at[0] * heads + item.at[1]) * dims + item.at[2]] = static_cast<std::uint8_t>(item.bits);
      if (item.operand == "weights" && item.at.size() == 2 && item.at[0] < rows && item.at[1] < heads)
        weights[item.at[0] * heads + item.at[1]] = bit_cast<float>(item.bits);
    }
  }
};

class PagedMqaContents final : public CaseContents {
 public:
  PagedMqaContents(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<PagedMqaParameters>(kernel_case.parameters)),
        operands_(operands),
        layout_(layout_of(p_)),
        values_(kernel_case.lane, kernel_case.seed, p_.heads, p_.dims),
        queries_(kernel_case, values_, p_.row_content, p_.heads, p_.dims),
        live_(p_.pool.physical.size(), 0) {
    const std::int32_t tokens = p_.pool.block_tokens;
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      for (std::size_t i = 0; i < p_.pool.tables[b].size(); ++i) {
        std::int32_t& live = live_[p_.pool.tables[b][i]];
        live = std::max(live, std::min(tokens, p_.length(b) - static_cast<std::int32_t>(i) * tokens));
      }
    first_.resize(live_.size());
    std::int64_t total = 0;
    for (std::size_t l = 0; l < live_.size(); ++l) {
      first_[l] = total;
      total += live_[l];
    }
    keys_.resize(static_cast<std::size_t>(total * p_.dims));
    scales_.resize(static_cast<std::size_t>(total));
    for (std::size_t l = 0; l < live_.size(); ++l)
      for (std::int32_t slot = 0; slot < live_[l]; ++slot) {
        const std::int64_t content = p_.pool.content[l] * tokens + slot;
        values_.key(content, &keys_[(first_[l] + slot) * p_.dims]);
        scales_[first_[l] + slot] = values_.scale(content);
      }
    for (const ValueOverride& item : kernel_case.overrides) {
      if (item.at.empty() || item.at[0] >= static_cast<std::int64_t>(live_.size())) continue;
      const std::int64_t l = item.at[0];
      if (item.operand == "keys" && item.at.size() == 3 && item.at[1] < live_[l] && item.at[2] < p_.dims)
        keys_[(first_[l] + item.at[1]) * p_.dims + item.at[2]] = static_cast<std::uint8_t>(item.bits);
      if (item.operand == "scales" && item.at.size() == 2 && item.at[1] < live_[l])
        scales_[first_[l] + item.at[1]] = bit_cast<float>(item.bits);
    }
  }

  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    const std::int64_t row_bytes = p_.dims;
    fill_bytes(data[0], operands_.tensors[0], poison == Poison::kFirst ? 0x7f : 0x7e);
    fill_words(data[1], operands_.tensors[1].span_bytes, weights_poison(poison));
    for (std::int64_t r = 0; r < p_.rows(); ++r) {
      const std::int64_t base = r / p_.next_n * p_.q_sequence_stride + r % p_.next_n * p_.q_row_stride;
      for (std::int32_t h = 0; h < p_.heads; ++h)
        std::memcpy(data[0] + base + h * p_.q_head_stride, &queries_.q[(r * p_.heads + h) * p_.dims],
                    static_cast<std::size_t>(row_bytes));
      std::memcpy(data[1] + r * p_.weights_stride * 4, &queries_.weights[r * p_.heads],
                  static_cast<std::size_t>(p_.heads) * 4);
    }
    fill_cache(poison, data[2]);
    fill_table(poison, operands_.tensors[3], p_.pool, data[3]);
    fill_words(data[4], operands_.tensors[4].span_bytes, integer_poison(poison));
    const std::int32_t columns = p_.contexts_2d ? p_.next_n : 1;
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      std::memcpy(data[4] + b * p_.contexts_stride * 4, &p_.contexts[b * columns],
                  static_cast<std::size_t>(columns) * 4);
  }

 private:
  void fill_cache(Poison poison, std::byte* cache) const {
    fill_bytes(cache, operands_.tensors[2], poison == Poison::kFirst ? 0xff : 0x7e);
    for (std::size_t l = 0; l < live_.size(); ++l) {
      if (live_[l] == 0) continue;
      const std::int64_t block = p_.pool.physical[l];
      std::memcpy(cache + layout_.key_offset(block, 0), &keys_[first_[l] * p_.dims],
                  static_cast<std::size_t>(live_[l]) * p_.dims);
      std::memcpy(cache + layout_.scale_offset(block, 0), &scales_[first_[l]],
                  static_cast<std::size_t>(live_[l]) * 4);
    }
  }

  const PagedMqaParameters& p_;
  const Operands& operands_;
  FusedIndexLayout layout_;
  MqaValues values_;
  QueryValues queries_;
  std::vector<std::int32_t> live_;   // [logical blocks] slots that some sequence sees
  std::vector<std::int64_t> first_;  // prefix sum of live_
  std::vector<std::uint8_t> keys_;
  std::vector<float> scales_;
};

class MqaContents final : public CaseContents {
 public:
  MqaContents(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<MqaParameters>(kernel_case.parameters)),
        operands_(operands),
        values_(kernel_case.lane, kernel_case.seed, p_.heads, p_.dims),
        queries_(kernel_case, values_, p_.row_content, p_.heads, p_.dims),
        keys_(static_cast<std::size_t>(p_.keys * p_.dims)),
        scales_(static_cast<std::size_t>(p_.keys)),
        seen_(static_cast<std::size_t>(p_.keys), 0) {
    for (std::int64_t r = 0; r < p_.rows(); ++r)
      for (std::int64_t n = p_.starts[r]; n < p_.ends[r]; ++n) seen_[n] = 1;
    for (std::int64_t n = 0; n < p_.keys; ++n) {
      values_.key(n, &keys_[n * p_.dims]);
      scales_[n] = values_.scale(n);
    }
    for (const ValueOverride& item : kernel_case.overrides) {
      if (item.operand == "keys" && item.at.size() == 3 && item.at[1] < p_.keys && item.at[2] < p_.dims)
        keys_[item.at[1] * p_.dims + item.at[2]] = static_cast<std::uint8_t>(item.bits);
      if (item.operand == "scales" && item.at.size() == 2 && item.at[1] < p_.keys)
        scales_[item.at[1]] = bit_cast<float>(item.bits);
    }
  }

  // Keys that no query sees are poison, too.
  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    fill_bytes(data[0], operands_.tensors[0], poison == Poison::kFirst ? 0x7f : 0x7e);
    fill_bytes(data[1], operands_.tensors[1], poison == Poison::kFirst ? 0xff : 0x7e);
    fill_bytes(data[2], operands_.tensors[2], poison == Poison::kFirst ? 0xff : 0x7e);
    fill_words(data[3], operands_.tensors[3].span_bytes, weights_poison(poison));
    for (std::int64_t n = 0; n < p_.keys; ++n) {
      if (!seen_[n]) continue;
      std::memcpy(data[1] + n * p_.key_stride, &keys_[n * p_.dims], static_cast<std::size_t>(p_.dims));
      std::memcpy(data[2] + n * 4, &scales_[n], 4);
    }
    for (std::int64_t r = 0; r < p_.rows(); ++r) {
      for (std::int32_t h = 0; h < p_.heads; ++h)
        std::memcpy(data[0] + r * p_.q_row_stride + h * p_.q_head_stride,
                    &queries_.q[(r * p_.heads + h) * p_.dims], static_cast<std::size_t>(p_.dims));
      std::memcpy(data[3] + r * p_.weights_stride * 4, &queries_.weights[r * p_.heads],
                  static_cast<std::size_t>(p_.heads) * 4);
      std::memcpy(data[4] + r * 4, &p_.starts[r], 4);
      std::memcpy(data[5] + r * 4, &p_.ends[r], 4);
    }
  }

 private:
  const MqaParameters& p_;
  const Operands& operands_;
  MqaValues values_;
  QueryValues queries_;
  std::vector<std::uint8_t> keys_;
  std::vector<float> scales_;
  std::vector<std::uint8_t> seen_;
};

class ScheduleContents final : public CaseContents {
 public:
  ScheduleContents(const ScheduleParameters& parameters, const Operands& operands)
      : p_(parameters), operands_(operands) {}
  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    fill_words(data[0], operands_.tensors[0].span_bytes, integer_poison(poison));
    for (std::size_t b = 0; b < p_.contexts.size(); ++b)
      std::memcpy(data[0] + static_cast<std::int64_t>(b) * p_.contexts_stride * 4, &p_.contexts[b], 4);
  }

 private:
  const ScheduleParameters& p_;
  const Operands& operands_;
};

}  // namespace

std::uint32_t output_poison(Poison poison) { return poison == Poison::kFirst ? 0x7fb17fb1u : 0xffb2ffb2u; }
std::uint8_t margin_poison(Poison poison) { return poison == Poison::kFirst ? 0xff : 0x7e; }

Operands operands_of(const KernelCase& kernel_case) {
  return std::visit([](const auto& p) { return operands(p); }, kernel_case.parameters);
}

std::unique_ptr<CaseContents> make_contents(const KernelCase& kernel_case, const Operands& operands) {
  switch (kernel_case.operation()) {
    case Operation::kPagedMqaLogits: return std::make_unique<PagedMqaContents>(kernel_case, operands);
    case Operation::kMqaLogits: return std::make_unique<MqaContents>(kernel_case, operands);
    case Operation::kScheduleMetadata:
      return std::make_unique<ScheduleContents>(std::get<ScheduleParameters>(kernel_case.parameters),
                                                operands);
    case Operation::kPagedAttention: return make_attention_contents(kernel_case, operands);
    case Operation::kMerge: return make_merge_contents(kernel_case, operands);
    case Operation::kCacheWrite: return make_cache_write_contents(kernel_case, operands);
  }
  ASSAY_CHECK(false, "an operation without contents");
  return nullptr;
}

void fill_outputs(const Operands& operands, Poison poison, const TensorPointers& data) {
  for (std::size_t i = 0; i < operands.tensors.size(); ++i) {
    const Operand& tensor = operands.tensors[i];
    if (!tensor.is_output || tensor.span_bytes == 0) continue;
    const std::vector<ByteRange> whole{{0, tensor.span_bytes}};
    for (const ByteRange& range : tensor.islands.empty() ? whole : tensor.islands) {
      const std::int64_t bytes = range.end - range.begin;
      if (tensor.type.bytes() == 1)
        std::memset(data[i] + range.begin, static_cast<std::uint8_t>(output_poison(poison)),
                    static_cast<std::size_t>(bytes));
      else if (tensor.type.bytes() == 2)
        fill_words(data[i] + range.begin, bytes, static_cast<std::uint16_t>(output_poison(poison)));
      else
        fill_words(data[i] + range.begin, bytes, output_poison(poison));
    }
  }
}

PagedMqaLogitsCase golden_view(const PagedMqaParameters& p, const TensorPointers& data) {
  PagedMqaLogitsCase view;
  view.q = {data[0],
            ElementType::kE4M3,
            {p.batch(), p.next_n, p.heads, p.dims},
            {p.q_sequence_stride, p.q_row_stride, p.q_head_stride, 1}};
  view.weights = {data[1], ElementType::kFp32, {p.rows(), p.heads}, {p.weights_stride, 1}};
  view.cache = {data[2], layout_of(p), p.pool.blocks};
  view.table = {reinterpret_cast<const std::int32_t*>(data[3]), p.pool.table_stride, p.pool.table_columns};
  view.contexts = {reinterpret_cast<const std::int32_t*>(data[4]), p.batch(), p.contexts_2d ? p.next_n : 0,
                   p.contexts_stride, 1};
  return view;
}

MqaLogitsCase golden_view(const MqaParameters& p, const TensorPointers& data) {
  MqaLogitsCase view;
  view.q = {data[0], ElementType::kE4M3, {p.rows(), p.heads, p.dims}, {p.q_row_stride, p.q_head_stride, 1}};
  view.keys = {data[1], ElementType::kE4M3, {p.keys, p.dims}, {p.key_stride, 1}};
  view.key_scales = {data[2], ElementType::kFp32, {p.keys}, {1}};
  view.weights = {data[3], ElementType::kFp32, {p.rows(), p.heads}, {p.weights_stride, 1}};
  view.starts = {reinterpret_cast<const std::int32_t*>(data[4]), p.rows(), 1};
  view.ends = {reinterpret_cast<const std::int32_t*>(data[5]), p.rows(), 1};
  return view;
}

}  // namespace assay::properties
