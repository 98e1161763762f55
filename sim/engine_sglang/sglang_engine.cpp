#include "sim/engine_sglang/sglang_engine.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {
namespace {

// SGLang's defaults (environment variables there).
constexpr double kFirstRatio = 0.7;               // SGLANG_INIT_NEW_TOKEN_RATIO
constexpr double kLeastRatioFactor = 0.14;        // SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR
constexpr double kRatioDecaySteps = 600;          // SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS
constexpr std::int64_t kClippedNewTokens = 4096;  // SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION
constexpr std::int64_t kRetractDecodeSteps = 20;  // SGLANG_RETRACT_DECODE_STEPS

}  // namespace

// What is left for the prefill batch that is being formed (PrefillAdder).
struct SglangEngine::Budget {
  const SglangPageAllocator& allocator;
  const SglangRadixCache& tree;
  std::int64_t page_tokens;
  double set_aside = 0;            // rem_total_token_offset
  std::int64_t set_aside_now = 0;  // cur_rem_token_offset
  std::int64_t input_tokens;
  std::optional<std::int64_t> chunk_tokens;
  std::vector<Owned> batch;
  bool cut = false;  // the batch's last request is a chunk

  [[nodiscard]] std::int64_t there() const { return allocator.available_tokens() + tree.evictable_tokens(); }
  [[nodiscard]] double total() const { return static_cast<double>(there()) - set_aside; }
  [[nodiscard]] std::int64_t paged(std::int64_t tokens) const {
    return ceil_div(tokens, page_tokens) * page_tokens;
  }

  void charge(std::int64_t extend_tokens, std::int64_t new_tokens) {
    const std::int64_t extend = paged(extend_tokens);
    set_aside += static_cast<double>(extend + new_tokens + page_tokens);
    set_aside_now += extend + page_tokens;
    input_tokens -= extend;
    if (chunk_tokens) *chunk_tokens -= extend;
  }
  [[nodiscard]] Added state() const {
    if (total() <= 0 || there() - set_aside_now <= 0) return Added::kNoToken;
    if (input_tokens <= 0 || (chunk_tokens && *chunk_tokens <= 0)) return Added::kOther;
    return Added::kContinue;
  }
};

SglangEngine::SglangEngine(const SglangOptions& options, std::int32_t hash_tokens)
    : options_(options),
      hash_tokens_(hash_tokens),
      allocator_(
          options.page_tokens > 0 ? static_cast<std::int32_t>(options.pool_tokens / options.page_tokens) : 0,
          options.page_tokens),
      tree_(options.page_tokens),
      chain_(hash_tokens, std::max(options.page_tokens, 1)) {
  const auto want = [](bool holds, const char* place, const std::string& expected, std::int64_t got) {
    if (!holds) throw InputError(place, expected, std::to_string(got));
  };
  want(options.page_tokens > 0, "page_tokens", "at least 1", options.page_tokens);
  want(options.pool_tokens >= options.page_tokens, "pool_tokens", "at least one page", options.pool_tokens);
  want(options.chunk_tokens == 0 || options.chunk_tokens >= options.page_tokens, "chunk_tokens",
       "0 or at least one page", options.chunk_tokens);
  want(options.max_prefill_tokens > 0, "max_prefill_tokens", "at least 1", options.max_prefill_tokens);
  want(options.max_running_requests >= 0, "max_running_requests", "at least 0 (0 = no limit)",
       options.max_running_requests);
  first_ratio_ = std::min(kFirstRatio * options.conservativeness, 1.0);
  least_ratio_ = std::min(first_ratio_ * kLeastRatioFactor, 1.0);
  ratio_ = first_ratio_;
}

void SglangEngine::prompt_contents(const Request& request, std::vector<PageContent>& contents) {
  const std::int64_t page = options_.page_tokens;
  const std::int64_t pages = request.input_tokens / page;
  if (hash_tokens_ == 0) return;  // need_contents() makes them up: nobody shares them
  if (hash_tokens_ % page != 0) {
    std::vector<ContentId> chain;
    chain_.append(request, chain);
    for (std::int64_t i = 0; i < pages; ++i) contents.push_back(chain[static_cast<std::size_t>(i)].value());
    return;
  }
  const std::int64_t per_id = hash_tokens_ / page;
  const std::int64_t known = std::min(pages, static_cast<std::int64_t>(request.hash_ids.size()) * per_id);
  for (std::int64_t i = 0; i < known; ++i) {
    const std::int64_t id = request.hash_ids[static_cast<std::size_t>(i / per_id)];
    const auto dense = dense_.emplace(id, static_cast<std::int64_t>(dense_.size())).first->second;
    contents.push_back(dense * per_id + i % per_id);
  }
}

void SglangEngine::need_contents(Sequence& sequence, std::size_t pages) {
  while (sequence.contents.size() < pages) sequence.contents.push_back(--own_contents_);
}

bool SglangEngine::submit(const Request& request, RequestId id) {
  const std::int64_t page = options_.page_tokens, pool = allocator_.pool_tokens();
  const std::int64_t in = request.input_tokens, out = request.output_tokens;
  if (in <= 0 || out < 0) return false;
  // Alone in an empty pool it must pass admission, and end.
  if (in + std::min(out, kClippedNewTokens) + page >= pool) return false;
  if (ceil_div(in + std::max<std::int64_t>(out, 1) - 1, page) * page > pool) return false;
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  sequence->input_tokens = in;
  sequence->promised_tokens = out;
  prompt_contents(request, sequence->contents);
  waiting_.push_back(std::move(sequence));
  return true;
}

bool SglangEngine::idle() const {
  return waiting_.empty() && last_.empty() && !chunked_ &&
         std::all_of(running_.begin(), running_.end(), [](const Owned& s) { return s->finished; });
}

std::size_t SglangEngine::running() const {
  const auto decoding =
      std::count_if(running_.begin(), running_.end(), [](const Owned& s) { return !s->finished; });
  return static_cast<std::size_t>(decoding) + last_.size() + (chunked_ ? 1 : 0);
}

SglangStep SglangEngine::step() {
  // An iteration may only clear the finished out of the batch; two such in a row would be a livelock.
  for (int attempt = 0; attempt < 4; ++attempt) {
    SglangStep step = iterate();
    if (step.kind != SglangStep::Kind::kIdle || idle()) return step;
  }
  ASSAY_CHECK(false, "sglang: requests wait and none can run");
  return {};
}

SglangStep SglangEngine::iterate() {
  SglangStep step;
  end_last_prefill();
  if (form_prefill(step)) return step;
  if (!running_.empty()) run_decode(step);
  if (step.kind == SglangStep::Kind::kIdle) ratio_ = first_ratio_;
  return step;
}

void SglangEngine::end_last_prefill() {
  if (chunked_) cache_unfinished(*chunked_, chunked_->written_tokens);
  if (last_shrank_) full_ = false;
  last_shrank_ = false;
  for (Owned& sequence : last_) running_.push_back(std::move(sequence));
  last_.clear();
}

bool SglangEngine::form_prefill(SglangStep& step) {
  if (running_.empty()) full_ = false;
  if ((full_ || waiting_.empty()) && !chunked_) return false;
  const std::int64_t limit = options_.max_running_requests;
  const auto running = static_cast<std::int64_t>(running_.size());
  if (limit > 0 && running >= limit && !chunked_) {
    full_ = true;
    return false;
  }
  Budget budget{allocator_, tree_, options_.page_tokens, 0, 0, options_.max_prefill_tokens, std::nullopt,
                {},         false};
  if (options_.chunk_tokens > 0) budget.chunk_tokens = options_.chunk_tokens;
  for (const Owned& sequence : running_)
    budget.set_aside += static_cast<double>(std::min(sequence->promised_tokens - sequence->output_tokens,
                                                     kClippedNewTokens)) *
                        ratio_;
  if (chunked_) add_chunk(budget);
  while (!waiting_.empty()) {
    if (limit > 0 && running + static_cast<std::int64_t>(budget.batch.size()) >= limit) {
      full_ = true;
      break;
    }
    const Added added = add_waiting(budget, step);
    if (added == Added::kNoToken) full_ = true;
    if (added != Added::kContinue) break;
  }
  if (budget.batch.empty()) return false;

  std::int64_t extend = 0;
  for (const Owned& sequence : budget.batch) extend += sequence->fill_tokens - sequence->written_tokens;
  const auto count = static_cast<std::int64_t>(budget.batch.size());
  evict_for(options_.page_tokens == 1 ? extend : extend + count * options_.page_tokens);
  for (Owned& sequence : budget.batch) allocate_to(*sequence, sequence->fill_tokens);
  step.kind = SglangStep::Kind::kPrefill;
  step.scheduled_tokens = extend;
  run_prefill(std::move(budget.batch), step);
  return true;
}

// The first of the queue: into the batch, or a reason to stop.
SglangEngine::Added SglangEngine::add_waiting(Budget& budget, SglangStep& step) {
  Sequence& sequence = *waiting_.front();
  const std::int64_t fill = sequence.input_tokens + sequence.output_tokens;
  const auto matchable =
      static_cast<std::size_t>((fill - 1) / options_.page_tokens);  // one token is computed anew
  need_contents(sequence, matchable);
  const SglangRadixCache::Match match = tree_.match(sequence.contents.data(), matchable);
  const std::int64_t prefix = static_cast<std::int64_t>(match.pages.size()) * options_.page_tokens;
  const std::int64_t extend = fill - prefix;
  const std::int64_t new_tokens = std::min(
      std::max<std::int64_t>(sequence.promised_tokens - sequence.output_tokens, 0), kClippedNewTokens);
  const auto total = static_cast<double>(extend + new_tokens + options_.page_tokens);
  const auto check = [&] {
    if (total >= budget.total()) return Added::kNoToken;
    if (budget.paged(extend) >= budget.input_tokens && !budget.batch.empty()) return Added::kOther;
    return Added::kContinue;
  };
  if (const Added added = check(); added != Added::kContinue) return added;
  tree_.lock(match.node);  // its pages are not evictable any more, so look again
  Added added = check();
  std::int64_t taken = extend;
  if (added == Added::kContinue && budget.chunk_tokens && budget.paged(extend) > *budget.chunk_tokens) {
    taken = *budget.chunk_tokens / options_.page_tokens * options_.page_tokens;
    if (taken <= 0) added = Added::kOther;
  }
  if (added != Added::kContinue) {
    tree_.unlock(match.node);
    return added;
  }
  step.admitted.push_back({sequence.id, prefix, fill, sequence.retracted});
  sequence.pages = match.pages;
  sequence.node = match.node;
  sequence.written_tokens = sequence.protected_tokens = prefix;
  sequence.fill_tokens = prefix + taken;
  budget.cut = taken < extend;
  budget.charge(taken, budget.cut ? 0 : std::min(sequence.promised_tokens, kClippedNewTokens));
  budget.batch.push_back(std::move(waiting_.front()));
  waiting_.pop_front();
  return budget.state();
}

void SglangEngine::add_chunk(Budget& budget) {
  Sequence& sequence = *chunked_;
  const std::int64_t fill = sequence.input_tokens + sequence.output_tokens;
  const std::int64_t extend = fill - sequence.written_tokens;
  std::int64_t most = std::min(*budget.chunk_tokens, static_cast<std::int64_t>(budget.total()));
  if (most <= 0) most = *budget.chunk_tokens;
  const std::int64_t taken = std::min(extend, most);
  sequence.fill_tokens = sequence.written_tokens + taken;
  const bool cut = taken < extend;
  budget.charge(taken, cut ? 0 : std::min(sequence.promised_tokens, kClippedNewTokens));
  budget.batch.push_back(std::move(chunked_));
}

void SglangEngine::run_prefill(std::vector<Owned> batch, SglangStep& step) {
  for (Owned& sequence : batch) {
    step.chunks.push_back({sequence->fill_tokens - sequence->written_tokens, sequence->fill_tokens});
    sequence->written_tokens = sequence->fill_tokens;
    if (sequence->fill_tokens < sequence->input_tokens + sequence->output_tokens) {
      ASSAY_CHECK(!chunked_, "two requests are cut at once");
      chunked_ = std::move(sequence);
      last_shrank_ = true;
      continue;
    }
    if (++sequence->output_tokens == 1) step.first_tokens.push_back(sequence->id);
    if (sequence->output_tokens >= sequence->promised_tokens) {
      step.finished.push_back(sequence->id);
      release(*sequence, true);
      last_shrank_ = true;
    } else {
      cache_unfinished(*sequence, sequence->written_tokens);
      last_.push_back(std::move(sequence));
    }
  }
}

void SglangEngine::filter_finished() {
  running_.erase(std::remove_if(running_.begin(), running_.end(), [](const Owned& s) { return s->finished; }),
                 running_.end());
}

void SglangEngine::run_decode(SglangStep& step) {
  const std::size_t before = running_.size();
  filter_finished();
  if (running_.empty()) {
    full_ = false;
    return;
  }
  if (!next_decode_fits(running_.size()))
    retract(step);
  else
    ratio_ = std::max(ratio_ - (first_ratio_ - least_ratio_) / kRatioDecaySteps, least_ratio_);
  if (running_.size() < before) full_ = false;

  const auto count = static_cast<std::int64_t>(running_.size());
  evict_for(count * options_.page_tokens);
  step.kind = SglangStep::Kind::kDecode;
  step.scheduled_tokens = count;
  for (Owned& sequence : running_) {
    allocate_to(*sequence, sequence->written_tokens + 1);
    step.decoded.push_back(sequence->id);
    step.decode_contexts.push_back(sequence->written_tokens + 1);
  }
  for (Owned& sequence : running_) {
    ++sequence->written_tokens;
    if (++sequence->output_tokens < sequence->promised_tokens) continue;
    step.finished.push_back(sequence->id);
    release(*sequence, true);
    sequence->finished = true;
  }
}

bool SglangEngine::next_decode_fits(std::size_t count) {
  std::int64_t pages = 0;
  for (std::size_t i = 0; i < count; ++i)
    if (running_[i]->written_tokens % options_.page_tokens == 0) ++pages;
  const std::int64_t tokens = pages * options_.page_tokens;
  evict_for(tokens);
  return allocator_.available_tokens() >= tokens;
}

void SglangEngine::retract(SglangStep& step) {
  // Most outputs first, then the shorter prompt; equals stay in order. The batch keeps this order.
  std::stable_sort(running_.begin(), running_.end(), [](const Owned& a, const Owned& b) {
    if (a->output_tokens != b->output_tokens) return a->output_tokens > b->output_tokens;
    return a->input_tokens < b->input_tokens;
  });
  for (bool first = true; running_.size() > 1 && (first || !next_decode_fits(running_.size()));
       first = false) {
    Owned sequence = std::move(running_.back());
    running_.pop_back();
    release(*sequence, false);
    evict_for(static_cast<std::int64_t>(running_.size()) * kRetractDecodeSteps);
    sequence->retracted = true;
    step.retracted.push_back(sequence->id);
    waiting_.push_back(std::move(sequence));
  }
  ASSAY_CHECK(next_decode_fits(running_.size()), "the last request does not fit, and was admitted");
  std::int64_t outputs = 0, promised = 0;
  for (const Owned& sequence : running_) {
    outputs += sequence->output_tokens;
    promised += sequence->promised_tokens;
  }
  const std::int64_t hoped = outputs + kRetractDecodeSteps * static_cast<std::int64_t>(running_.size());
  ratio_ = std::min(1.0, static_cast<double>(hoped) / static_cast<double>(promised + 1));
}

void SglangEngine::evict_for(std::int64_t tokens) {
  if (allocator_.available_tokens() >= tokens) return;
  for (std::vector<BlockId>& pages : tree_.evict(tokens)) allocator_.give_back(std::move(pages));
}

void SglangEngine::allocate_to(Sequence& sequence, std::int64_t tokens) {
  const auto wanted = static_cast<std::size_t>(ceil_div(tokens, options_.page_tokens));
  while (sequence.pages.size() < wanted) sequence.pages.push_back(allocator_.take());
}

void SglangEngine::give_back(Sequence& sequence, std::int64_t begin_pages, std::int64_t end_pages) {
  if (begin_pages >= end_pages) return;
  allocator_.give_back({sequence.pages.begin() + begin_pages, sequence.pages.begin() + end_pages});
}

// Full pages of the first `tokens` tokens go to the tree; the request goes on with the tree's copies.
void SglangEngine::cache_unfinished(Sequence& sequence, std::int64_t tokens) {
  const auto pages = static_cast<std::size_t>(tokens / options_.page_tokens);
  const std::int64_t held = sequence.protected_tokens / options_.page_tokens;
  need_contents(sequence, pages);
  const std::size_t had = tree_.insert(sequence.contents.data(), sequence.pages.data(), pages);
  give_back(sequence, held, static_cast<std::int64_t>(had));
  const SglangRadixCache::Match match = tree_.match(sequence.contents.data(), pages);
  ASSAY_CHECK_EQ(match.pages.size(), pages);
  std::copy(match.pages.begin() + held, match.pages.end(), sequence.pages.begin() + held);
  sequence.protected_tokens = static_cast<std::int64_t>(pages) * options_.page_tokens;
  tree_.unlock(sequence.node);
  tree_.lock(match.node);
  sequence.node = match.node;
}

// keep: full pages go to the tree; otherwise all that is the request's own becomes free at once.
void SglangEngine::release(Sequence& sequence, bool keep) {
  const std::int64_t full = sequence.written_tokens / options_.page_tokens;
  const std::int64_t held = sequence.protected_tokens / options_.page_tokens;
  std::int64_t own_end = full;
  if (keep) {
    need_contents(sequence, static_cast<std::size_t>(full));
    own_end = static_cast<std::int64_t>(
        tree_.insert(sequence.contents.data(), sequence.pages.data(), static_cast<std::size_t>(full)));
  }
  give_back(sequence, held, own_end);
  give_back(sequence, full, static_cast<std::int64_t>(sequence.pages.size()));
  tree_.unlock(sequence.node);
  sequence.pages.clear();
  sequence.node = SglangRadixCache::kRoot;
  sequence.written_tokens = sequence.protected_tokens = 0;
}

SglangLedger SglangEngine::ledger() const {
  SglangLedger ledger;
  ledger.live = tree_.protected_tokens();
  ledger.cached_idle = tree_.evictable_tokens();
  ledger.free = allocator_.available_tokens();
  const auto add = [&](const Sequence& sequence) {
    const std::int64_t own = sequence.written_tokens - sequence.protected_tokens;
    const std::int64_t held = static_cast<std::int64_t>(sequence.pages.size()) * options_.page_tokens;
    ledger.live += own;
    ledger.tail += held - sequence.protected_tokens - own;
  };
  for (const Owned& sequence : running_) add(*sequence);
  for (const Owned& sequence : last_) add(*sequence);
  if (chunked_) add(*chunked_);
  return ledger;
}

std::vector<BlockId> SglangEngine::table(RequestId id) const {
  for (const Owned& sequence : running_)
    if (sequence->id == id) return sequence->pages;
  for (const Owned& sequence : last_)
    if (sequence->id == id) return sequence->pages;
  return chunked_ && chunked_->id == id ? chunked_->pages : std::vector<BlockId>();
}

void SglangEngine::check_invariants() const {
  tree_.check_invariants();
  ASSAY_CHECK_EQ(ledger().sum(), allocator_.pool_tokens());
  std::vector<std::int32_t> owners(
      static_cast<std::size_t>(allocator_.pool_tokens() / options_.page_tokens) + 1, 0);
  for (const BlockId page : allocator_.free_queue()) ++owners[static_cast<std::size_t>(page.value())];
  const auto add = [&](const Sequence& sequence) {
    for (auto i = static_cast<std::size_t>(sequence.protected_tokens / options_.page_tokens);
         i < sequence.pages.size(); ++i)
      ++owners[static_cast<std::size_t>(sequence.pages[i].value())];
  };
  for (const Owned& sequence : running_) add(*sequence);
  for (const Owned& sequence : last_) add(*sequence);
  if (chunked_) add(*chunked_);
  for (const BlockId page : tree_.pages()) ++owners[static_cast<std::size_t>(page.value())];
  for (std::size_t id = 1; id < owners.size(); ++id) ASSAY_CHECK_EQ(owners[id], 1);
}

}  // namespace assay
