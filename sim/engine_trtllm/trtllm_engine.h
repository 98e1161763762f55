// TensorRT-LLM's in-flight batching with GUARANTEED_NO_EVICT, its default: a request starts only when all
// blocks that it and everybody running will ever need are free, so nobody is ever paused.
//
//   step:  1  capacity (capacityScheduler.cpp): running requests first; what is free minus what they still
//             need to their promised end is available. Waiting requests in order, each needs
//             ceil((prompt + promised outputs) / block) blocks, reuse not credited; the first that does not
//             fit ends it. A request whose next new prompt block is being computed by an earlier one is
//             passed over this step (it will find that block later).
//          2  token budget (max_num_tokens): one token per running request first, then prompts; a prompt
//             that does not fit is cut to whole blocks (chunked context) or waits.
//          3  everybody runs; a finished prompt's full blocks, and at its end all of a request's blocks, go
//             to the reuse tree
//
// Left out: MAX_UTILIZATION and static batching, host memory, several windows, beams, draft tokens,
// overlap of two micro-batches. Promised outputs (max_new_tokens) are taken to be the recorded ones.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "model/core/ids.h"
#include "sim/engine_trtllm/block_key.h"
#include "sim/engine_trtllm/reuse_pool.h"
#include "traces/request.h"

namespace assay {

struct TrtllmOptions {
  TrtllmReusePool::Options pool;
  std::int64_t max_batch_size = 2048;
  std::int64_t max_num_tokens = 8192;
  bool chunked_context = true;
  // Retention (0 .. 100) of a prompt's blocks that begin before head_tokens, of its others, of outputs.
  std::int64_t head_tokens = 0;
  int head_priority = TrtllmReusePool::kDefaultPriority;
  int prompt_priority = TrtllmReusePool::kDefaultPriority;
  int decode_priority = TrtllmReusePool::kDefaultPriority;
};

// Slots of the pool after a step; they sum to it. Promised blocks count as reserved, taken from the empty
// ones first and then from the cached ones.
struct TrtllmLedger {
  std::int64_t live = 0, tail = 0, reserved = 0, cached_idle = 0, free = 0;
  [[nodiscard]] std::int64_t sum() const { return live + tail + reserved + cached_idle + free; }
};

struct TrtllmAdmission {
  RequestId request;
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;
  std::int64_t copied_tokens = 0;
};

struct TrtllmStep {
  struct Chunk {
    std::int64_t tokens = 0, context_tokens = 0;  // computed now; in the cache afterwards
  };
  std::int64_t scheduled_tokens = 0;  // 0: there was nothing to do
  std::vector<TrtllmAdmission> admitted;
  std::vector<RequestId> decoded;
  std::vector<std::int64_t> decode_contexts;  // of `decoded`: tokens each attends to, the new one included
  std::vector<Chunk> chunks;
  std::vector<RequestId> first_tokens;  // whose prompt is complete
  std::vector<RequestId> passed_over;   // waits for a block that an earlier request computes
  std::vector<RequestId> finished;
};

class TrtllmEngine {
 public:
  TrtllmEngine(const TrtllmOptions& options, std::int32_t hash_tokens);

  // False, and no change, for a request that can never be served.
  [[nodiscard]] bool submit(const Request& request, RequestId id);
  TrtllmStep step();

  [[nodiscard]] bool idle() const { return waiting_.empty() && running_.empty(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  [[nodiscard]] TrtllmLedger ledger() const;
  [[nodiscard]] const TrtllmReusePool& pool() const { return pool_; }
  // Calls see(blocks) for the table of everybody who has one.
  template <typename See>
  void for_each_table(See see) const {
    for (const Owned& sequence : running_) see(sequence->blocks);
  }
  [[nodiscard]] std::vector<BlockId> table(RequestId id) const;
  void check_invariants() const;

 private:
  struct Sequence {
    RequestId id;
    std::int64_t input_tokens = 0, promised_tokens = 0, output_tokens = 0;
    std::int64_t written_tokens = 0;
    std::vector<BlockId> blocks;
    TrtllmTokens tokens;
    bool decoding = false;
  };
  using Owned = std::unique_ptr<Sequence>;

  [[nodiscard]] std::int64_t blocks_to_completion(const Sequence& sequence) const;
  // Moves what capacity and the token budget allow from waiting_ to running_; `promised`: blocks that the
  // running still need.
  void admit(TrtllmStep& step, std::vector<std::pair<Sequence*, std::int64_t>>& prompts,
             std::int64_t tokens_left, std::int64_t promised);
  [[nodiscard]] std::int64_t start(Sequence& sequence, std::int64_t tokens, TrtllmStep& step);
  // Tokens of the next chunk of a prompt, 0 when it must wait.
  [[nodiscard]] std::int64_t chunk(std::int64_t remaining, std::int64_t tokens_left) const;
  void run_prompt(Sequence& sequence, std::int64_t tokens);
  void finish(Sequence& sequence, TrtllmStep& step);
  void note_written(const Sequence& sequence, std::int64_t begin, std::int64_t end);

  TrtllmOptions options_;
  std::int64_t hash_tokens_;
  TrtllmReusePool pool_;
  std::int64_t own_names_ = 0;  // counts down
  std::deque<Owned> waiting_;
  std::vector<Owned> running_;               // in order of admission
  std::vector<std::int32_t> live_in_block_;  // [blocks] tokens written, 0 when nobody runs with it
  std::int64_t live_slots_ = 0;              // their sum
};

}  // namespace assay
