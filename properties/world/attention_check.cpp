// Paged decode attention of a step: one query token per sequence over bf16 caches, tokens side by side (NHD).
//
// Attention answers with D numbers per head, however many tokens it saw, and most of them count for little: a
// wrong slot among ten thousand may well stay within the bound. So every second head is a needle: its query is
// 16 times the key of one token, whose value is then the output, and a wrong slot there is another value. The
// needles point at the slots that do not hold their token, when there are any; else anywhere in what is seen.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/bounds/attention_bound.h"
#include "model/core/check.h"
#include "model/core/philox.h"
#include "model/golden/cache_write.h"
#include "model/twin/attention_decode_twin.h"
#include "properties/world/attention_kernels.h"
#include "properties/world/paged_check.h"
#include "properties/world/token_values.h"

namespace assay::properties {
namespace {

constexpr std::uint16_t kOutPoison = 0xffc1;      // NaN
constexpr std::int32_t kLogicalBlockTokens = 16;  // of golden's own copy, whatever the engine's blocks
constexpr int kNeedle = 16;

PagedLayout layout_of(const StepCheckOptions& options, std::int32_t block_tokens) {
  PagedLayout layout = make_paged_layout(PagedOrder::kNhd, block_tokens, options.kv_heads, options.dims, 2);
  layout.block_stride += options.gap_bytes;
  return layout;
}

// Every sequence one after another, in blocks of its own: what golden and twin are given.
struct LogicalBatch {
  std::vector<std::uint16_t> keys, values;  // [blocks, 16, kv_heads, dims]
  std::vector<std::int32_t> table;          // [rows, max_blocks]
  PagedAttentionCase problem;
};

class AttentionCheck : public PagedCheck {
 public:
  AttentionCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
                 std::int32_t block_tokens)
      : PagedCheck(kernel, options, blocks, block_tokens,
                   2 * layout_of(options, block_tokens).block_stride * blocks),
        values_(options.seed, options.heads, options.dims),
        layout_(layout_of(options, block_tokens)),
        softmax_scale_(static_cast<double>(static_cast<float>(1.0 / std::sqrt(options.dims)))) {
    if (options.heads % options.kv_heads != 0)
      throw InputError("--verify-heads", "a multiple of the KV heads, " + std::to_string(options.kv_heads),
                       std::to_string(options.heads));
    validate(layout_, "--block-tokens");
    const auto elements = static_cast<std::size_t>(layout_.block_stride / 2 * blocks);
    key_pool_.assign(elements, 0xffff);
    value_pool_.assign(elements, 0xffff);
  }

 private:
  [[nodiscard]] std::int32_t kv_head_of(std::int32_t head) const {
    return head / (options_.heads / options_.kv_heads);
  }
  void make_queries(const PoolShadow& shadow) override;
  void write_tokens(const std::vector<std::int64_t>& slots, const std::vector<TokenName>& names) override;
  void poison_block(std::int32_t block) override {
    const auto elements = layout_.block_stride / 2;
    for (auto* pool : {&key_pool_, &value_pool_})
      std::fill_n(pool->begin() + block * elements, elements, std::uint16_t{0xffff});
  }
  [[nodiscard]] std::uint64_t hash_of_inputs() const override;
  [[nodiscard]] int run_kernel() override;
  void judge(const PoolShadow& shadow, Verification& total) override;

  [[nodiscard]] LogicalBatch logical_batch() const;
  void list_wrong(const LogicalBatch& logical, const PoolShadow& shadow, Verification& part) const;
  void compare_with_twin(const LogicalBatch& logical, const PoolShadow& shadow, Verification& part) const;
  [[nodiscard]] WrongElement named_element(std::int64_t row, std::int64_t head, std::int64_t dim,
                                           const PoolShadow& shadow) const;

  TokenValues values_;
  PagedLayout layout_;
  double softmax_scale_;
  std::vector<std::uint16_t> key_pool_, value_pool_;  // [blocks, block_tokens, kv_heads, dims] and gaps
  std::vector<std::uint16_t> key_rows_, value_rows_;  // scratch of the cache writer
  std::vector<std::uint16_t> q_;                      // [rows, heads, dims]
  std::vector<std::int64_t> needles_;                 // [rows, heads] token, -1 = broad
  std::vector<std::int32_t> q_begin_;                 // [rows + 1]
  std::vector<std::uint16_t> out_;                    // [rows, heads, dims]
  std::vector<float> lse_;                            // [rows, heads]
  std::int64_t misplaced_ = 0;
};

void AttentionCheck::make_queries(const PoolShadow& shadow) {
  const auto dims = static_cast<std::size_t>(options_.dims);
  const std::int32_t heads = options_.heads, needles = (heads + 1) / 2;
  q_.resize(rows_.size() * static_cast<std::size_t>(heads) * dims);
  needles_.assign(rows_.size() * static_cast<std::size_t>(heads), -1);
  q_begin_.resize(rows_.size() + 1);
  misplaced_ = 0;
  std::vector<std::uint16_t> value(dims);
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    q_begin_[row + 1] = static_cast<std::int32_t>(row) + 1;
    const Row& r = rows_[row];
    const std::vector<std::int64_t> wrong = misplaced(r, shadow);
    misplaced_ += static_cast<std::int64_t>(wrong.size());
    const TokenName asker = r.names->at(r.context - 1);
    const RandomStream anywhere(asker, "needle");
    for (std::int32_t head = 0; head < heads; ++head) {
      const std::size_t at = row * static_cast<std::size_t>(heads) + static_cast<std::size_t>(head);
      std::uint16_t* q = &q_[at * dims];
      if (head % 2 == 1) {
        values_.broad_query(asker, head, q);
        continue;
      }
      const auto needle = static_cast<std::size_t>(head / 2);
      needles_[at] = wrong.empty() ? r.begin + static_cast<std::int64_t>(anywhere.below(
                                                   needle, static_cast<std::uint64_t>(r.context - r.begin)))
                                   : wrong[needle * wrong.size() / static_cast<std::size_t>(needles)];
      values_.attention_rows(r.names->at(needles_[at]), kv_head_of(head), q, value.data());
      for (std::size_t d = 0; d < dims; ++d) q[d] = Bf16::encode(Bf16::decode(q[d]) * kNeedle);
    }
  }
}

void AttentionCheck::write_tokens(const std::vector<std::int64_t>& slots,
                                  const std::vector<TokenName>& names) {
  const auto dims = static_cast<std::size_t>(options_.dims), kv = static_cast<std::size_t>(options_.kv_heads);
  const auto count = static_cast<std::int64_t>(slots.size());
  key_rows_.resize(slots.size() * kv * dims);
  value_rows_.resize(key_rows_.size());
  for (std::size_t i = 0; i < names.size(); ++i)
    for (std::size_t head = 0; head < kv; ++head)
      values_.attention_rows(names[i], static_cast<std::int32_t>(head), &key_rows_[(i * kv + head) * dims],
                             &value_rows_[(i * kv + head) * dims]);
  const Extents<3> shape{count, options_.kv_heads, options_.dims};
  for (const bool keys : {true, false})
    (void)write_cache(compact_view<3>((keys ? key_rows_ : value_rows_).data(), ElementType::kBf16, shape),
                      {slots.data(), count},
                      {(keys ? key_pool_ : value_pool_).data(), ElementType::kBf16, layout_, pool_blocks(),
                       1.0f, nullptr, 0, 0, 0});
}

std::uint64_t AttentionCheck::hash_of_inputs() const {
  std::uint64_t digest = 0;
  for (const std::int32_t block : touched_)
    for (const auto* pool : {&key_pool_, &value_pool_})
      digest = chained(digest, &(*pool)[static_cast<std::size_t>(block * layout_.block_stride / 2)],
                       static_cast<std::size_t>(layout_.block_stride));
  return chained(chained(chained(digest, q_), table_), contexts_);
}

int AttentionCheck::run_kernel() {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t heads = options_.heads, dims = options_.dims, kv = options_.kv_heads;
  out_.assign(static_cast<std::size_t>(rows * heads * dims), kOutPoison);
  lse_.assign(static_cast<std::size_t>(rows * heads), bit_cast<float>(0xffc1ffc1u));
  const DataType bf16 = data_type_of(ElementType::kBf16);
  CallTensor<3> q({rows, heads, dims}), out({rows, heads, dims});
  CallTensor<1> q_begin({rows + 1}), contexts({rows});
  const Extents<4> pool_shape{pool_blocks(), block_tokens_, kv, dims};
  const Extents<4> pool_strides{layout_.block_stride / 2, layout_.slot_stride / 2, layout_.head_stride / 2,
                                1};
  CallTensor<4> keys(pool_shape, pool_strides), values(pool_shape, pool_strides);
  CallTensor<2> key_table({rows, max_blocks_}), value_table({rows, max_blocks_}), lse({rows, heads});
  const assay_tensor inputs[] = {q.with(q_.data(), bf16),
                                 q_begin.with(q_begin_.data(), kInt32),
                                 keys.with(key_pool_.data(), bf16),
                                 values.with(value_pool_.data(), bf16),
                                 key_table.with(table_.data(), kInt32),
                                 value_table.with(table_.data(), kInt32),
                                 contexts.with(contexts_.data(), kInt32)};
  const assay_tensor outputs[] = {out.with(out_.data(), bf16), lse.with(lse_.data(), kFloat32)};
  const std::int64_t ints[] = {1, options_.window_tokens, 0};
  const double reals[] = {softmax_scale_, 0.0};
  return call_kernel(inputs, outputs, ints, reals);
}

LogicalBatch AttentionCheck::logical_batch() const {
  const auto dims = static_cast<std::size_t>(options_.dims), kv = static_cast<std::size_t>(options_.kv_heads);
  const auto max_blocks = static_cast<std::size_t>(ceil_div(longest_, kLogicalBlockTokens));
  LogicalBatch batch;
  batch.table.assign(rows_.size() * max_blocks, 0);
  std::int32_t blocks = 0;
  for (std::size_t row = 0; row < rows_.size(); ++row)
    for (std::int64_t i = 0; i < ceil_div(rows_[row].context, kLogicalBlockTokens); ++i)
      batch.table[row * max_blocks + static_cast<std::size_t>(i)] = blocks++;
  batch.keys.assign(static_cast<std::size_t>(blocks) * kLogicalBlockTokens * kv * dims, 0xffff);
  batch.values.assign(batch.keys.size(), 0xffff);
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const auto first = static_cast<std::size_t>(batch.table[row * max_blocks]) * kLogicalBlockTokens;
    for (std::int64_t t = rows_[row].begin; t < rows_[row].context; ++t)
      for (std::size_t head = 0; head < kv; ++head) {
        const std::size_t at = ((first + static_cast<std::size_t>(t)) * kv + head) * dims;
        values_.attention_rows(rows_[row].names->at(t), static_cast<std::int32_t>(head), &batch.keys[at],
                               &batch.values[at]);
      }
  }
  PagedAttentionCase& problem = batch.problem;
  problem.q = compact_view<3>(q_.data(), ElementType::kBf16,
                              {static_cast<std::int64_t>(rows_.size()), options_.heads, options_.dims});
  problem.q_begin = {q_begin_.data(), static_cast<std::int64_t>(q_begin_.size()), 1};
  problem.contexts = {contexts_.data(), static_cast<std::int64_t>(contexts_.size()), 1};
  problem.keys.layout = problem.values.layout =
      make_paged_layout(PagedOrder::kNhd, kLogicalBlockTokens, options_.kv_heads, options_.dims, 2);
  problem.keys.blocks = problem.values.blocks = blocks;
  problem.keys.table = problem.values.table = {batch.table.data(), static_cast<std::int64_t>(max_blocks),
                                               static_cast<std::int32_t>(max_blocks)};
  problem.keys.data = batch.keys.data();
  problem.values.data = batch.values.data();
  problem.softmax_scale = softmax_scale_;
  problem.causal = true;
  problem.window_tokens = options_.window_tokens;
  return batch;
}

void AttentionCheck::judge(const PoolShadow& shadow, Verification& total) {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const LogicalBatch logical = logical_batch();
  const AttentionComparison result =
      judge_attention(logical.problem,
                      compact_view<3>(out_.data(), ElementType::kBf16, {rows, options_.heads, options_.dims}),
                      compact_view<2>(lse_.data(), ElementType::kFp32, {rows, options_.heads}), claims_.bound,
                      {std::max(1, options_.threads)});
  Verification part;
  part.sequences = rows;
  part.elements = result.out.count() + result.lse.count();
  part.wrong = result.out.wrong() + result.lse.wrong();
  part.misplaced_slots = misplaced_;
  part.worst_headroom = std::max(result.out.worst_headroom(), result.lse.worst_headroom());
  if (part.wrong > 0) list_wrong(logical, shadow, part);
  if (claims_.arithmetic == kDecodeTwinName) compare_with_twin(logical, shadow, part);
  for (const Row& r : rows_) {
    part.digest = chained(part.digest, &r.request, sizeof r.request);
    part.digest =
        chained(part.digest, r.table.data(),
                static_cast<std::size_t>(ceil_div(r.context, block_tokens_)) * sizeof(std::int32_t));
  }
  part.digest = chained(chained(chained(part.digest, contexts_), out_), lse_);
  merge(total, part);
}

// A needle's output belongs to one token; that of a broad head, and an lse, to all.
WrongElement AttentionCheck::named_element(std::int64_t row, std::int64_t head, std::int64_t dim,
                                           const PoolShadow& shadow) const {
  const std::int64_t token = needles_[static_cast<std::size_t>(row * options_.heads + head)];
  WrongElement wrong = named(rows_[static_cast<std::size_t>(row)], token, shadow);
  wrong.head = head;
  wrong.dim = dim;
  return wrong;
}

void AttentionCheck::list_wrong(const LogicalBatch& logical, const PoolShadow& shadow,
                                Verification& part) const {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t heads = options_.heads, dims = options_.dims;
  std::vector<double> out(out_.size()), out_bound(out_.size()), lse(lse_.size()), lse_bound(lse_.size());
  attention_with_bounds(
      logical.problem, compact_result<3>(out.data(), {rows, heads, dims}),
      compact_result<3>(out_bound.data(), {rows, heads, dims}), compact_result<2>(lse.data(), {rows, heads}),
      compact_result<2>(lse_bound.data(), {rows, heads}), claims_.bound, {std::max(1, options_.threads)});
  const auto list = [&](std::int64_t row, std::int64_t head, std::int64_t dim, double expected, double bound,
                        double got, ElementType type) {
    const Verdict verdict = judge_element(expected, bound, got, type);
    if (verdict.element == ElementClass::kPass || part.listed.size() >= Verification::kListed) return false;
    WrongElement wrong = named_element(row, head, dim, shadow);
    wrong.expected = expected;
    wrong.bound = bound;
    wrong.got = got;
    wrong.what = name_of(verdict.element);
    part.listed.push_back(std::move(wrong));
    return true;
  };
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t head = 0; head < heads; ++head) {
      const auto at = static_cast<std::size_t>(row * heads + head);
      bool listed = false;  // one element per head is enough to name it
      for (std::int64_t d = 0; d < dims && !listed; ++d) {
        const std::size_t i = at * static_cast<std::size_t>(dims) + static_cast<std::size_t>(d);
        listed = list(row, head, d, out[i], out_bound[i], Bf16::decode(out_[i]), ElementType::kBf16);
      }
      if (!listed)
        (void)list(row, head, -1, lse[at], lse_bound[at], static_cast<double>(lse_[at]), ElementType::kFp32);
    }
}

void AttentionCheck::compare_with_twin(const LogicalBatch& logical, const PoolShadow& shadow,
                                       Verification& part) const {
  DecodeTwinCase twin;
  twin.batch = static_cast<std::int32_t>(rows_.size());
  twin.q_heads = options_.heads;
  twin.kv_heads = options_.kv_heads;
  twin.dims = options_.dims;
  twin.q = q_.data();
  twin.q_head_stride = options_.dims;
  twin.q_row_stride = std::int64_t{options_.heads} * options_.dims;
  twin.keys = logical.keys.data();
  twin.values = logical.values.data();
  twin.key_layout = twin.value_layout = logical.problem.keys.layout;
  twin.key_table = twin.value_table = logical.problem.keys.table;
  twin.contexts = contexts_.data();
  twin.softmax_scale = static_cast<float>(softmax_scale_);
  twin.window_tokens = options_.window_tokens;
  twin.parts = kDecodeTwinParts;
  const DecodeTwinResult predicted = predict_paged_decode(twin, {std::max(1, options_.threads)});
  part.twin_elements = static_cast<std::int64_t>(out_.size() + lse_.size());
  const auto differs = [&](std::int64_t row, std::int64_t head, std::int64_t dim, double expected,
                           double got) {
    if (part.twin_mismatches++ > 0 || part.wrong > 0) return;
    WrongElement wrong = named_element(row, head, dim, shadow);
    wrong.expected = expected;
    wrong.got = got;
    wrong.what = "not the twin's bits";
    part.listed.push_back(std::move(wrong));
  };
  for (std::size_t i = 0; i < out_.size(); ++i) {
    if (out_[i] == predicted.out[i]) continue;
    const auto at = static_cast<std::int64_t>(i) / options_.dims;
    differs(at / options_.heads, at % options_.heads, static_cast<std::int64_t>(i) % options_.dims,
            Bf16::decode(predicted.out[i]), Bf16::decode(out_[i]));
  }
  for (std::size_t i = 0; i < lse_.size(); ++i)
    if (bit_cast<std::uint32_t>(lse_[i]) != bit_cast<std::uint32_t>(predicted.lse[i]))
      differs(static_cast<std::int64_t>(i) / options_.heads, static_cast<std::int64_t>(i) % options_.heads,
              -1, static_cast<double>(predicted.lse[i]), static_cast<double>(lse_[i]));
}

}  // namespace

std::unique_ptr<StepCheck> make_attention_check(const assay_kernel& kernel, const StepCheckOptions& options,
                                                std::int32_t blocks, std::int32_t block_tokens) {
  return std::make_unique<AttentionCheck>(kernel, options, blocks, block_tokens);
}

}  // namespace assay::properties
