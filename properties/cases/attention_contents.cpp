#include "properties/cases/attention_contents.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "properties/cases/attention_values.h"
#include "properties/cases/elements.h"
#include "properties/cases/fills.h"

namespace assay::properties {
namespace {

// Order of gpu/api/assay_kernel.h.
enum Tensor { kQ, kQBegin, kKeys, kValues, kKeyTable, kValueTable, kContexts, kOut, kLse };

PagedLayout value_layout(const PagedAttentionParameters& p) {
  PagedLayout layout = p.key_layout();
  layout.block_stride = p.value_block_stride;
  return layout;
}

Operand cache_operand(const char* name, const PagedAttentionParameters& p, const Pool& pool) {
  const std::int64_t block = pool.block_stride / bytes_of(p.kv_type);
  Operand cache = make_operand(
      name, false, data_type_of(p.kv_type),
      p.heads_first ? std::vector<std::int64_t>{pool.blocks, p.kv_heads, pool.block_tokens, p.dims}
                    : std::vector<std::int64_t>{pool.blocks, pool.block_tokens, p.kv_heads, p.dims},
      {block, p.outer_stride, p.inner_stride, 1});
  if (cache.span_bytes > kDenseBytes) cache.islands = islands_of(pool, p.key_layout().block_span());
  return cache;
}

class AttentionContents final : public CaseContents {
 public:
  AttentionContents(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<PagedAttentionParameters>(kernel_case.parameters)),
        operands_(operands),
        row_bytes_(std::int64_t{p_.dims} * bytes_of(p_.kv_type)),
        values_(kernel_case.lane, kernel_case.seed, p_.heads, p_.kv_heads, p_.dims, p_.softmax_scale),
        live_(p_.pool.physical.size(), 0),
        position_(live_.size(), 0),
        scratch_(static_cast<std::size_t>(p_.dims)) {
    const std::int32_t tokens = p_.pool.block_tokens;
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      for (std::size_t i = 0; i < p_.pool.tables[b].size(); ++i) {
        const auto logical = static_cast<std::size_t>(p_.pool.tables[b][i]);
        const auto begin = static_cast<std::int32_t>(i) * tokens;
        if (live_[logical] == 0) position_[logical] = begin;
        live_[logical] = std::max(live_[logical], std::min(tokens, p_.contexts[b] - begin));
      }
    std::int64_t total = 0;
    for (const std::int32_t live : live_) {
      first_.push_back(total);
      total += live;
    }
    keys_.resize(static_cast<std::size_t>(total * p_.kv_heads * row_bytes_));
    rows_of_values_.resize(keys_.size());
    for (std::size_t l = 0; l < live_.size(); ++l)
      for (std::int32_t slot = 0; slot < live_[l]; ++slot) draw_token(l, slot);
    draw_queries(kernel_case.lane);
    for (const ValueOverride& item : kernel_case.overrides) apply(item);
  }

  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    fill_bytes(data[kQ], operands_.tensors[kQ], float_poison(poison));
    const std::int64_t q_bytes = bytes_of(p_.q_type), head_bytes = p_.dims * q_bytes;
    for (std::int64_t row = 0; row < p_.rows(); ++row)
      for (std::int32_t h = 0; h < p_.heads; ++h)
        std::memcpy(data[kQ] + (row * p_.q_row_stride + h * p_.q_head_stride) * q_bytes,
                    &queries_[static_cast<std::size_t>((row * p_.heads + h) * head_bytes)],
                    static_cast<std::size_t>(head_bytes));
    std::int32_t begin = 0;
    for (std::int32_t b = 0; b <= p_.batch(); ++b) {
      std::memcpy(data[kQBegin] + b * 4, &begin, 4);
      if (b < p_.batch()) begin += p_.queries[b];
    }
    fill_cache(poison, p_.pool, p_.key_layout(), keys_, operands_.tensors[kKeys], data[kKeys]);
    fill_cache(poison, p_.value_pool(), value_layout(p_), rows_of_values_, operands_.tensors[kValues],
               data[kValues]);
    fill_table(poison, operands_.tensors[kKeyTable], p_.pool, data[kKeyTable]);
    fill_table(poison, operands_.tensors[kValueTable], p_.value_pool(), data[kValueTable]);
    fill_words(data[kContexts], operands_.tensors[kContexts].span_bytes, integer_poison(poison));
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      std::memcpy(data[kContexts] + b * p_.contexts_stride * 4, &p_.contexts[b], 4);
  }

 private:
  [[nodiscard]] std::size_t row_of(std::size_t logical, std::int64_t slot, std::int64_t kv_head) const {
    return static_cast<std::size_t>(((first_[logical] + slot) * p_.kv_heads + kv_head) * row_bytes_);
  }

  void encode(ElementType type, std::byte* to) const {
    for (std::int32_t d = 0; d < p_.dims; ++d)
      store_element(to + d * bytes_of(type), type, static_cast<double>(scratch_[static_cast<std::size_t>(d)]),
                    Overflow::kSaturate);
  }

  void draw_token(std::size_t logical, std::int32_t slot) {
    const std::int64_t content = p_.pool.content[logical] * p_.pool.block_tokens + slot;
    for (std::int32_t kv_head = 0; kv_head < p_.kv_heads; ++kv_head) {
      values_.key(content, position_[logical] + slot, kv_head, scratch_.data());
      encode(p_.kv_type, &keys_[row_of(logical, slot, kv_head)]);
      values_.value(content, kv_head, scratch_.data());
      encode(p_.kv_type, &rows_of_values_[row_of(logical, slot, kv_head)]);
    }
  }

  void draw_queries(Lane lane) {
    const std::int64_t head_bytes = std::int64_t{p_.dims} * bytes_of(p_.q_type);
    queries_.resize(static_cast<std::size_t>(p_.rows() * p_.heads * head_bytes));
    std::int64_t row = 0;
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      for (std::int32_t i = 0; i < p_.queries[b]; ++i, ++row) {
        const PagedAttentionParameters::Tokens seen = p_.visible(b, i);
        const std::int64_t content = p_.row_content[static_cast<std::size_t>(row)];
        for (std::int32_t h = 0; h < p_.heads; ++h) {
          std::int64_t slot = -1;
          if (points(lane) && seen.begin < seen.end)
            slot = content_slot(b, seen.begin + values_.target(content, h, seen.end - seen.begin));
          values_.query(content, h, slot, scratch_.data());
          encode(p_.q_type, &queries_[static_cast<std::size_t>((row * p_.heads + h) * head_bytes)]);
        }
      }
  }
  [[nodiscard]] std::int64_t content_slot(std::int32_t sequence, std::int64_t token) const {
    const std::int32_t tokens = p_.pool.block_tokens;
    const auto logical =
        static_cast<std::size_t>(p_.pool.tables[sequence][static_cast<std::size_t>(token / tokens)]);
    return p_.pool.content[logical] * tokens + token % tokens;
  }

  void apply(const ValueOverride& item) {
    const auto put = [&](std::byte* row, std::int64_t dim, ElementType type) {
      std::memcpy(row + dim * bytes_of(type), &item.bits, static_cast<std::size_t>(bytes_of(type)));
    };
    if (item.operand == "q" && item.at.size() == 3 && item.at[0] < p_.rows() && item.at[1] < p_.heads &&
        item.at[2] < p_.dims) {
      const std::int64_t row = (item.at[0] * p_.heads + item.at[1]) * p_.dims * bytes_of(p_.q_type);
      put(&queries_[static_cast<std::size_t>(row)], item.at[2], p_.q_type);
    }
    if ((item.operand != "keys" && item.operand != "values") || item.at.size() != 4 ||
        item.at[0] >= static_cast<std::int64_t>(live_.size()) ||
        item.at[1] >= live_[static_cast<std::size_t>(item.at[0])] || item.at[2] >= p_.kv_heads ||
        item.at[3] >= p_.dims)
      return;
    auto& rows = item.operand == "keys" ? keys_ : rows_of_values_;
    put(&rows[row_of(static_cast<std::size_t>(item.at[0]), item.at[1], item.at[2])], item.at[3], p_.kv_type);
  }

  void fill_cache(Poison poison, const Pool& pool, const PagedLayout& layout,
                  const std::vector<std::byte>& rows, const Operand& operand, std::byte* cache) const {
    fill_bytes(cache, operand, float_poison(poison));
    for (std::size_t l = 0; l < live_.size(); ++l)
      for (std::int32_t slot = 0; slot < live_[l]; ++slot)
        for (std::int32_t kv_head = 0; kv_head < p_.kv_heads; ++kv_head)
          std::memcpy(cache + layout.offset(pool.physical[l], slot, kv_head, 0),
                      &rows[row_of(l, slot, kv_head)], static_cast<std::size_t>(row_bytes_));
  }

  const PagedAttentionParameters& p_;
  const Operands& operands_;
  std::int64_t row_bytes_;  // of one token and KV head
  AttentionValues values_;
  std::vector<std::int32_t> live_;      // [logical blocks] slots that belong to some sequence
  std::vector<std::int64_t> position_;  // [logical blocks] of its first token in a sequence that names it
  std::vector<std::int64_t> first_;     // prefix sum of live_
  std::vector<std::byte> queries_;      // [T, heads, dims] of q_type
  std::vector<std::byte> keys_, rows_of_values_;  // [live slots, kv_heads, dims] of kv_type
  std::vector<float> scratch_;                    // [dims]
};

}  // namespace

Operands operands(const PagedAttentionParameters& p) {
  Operands call;
  call.operation = Operation::kPagedAttention;
  const std::int64_t batch = p.batch(), rows = p.rows();
  call.tensors.push_back(make_operand("q", false, data_type_of(p.q_type), {rows, p.heads, p.dims},
                                      {p.q_row_stride, p.q_head_stride, 1}));
  call.tensors.push_back(make_operand("q_begin", false, kInt32, {batch + 1}, {1}));
  call.tensors.push_back(cache_operand("k_cache", p, p.pool));
  call.tensors.push_back(cache_operand("v_cache", p, p.value_pool()));
  call.tensors.push_back(
      make_operand("k_table", false, kInt32, {batch, p.pool.table_columns}, {p.pool.table_stride, 1}));
  call.tensors.push_back(
      make_operand("v_table", false, kInt32, {batch, p.pool.table_columns}, {p.value_table_stride, 1}));
  call.tensors.push_back(make_operand("contexts", false, kInt32, {batch}, {p.contexts_stride}));
  call.tensors.push_back(make_operand("out", true, data_type_of(p.output), {rows, p.heads, p.dims},
                                      {p.out_row_stride, p.out_head_stride, 1}));
  call.tensors.push_back(make_operand("lse", true, kFloat32, {rows, p.heads}, {p.lse_stride, 1}));
  call.ints = {p.causal ? 1 : 0, p.window_tokens, p.heads_first ? 1 : 0};
  call.reals = {p.softmax_scale, p.soft_cap};
  return call;
}

std::unique_ptr<CaseContents> make_attention_contents(const KernelCase& kernel_case,
                                                      const Operands& operands) {
  return std::make_unique<AttentionContents>(kernel_case, operands);
}

PagedAttentionCase golden_view(const PagedAttentionParameters& p, const TensorPointers& data) {
  const auto ints = [&](Tensor tensor) { return reinterpret_cast<const std::int32_t*>(data[tensor]); };
  PagedAttentionCase view;
  view.q = {data[kQ], p.q_type, {p.rows(), p.heads, p.dims}, {p.q_row_stride, p.q_head_stride, 1}};
  view.q_begin = {ints(kQBegin), p.batch() + 1, 1};
  view.contexts = {ints(kContexts), p.batch(), p.contexts_stride};
  view.keys = {data[kKeys],
               p.kv_type,
               p.key_layout(),
               p.pool.blocks,
               {ints(kKeyTable), p.pool.table_stride, p.pool.table_columns},
               {}};
  view.values = {data[kValues],
                 p.kv_type,
                 value_layout(p),
                 p.pool.blocks,
                 {ints(kValueTable), p.value_table_stride, p.pool.table_columns},
                 {}};
  view.softmax_scale = p.softmax_scale;
  view.causal = p.causal;
  view.window_tokens = p.window_tokens;
  view.soft_cap = p.soft_cap;
  return view;
}

}  // namespace assay::properties
