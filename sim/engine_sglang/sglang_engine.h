// SGLang's scheduler over its radix cache and page allocator, one iteration at a time.
//
//   step:  1  the chunk that was prefilled last goes to the tree; finished prefills join the running batch
//          2  a prefill batch is formed from the waiting queue, first come first served, if anything fits;
//             a prompt longer than the chunk is cut and continues next step, before anybody else
//          3  without a prefill batch: everybody running decodes one token; when the next tokens do not
//             fit even after eviction, requests are retracted, fewest outputs and longest prompt first,
//             and go to the back of the queue
//
//   admission   prompt left to compute + promised outputs (at most 4096) + one page
//                 < free + evictable - what is set aside for the running: outputs left (at most 4096) * ratio
//   the ratio   starts at 0.7, falls to 0.098 over 600 decode steps, jumps after a retraction to
//               (outputs so far + 20 a request) / (outputs promised + 1)
//
// Mirrors sgl-project/sglang srt/managers/{scheduler,schedule_policy,schedule_batch}.py and srt/mem_cache/
// {radix_cache@006b0e3d, allocator@02e29cb1, common}.py of that time: evict_from_tree_cache asks for
// the whole need, not for what is short of it. Left out: overlap (one step's delay of results), mixed chunks,
// speculation, priorities, hierarchical cache, sliding window, other queue policies.
//
// What a trace does not say: the promised outputs (max_new_tokens) are taken to be the recorded ones.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "model/core/ids.h"
#include "sim/cache/content_chain.h"
#include "sim/engine_sglang/page_allocator.h"
#include "sim/engine_sglang/radix_cache.h"
#include "traces/request.h"

namespace assay {

struct SglangOptions {
  std::int64_t pool_tokens = 0;  // rounded down to pages
  std::int32_t page_tokens = 1;
  std::int64_t chunk_tokens = 8192;  // chunked_prefill_size; 0 = prompts are not cut
  std::int64_t max_prefill_tokens = 16384;
  std::int64_t max_running_requests = 0;  // 0 = no limit
  double conservativeness = 1.0;          // schedule_conservativeness: scales the ratio's start
};

// Tokens of the pool after a step; they sum to it.
struct SglangLedger {
  std::int64_t live = 0;         // written, of a request that is in progress
  std::int64_t tail = 0;         // in its pages, not written yet
  std::int64_t cached_idle = 0;  // in the tree, nobody holds it
  std::int64_t free = 0;
  [[nodiscard]] std::int64_t sum() const { return live + tail + cached_idle + free; }
};

struct SglangAdmission {
  RequestId request;
  std::int64_t hit_tokens = 0;     // found in the tree
  std::int64_t prompt_tokens = 0;  // prompt and, after a retraction, what it had generated
  bool again = false;              // it had been retracted
};

struct SglangStep {
  struct Chunk {
    std::int64_t tokens = 0, context_tokens = 0;  // computed now; in the cache afterwards
  };
  enum class Kind { kIdle, kPrefill, kDecode } kind = Kind::kIdle;
  std::int64_t scheduled_tokens = 0;
  std::vector<SglangAdmission> admitted;
  std::vector<RequestId> decoded;             // in order of the batch
  std::vector<std::int64_t> decode_contexts;  // of `decoded`: tokens each attends to, the new one included
  std::vector<Chunk> chunks;
  std::vector<RequestId> first_tokens;  // whose prompt is complete for the first time
  std::vector<RequestId> retracted;
  std::vector<RequestId> finished;
};

class SglangEngine {
 public:
  // hash_tokens: granularity of the hash ids of the requests to come, 0 = they have none.
  SglangEngine(const SglangOptions& options, std::int32_t hash_tokens);

  // Puts a request at the end of the queue. False, and no change, for one that can never be served: an
  // empty prompt, or more tokens than the pool admits.
  [[nodiscard]] bool submit(const Request& request, RequestId id);
  // One iteration that runs something; kIdle only when idle().
  SglangStep step();

  [[nodiscard]] bool idle() const;
  [[nodiscard]] SglangLedger ledger() const;
  [[nodiscard]] double new_token_ratio() const { return ratio_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::int64_t pool_tokens() const { return allocator_.pool_tokens(); }
  [[nodiscard]] std::size_t running() const;
  // Calls see(pages) for the page table of everybody who has one.
  template <typename See>
  void for_each_table(See see) const {
    for (const Owned& sequence : running_)
      if (!sequence->finished) see(sequence->pages);
    for (const Owned& sequence : last_) see(sequence->pages);
    if (chunked_) see(chunked_->pages);
  }
  // Page table of a running request; empty when it is not running.
  [[nodiscard]] std::vector<BlockId> table(RequestId id) const;
  // Aborts unless every page is free, in the tree, or in exactly one request's hands.
  void check_invariants() const;

 private:
  struct Sequence {
    RequestId id;
    std::int64_t input_tokens = 0, promised_tokens = 0;
    std::int64_t output_tokens = 0;     // generated so far
    std::int64_t written_tokens = 0;    // kv_committed_len
    std::int64_t protected_tokens = 0;  // cache_protected_len: these pages are the tree's
    std::int64_t fill_tokens = 0;       // to be written when the current prefill batch has run
    SglangRadixCache::Node node = SglangRadixCache::kRoot;
    std::vector<BlockId> pages;
    std::vector<PageContent> contents;  // of full pages, as far as they were needed
    bool retracted = false;
    bool finished = false;  // released, but in the batch until it is filtered
  };
  using Owned = std::unique_ptr<Sequence>;
  struct Budget;
  enum class Added { kContinue, kNoToken, kOther };

  SglangStep iterate();
  void end_last_prefill();
  [[nodiscard]] bool form_prefill(SglangStep& step);
  [[nodiscard]] Added add_waiting(Budget& budget, SglangStep& step);
  void add_chunk(Budget& budget);
  void run_prefill(std::vector<Owned> batch, SglangStep& step);
  void filter_finished();
  void run_decode(SglangStep& step);
  void retract(SglangStep& step);
  [[nodiscard]] bool next_decode_fits(std::size_t count);  // for the first `count` of running_
  void evict_for(std::int64_t tokens);
  void allocate_to(Sequence& sequence, std::int64_t tokens);
  void give_back(Sequence& sequence, std::int64_t begin_pages, std::int64_t end_pages);
  void cache_unfinished(Sequence& sequence, std::int64_t tokens);
  void release(Sequence& sequence, bool keep);
  void need_contents(Sequence& sequence, std::size_t pages);
  void prompt_contents(const Request& request, std::vector<PageContent>& contents);

  SglangOptions options_;
  std::int64_t hash_tokens_;
  SglangPageAllocator allocator_;
  SglangRadixCache tree_;
  ContentChain chain_;                                    // when pages do not divide hash blocks
  std::unordered_map<std::int64_t, std::int64_t> dense_;  // hash id -> 0, 1, 2, ... when they do
  PageContent own_contents_ = 0;                          // counts down

  std::deque<Owned> waiting_;
  std::vector<Owned> running_;  // decoding, in order of the batch
  std::vector<Owned> last_;     // unfinished prefills of the step before, the chunked one not among them
  bool last_shrank_ = false;    // that batch had more: a chunk, or requests that finished
  Owned chunked_;
  bool full_ = false;  // batch_is_full: do not try to admit before somebody leaves
  double first_ratio_, least_ratio_, ratio_;
};

}  // namespace assay
