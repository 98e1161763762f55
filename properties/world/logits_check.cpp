// Paged MQA logits of a decode step: one row per sequence over the fused index cache.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/bounds/mqa_bound.h"
#include "model/core/check.h"
#include "model/golden/cache_write.h"
#include "model/golden/parallel.h"
#include "model/twin/mqa_logits_twin.h"
#include "properties/engine/judge.h"
#include "properties/world/paged_check.h"
#include "properties/world/token_values.h"

namespace assay::properties {
namespace {

constexpr std::uint32_t kOutputPoison = 0xffc1ffc1u;  // NaN in fp32 and in bf16, and no kernel's own NaN
constexpr std::int64_t kColumnUnit = 256;  // rows end at multiples: room for a schedule's last unit

// A sequence as its tokens follow one another: what golden and twin are given.
struct LogicalRow {
  std::vector<std::uint8_t> keys;  // [context, dims]
  std::vector<float> scales;       // [context]
  std::int32_t start = 0, end = 0;
  MqaLogitsCase problem;
};

FusedIndexLayout layout_of(const StepCheckOptions& options, std::int32_t block_tokens) {
  FusedIndexLayout layout = make_fused_index_layout(block_tokens, options.dims);
  layout.block_stride += options.gap_bytes;
  validate(layout, "--block-tokens");
  return layout;
}

class LogitsCheck : public PagedCheck {
 public:
  LogitsCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
              std::int32_t block_tokens)
      : PagedCheck(kernel, options, blocks, block_tokens,
                   layout_of(options, block_tokens).block_stride * blocks),
        values_(options.seed, options.heads, options.dims),
        layout_(layout_of(options, block_tokens)) {
    if (options.window_tokens > 0)
      throw InputError("--verify", "full attention: logits look at every token",
                       "--window " + std::to_string(options.window_tokens));
    pool_.assign(static_cast<std::size_t>(layout_.block_stride * blocks), kPoison);
  }

 private:
  void make_queries(const PoolShadow&) override {
    columns_ = ceil_div(longest_, kColumnUnit) * kColumnUnit;
    const auto heads = static_cast<std::size_t>(options_.heads),
               dims = static_cast<std::size_t>(options_.dims);
    q_.resize(rows_.size() * heads * dims);
    weights_.resize(rows_.size() * heads);
    for (std::size_t row = 0; row < rows_.size(); ++row)
      values_.query(rows_[row].names->at(rows_[row].context - 1), &q_[row * heads * dims],
                    &weights_[row * heads]);
  }
  void write_tokens(const std::vector<std::int64_t>& slots, const std::vector<TokenName>& names) override {
    // Slots are different ones, so pieces of the list can be written side by side.
    constexpr std::int64_t kPieceTokens = 512;
    const auto count = static_cast<std::int64_t>(slots.size()), dims = std::int64_t{options_.dims};
    key_rows_.resize(slots.size() * static_cast<std::size_t>(dims));
    parallel_for(ceil_div(count, kPieceTokens), std::max(1, options_.threads), [&](std::int64_t piece, int) {
      const std::int64_t begin = piece * kPieceTokens, end = std::min(count, begin + kPieceTokens);
      for (std::int64_t i = begin; i < end; ++i)
        values_.key_row(names[static_cast<std::size_t>(i)], &key_rows_[static_cast<std::size_t>(i * dims)]);
      (void)write_index_cache(compact_view<2>(&key_rows_[static_cast<std::size_t>(begin * dims)],
                                              ElementType::kFp32, {end - begin, dims}),
                              {slots.data() + begin, end - begin}, pool_.data(), layout_, pool_blocks());
    });
  }
  void poison_block(std::int32_t block) override {
    std::memset(&pool_[static_cast<std::size_t>(block * layout_.block_stride)], kPoison,
                static_cast<std::size_t>(layout_.block_stride));
  }
  [[nodiscard]] std::uint64_t hash_of_inputs() const override {
    std::uint64_t digest = 0;
    for (const std::int32_t block : touched_)
      digest = chained(digest, &pool_[static_cast<std::size_t>(block * layout_.block_stride)],
                       static_cast<std::size_t>(layout_.block_stride));
    return chained(chained(chained(chained(digest, q_), weights_), table_), contexts_);
  }
  [[nodiscard]] int run_kernel() override;
  void judge(const PoolShadow& shadow, Verification& total) override {
    std::vector<Verification> parts(rows_.size());
    parallel_for(static_cast<std::int64_t>(rows_.size()), std::max(1, options_.threads),
                 [&](std::int64_t row, int) {
                   judge_row(static_cast<std::size_t>(row), shadow, parts[static_cast<std::size_t>(row)]);
                 });
    for (const Verification& part : parts) merge(total, part);
  }
  void judge_row(std::size_t row, const PoolShadow& shadow, Verification& part) const;
  void list_wrong(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
                  Verification& part) const;
  void compare_with_twin(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
                         Verification& part) const;
  [[nodiscard]] const std::byte* logit(std::size_t row, std::int64_t column) const;

  TokenValues values_;
  FusedIndexLayout layout_;
  std::int64_t columns_ = 0;
  std::vector<std::uint8_t> pool_;  // [blocks, layout_.block_stride]
  std::vector<float> key_rows_;     // scratch of the cache writer
  std::vector<std::uint8_t> q_;     // [rows, 1, heads, dims]
  std::vector<float> weights_;      // [rows, heads]
  std::vector<std::byte> logits_;   // [rows, columns]
};

int LogitsCheck::run_kernel() {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t heads = options_.heads, dims = options_.dims;
  const auto words = static_cast<std::size_t>(rows * columns_ * bytes_of(options_.output) + 3) / 4;
  logits_.resize(words * 4);
  for (std::size_t word = 0; word < words; ++word)
    std::memcpy(&logits_[word * 4], &kOutputPoison, sizeof kOutputPoison);
  CallTensor<4> q({rows, 1, heads, dims});
  CallTensor<2> weights({rows, heads}), table({rows, max_blocks_}), out({rows, columns_});
  CallTensor<2> cache({pool_blocks(), layout_.block_bytes()}, {layout_.block_stride, 1});
  CallTensor<1> contexts({rows});
  const assay_tensor inputs[] = {q.with(q_.data(), kFloat8), weights.with(weights_.data(), kFloat32),
                                 cache.with(pool_.data(), kBytes), table.with(table_.data(), kInt32),
                                 contexts.with(contexts_.data(), kInt32)};
  const assay_tensor outputs[] = {out.with(logits_.data(), data_type_of(options_.output))};
  const std::int64_t ints[] = {block_tokens_, options_.clean ? 1 : 0};
  return call_kernel(inputs, outputs, ints, {});
}

const std::byte* LogitsCheck::logit(std::size_t row, std::int64_t column) const {
  return &logits_[static_cast<std::size_t>((static_cast<std::int64_t>(row) * columns_ + column) *
                                           bytes_of(options_.output))];
}

void LogitsCheck::judge_row(std::size_t row, const PoolShadow& shadow, Verification& part) const {
  const Row& r = rows_[row];
  const std::int64_t heads = options_.heads, dims = options_.dims;
  LogicalRow logical;
  logical.keys.resize(static_cast<std::size_t>(r.context * dims));
  logical.scales.resize(static_cast<std::size_t>(r.context));
  for (std::int64_t t = 0; t < r.context; ++t) {
    const TokenName name = r.names->at(t);
    logical.scales[static_cast<std::size_t>(t)] =
        values_.quantised_key(name, &logical.keys[static_cast<std::size_t>(t * dims)]);
  }
  logical.end = static_cast<std::int32_t>(r.context);
  logical.problem.q = compact_view<3>(&q_[row * static_cast<std::size_t>(heads * dims)], ElementType::kE4M3,
                                      {1, heads, dims});
  logical.problem.keys = compact_view<2>(logical.keys.data(), ElementType::kE4M3, {r.context, dims});
  logical.problem.key_scales = compact_view<1>(logical.scales.data(), ElementType::kFp32, {r.context});
  logical.problem.weights =
      compact_view<2>(&weights_[row * static_cast<std::size_t>(heads)], ElementType::kFp32, {1, heads});
  logical.problem.starts = {&logical.start, 1};
  logical.problem.ends = {&logical.end, 1};

  LogitsJudgement rules;
  rules.outside = options_.clean ? OutsideRule::kClean : OutsideRule::kUntouched;
  rules.may_write_unit = claims_.may_write_unit;
  rules.canary = kOutputPoison;
  const TensorView<2> got{logit(row, 0), options_.output, {1, columns_}, {columns_, 1}};
  const LogitsComparison result = judge_logits(logical.problem, got, claims_.bound, rules, {1});
  part.sequences = 1;
  part.misplaced_slots = static_cast<std::int64_t>(misplaced(r, shadow).size());
  part.elements = result.golden.elements;
  part.wrong = result.bound.wrong();
  part.worst_headroom = result.bound.worst_headroom();
  if (part.wrong > 0) list_wrong(row, logical, shadow, part);
  if (claims_.arithmetic == kMqaTwinName) compare_with_twin(row, logical, shadow, part);

  part.digest = chained(static_cast<std::uint64_t>(r.request), &r.context, sizeof r.context);
  part.digest = chained(part.digest, r.table.data(),
                        static_cast<std::size_t>(ceil_div(r.context, block_tokens_)) * sizeof(std::int32_t));
  part.digest =
      chained(part.digest, logit(row, 0), static_cast<std::size_t>(r.context * bytes_of(options_.output)));
}

void LogitsCheck::list_wrong(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
                             Verification& part) const {
  const Row& r = rows_[row];
  std::vector<double> golden(static_cast<std::size_t>(columns_)), bounds(golden.size());
  logits_with_bounds(logical.problem, compact_result<2>(golden.data(), {1, columns_}),
                     compact_result<2>(bounds.data(), {1, columns_}), claims_.bound, {1});
  const std::int64_t open_end = ceil_div(r.context, claims_.may_write_unit) * claims_.may_write_unit;
  for (std::int64_t t = 0; t < columns_ && part.listed.size() < Verification::kListed; ++t) {
    WrongElement wrong = named(r, t, shadow);
    const auto at = static_cast<std::size_t>(t);
    wrong.got = load_element(logit(row, t), options_.output);
    if (t < r.context) {
      const Verdict verdict = judge_element(golden[at], bounds[at], wrong.got, options_.output);
      if (verdict.element == ElementClass::kPass) continue;
      wrong.expected = golden[at];
      wrong.bound = bounds[at];
      wrong.what = name_of(verdict.element);
    } else {
      const bool untouched = std::memcmp(logit(row, t), &kOutputPoison,
                                         static_cast<std::size_t>(bytes_of(options_.output))) == 0;
      const bool intact = options_.clean ? std::isinf(wrong.got) && wrong.got < 0 : untouched || t < open_end;
      if (intact) continue;
      wrong.expected = -INFINITY;
      wrong.what = name_of(options_.clean ? ElementClass::kMaskBroken : ElementClass::kStrayWrite);
    }
    part.listed.push_back(std::move(wrong));
  }
}

void LogitsCheck::compare_with_twin(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
                                    Verification& part) const {
  const Row& r = rows_[row];
  const auto bytes = static_cast<std::size_t>(bytes_of(options_.output));
  std::vector<std::byte> predicted(static_cast<std::size_t>(columns_) * bytes);
  try {
    twin::predict_mqa_logits(logical.problem, {predicted.data(), options_.output, 1, columns_, columns_},
                             {options_.clean, false}, {1});
  } catch (const InputError&) {
    return;  // a shape that the twin does not predict: its elements stay uncounted
  }
  part.twin_elements = r.context;
  for (std::int64_t t = 0; t < r.context; ++t) {
    const std::byte* expected = &predicted[static_cast<std::size_t>(t) * bytes];
    if (std::memcmp(logit(row, t), expected, bytes) == 0) continue;
    ++part.twin_mismatches;
    if (part.wrong > 0 || part.listed.size() >= Verification::kListed) continue;
    WrongElement wrong = named(r, t, shadow);
    wrong.expected = load_element(expected, options_.output);
    wrong.got = load_element(logit(row, t), options_.output);
    wrong.what = "not the twin's bits";
    part.listed.push_back(std::move(wrong));
  }
}

}  // namespace

std::unique_ptr<StepCheck> make_logits_check(const assay_kernel& kernel, const StepCheckOptions& options,
                                             std::int32_t blocks, std::int32_t block_tokens) {
  return std::make_unique<LogitsCheck>(kernel, options, blocks, block_tokens);
}

}  // namespace assay::properties
