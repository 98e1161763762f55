#include "properties/world/step_check.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/bounds/mqa_bound.h"
#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/golden/cache_write.h"
#include "model/golden/parallel.h"
#include "model/twin/mqa_logits_twin.h"

namespace assay::properties {

// A sequence as its tokens follow one another: what golden and twin are given.
struct LogicalRow {
  std::vector<std::uint8_t> keys;  // [context, dims]
  std::vector<float> scales;       // [context]
  std::int32_t start = 0, end = 0;
  MqaLogitsCase problem;
};

namespace {

constexpr std::uint8_t kPoison = 0xff;                // a NaN code; four of them are a NaN scale
constexpr std::uint32_t kOutputPoison = 0xffc1ffc1u;  // NaN in fp32 and in bf16, and no kernel's own NaN
constexpr std::int64_t kColumnUnit = 256;    // rows end at multiples: room for a schedule's last unit
constexpr std::int64_t kWriteTokens = 4096;  // rows that one call of the cache writer takes

std::uint64_t chained(std::uint64_t digest, const void* data, std::size_t bytes) {
  return XXH3_64bits_withSeed(data, bytes, digest);
}

template <int kRank>
assay_tensor tensor_of(void* data, DataType type, std::array<std::int64_t, kRank>& shape,
                       std::array<std::int64_t, kRank>& strides) {
  assay_tensor tensor{};
  tensor.data = data;
  tensor.device = {ASSAY_DEVICE_CPU, 0};
  tensor.ndim = kRank;
  tensor.dtype = {type.code, type.bits, 1};
  tensor.shape = shape.data();
  tensor.strides = strides.data();
  return tensor;
}

void merge(Verification& total, const Verification& part) {
  total.sequences += part.sequences;
  total.elements += part.elements;
  total.wrong += part.wrong;
  total.misplaced_slots += part.misplaced_slots;
  total.twin_elements += part.twin_elements;
  total.twin_mismatches += part.twin_mismatches;
  total.worst_headroom = std::max(total.worst_headroom, part.worst_headroom);
  total.digest = chained(total.digest, &part.digest, sizeof part.digest);
  for (const WrongElement& wrong : part.listed)
    if (total.listed.size() < Verification::kListed) total.listed.push_back(wrong);
}

}  // namespace

std::string describe(const WrongElement& wrong) {
  std::string text = fmt::format("step {}, request {}, token {}", wrong.step, wrong.request, wrong.token);
  if (wrong.block >= 0) text += fmt::format(", block {}, slot {}", wrong.block, wrong.slot);
  text += fmt::format(": expected {:.9g}", wrong.expected);
  if (wrong.bound > 0) text += fmt::format(" +- {:.3g}", wrong.bound);
  text += fmt::format(", got {:.9g} ({})", wrong.got, wrong.what);
  if (wrong.block < 0) return text;
  if (wrong.slot_is_right) return text + "; the slot holds this token: the kernel is at fault";
  return text + "; the slot holds " + (wrong.holds.name == kNoToken ? "nothing" : describe(wrong.holds)) +
         ": the engine is at fault";
}

StepCheck::StepCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
                     std::int32_t block_tokens)
    : kernel_(kernel),
      options_(options),
      claims_(parse_claims(kernel.claims == nullptr ? "" : kernel.claims,
                           "claims of kernel " + std::string(kernel.name))),
      values_(options.seed, options.heads, options.dims),
      block_tokens_(block_tokens),
      layout_(make_fused_index_layout(block_tokens, options.dims)) {
  ASSAY_CHECK_EQ(kernel.op, static_cast<std::int32_t>(ASSAY_OP_PAGED_MQA_LOGITS));
  layout_.block_stride += options.gap_bytes;
  validate(layout_, "--block-tokens");
  const std::int64_t bytes = layout_.block_stride * blocks;
  if (bytes > kMostPoolBytes)
    throw InputError("--verify", "a pool of at most " + std::to_string(kMostPoolBytes >> 20) + " MiB of keys",
                     std::to_string(bytes >> 20) + " MiB (--blocks x --block-tokens x bytes of a key)");
  pool_.assign(static_cast<std::size_t>(bytes), kPoison);
  live_.assign(static_cast<std::size_t>(blocks), 0);
}

// Which slots are live follows from tables and lengths alone; a block may be live in several sequences.
void StepCheck::make_rows(const LiveStep& live, const NamesOf& names) {
  rows_.clear();
  step_ = live.step;
  std::int64_t longest = 1;
  for (const LiveSequence& s : live.sequences) {
    if (!s.decode) continue;
    rows_.push_back({s.request, s.context(), &names(s.request), s.read_table});
    longest = std::max(longest, s.context());
    const std::int64_t blocks = ceil_div(s.context(), block_tokens_);
    ASSAY_CHECK_LE(blocks, static_cast<std::int64_t>(s.read_table.size()));
    for (std::int64_t i = 0; i < blocks; ++i) {
      const auto block = static_cast<std::size_t>(s.read_table[static_cast<std::size_t>(i)]);
      ASSAY_CHECK_LT(block, live_.size());
      const auto slots =
          static_cast<std::int32_t>(std::min<std::int64_t>(block_tokens_, s.context() - i * block_tokens_));
      if (live_[block] == 0) touched_.push_back(static_cast<std::int32_t>(block));
      live_[block] = std::max(live_[block], slots);
    }
  }
  columns_ = ceil_div(longest, kColumnUnit) * kColumnUnit;
  max_blocks_ = ceil_div(longest, block_tokens_);
  const std::size_t count = rows_.size(), heads = static_cast<std::size_t>(options_.heads);
  q_.resize(count * heads * static_cast<std::size_t>(options_.dims));
  weights_.resize(count * heads);
  contexts_.resize(count);
  table_.resize(count * static_cast<std::size_t>(max_blocks_));
  for (std::size_t row = 0; row < count; ++row) {
    const Row& r = rows_[row];
    values_.query(r.names->at(r.context - 1), &q_[row * heads * static_cast<std::size_t>(options_.dims)],
                  &weights_[row * heads]);
    contexts_[row] = static_cast<std::int32_t>(r.context);
    const std::int32_t dead[3] = {-1, INT32_MAX, static_cast<std::int32_t>(live_.size()) - 1};
    for (std::int64_t i = 0; i < max_blocks_; ++i)
      table_[row * static_cast<std::size_t>(max_blocks_) + static_cast<std::size_t>(i)] =
          i < ceil_div(r.context, block_tokens_) ? r.table[static_cast<std::size_t>(i)]
                                                 : dead[(row + static_cast<std::size_t>(i)) % 3];
  }
}

// The bytes of the tokens that the shadow knows, through the contract of cache writes. A live slot that was
// never written stays NaN, as it would stay garbage.
void StepCheck::fill_pool(const PoolShadow& shadow) {
  std::vector<std::int64_t> slots;
  std::vector<float> rows;
  const auto dims = static_cast<std::size_t>(options_.dims);
  const auto flush = [&] {
    const auto count = static_cast<std::int64_t>(slots.size());
    (void)write_index_cache(compact_view<2>(rows.data(), ElementType::kFp32, {count, options_.dims}),
                            {slots.data(), count}, pool_.data(), layout_, shadow.blocks());
    slots.clear();
    rows.clear();
  };
  for (const std::int32_t block : touched_)
    for (std::int32_t slot = 0; slot < live_[static_cast<std::size_t>(block)]; ++slot) {
      const SlotContent& content = shadow.at(block, slot);
      if (content.name == kNoToken) continue;
      slots.push_back(static_cast<std::int64_t>(block) * block_tokens_ + slot);
      rows.resize(rows.size() + dims);
      values_.key_row(content.name, &rows[rows.size() - dims]);
      if (static_cast<std::int64_t>(slots.size()) == kWriteTokens) flush();
    }
  flush();
}

void StepCheck::poison_pool() {
  for (const std::int32_t block : touched_) {
    std::memset(&pool_[static_cast<std::size_t>(block * layout_.block_stride)], kPoison,
                static_cast<std::size_t>(layout_.block_stride));
    live_[static_cast<std::size_t>(block)] = 0;
  }
  touched_.clear();
}

std::uint64_t StepCheck::hash_of_inputs() const {
  std::uint64_t digest = 0;
  for (const std::int32_t block : touched_)
    digest = chained(digest, &pool_[static_cast<std::size_t>(block * layout_.block_stride)],
                     static_cast<std::size_t>(layout_.block_stride));
  digest = chained(digest, q_.data(), q_.size());
  digest = chained(digest, weights_.data(), weights_.size() * sizeof(float));
  digest = chained(digest, table_.data(), table_.size() * sizeof(std::int32_t));
  return chained(digest, contexts_.data(), contexts_.size() * sizeof(std::int32_t));
}

int StepCheck::run_kernel() {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t heads = options_.heads, dims = options_.dims;
  const auto words = static_cast<std::size_t>(rows * columns_ * bytes_of(options_.output) + 3) / 4;
  logits_.resize(words * 4);
  for (std::size_t word = 0; word < words; ++word)
    std::memcpy(&logits_[word * 4], &kOutputPoison, sizeof kOutputPoison);
  std::array<std::int64_t, 4> q_shape{rows, 1, heads, dims}, q_strides = compact_stride<4>(q_shape);
  std::array<std::int64_t, 2> w_shape{rows, heads}, w_strides{heads, 1};
  std::array<std::int64_t, 2> cache_shape{static_cast<std::int64_t>(live_.size()), layout_.block_bytes()},
      cache_strides{layout_.block_stride, 1};
  std::array<std::int64_t, 2> table_shape{rows, max_blocks_}, table_strides{max_blocks_, 1};
  std::array<std::int64_t, 1> context_shape{rows}, context_strides{1};
  std::array<std::int64_t, 2> out_shape{rows, columns_}, out_strides{columns_, 1};
  const assay_tensor inputs[] = {tensor_of<4>(q_.data(), kFloat8, q_shape, q_strides),
                                 tensor_of<2>(weights_.data(), kFloat32, w_shape, w_strides),
                                 tensor_of<2>(pool_.data(), kBytes, cache_shape, cache_strides),
                                 tensor_of<2>(table_.data(), kInt32, table_shape, table_strides),
                                 tensor_of<1>(contexts_.data(), kInt32, context_shape, context_strides)};
  const assay_tensor output =
      tensor_of<2>(logits_.data(), data_type_of(options_.output), out_shape, out_strides);
  const std::int64_t ints[] = {block_tokens_, options_.clean ? 1 : 0};
  assay_call call{};
  call.size = sizeof call;
  call.op = ASSAY_OP_PAGED_MQA_LOGITS;
  call.input_count = 5;
  call.output_count = 1;
  call.inputs = inputs;
  call.outputs = &output;
  call.ints = ints;
  call.workspace_bytes = kernel_.workspace == nullptr ? 0 : kernel_.workspace(&call);
  std::vector<std::uint8_t> workspace(call.workspace_bytes, kPoison);
  call.workspace = workspace.data();
  if (kernel_.plan != nullptr)
    if (const int status = kernel_.plan(&call); status != ASSAY_OK) return status;
  return kernel_.run(&call);
}

void StepCheck::check(const LiveStep& live, const PoolShadow& shadow, const NamesOf& names,
                      Verification& total) {
  make_rows(live, names);
  if (rows_.empty()) return;
  fill_pool(shadow);
  const std::uint64_t inputs = hash_of_inputs();
  const int status = run_kernel();
  total.unsupported += status == ASSAY_UNSUPPORTED;
  total.failed += status != ASSAY_OK && status != ASSAY_UNSUPPORTED;
  if (status == ASSAY_OK) {
    ++total.steps;
    total.inputs_modified += hash_of_inputs() != inputs;
    std::vector<Verification> parts(rows_.size());
    parallel_for(static_cast<std::int64_t>(rows_.size()), std::max(1, options_.threads),
                 [&](std::int64_t row, int) {
                   judge(static_cast<std::size_t>(row), shadow, parts[static_cast<std::size_t>(row)]);
                 });
    for (const Verification& part : parts) merge(total, part);
  }
  poison_pool();
}

const std::byte* StepCheck::logit(std::size_t row, std::int64_t column) const {
  return &logits_[static_cast<std::size_t>((static_cast<std::int64_t>(row) * columns_ + column) *
                                           bytes_of(options_.output))];
}

void StepCheck::judge(std::size_t row, const PoolShadow& shadow, Verification& part) const {
  const Row& r = rows_[row];
  const std::int64_t heads = options_.heads, dims = options_.dims;
  LogicalRow logical;
  logical.keys.resize(static_cast<std::size_t>(r.context * dims));
  logical.scales.resize(static_cast<std::size_t>(r.context));
  for (std::int64_t t = 0; t < r.context; ++t) {
    const TokenName name = r.names->at(t);
    logical.scales[static_cast<std::size_t>(t)] =
        values_.quantised_key(name, &logical.keys[static_cast<std::size_t>(t * dims)]);
    const std::int32_t block = r.table[static_cast<std::size_t>(t / block_tokens_)];
    part.misplaced_slots += shadow.at(block, t % block_tokens_).name != name;
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

WrongElement StepCheck::named(const Row& row, std::int64_t token, const PoolShadow& shadow) const {
  WrongElement wrong;
  wrong.step = step_;
  wrong.request = row.request;
  wrong.token = token;
  if (token >= row.context) return wrong;
  wrong.block = row.table[static_cast<std::size_t>(token / block_tokens_)];
  wrong.slot = token % block_tokens_;
  wrong.holds = shadow.at(wrong.block, wrong.slot);
  wrong.slot_is_right = wrong.holds.name == row.names->at(token);
  return wrong;
}

void StepCheck::list_wrong(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
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

void StepCheck::compare_with_twin(std::size_t row, const LogicalRow& logical, const PoolShadow& shadow,
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

}  // namespace assay::properties
