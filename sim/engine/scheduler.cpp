#include "sim/engine/scheduler.h"

#include <algorithm>
#include <string>

#include "model/core/paged_layout.h"

namespace assay {
namespace {

const SchedulerOptions& checked(const SchedulerOptions& o) {
  const auto want = [](bool holds, const char* place, const char* expected, auto got) {
    if (!holds) throw InputError(place, expected, std::to_string(got));
  };
  want(o.blocks >= 2, "--blocks", "at least 2 (one is the null block)", o.blocks);
  want(o.block_tokens >= 1, "--block-tokens", "at least 1", o.block_tokens);
  want(o.token_budget >= 1, "--token-budget", "at least 1", o.token_budget);
  want(o.max_sequences >= 1, "--max-sequences", "at least 1", o.max_sequences);
  want(o.long_prefill_tokens >= 0, "--long-prefill-tokens", "0 (no limit) or more", o.long_prefill_tokens);
  want(o.watermark >= 0 && o.watermark < 1, "--watermark", "a share of the pool in [0, 1)", o.watermark);
  want(o.window_tokens >= 0, "--window", "0 (none) or more tokens", o.window_tokens);
  return o;
}

// A request for no output still runs its prompt, which yields one token.
bool done(const Sequence& s) { return s.generated_tokens >= std::max<std::int64_t>(s.output_tokens, 1); }

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(checked(options)),
      pool_(options.blocks),
      watermark_blocks_(static_cast<std::int32_t>(options.watermark * options.blocks)),
      written_(static_cast<std::size_t>(options.blocks), 0) {}

bool Scheduler::fits(std::int64_t prompt_tokens, std::int64_t output_tokens) const {
  // The last generated token is never written.
  const std::int64_t tokens = prompt_tokens + std::max<std::int64_t>(output_tokens, 1) - 1;
  std::int64_t blocks = ceil_div(tokens, options_.block_tokens);
  if (options_.window_tokens > 0) blocks = std::min(blocks, window_blocks());
  return blocks <= pool_.blocks() - 1;
}

// The window behind the first token of the largest step, and one block because neither end is at a border.
std::int64_t Scheduler::window_blocks() const {
  return ceil_div(options_.window_tokens - 1 + options_.token_budget, options_.block_tokens) + 1;
}

std::int32_t Scheduler::create() {
  if (free_handles_.empty()) {
    sequences_.push_back(std::make_unique<Sequence>());
    return static_cast<std::int32_t>(sequences_.size()) - 1;
  }
  const std::int32_t handle = free_handles_.back();
  free_handles_.pop_back();
  Sequence& old = sequence(handle);
  Sequence fresh;
  fresh.contents = std::move(old.contents);
  fresh.blocks = std::move(old.blocks);
  fresh.contents.clear();
  fresh.blocks.clear();
  old = std::move(fresh);
  return handle;
}

void Scheduler::submit(std::int32_t handle) {
  Sequence& s = sequence(handle);
  ASSAY_CHECK_GE(s.prompt_tokens, 1);
  ASSAY_CHECK(fits(s.prompt_tokens, s.output_tokens), "a sequence that can never fit was submitted");
  s.own_content_base = next_own_content_;
  next_own_content_ += ceil_div(s.prompt_tokens + s.output_tokens, options_.block_tokens) + 1;
  waiting_.push_back(handle);
}

BlockContent Scheduler::content_at(const Sequence& s, std::int64_t block) const {
  const auto at = static_cast<std::size_t>(block);
  return at < s.contents.size() ? s.contents[at] : s.own_content_base + block;
}

// Leading full blocks that are in the pool, short of the last known token. With a window only the blocks that
// the window still sees must be there: the search goes from the right, what lies before is the null block.
void Scheduler::find_hits(const Sequence& s) {
  hits_.clear();
  if (!options_.prefix_caching) return;
  const std::int64_t most = (s.tokens() - 1) / options_.block_tokens;
  if (options_.window_tokens == 0) {
    for (std::int64_t i = 0; i < most; ++i) {
      const std::int32_t block = pool_.find(content_at(s, i));
      if (block < 0) break;
      hits_.push_back(block);
    }
    return;
  }
  const std::int64_t needed = ceil_div(options_.window_tokens - 1, options_.block_tokens);
  hits_.assign(static_cast<std::size_t>(most), BlockPool::kNullBlock);
  std::int64_t run = 0;
  for (std::int64_t i = most - 1; i >= 0; --i) {
    const std::int32_t block = pool_.find(content_at(s, i));
    run = block < 0 ? 0 : run + 1;
    hits_[static_cast<std::size_t>(i)] = std::max(block, BlockPool::kNullBlock);
    if (block >= 0 && run >= needed) {
      hits_.resize(static_cast<std::size_t>(i + run));
      return;
    }
  }
  hits_.resize(static_cast<std::size_t>(run));  // what begins the prompt counts even when it is short
}

AdmissionLookup Scheduler::look_up(const Sequence& s) const {
  AdmissionLookup lookup;
  lookup.references = ceil_div(s.tokens(), options_.block_tokens);
  lookup.hits = static_cast<std::int64_t>(hits_.size());
  const std::int64_t full = s.tokens() / options_.block_tokens;
  lookup.partial = lookup.references - full;
  for (std::int64_t i = 0; i < full; ++i) lookup.any_hits += pool_.find(content_at(s, i)) >= 0;
  if (full * options_.block_tokens == s.tokens() && lookup.hits == full - 1 &&
      pool_.find(content_at(s, full - 1)) >= 0)
    lookup.cap = 1;
  return lookup;
}

std::int64_t Scheduler::blocks_to_take(const Sequence& s, std::int64_t table_blocks) const {
  const auto in_queue = std::count_if(hits_.begin(), hits_.end(), [&](std::int32_t block) {
    return block != BlockPool::kNullBlock && pool_.owners(block) == 0;
  });
  const std::int64_t held = static_cast<std::int64_t>(s.blocks.size() + hits_.size());
  return std::max<std::int64_t>(0, table_blocks - held) + in_queue;
}

bool Scheduler::has_room(const Sequence& s, std::int64_t tokens, bool admission) const {
  const std::int64_t hit_tokens = static_cast<std::int64_t>(hits_.size()) * options_.block_tokens;
  const std::int64_t watermark = admission && !running_.empty() ? watermark_blocks_ : 0;
  if (admission && options_.whole_prompt_admission) {
    std::int64_t whole = ceil_div(s.tokens(), options_.block_tokens);
    if (options_.window_tokens > 0) whole = std::min(whole, window_blocks());
    if (blocks_to_take(s, whole) + watermark > pool_.free_blocks()) return false;
  }
  const std::int64_t now = ceil_div(s.computed_tokens + hit_tokens + tokens, options_.block_tokens);
  return blocks_to_take(s, now) + watermark <= pool_.free_blocks();
}

void Scheduler::append_block(Sequence& s, std::int32_t block) {
  const bool joins = !s.blocks.empty() && s.blocks.back() + 1 == block;
  single_run_sequences_ -= s.runs == 1;
  if (!joins) ++s.runs, ++table_runs_;
  single_run_sequences_ += s.runs == 1;
  s.blocks.push_back(block);
  ++table_blocks_;
}

void Scheduler::allocate(Sequence& s, std::int64_t tokens) {
  for (const std::int32_t block : hits_) {
    if (block != BlockPool::kNullBlock) {
      if (pool_.owners(block) == 0) live_slots_ += written_[index(block)] = options_.block_tokens;
      pool_.touch(block);
    }
    append_block(s, block);
  }
  s.published_blocks += static_cast<std::int32_t>(hits_.size());
  s.computed_tokens += static_cast<std::int64_t>(hits_.size()) * options_.block_tokens;
  hits_.clear();
  const std::int64_t held = s.computed_tokens + tokens;
  for (std::int64_t i = static_cast<std::int64_t>(s.blocks.size()); i < ceil_div(held, options_.block_tokens);
       ++i) {
    const std::int32_t block = pool_.take();
    written_[index(block)] = 0;
    append_block(s, block);
  }
  if (!options_.prefix_caching) return;
  const auto full = static_cast<std::int32_t>(std::min(held, s.tokens()) / options_.block_tokens);
  for (; s.published_blocks < full; ++s.published_blocks)
    pool_.publish(s.blocks[index(s.published_blocks)], content_at(s, s.published_blocks));
}

void Scheduler::disown(std::int32_t block, QueueEnd end) {
  pool_.release(block, end);
  if (pool_.owners(block) == 0) live_slots_ -= written_[index(block)];
}

void Scheduler::give_back(std::int32_t block) {
  if (block == BlockPool::kNullBlock) return;
  if (options_.free_order == FreeOrder::kUnpublishedFirst && options_.prefix_caching &&
      pool_.content(block) == kNoContent)
    fronts_.push_back(block);
  else
    disown(block, QueueEnd::kBack);
}

void Scheduler::end_giving_back() {
  for (; !fronts_.empty(); fronts_.pop_back()) disown(fronts_.back(), QueueEnd::kFront);
}

// Blocks whose tokens no later token can see become the null block; the youngest of them is released first.
void Scheduler::skip_window(Sequence& s) {
  if (options_.window_tokens == 0) return;
  const std::int64_t last_useful = s.computed_tokens - options_.window_tokens + 1;
  if (last_useful <= 0) return;
  const auto end = static_cast<std::int32_t>(last_useful / options_.block_tokens);
  for (std::int32_t i = std::min(end, static_cast<std::int32_t>(s.blocks.size())) - 1; i >= s.skipped_blocks;
       --i) {
    give_back(s.blocks[index(i)]);
    s.blocks[index(i)] = BlockPool::kNullBlock;
  }
  end_giving_back();
  s.skipped_blocks = std::max(s.skipped_blocks, std::min(end, static_cast<std::int32_t>(s.blocks.size())));
}

void Scheduler::release_table(Sequence& s) {
  for (std::size_t i = s.blocks.size(); i-- > 0;) give_back(s.blocks[i]);
  end_giving_back();
  table_blocks_ -= static_cast<std::int64_t>(s.blocks.size());
  table_runs_ -= s.runs;
  single_run_sequences_ -= s.runs == 1;
  s.blocks.clear();
  s.runs = 0;
  s.published_blocks = 0;
  s.skipped_blocks = 0;
}

void Scheduler::preempt_newest(StepRecord& record) {
  const std::int32_t handle = running_.back();
  running_.pop_back();
  Sequence& s = sequence(handle);
  release_table(s);
  s.computed_tokens = 0;
  ++s.preemptions;
  ++preemption_count_;
  waiting_.push_front(handle);
  record.preempted.push_back(handle);
}

void Scheduler::schedule(StepRecord& record) {
  record.scheduled.clear();
  record.lookups.clear();
  record.preempted.clear();
  record.finished.clear();
  record.tokens = 0;
  free_handles_.insert(free_handles_.end(), finished_handles_.begin(), finished_handles_.end());
  finished_handles_.clear();
  std::int64_t budget = options_.token_budget;
  const auto chunk_of = [&](std::int64_t wanted) {
    if (options_.long_prefill_tokens > 0) wanted = std::min(wanted, options_.long_prefill_tokens);
    return std::min(wanted, budget);
  };
  const auto enter = [&](std::int32_t handle, std::int64_t tokens, std::int32_t new_blocks_begin) {
    const Sequence& s = sequence(handle);
    ScheduledSequence scheduled;
    scheduled.sequence = handle;
    scheduled.tokens = tokens;
    scheduled.computed_before = s.computed_tokens;
    scheduled.new_blocks_begin = new_blocks_begin;
    scheduled.decode = tokens == 1 && s.generated_tokens > 0 && s.computed_tokens == s.tokens() - 1;
    record.scheduled.push_back(scheduled);
    record.tokens += tokens;
    budget -= tokens;
  };

  hits_.clear();
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const std::int32_t handle = running_[i];
    Sequence& s = sequence(handle);
    const std::int64_t tokens = chunk_of(s.tokens() - s.computed_tokens);
    skip_window(s);
    bool self_preempted = false;
    while (!has_room(s, tokens, false)) {
      self_preempted = running_.back() == handle;
      preempt_newest(record);
      if (self_preempted) break;
    }
    if (self_preempted) break;
    const auto new_blocks_begin = static_cast<std::int32_t>(s.blocks.size());
    allocate(s, tokens);
    enter(handle, tokens, new_blocks_begin);
  }

  while (record.preempted.empty() && !waiting_.empty() && budget > 0 &&
         static_cast<std::int32_t>(running_.size()) < options_.max_sequences) {
    const std::int32_t handle = waiting_.front();
    Sequence& s = sequence(handle);
    find_hits(s);
    const std::int64_t hit_tokens = static_cast<std::int64_t>(hits_.size()) * options_.block_tokens;
    const std::int64_t tokens = chunk_of(s.tokens() - hit_tokens);
    if (!has_room(s, tokens, true)) break;
    record.lookups.push_back(look_up(s));
    allocate(s, tokens);
    waiting_.pop_front();
    running_.push_back(handle);
    enter(handle, tokens, 0);
    record.scheduled.back().hit_tokens = hit_tokens;
    (s.preemptions == 0 ? record.scheduled.back().admitted : record.scheduled.back().resumed) = true;
  }
  hits_.clear();
}

void Scheduler::complete(StepRecord& record) {
  for (const ScheduledSequence& scheduled : record.scheduled) {
    Sequence& s = sequence(scheduled.sequence);
    for (std::int64_t left = scheduled.tokens; left > 0;) {
      const std::int64_t offset = s.computed_tokens % options_.block_tokens;
      const std::int64_t count = std::min(left, options_.block_tokens - offset);
      written_[index(s.blocks[static_cast<std::size_t>(s.computed_tokens / options_.block_tokens)])] +=
          static_cast<std::int32_t>(count);
      s.computed_tokens += count;
      live_slots_ += count;
      left -= count;
    }
    if (s.computed_tokens < s.tokens()) continue;
    ++s.generated_tokens;
    if (done(s)) record.finished.push_back(scheduled.sequence);
  }
}

void Scheduler::release_finished(const StepRecord& record) {
  if (record.finished.empty()) return;
  for (const std::int32_t handle : record.finished) {
    release_table(sequence(handle));
    finished_handles_.push_back(handle);
  }
  running_.erase(std::remove_if(running_.begin(), running_.end(),
                                [&](std::int32_t handle) { return done(sequence(handle)); }),
                 running_.end());
}

void Scheduler::check_invariants() const {
  pool_.check_invariants();
  std::vector<std::int32_t> owners(static_cast<std::size_t>(pool_.blocks()), 0);
  std::int64_t blocks = 0, runs = 0, single = 0, live = 0;
  for (const std::int32_t handle : running_) {
    const Sequence& s = sequence(handle);
    std::int32_t own_runs = 0;
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      if (s.blocks[i] != BlockPool::kNullBlock) ++owners[index(s.blocks[i])];
      own_runs += i == 0 || s.blocks[i - 1] + 1 != s.blocks[i];
    }
    if (options_.window_tokens == 0) {
      ASSAY_CHECK_EQ(own_runs, s.runs);
      ASSAY_CHECK_LE(s.computed_tokens, static_cast<std::int64_t>(s.blocks.size()) * options_.block_tokens);
    }
    for (std::int32_t i = 0; i < s.published_blocks; ++i)
      if (s.blocks[index(i)] != BlockPool::kNullBlock)
        ASSAY_CHECK_EQ(pool_.content(s.blocks[index(i)]), content_at(s, i));
    blocks += static_cast<std::int64_t>(s.blocks.size());
    runs += s.runs;
    single += s.runs == 1;
  }
  for (std::int32_t block = 1; block < pool_.blocks(); ++block) {
    ASSAY_CHECK_EQ(owners[index(block)], pool_.owners(block));
    if (pool_.owners(block) > 0) live += written_[index(block)];
  }
  for (const std::int32_t handle : waiting_)
    ASSAY_CHECK(sequence(handle).blocks.empty(), "a waiting sequence owns blocks");
  ASSAY_CHECK_EQ(blocks, table_blocks_);
  ASSAY_CHECK_EQ(runs, table_runs_);
  ASSAY_CHECK_EQ(single, single_run_sequences_);
  ASSAY_CHECK_EQ(live, live_slots_);
}

}  // namespace assay
