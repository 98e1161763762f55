// The slow twin of the scheduler and its pool, written from the rules on standard containers: lists are
// std::deque, the cache is a scan over all blocks, contents are the token prefixes themselves. Shares no
// code with the fast one but the options.
//
// `Fault` plants one wrong rule; a suite that does not notice proves nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "sim/engine/scheduler.h"

namespace assay::naive {

enum class Fault {
  kNone,
  kFreesHeadFirst,         // table released in order: the head of a prefix is evicted first
  kHitsAllTokens,          // a full hit is not capped: nothing is left to compute
  kHitsAreFree,            // hits in the free queue are not counted as needed
  kAdmitsAfterPreemption,  // waiting ones are admitted in a step that preempted
  kPreemptsOldest,
  kIgnoresParents,    // a block is found by its own tokens alone
  kForgetsAtRelease,  // contents are dropped when the last owner goes (no lazy eviction)
  kOtherFreeOrder,    // unpublished blocks at the wrong end of the free list
  kWindowTooShort,    // blocks leave the sliding window one token early
};

struct Sequence {
  int request = 0;
  std::vector<std::int64_t> prompt;  // token identities
  int output = 0, generated = 0, computed = 0;
  std::vector<int> table;
  int preemptions = 0;
  [[nodiscard]] int tokens() const { return static_cast<int>(prompt.size()) + generated; }
  [[nodiscard]] std::vector<std::int64_t> prefix(int count) const {
    std::vector<std::int64_t> all = prompt;
    // Generated tokens are the request's own.
    for (int i = 0; i < generated; ++i)
      all.push_back(-1 - (static_cast<std::int64_t>(request) * 1'000'000 + i));
    all.resize(static_cast<std::size_t>(count));
    return all;
  }
};

struct Scheduled {
  int request, tokens, computed_before, hit;
  std::vector<int> new_blocks;
  friend bool operator==(const Scheduled&, const Scheduled&) = default;
};
struct Step {
  std::vector<Scheduled> scheduled;
  std::vector<int> preempted, finished;
  int free_blocks = 0;
  friend bool operator==(const Step&, const Step&) = default;
};

class Engine {
 public:
  Engine(const SchedulerOptions& options, Fault fault) : o_(options), fault_(fault) {
    owners_.assign(static_cast<std::size_t>(o_.blocks), 0);
    content_.resize(owners_.size());
    published_.assign(owners_.size(), 0);
    for (int b = 1; b < o_.blocks; ++b) free_.push_back(b);
  }
  void submit(Sequence s) { waiting_.push_back(std::move(s)); }
  [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }

  Step step() {
    Step result;
    int budget = static_cast<int>(o_.token_budget);
    for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
      const int request = running_[i].request;
      const int tokens = chunk(running_[i].tokens() - running_[i].computed, budget);
      leave_window(running_[i]);
      bool gone = false;
      while (blocks_for(running_[i].computed + tokens) - static_cast<int>(running_[i].table.size()) >
             static_cast<int>(free_.size())) {
        const std::size_t victim = fault_ == Fault::kPreemptsOldest ? 0 : running_.size() - 1;
        Sequence out = running_[victim];
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(victim));
        gone = out.request == request;
        result.preempted.push_back(out.request);
        release(out);
        out.computed = 0;
        ++out.preemptions;
        waiting_.push_front(out);
        if (gone) break;
        i = static_cast<std::size_t>(std::find_if(running_.begin(), running_.end(),
                                                  [&](const Sequence& s) { return s.request == request; }) -
                                     running_.begin());
      }
      if (gone) break;
      grow(running_[i], tokens, {}, result);
      budget -= tokens;
    }
    while ((result.preempted.empty() || fault_ == Fault::kAdmitsAfterPreemption) && !waiting_.empty() &&
           budget > 0 && static_cast<int>(running_.size()) < o_.max_sequences) {
      Sequence s = waiting_.front();
      const std::vector<int> hits = find_hits(s);
      const int hit_tokens = static_cast<int>(hits.size()) * o_.block_tokens;
      const int tokens = chunk(s.tokens() - hit_tokens, budget);
      const int reserve = running_.empty() ? 0 : static_cast<int>(o_.watermark * o_.blocks);
      const int queued = fault_ == Fault::kHitsAreFree
                             ? 0
                             : static_cast<int>(std::count_if(hits.begin(), hits.end(), [&](int b) {
                                 return b > 0 && owners_[b] == 0;
                               }));
      const auto free_needed = [&](int table) {
        return std::max(0, table - static_cast<int>(hits.size())) + queued + reserve;
      };
      int whole = blocks_for(s.tokens());
      if (o_.window_tokens > 0)
        whole = std::min(whole, blocks_for(o_.window_tokens - 1 + static_cast<int>(o_.token_budget)) + 1);
      if (o_.whole_prompt_admission && free_needed(whole) > static_cast<int>(free_.size())) break;
      if (free_needed(blocks_for(hit_tokens + tokens)) > static_cast<int>(free_.size())) break;
      waiting_.pop_front();
      running_.push_back(s);
      grow(running_.back(), tokens, hits, result);
      budget -= tokens;
    }
    result.free_blocks = static_cast<int>(free_.size());
    for (const Scheduled& done : result.scheduled) {
      const auto s = std::find_if(running_.begin(), running_.end(),
                                  [&](const Sequence& r) { return r.request == done.request; });
      s->computed += done.tokens;
      if (s->computed < s->tokens()) continue;
      if (++s->generated < std::max(s->output, 1)) continue;
      result.finished.push_back(s->request);
    }
    for (const int request : result.finished) {
      const auto s = std::find_if(running_.begin(), running_.end(),
                                  [&](const Sequence& r) { return r.request == request; });
      release(*s);
      running_.erase(s);
    }
    return result;
  }

 private:
  [[nodiscard]] int blocks_for(int tokens) const { return (tokens + o_.block_tokens - 1) / o_.block_tokens; }
  [[nodiscard]] int chunk(int wanted, int budget) const {
    if (o_.long_prefill_tokens > 0) wanted = std::min(wanted, static_cast<int>(o_.long_prefill_tokens));
    return std::min(wanted, budget);
  }
  [[nodiscard]] std::vector<std::int64_t> name_of(const Sequence& s, int block) const {
    auto prefix = s.prefix((block + 1) * o_.block_tokens);
    if (fault_ == Fault::kIgnoresParents) prefix.erase(prefix.begin(), prefix.end() - o_.block_tokens);
    return prefix;
  }
  // The block with this content that was published first.
  [[nodiscard]] int find(const std::vector<std::int64_t>& content) const {
    int found = -1;
    for (int b = 1; b < o_.blocks; ++b)
      if (!content_[b].empty() && content_[b] == content && (found < 0 || published_[b] < published_[found]))
        found = b;
    return found;
  }
  [[nodiscard]] std::vector<int> find_hits(const Sequence& s) const {
    std::vector<int> hits;
    if (!o_.prefix_caching) return hits;
    const int most = (s.tokens() - (fault_ == Fault::kHitsAllTokens ? 0 : 1)) / o_.block_tokens;
    if (o_.window_tokens > 0) return find_window_hits(s, most);
    for (int i = 0; i < most; ++i) {
      const int block = find(name_of(s, i));
      if (block < 0) break;
      hits.push_back(block);
    }
    // The faulty rule would loop for ever on a step without tokens; leave it one.
    if (fault_ == Fault::kHitsAllTokens && static_cast<int>(hits.size()) * o_.block_tokens == s.tokens() &&
        s.preemptions > 0)
      hits.pop_back();
    return hits;
  }
  // The longest prefix whose last blocks, as many as the window can see from its end, are all present (or all
  // of its blocks, when it is shorter): every length is tried, longest first.
  [[nodiscard]] std::vector<int> find_window_hits(const Sequence& s, int most) const {
    const int seen = blocks_for(o_.window_tokens - 1);
    for (int length = most; length > 0; --length) {
      std::vector<int> hits(static_cast<std::size_t>(length), 0);
      bool all = true;
      for (int i = std::max(0, length - std::max(1, seen)); i < length && all; ++i)
        all = (hits[static_cast<std::size_t>(i)] = find(name_of(s, i))) > 0;
      if (all) return hits;
    }
    return {};
  }
  void leave_window(Sequence& s) {
    if (o_.window_tokens == 0) return;
    const int early = fault_ == Fault::kWindowTooShort ? 1 : 0;
    std::vector<int> order;
    for (int i = static_cast<int>(s.table.size()) - 1; i >= 0; --i)
      if (s.table[i] > 0 && (i + 1) * o_.block_tokens <= s.computed - o_.window_tokens + 1 + early) {
        order.push_back(s.table[i]);
        s.table[i] = 0;
      }
    give_back(order);
  }
  void grow(Sequence& s, int tokens, const std::vector<int>& hits, Step& step) {
    Scheduled scheduled{s.request, tokens, 0, static_cast<int>(hits.size()) * o_.block_tokens, {}};
    for (const int b : hits) {
      if (b > 0 && owners_[b]++ == 0) free_.erase(std::find(free_.begin(), free_.end(), b));
      s.table.push_back(b);
      if (s.computed == 0) scheduled.new_blocks.push_back(b);
    }
    const int old_full = static_cast<int>(hits.size()) + s.computed / o_.block_tokens;
    s.computed += static_cast<int>(hits.size()) * o_.block_tokens;
    scheduled.computed_before = s.computed;
    while (static_cast<int>(s.table.size()) < blocks_for(s.computed + tokens)) {
      const int b = free_.front();
      free_.pop_front();
      content_[b].clear();
      owners_[b] = 1;
      s.table.push_back(b);
      scheduled.new_blocks.push_back(b);
    }
    if (o_.prefix_caching)
      for (int i = old_full; i < std::min(s.computed + tokens, s.tokens()) / o_.block_tokens; ++i) {
        content_[s.table[i]] = name_of(s, i);
        published_[s.table[i]] = ++clock_;
      }
    step.scheduled.push_back(std::move(scheduled));
  }
  void release(Sequence& s) {
    std::vector<int> order = s.table;
    if (fault_ != Fault::kFreesHeadFirst) std::reverse(order.begin(), order.end());
    give_back(order);
    s.table.clear();
  }
  void give_back(const std::vector<int>& order) {
    const bool split = o_.prefix_caching &&
                       (o_.free_order == FreeOrder::kUnpublishedFirst) != (fault_ == Fault::kOtherFreeOrder);
    std::deque<int> front;
    for (const int b : order) {
      if (b == 0 || --owners_[b] > 0) continue;
      (split && content_[b].empty() ? front : free_).push_back(b);
      if (fault_ == Fault::kForgetsAtRelease) content_[b].clear();
    }
    free_.insert(free_.begin(), front.begin(), front.end());
  }

  SchedulerOptions o_;
  Fault fault_;
  std::deque<int> free_;
  std::vector<int> owners_, published_;
  std::vector<std::vector<std::int64_t>> content_;
  std::vector<Sequence> running_;
  std::deque<Sequence> waiting_;
  int clock_ = 0;
};

}  // namespace assay::naive
