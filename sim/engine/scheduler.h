// vLLM-v1's scheduler and KV-cache manager, rule by rule.
//
// One step:
//   1 running, in order of admission: each gets its next tokens (one when decoding, a chunk when in
//     prefill) while the token budget lasts. A sequence that finds no block preempts the newest running
//     one, until it fits or is itself the newest.
//   2 waiting, in order, only if nobody was preempted in this step: look up the prompt's leading full
//     blocks in the prefix cache (never all tokens: at least one must be computed), and admit while
//     budget, sequence limit and blocks last. The first that does not fit ends the admission.
//   3 all scheduled tokens are computed; a sequence whose known tokens are all computed generates one.
//     Finished sequences give their blocks back, tail first.
//
// Blocks needed by an admission: ceil(tokens / block) - hits + hits that lie in the free queue (a hit
// there uses up a free block). The watermark is kept free of admissions while anything runs. With
// whole_prompt_admission (vLLM's default) an admission must have room for all its known tokens, not
// only for the first chunk. A block is published when the step that fills it is scheduled. Preemption
// is by recompute: blocks are released, contents stay hittable, the sequence goes to the head of the
// queue with nothing computed.
//
// No clock, no trace: the caller submits sequences and calls step().
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "sim/engine/block_pool.h"
#include "sim/engine/sequence.h"

namespace assay {

// Where released blocks wait whose content was never published (a last block that is not full). vLLM appended
// all blocks up to the summer of 2026 (kAppend); since its change #42656 those that can never be hit go to the
// front (kUnpublishedFirst). Without prefix caching everything is appended.
enum class FreeOrder { kAppend, kUnpublishedFirst };

struct SchedulerOptions {
  std::int32_t blocks = 0;
  std::int32_t block_tokens = 16;
  std::int64_t token_budget = 8192;
  std::int32_t max_sequences = 256;
  std::int64_t long_prefill_tokens = 0;  // 0 = chunks as large as the budget
  double watermark = 0.0;                // share of the pool
  std::int32_t window_tokens = 0;        // sliding window; 0 = full attention
  bool whole_prompt_admission = true;
  bool prefix_caching = true;
  FreeOrder free_order = FreeOrder::kAppend;
};

// What happened to one sequence in a step.
struct ScheduledSequence {
  std::int32_t sequence = 0;          // handle
  std::int64_t tokens = 0;            // scheduled
  std::int64_t computed_before = 0;   // hits included
  std::int64_t hit_tokens = 0;        // found in the prefix cache at this admission
  std::int32_t new_blocks_begin = 0;  // its table grew from here
  bool admitted = false;              // first admission
  bool resumed = false;               // admission after a preemption
  bool decode = false;                // generates from a single new token
};

// Why an admission's blocks were not hits, counted in blocks of the known tokens.
struct AdmissionLookup {
  std::int64_t references = 0;  // ceil(known tokens / block)
  std::int64_t hits = 0;
  std::int64_t any_hits = 0;  // present, also behind the first miss
  std::int64_t cap = 0;       // present, but the last token must be computed
  std::int64_t partial = 0;   // a last block that is not full can never be hit
};

struct StepRecord {
  std::vector<ScheduledSequence> scheduled;  // in the order in which they were scheduled
  std::vector<AdmissionLookup> lookups;      // of the admissions, in order
  std::vector<std::int32_t> preempted;       // handles, in order
  std::vector<std::int32_t> finished;        // handles; valid until the next step
  std::int64_t tokens = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // Could this request ever run to its end? If not it must not be submitted.
  [[nodiscard]] bool fits(std::int64_t prompt_tokens, std::int64_t output_tokens) const;

  // The handle of a fresh sequence for the caller to fill in and then submit. Handles are used again after
  // their sequence has finished and the next step has begun.
  [[nodiscard]] std::int32_t create();
  void submit(std::int32_t handle);

  // Schedules; the record's `finished` is filled by complete().
  void schedule(StepRecord& record);
  // The scheduled tokens have been computed: generates tokens, finds who is finished. Their blocks are
  // still held, so that the pool can be looked at as the step saw it.
  void complete(StepRecord& record);
  // Gives back the blocks of the finished sequences, in order.
  void release_finished(const StepRecord& record);

  [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }
  [[nodiscard]] const Sequence& sequence(std::int32_t handle) const { return *sequences_[index(handle)]; }
  [[nodiscard]] Sequence& sequence(std::int32_t handle) { return *sequences_[index(handle)]; }
  [[nodiscard]] const std::vector<std::int32_t>& running() const { return running_; }
  [[nodiscard]] const std::deque<std::int32_t>& waiting() const { return waiting_; }
  [[nodiscard]] const BlockPool& pool() const { return pool_; }
  [[nodiscard]] const SchedulerOptions& options() const { return options_; }
  [[nodiscard]] std::int64_t preemption_count() const { return preemption_count_; }

  // Token slots of owned blocks that hold a token; a shared block counts once.
  [[nodiscard]] std::int64_t live_slots() const { return live_slots_; }
  // Over running sequences: table entries, runs of consecutive ids, sequences whose table is one run.
  [[nodiscard]] std::int64_t table_blocks() const { return table_blocks_; }
  [[nodiscard]] std::int64_t table_runs() const { return table_runs_; }
  [[nodiscard]] std::int64_t single_run_sequences() const { return single_run_sequences_; }

  // Pool invariants, and that tables and counts agree. Aborts when they do not.
  void check_invariants() const;

 private:
  static std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] bool has_room(const Sequence& sequence, std::int64_t tokens, bool admission) const;
  // Takes what has_room() promised: hits, fresh blocks; publishes what this step fills.
  void allocate(Sequence& sequence, std::int64_t tokens);
  // Free blocks that `sequence` needs for a table of `table_blocks`, its hits taken into account.
  [[nodiscard]] std::int64_t blocks_to_take(const Sequence& sequence, std::int64_t table_blocks) const;
  // The most blocks that a sequence with a sliding window holds at a time.
  [[nodiscard]] std::int64_t window_blocks() const;
  void find_hits(const Sequence& sequence);
  [[nodiscard]] AdmissionLookup look_up(const Sequence& sequence) const;
  [[nodiscard]] BlockContent content_at(const Sequence& sequence, std::int64_t block) const;
  void append_block(Sequence& sequence, std::int32_t block);
  void release_table(Sequence& sequence);
  void skip_window(Sequence& sequence);
  void preempt_newest(StepRecord& record);
  // Blocks are given back one by one, in the order in which they shall be handed out; end_giving_back() closes
  // the batch.
  void give_back(std::int32_t block);
  void end_giving_back();
  void disown(std::int32_t block, QueueEnd end);

  SchedulerOptions options_;
  BlockPool pool_;
  std::int32_t watermark_blocks_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<std::int32_t> free_handles_, finished_handles_;
  std::vector<std::int32_t> running_;
  std::deque<std::int32_t> waiting_;
  std::vector<std::int32_t> hits_;     // of the admission in progress
  std::vector<std::int32_t> fronts_;   // given back in this batch and bound for the front of the queue
  std::vector<std::int32_t> written_;  // [blocks] slots that hold a token
  std::int64_t next_own_content_ = kOwnContents;
  std::int64_t preemption_count_ = 0;
  std::int64_t live_slots_ = 0;
  std::int64_t table_blocks_ = 0, table_runs_ = 0, single_run_sequences_ = 0;
};

}  // namespace assay
