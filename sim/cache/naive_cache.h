// The slow twin of cache mode, for tests: standard containers, no dense ids, no intrusive lists; every
// victim is found by looking at everything that is there. And its deliberately broken copies.
//
// A block's content is spelled out: which block of the prompt it is and every hash id up to its end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "sim/cache/cache_replay.h"

namespace assay {

// What a broken copy does wrong. kNone is the specification.
enum class CacheFault {
  kNone,
  kOneBlockMore,           // the cache holds one block too many
  kTouchesInOtherOrder,    // lru: head to tail; lru-prompt-order: tail to head
  kLooksUpWhileInserting,  // lru: lookup and insertion alternate
  kTouchesOnHit,           // fifo behaves like lru
  kRemembersCounts,        // lfu: counts survive eviction
  kBreaksTiesByInsertion,  // lfu, length-aware: oldest insertion instead of oldest touch
  kEvictsTheNewcomer,      // lfu, length-aware: the victim is chosen after the insertion
  kEvictsNearestUse,       // belady: the wrong end
  kIgnoresPins,            // belady-pinned: evicts what the request itself needs
  kPromotesAtOne,          // s3-fifo: one reference is enough
  kForgetsGhosts,          // s3-fifo: no ghost queue
  kCountsPastTheMiss,      // block_hits counts all present blocks
  kPartialBlockIsFull,     // token_hits counts whole blocks
  kSharesWithoutParents,   // equal last hash id is equal content
};

class NaiveCache {
 public:
  using Content = std::vector<std::int64_t>;  // {block of the prompt, hash id, hash id, ...}

  NaiveCache(const std::vector<Request>& requests, std::int64_t hash_tokens,
             const CacheReplayOptions& options, CacheFault fault)
      : hash_tokens_(hash_tokens), options_(options), fault_(fault) {
    capacity_ =
        options.capacity_blocks == 0 ? std::numeric_limits<std::int64_t>::max() - 1 : options.capacity_blocks;
    if (is(CacheFault::kOneBlockMore)) ++capacity_;
    for (const Request& request : requests) prompts_.push_back(contents_of(request));
    for (const auto& prompt : prompts_) future_.insert(future_.end(), prompt.begin(), prompt.end());
    for (std::size_t i = 0; i < requests.size(); ++i) replay_one(requests[i], prompts_[i]);
  }

  [[nodiscard]] const CacheReplayResult& result() const { return result_; }

 private:
  struct Entry {
    Content content;
    std::int64_t inserted = 0, touched = 0, count = 0;
    bool pinned = false, small = false;
  };

  [[nodiscard]] bool is(CacheFault fault) const { return fault_ == fault; }
  [[nodiscard]] bool policy(CachePolicy a, CachePolicy b) const {
    return options_.policy == a || options_.policy == b;
  }

  std::vector<Content> contents_of(const Request& request) {
    std::vector<Content> contents;
    for (std::int64_t begin = 0; begin < request.input_tokens; begin += options_.block_tokens) {
      const std::int64_t end = std::min(begin + options_.block_tokens, request.input_tokens);
      Content content{begin / options_.block_tokens};
      if (end > static_cast<std::int64_t>(request.hash_ids.size()) * hash_tokens_) {
        content.push_back(-++own_);  // the request's own
      } else {
        const std::int64_t last = (end - 1) / hash_tokens_;
        for (std::int64_t i = is(CacheFault::kSharesWithoutParents) ? last : 0; i <= last; ++i)
          content.push_back(request.hash_ids[static_cast<std::size_t>(i)]);
      }
      contents.push_back(content);
    }
    return contents;
  }

  [[nodiscard]] std::vector<Entry>::iterator find(const Content& content) {
    return std::find_if(there_.begin(), there_.end(), [&](const Entry& e) { return e.content == content; });
  }

  void replay_one(const Request& request, const std::vector<Content>& prompt) {
    const bool whole_prompt_first =
        policy(CachePolicy::kLru, CachePolicy::kLruPromptOrder) && !is(CacheFault::kLooksUpWhileInserting);
    std::vector<bool> present;
    for (const Content& content : prompt) {
      present.push_back(find(content) != there_.end());
      if (!present.back()) ++(seen_.count(content) != 0 ? result_.miss_evicted : result_.miss_cold);
      if (!whole_prompt_first) reference(content);
    }
    if (whole_prompt_first) {
      const bool backwards = (options_.policy == CachePolicy::kLru) != is(CacheFault::kTouchesInOtherOrder);
      for (std::size_t i = 0; i < prompt.size(); ++i)
        reference(prompt[backwards ? prompt.size() - 1 - i : i]);
    }
    for (const Content& content : prompt) seen_.insert(content);
    for (Entry& entry : there_) entry.pinned = false;
    count(request, present);
  }

  void count(const Request& request, const std::vector<bool>& present) {
    const std::int64_t any = std::count(present.begin(), present.end(), true);
    std::int64_t leading = std::find(present.begin(), present.end(), false) - present.begin();
    if (is(CacheFault::kCountsPastTheMiss)) leading = any;
    std::int64_t tokens = leading * options_.block_tokens;
    if (!is(CacheFault::kPartialBlockIsFull)) tokens = std::min(tokens, request.input_tokens);
    const std::int64_t full = request.input_tokens / options_.block_tokens;
    ++result_.requests;
    result_.input_tokens += request.input_tokens;
    result_.output_tokens += request.output_tokens;
    result_.block_references += static_cast<std::int64_t>(present.size());
    result_.unique_blocks = static_cast<std::int64_t>(seen_.size());
    result_.block_hits += leading;
    result_.any_block_hits += any;
    result_.miss_behind += any - leading;
    result_.token_references += request.input_tokens;
    result_.token_hits += tokens;
    result_.full_block_references += full;
    result_.full_block_hits += std::min(full, leading);
  }

  void reference(const Content& content) {
    const std::int64_t now = now_++;
    auto at = find(content);
    if (at != there_.end()) {
      at->touched = now;
      ++at->count;
      at->pinned = true;
      if (is(CacheFault::kTouchesOnHit)) at->inserted = now;
      return;
    }
    Entry entry{content, now, now, 1, true, false};
    if (is(CacheFault::kRemembersCounts)) entry.count = ++counts_[content];
    if (options_.policy == CachePolicy::kS3Fifo) {
      insert_s3(entry, now);
    } else if (is(CacheFault::kEvictsTheNewcomer)) {
      there_.push_back(entry);
      if (size() > capacity_) evict(victim(now));
    } else {
      if (size() >= capacity_) {
        const std::int64_t chosen = victim(now);
        if (chosen < 0) return;  // all pinned
        evict(chosen);
      }
      there_.push_back(entry);
    }
    result_.peak_blocks = std::max(result_.peak_blocks, size());
  }

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(there_.size()); }
  void evict(std::int64_t index) {
    there_.erase(there_.begin() + index);
    ++result_.evictions;
  }

  [[nodiscard]] std::int64_t next_use(const Content& content, std::int64_t now) const {
    const auto at = std::find(future_.begin() + now + 1, future_.end(), content);
    return at == future_.end() ? std::numeric_limits<std::int64_t>::max() : at - future_.begin();
  }

  // The entry with the least key; -1 when none may go.
  [[nodiscard]] std::int64_t victim(std::int64_t now) const {
    std::int64_t best = -1;
    std::pair<std::int64_t, std::int64_t> best_key;
    const bool by_insertion = is(CacheFault::kBreaksTiesByInsertion);
    for (std::size_t i = 0; i < there_.size(); ++i) {
      const Entry& entry = there_[i];
      const std::int64_t tie = by_insertion ? entry.inserted : entry.touched;
      std::pair<std::int64_t, std::int64_t> key;
      switch (options_.policy) {
        case CachePolicy::kLru:
        case CachePolicy::kLruPromptOrder: key = {entry.touched, 0}; break;
        case CachePolicy::kFifo: key = {entry.inserted, 0}; break;
        case CachePolicy::kLfu: key = {entry.count, tie}; break;
        case CachePolicy::kLengthAware: key = {-entry.content[0], tie}; break;
        case CachePolicy::kBeladyPinned:
          if (entry.pinned && !is(CacheFault::kIgnoresPins)) continue;
          [[fallthrough]];
        case CachePolicy::kBelady: key = {-next_use(entry.content, now), 0}; break;
        case CachePolicy::kS3Fifo: break;  // has queues of its own
      }
      if (is(CacheFault::kEvictsNearestUse)) key.first = -key.first;
      if (best < 0 || key < best_key) best = static_cast<std::int64_t>(i), best_key = key;
    }
    return best;
  }

  // S3-FIFO: there_ is kept in queue order (inserted = when it joined its queue); count from 0 here.
  void insert_s3(Entry entry, std::int64_t now) {
    const std::int64_t share = std::max<std::int64_t>(1, capacity_ / 10);
    const auto ghost = std::find(ghosts_.begin(), ghosts_.end(), entry.content);
    entry.small = ghost == ghosts_.end();
    if (!entry.small) ghosts_.erase(ghost);
    entry.count = 0;
    entry.inserted = now;
    while (size() >= capacity_) {
      const auto small_size =
          std::count_if(there_.begin(), there_.end(), [](const Entry& e) { return e.small; });
      const bool from_small = small_size >= share || small_size == size();
      const auto oldest =
          std::find_if(there_.begin(), there_.end(), [&](const Entry& e) { return e.small == from_small; });
      Entry taken = *oldest;
      there_.erase(oldest);
      const std::int64_t promotes = is(CacheFault::kPromotesAtOne) ? 1 : 2;
      if (from_small && taken.count >= promotes && capacity_ > share) {
        taken.small = false;
        taken.count = 0;
        there_.push_back(taken);
      } else if (!from_small && taken.count > 0) {
        taken.count = std::min<std::int64_t>(taken.count, 3) - 1;
        there_.push_back(taken);
      } else {
        ++result_.evictions;
        if (from_small && capacity_ > share && !is(CacheFault::kForgetsGhosts)) {
          ghosts_.push_back(taken.content);
          if (static_cast<std::int64_t>(ghosts_.size()) > capacity_ - share) ghosts_.pop_front();
        }
      }
    }
    there_.push_back(entry);
  }

  std::int64_t hash_tokens_;
  CacheReplayOptions options_;
  CacheFault fault_;
  std::int64_t capacity_ = 0;
  std::int64_t own_ = 0, now_ = 0;
  std::vector<std::vector<Content>> prompts_;
  std::vector<Content> future_;
  std::vector<Entry> there_;
  std::deque<Content> ghosts_;
  std::set<Content> seen_;
  std::map<Content, std::int64_t> counts_;
  CacheReplayResult result_;
};

}  // namespace assay
