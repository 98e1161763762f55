// One step of an engine as far as data is concerned: which tokens were computed and where they were written,
// which table and length each decoding sequence hands to the kernel.
//
// The two tables are one and the same in a healthy engine. A planted fault (engine_faults.h) may show the kernel
// another one than the one through which tokens were written.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/engine/replay.h"

namespace assay::properties {

struct LiveSequence {
  std::int64_t request = 0;
  std::int64_t computed_before = 0;  // tokens that the engine believes to be in the pool before this step
  std::int64_t tokens = 0;           // computed in this step: positions computed_before ...
  std::int64_t written = 0;  // leading ones of them whose write reached the pool: all, but for a fault
  bool decode = false;       // asks for one logits row over computed_before + 1 tokens
  std::span<const std::int32_t> write_table, read_table;

  [[nodiscard]] std::int64_t context() const { return computed_before + tokens; }
};

struct LiveStep {
  std::int64_t step = 0;
  std::vector<LiveSequence> sequences;  // in the order in which they were scheduled
};

// Views into the scheduler's tables: valid until its next step.
inline void take_live_step(const StepView& view, LiveStep& live) {
  live.step = view.step;
  live.sequences.clear();
  for (const ScheduledSequence& s : view.record.scheduled) {
    const Sequence& sequence = view.scheduler.sequence(s.sequence);
    const std::span<const std::int32_t> table(sequence.blocks);
    live.sequences.push_back(
        {sequence.request.value(), s.computed_before, s.tokens, s.tokens, s.decode, table, table});
  }
}

}  // namespace assay::properties
