#include "properties/world/paged_check.h"
#include "properties/kernels/run_here.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "model/core/check.h"
#include "properties/kernels/run_here.h"

namespace assay::properties {
namespace {

constexpr std::size_t kWriteTokens = 32768;  // that one call of the cache writer takes

}  // namespace

std::uint64_t chained(std::uint64_t digest, const void* data, std::size_t bytes) {
  return XXH3_64bits_withSeed(data, bytes, digest);
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

std::string describe(const WrongElement& wrong) {
  std::string text = fmt::format("step {}, request {}", wrong.step, wrong.request);
  if (wrong.head >= 0) text += fmt::format(", head {}", wrong.head);
  if (wrong.head >= 0) text += wrong.dim >= 0 ? fmt::format(", dim {}", wrong.dim) : ", lse";
  if (wrong.token >= 0) text += fmt::format(", token {}", wrong.token);
  if (wrong.block >= 0) text += fmt::format(", block {}, slot {}", wrong.block, wrong.slot);
  if (wrong.unseen) {
    text += ": no output is wrong";
  } else {
    text += fmt::format(": expected {:.9g}", wrong.expected);
    if (wrong.bound > 0) text += fmt::format(" +- {:.3g}", wrong.bound);
    text += fmt::format(", got {:.9g} ({})", wrong.got, wrong.what);
  }
  if (wrong.block < 0) return text;
  if (wrong.slot_is_right) return text + "; the slot holds this token: the kernel is at fault";
  return text + "; the slot holds " + (wrong.holds.name == kNoToken ? "nothing" : describe(wrong.holds)) +
         ": the engine is at fault";
}

std::unique_ptr<StepCheck> make_step_check(const assay_kernel& kernel, const StepCheckOptions& options,
                                           std::int32_t blocks, std::int32_t block_tokens) {
  if (kernel.op == ASSAY_OP_PAGED_MQA_LOGITS) return make_logits_check(kernel, options, blocks, block_tokens);
  if (kernel.op == ASSAY_OP_PAGED_ATTENTION)
    return make_attention_check(kernel, options, blocks, block_tokens);
  throw InputError("--kernel", "a kernel of paged-mqa-logits or paged-attention",
                   "operation " + std::to_string(kernel.op));
}

PagedCheck::PagedCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
                       std::int32_t block_tokens, std::int64_t pool_bytes)
    : kernel_(kernel),
      options_(options),
      claims_(parse_claims(kernel.claims == nullptr ? "" : kernel.claims,
                           "claims of kernel " + std::string(kernel.name))),
      block_tokens_(block_tokens) {
  if (pool_bytes > kMostPoolBytes)
    throw InputError(
        "--verify", "a pool of at most " + std::to_string(kMostPoolBytes >> 20) + " MiB",
        std::to_string(pool_bytes >> 20) + " MiB (--blocks x --block-tokens x bytes of a token)");
  live_.assign(static_cast<std::size_t>(blocks), {});
}

// Which slots are live follows from tables, lengths and the window alone; a block may be live in several sequences.
void PagedCheck::make_rows(const LiveStep& live, const NamesOf& names) {
  rows_.clear();
  step_ = live.step;
  longest_ = 1;
  for (const LiveSequence& s : live.sequences) {
    if (!s.decode) continue;
    const std::int64_t begin =
        options_.window_tokens > 0 ? std::max<std::int64_t>(0, s.context() - options_.window_tokens) : 0;
    rows_.push_back({s.request, begin, s.context(), &names(s.request), s.read_table});
    longest_ = std::max(longest_, s.context());
    const std::int64_t blocks = ceil_div(s.context(), block_tokens_);
    ASSAY_CHECK_LE(blocks, static_cast<std::int64_t>(s.read_table.size()));
    for (std::int64_t i = begin / block_tokens_; i < blocks; ++i) {
      const std::int32_t block = s.read_table[static_cast<std::size_t>(i)];
      ASSAY_CHECK_GE(block, 0);
      ASSAY_CHECK_LT(block, pool_blocks());
      Slots& slots = live_[static_cast<std::size_t>(block)];
      const auto first = static_cast<std::int32_t>(std::max<std::int64_t>(0, begin - i * block_tokens_));
      const auto last =
          static_cast<std::int32_t>(std::min<std::int64_t>(block_tokens_, s.context() - i * block_tokens_));
      if (slots.end == 0) {
        touched_.push_back(block);
        slots = {first, last};
      }
      slots = {std::min(slots.begin, first), std::max(slots.end, last)};
    }
  }
  max_blocks_ = ceil_div(longest_, block_tokens_);
  contexts_.resize(rows_.size());
  table_.resize(rows_.size() * static_cast<std::size_t>(max_blocks_));
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const Row& r = rows_[row];
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
void PagedCheck::fill_pool(const PoolShadow& shadow) {
  std::vector<std::int64_t> slots;
  std::vector<TokenName> names;
  const auto flush = [&] {
    write_tokens(slots, names);
    slots.clear();
    names.clear();
  };
  for (const std::int32_t block : touched_) {
    const Slots live = live_[static_cast<std::size_t>(block)];
    for (std::int32_t slot = live.begin; slot < live.end; ++slot) {
      const SlotContent& content = shadow.at(block, slot);
      if (content.name == kNoToken) continue;
      slots.push_back(static_cast<std::int64_t>(block) * block_tokens_ + slot);
      names.push_back(content.name);
      if (slots.size() == kWriteTokens) flush();
    }
  }
  flush();
}

int PagedCheck::call_kernel(std::span<const assay_tensor> inputs, std::span<const assay_tensor> outputs,
                            std::span<const std::int64_t> ints, std::span<const double> reals) const {
  assay_call call{};
  call.size = sizeof call;
  call.op = kernel_.op;
  call.input_count = static_cast<std::int32_t>(inputs.size());
  call.output_count = static_cast<std::int32_t>(outputs.size());
  call.inputs = inputs.data();
  call.outputs = outputs.data();
  call.ints = ints.data();
  call.reals = reals.data();
  call.workspace_bytes = kernel_.workspace == nullptr ? 0 : kernel_.workspace(&call);
  std::vector<std::uint8_t> workspace(call.workspace_bytes, kPoison);
  call.workspace = workspace.data();
  return run_here(kernel_, call);
}

void PagedCheck::check(const LiveStep& live, const PoolShadow& shadow, const NamesOf& names,
                       Verification& total) {
  make_rows(live, names);
  if (rows_.empty()) return;
  make_queries(shadow);
  fill_pool(shadow);
  const std::uint64_t inputs = hash_of_inputs();
  const int status = run_kernel();
  total.unsupported += status == ASSAY_UNSUPPORTED;
  total.failed += status != ASSAY_OK && status != ASSAY_UNSUPPORTED;
  if (status == ASSAY_OK) {
    ++total.steps;
    total.inputs_modified += hash_of_inputs() != inputs;
    const std::int64_t misplaced_before = total.misplaced_slots;
    const std::size_t listed_before = total.listed.size();
    judge(shadow, total);
    if (total.misplaced_slots > misplaced_before && total.listed.size() == listed_before)
      list_misplaced(shadow, total);
  }
  for (const std::int32_t block : touched_) {
    poison_block(block);
    live_[static_cast<std::size_t>(block)] = {};
  }
  touched_.clear();
}

WrongElement PagedCheck::named(const Row& row, std::int64_t token, const PoolShadow& shadow) const {
  WrongElement wrong;
  wrong.step = step_;
  wrong.request = row.request;
  wrong.token = token;
  if (token < 0 || token >= row.context) return wrong;
  wrong.block = row.table[static_cast<std::size_t>(token / block_tokens_)];
  wrong.slot = token % block_tokens_;
  wrong.holds = shadow.at(wrong.block, wrong.slot);
  wrong.slot_is_right = wrong.holds.name == row.names->at(token);
  return wrong;
}

// The first slot that holds another token than its own, when no output says so.
void PagedCheck::list_misplaced(const PoolShadow& shadow, Verification& total) const {
  if (total.listed.size() >= Verification::kListed) return;
  for (const Row& row : rows_) {
    const std::vector<std::int64_t> tokens = misplaced(row, shadow);
    if (tokens.empty()) continue;
    total.listed.push_back(named(row, tokens.front(), shadow));
    total.listed.back().unseen = true;
    return;
  }
}

std::vector<std::int64_t> PagedCheck::misplaced(const Row& row, const PoolShadow& shadow) const {
  std::vector<std::int64_t> tokens;
  for (std::int64_t t = row.begin; t < row.context; ++t)
    if (shadow.at(row.table[static_cast<std::size_t>(t / block_tokens_)], t % block_tokens_).name !=
        row.names->at(t))
      tokens.push_back(t);
  return tokens;
}

}  // namespace assay::properties
