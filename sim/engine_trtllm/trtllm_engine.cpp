#include "sim/engine_trtllm/trtllm_engine.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {

TrtllmEngine::TrtllmEngine(const TrtllmOptions& options, std::int32_t hash_tokens)
    : options_(options),
      hash_tokens_(hash_tokens),
      pool_(options.pool),
      live_in_block_(static_cast<std::size_t>(options.pool.blocks), 0) {
  const auto want = [](bool holds, const char* place, const std::string& expected, std::int64_t got) {
    if (!holds) throw InputError(place, expected, std::to_string(got));
  };
  want(hash_tokens >= 0, "hash_tokens", "at least 0", hash_tokens);
  want(options.max_batch_size > 0, "max_batch_size", "at least 1", options.max_batch_size);
  want(options.max_num_tokens >= (options.chunked_context ? options.pool.block_tokens : 1), "max_num_tokens",
       "at least one block", options.max_num_tokens);
  for (const int priority : {options.head_priority, options.prompt_priority, options.decode_priority})
    want(priority >= 0 && priority < TrtllmReusePool::kPriorities, "retention priority", "0 to 100",
         priority);
}

bool TrtllmEngine::submit(const Request& request, RequestId id) {
  const std::int64_t in = request.input_tokens, out = request.output_tokens;
  if (in <= 0 || out < 0) return false;
  if (ceil_div(in + out, options_.pool.block_tokens) > pool_.blocks()) return false;
  if (!options_.chunked_context && in > options_.max_num_tokens) return false;
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  sequence->input_tokens = in;
  sequence->promised_tokens = out;
  sequence->tokens = TrtllmTokens(request, hash_tokens_, --own_names_);
  waiting_.push_back(std::move(sequence));
  return true;
}

std::int64_t TrtllmEngine::blocks_to_completion(const Sequence& sequence) const {
  return ceil_div(sequence.input_tokens + sequence.promised_tokens, options_.pool.block_tokens) -
         static_cast<std::int64_t>(sequence.blocks.size());
}

std::int64_t TrtllmEngine::chunk(std::int64_t remaining, std::int64_t tokens_left) const {
  if (remaining <= tokens_left) return remaining;
  return options_.chunked_context ? tokens_left / options_.pool.block_tokens * options_.pool.block_tokens : 0;
}

TrtllmStep TrtllmEngine::step() {
  TrtllmStep step;
  std::int64_t tokens_left = options_.max_num_tokens, promised = 0;
  for (const Owned& sequence : running_) promised += blocks_to_completion(*sequence);

  // Who runs: decoders first, then prompts in order of admission, then newcomers.
  std::vector<Sequence*> decoders;
  std::vector<std::pair<Sequence*, std::int64_t>> prompts;
  for (const Owned& sequence : running_)
    if (sequence->decoding && tokens_left > 0) {
      decoders.push_back(sequence.get());
      --tokens_left;
    }
  for (const Owned& sequence : running_)
    if (!sequence->decoding)
      if (const std::int64_t tokens = chunk(sequence->input_tokens - sequence->written_tokens, tokens_left);
          tokens > 0) {
        prompts.emplace_back(sequence.get(), tokens);
        tokens_left -= tokens;
      }
  admit(step, prompts, tokens_left, promised);

  for (Sequence* sequence : decoders)
    if (sequence->written_tokens % options_.pool.block_tokens == 0)
      sequence->blocks.push_back(pool_.allocate(options_.decode_priority));
  for (Sequence* sequence : decoders) {
    note_written(*sequence, sequence->written_tokens, sequence->written_tokens + 1);
    ++sequence->written_tokens;
    ++sequence->output_tokens;
    ++step.scheduled_tokens;
    step.decoded.push_back(sequence->id);
    step.decode_contexts.push_back(sequence->written_tokens);
  }
  for (const auto& [sequence, tokens] : prompts) {
    run_prompt(*sequence, tokens);
    step.scheduled_tokens += tokens;
    step.chunks.push_back({tokens, sequence->written_tokens});
    if (sequence->decoding) step.first_tokens.push_back(sequence->id);
  }
  std::size_t kept = 0;
  for (Owned& sequence : running_) {
    if (sequence->decoding && sequence->output_tokens >= sequence->promised_tokens)
      finish(*sequence, step);
    else
      running_[kept++] = std::move(sequence);
  }
  running_.resize(kept);
  ASSAY_CHECK(step.scheduled_tokens > 0 || idle(), "trtllm: requests wait and none can run");
  return step;
}

void TrtllmEngine::admit(TrtllmStep& step, std::vector<std::pair<Sequence*, std::int64_t>>& prompts,
                         std::int64_t tokens_left, std::int64_t promised) {
  const std::int64_t block_tokens = options_.pool.block_tokens;
  std::int64_t available = pool_.free_blocks() - promised;
  auto scheduled = static_cast<std::int64_t>(running_.size());
  // The first prompt block that each prompt computes and the tree does not have yet, with all before it.
  std::set<std::vector<TrtllmBlockKey>> computed;
  const auto computes_known_block = [&](const Sequence& sequence) {
    std::vector<TrtllmBlockKey> keys = sequence.tokens.keys(sequence.input_tokens, block_tokens, false);
    const std::size_t stored = pool_.stored_prefix(keys);
    if (stored == keys.size()) return false;
    keys.resize(stored + 1);
    return !computed.insert(std::move(keys)).second;
  };
  if (options_.pool.reuse)
    for (const Owned& sequence : running_)
      if (!sequence->decoding) (void)computes_known_block(*sequence);

  std::deque<Owned> left;
  bool open = true;  // capacity and tokens have not ended the admission
  while (!waiting_.empty()) {
    Owned sequence = std::move(waiting_.front());
    waiting_.pop_front();
    const bool passed = open && options_.pool.reuse && computes_known_block(*sequence);
    if (passed) step.passed_over.push_back(sequence->id);
    if (open && !passed) {
      const std::int64_t needed = blocks_to_completion(*sequence);
      open = scheduled < options_.max_batch_size && needed <= available;
      if (open) {
        ++scheduled;
        available -= needed;
        const std::int64_t tokens = chunk(sequence->input_tokens, tokens_left);
        if (tokens > 0) {
          tokens_left -= tokens;
          prompts.emplace_back(sequence.get(), start(*sequence, tokens, step));
          running_.push_back(std::move(sequence));
          continue;
        }
        open = options_.chunked_context;  // without chunks the first that does not fit ends it
      }
    }
    left.push_back(std::move(sequence));
    if (!open) break;
  }
  while (!left.empty()) {
    waiting_.push_front(std::move(left.back()));
    left.pop_back();
  }
}

// Gets all blocks of its prompt; what is reused needs no computing. Returns the tokens of its first chunk.
std::int64_t TrtllmEngine::start(Sequence& sequence, std::int64_t tokens, TrtllmStep& step) {
  const std::int64_t block_tokens = options_.pool.block_tokens;
  const bool retained =
      options_.head_tokens > 0 || options_.prompt_priority != TrtllmReusePool::kDefaultPriority;
  std::vector<std::optional<int>> priorities;
  for (std::int64_t begin = 0; begin < sequence.input_tokens; begin += block_tokens) {
    const int priority = begin < options_.head_tokens ? options_.head_priority : options_.prompt_priority;
    priorities.push_back(retained ? std::optional<int>(priority) : std::nullopt);
  }
  TrtllmReusePool::Added added = pool_.add_sequence(
      sequence.tokens.keys(sequence.input_tokens - 1, block_tokens, true), sequence.input_tokens, priorities);
  sequence.blocks = std::move(added.blocks);
  sequence.written_tokens = added.reused_tokens;
  note_written(sequence, 0, added.reused_tokens);
  step.admitted.push_back({sequence.id, sequence.input_tokens, added.reused_tokens, added.copied_tokens});
  const std::int64_t end = added.reused_tokens + tokens;
  if (end >= sequence.input_tokens) return sequence.input_tokens - added.reused_tokens;
  return end / block_tokens * block_tokens - added.reused_tokens;
}

void TrtllmEngine::run_prompt(Sequence& sequence, std::int64_t tokens) {
  note_written(sequence, sequence.written_tokens, sequence.written_tokens + tokens);
  sequence.written_tokens += tokens;
  if (sequence.written_tokens < sequence.input_tokens) return;
  sequence.decoding = true;
  sequence.output_tokens = 1;
  pool_.store(sequence.tokens.keys(sequence.input_tokens - 1, options_.pool.block_tokens, false),
              sequence.blocks);
}

void TrtllmEngine::finish(Sequence& sequence, TrtllmStep& step) {
  pool_.store(sequence.tokens.keys(sequence.written_tokens, options_.pool.block_tokens, true),
              sequence.blocks);
  pool_.release(sequence.blocks);
  for (const BlockId block : sequence.blocks)
    if (pool_.owners(block) == 0)
      live_slots_ -= std::exchange(live_in_block_[static_cast<std::size_t>(block.value())], 0);
  step.finished.push_back(sequence.id);
}

// The tokens [begin, end) of the sequence are in its blocks now.
void TrtllmEngine::note_written(const Sequence& sequence, std::int64_t begin, std::int64_t end) {
  const std::int64_t block_tokens = options_.pool.block_tokens;
  for (std::int64_t i = begin / block_tokens; i * block_tokens < end; ++i) {
    std::int32_t& live =
        live_in_block_[static_cast<std::size_t>(sequence.blocks[static_cast<std::size_t>(i)].value())];
    const auto now = static_cast<std::int32_t>(std::min(block_tokens, end - i * block_tokens));
    if (now <= live) continue;  // shared, and full already
    live_slots_ += now - live;
    live = now;
  }
}

TrtllmLedger TrtllmEngine::ledger() const {
  const std::int64_t block_tokens = options_.pool.block_tokens;
  std::int64_t promised = 0;
  for (const Owned& sequence : running_) promised += blocks_to_completion(*sequence);
  const std::int64_t cached = pool_.cached_free_blocks(), empty = pool_.free_blocks() - cached;
  TrtllmLedger ledger;
  ledger.live = live_slots_;
  ledger.tail = (pool_.blocks() - pool_.free_blocks()) * block_tokens - live_slots_;
  ledger.reserved = promised * block_tokens;
  ledger.free = std::max<std::int64_t>(0, empty - promised) * block_tokens;
  ledger.cached_idle = (cached - std::max<std::int64_t>(0, promised - empty)) * block_tokens;
  return ledger;
}

std::vector<BlockId> TrtllmEngine::table(RequestId id) const {
  for (const Owned& sequence : running_)
    if (sequence->id == id) return sequence->blocks;
  return {};
}

void TrtllmEngine::check_invariants() const {
  pool_.check_invariants();
  const TrtllmLedger ledger = this->ledger();
  ASSAY_CHECK_EQ(ledger.sum(), static_cast<std::int64_t>(pool_.blocks()) * options_.pool.block_tokens);
  ASSAY_CHECK_GE(ledger.tail, 0);
  ASSAY_CHECK_GE(ledger.cached_idle, 0);  // all that is promised is free: nobody will ever be paused
  std::vector<std::int32_t> owners(static_cast<std::size_t>(pool_.blocks()), 0);
  std::vector<std::int64_t> live(owners.size(), 0);
  for (const Owned& sequence : running_)
    for (std::size_t i = 0; i < sequence->blocks.size(); ++i) {
      const auto block = static_cast<std::size_t>(sequence->blocks[i].value());
      const std::int64_t begin = static_cast<std::int64_t>(i) * options_.pool.block_tokens;
      ++owners[block];
      live[block] = std::max(live[block], std::clamp<std::int64_t>(sequence->written_tokens - begin, 0,
                                                                   options_.pool.block_tokens));
    }
  std::int64_t slots = 0;
  for (std::int32_t block = 0; block < pool_.blocks(); ++block) {
    const auto index = static_cast<std::size_t>(block);
    ASSAY_CHECK_EQ(pool_.owners(BlockId(block)), owners[index]);
    ASSAY_CHECK_EQ(static_cast<std::int64_t>(live_in_block_[index]), live[index]);
    slots += live[index];
  }
  ASSAY_CHECK_EQ(live_slots_, slots);
}

}  // namespace assay
