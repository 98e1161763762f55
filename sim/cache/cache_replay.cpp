#include "sim/cache/cache_replay.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "model/core/check.h"
#include "sim/cache/content_chain.h"
#include "sim/cache/eviction_belady.h"
#include "sim/cache/eviction_fifo.h"
#include "sim/cache/eviction_length_aware.h"
#include "sim/cache/eviction_lfu.h"
#include "sim/cache/eviction_lru.h"
#include "sim/cache/eviction_s3_fifo.h"

namespace assay {
namespace {

constexpr std::array<std::pair<CachePolicy, std::string_view>, 8> kPolicies{{
    {CachePolicy::kLru, "lru"},
    {CachePolicy::kLruPromptOrder, "lru-prompt-order"},
    {CachePolicy::kFifo, "fifo"},
    {CachePolicy::kLfu, "lfu"},
    {CachePolicy::kS3Fifo, "s3-fifo"},
    {CachePolicy::kLengthAware, "length-aware"},
    {CachePolicy::kBelady, "belady"},
    {CachePolicy::kBeladyPinned, "belady-pinned"},
}};

// One prompt as the cache sees it.
struct Prompt {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  const ContentId* begin = nullptr;
  std::size_t count = 0;
  std::int32_t contents_before = 0;  // ids from here on are seen for the first time
  std::int32_t contents_after = 0;
};

// Prompts straight from the source: memory for the contents only.
class PromptStream {
 public:
  PromptStream(RequestSource& requests, const CacheReplayOptions& options)
      : requests_(requests), chain_(requests.header().hash_tokens, options.block_tokens) {}

  [[nodiscard]] bool next(Prompt& prompt) {
    if (!requests_.next(request_)) return false;
    if (request_.input_tokens < 0)
      throw InputError("line " + std::to_string(request_.line), "input_tokens of at least 0",
                       std::to_string(request_.input_tokens));
    contents_.clear();
    prompt.contents_before = chain_.content_count();
    chain_.append(request_, contents_);
    prompt.contents_after = chain_.content_count();
    prompt.input_tokens = request_.input_tokens;
    prompt.output_tokens = request_.output_tokens;
    prompt.begin = contents_.data();
    prompt.count = contents_.size();
    return true;
  }

 private:
  RequestSource& requests_;
  ContentChain chain_;
  Request request_;
  std::vector<ContentId> contents_;
};

// All prompts at once, and for every reference the next one to the same content. For Belady.
class PromptRecord {
 public:
  PromptRecord(PromptStream& stream, const std::atomic<bool>* interrupted) {
    Prompt prompt;
    while (!(interrupted && interrupted->load(std::memory_order_relaxed)) && stream.next(prompt)) {
      contents_.insert(contents_.end(), prompt.begin, prompt.begin + prompt.count);
      prompts_.push_back(prompt);
    }
    std::vector<std::int64_t> next_of(
        prompts_.empty() ? 0 : static_cast<std::size_t>(prompts_.back().contents_after),
        BeladyEviction::kNever);
    next_use_.resize(contents_.size());
    for (std::size_t i = contents_.size(); i-- > 0;) {
      std::int64_t& next = next_of[static_cast<std::size_t>(contents_[i].value())];
      next_use_[i] = std::exchange(next, static_cast<std::int64_t>(i));
    }
  }

  [[nodiscard]] bool next(Prompt& prompt) {
    if (at_ == prompts_.size()) return false;
    prompt = prompts_[at_++];
    prompt.begin = contents_.data() + reference_;
    reference_ += prompt.count;
    return true;
  }
  [[nodiscard]] const std::vector<std::int64_t>& next_use() const { return next_use_; }

 private:
  std::vector<Prompt> prompts_;
  std::vector<ContentId> contents_;
  std::vector<std::int64_t> next_use_;
  std::size_t at_ = 0, reference_ = 0;
};

enum class Order { kTailToHead, kHeadToTail, kAlternating };

// What one request's lookups found, in prompt order.
class Lookup {
 public:
  Lookup(CacheReplayResult& result, const Prompt& prompt, std::int64_t block_tokens)
      : result_(result), prompt_(prompt), block_tokens_(block_tokens) {}

  void found(bool present, ContentId content) {
    if (present) {
      ++any_;
      if (unbroken_) ++leading_;
    } else {
      unbroken_ = false;
      ++(content.value() >= prompt_.contents_before ? result_.miss_cold : result_.miss_evicted);
    }
  }

  // Adds the request to the result; returns its share of prompt tokens that were hit.
  double finish() {
    const std::int64_t full = prompt_.input_tokens / block_tokens_;
    const std::int64_t hit_tokens = std::min(prompt_.input_tokens, leading_ * block_tokens_);
    ++result_.requests;
    result_.input_tokens += prompt_.input_tokens;
    result_.output_tokens += prompt_.output_tokens;
    result_.block_references += static_cast<std::int64_t>(prompt_.count);
    result_.block_hits += leading_;
    result_.any_block_hits += any_;
    result_.miss_behind += any_ - leading_;
    result_.token_references += prompt_.input_tokens;
    result_.token_hits += hit_tokens;
    result_.full_block_references += full;
    result_.full_block_hits += std::min(full, leading_);
    return prompt_.input_tokens == 0
               ? 0
               : static_cast<double>(hit_tokens) / static_cast<double>(prompt_.input_tokens);
  }

 private:
  CacheReplayResult& result_;
  const Prompt& prompt_;
  std::int64_t block_tokens_;
  std::int64_t any_ = 0, leading_ = 0;
  bool unbroken_ = true;
};

template <Order kOrder, typename Prompts, typename Eviction>
CacheReplayResult replay(Prompts& prompts, Eviction cache, const CacheReplayOptions& options) {
  CacheReplayResult result;
  Prompt prompt;
  double ratio_sum = 0;
  std::int64_t with_prompt = 0, resident = 0, when = 0;
  const auto reference = [&](ContentId content, bool present) {
    if (present) {
      cache.touch(content, when);
    } else {
      const ContentId evicted = cache.insert(content, when);
      if (evicted == ContentId())
        result.peak_blocks = std::max(result.peak_blocks, ++resident);
      else if (evicted != content)
        ++result.evictions;
    }
    ++when;
  };
  for (;;) {
    if (options.interrupted && options.interrupted->load(std::memory_order_relaxed)) {
      result.partial = true;
      break;
    }
    if (!prompts.next(prompt)) break;
    cache.grow(prompt.contents_after);
    Lookup lookup(result, prompt, options.block_tokens);
    for (std::size_t i = 0; i < prompt.count; ++i) {
      const ContentId content = prompt.begin[i];
      if constexpr (requires { cache.place(content, i); }) cache.place(content, i);
      const bool present = cache.contains(content);
      lookup.found(present, content);
      if constexpr (kOrder == Order::kAlternating) reference(content, present);
    }
    if constexpr (kOrder != Order::kAlternating) {
      for (std::size_t i = 0; i < prompt.count; ++i) {
        const ContentId content = prompt.begin[kOrder == Order::kHeadToTail ? i : prompt.count - 1 - i];
        reference(content, cache.contains(content));
      }
    }
    cache.end_request();
    ratio_sum += lookup.finish();
    if (prompt.input_tokens > 0) ++with_prompt;
    result.unique_blocks = prompt.contents_after;
  }
  if (with_prompt > 0) result.mean_request_ratio = ratio_sum / static_cast<double>(with_prompt);
  return result;
}

}  // namespace

std::vector<std::string> cache_policy_names() {
  std::vector<std::string> names;
  for (const auto& [policy, name] : kPolicies) names.emplace_back(name);
  return names;
}

std::string cache_policy_name(CachePolicy policy) {
  for (const auto& [listed, name] : kPolicies)
    if (listed == policy) return std::string(name);
  ASSAY_CHECK(false, "a policy without a name");
  return {};
}

CachePolicy cache_policy_of(std::string_view name, const std::string& place) {
  std::string expected;
  for (const auto& [policy, listed] : kPolicies) {
    if (listed == name) return policy;
    expected += (expected.empty() ? "one of " : ", ") + std::string(listed);
  }
  throw InputError(place, expected, "'" + std::string(name) + "'");
}

CacheReplayResult replay_cache(RequestSource& requests, const CacheReplayOptions& options) {
  if (options.capacity_blocks < 0)
    throw InputError("capacity_blocks", "at least 0 (0 = unlimited)",
                     std::to_string(options.capacity_blocks));
  const std::int64_t capacity =
      options.capacity_blocks == 0 ? std::numeric_limits<std::int64_t>::max() : options.capacity_blocks;
  PromptStream stream(requests, options);
  switch (options.policy) {
    case CachePolicy::kLru: return replay<Order::kTailToHead>(stream, LruEviction(capacity), options);
    case CachePolicy::kLruPromptOrder:
      return replay<Order::kHeadToTail>(stream, LruEviction(capacity), options);
    case CachePolicy::kFifo: return replay<Order::kAlternating>(stream, FifoEviction(capacity), options);
    case CachePolicy::kLfu: return replay<Order::kAlternating>(stream, LfuEviction(capacity), options);
    case CachePolicy::kS3Fifo: return replay<Order::kAlternating>(stream, S3FifoEviction(capacity), options);
    case CachePolicy::kLengthAware:
      return replay<Order::kAlternating>(stream, LengthAwareEviction(capacity), options);
    case CachePolicy::kBelady:
    case CachePolicy::kBeladyPinned: {
      PromptRecord record(stream, options.interrupted);
      BeladyEviction cache(capacity, record.next_use(), options.policy == CachePolicy::kBeladyPinned);
      return replay<Order::kAlternating>(record, std::move(cache), options);
    }
  }
  ASSAY_CHECK(false, "a policy without a replay");
  return {};
}

}  // namespace assay
