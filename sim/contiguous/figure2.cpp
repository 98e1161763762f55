#include "sim/contiguous/figure2.h"

#include <deque>
#include <memory>

#include "model/core/check.h"
#include "sim/contiguous/contiguous_replay.h"
#include "sim/views/forked_tables.h"
#include "traces/generate.h"

namespace assay {
namespace {

// The generated trace without the requests that the model could not hold.
class Fitting final : public RequestSource {
 public:
  Fitting(std::int64_t requests, std::uint64_t seed) {
    GenerateOptions options;
    options.seed = seed;
    options.requests = requests;
    options.hash_tokens = 0;
    options.system_prompts = options.documents = 0;
    options.turns = 1;
    options.twin_share = 0;
    source_ = generate_trace(options);
  }
  [[nodiscard]] const TraceHeader& header() const override { return source_->header(); }
  [[nodiscard]] bool next(Request& request) override {
    while (source_->next(request)) {
      if (request.input_tokens + request.output_tokens > kFigure2MaxTokens) {
        ++left_out;
        continue;
      }
      ++kept;
      input += request.input_tokens;
      output += request.output_tokens;
      output_squares += request.output_tokens * request.output_tokens;
      return true;
    }
    return false;
  }
  std::int64_t kept = 0, left_out = 0, input = 0, output = 0, output_squares = 0;

 private:
  std::unique_ptr<RequestSource> source_;
};

// Slot-steps of the four states over `steps` steps -> percent of the pool.
struct SlotSteps {
  std::int64_t live, reserved, internal, others;
};
Figure2Row row(const std::string& system, const SlotSteps& sum, std::int64_t batch, std::int64_t steps) {
  ASSAY_CHECK_EQ(sum.live + sum.reserved + sum.internal + sum.others, kFigure2PoolSlots * steps);
  if (steps == 0) return {system, 0, 0, 0, 0, 0};
  const auto percent = [&](std::int64_t slots) {
    return 100 * static_cast<double>(slots) / static_cast<double>(kFigure2PoolSlots * steps);
  };
  return {system,
          percent(sum.live),
          percent(sum.reserved),
          percent(sum.internal),
          percent(sum.others),
          static_cast<double>(batch) / static_cast<double>(steps)};
}

Figure2Row contiguous(Reservation reservation, std::int64_t requests, std::uint64_t seed) {
  Fitting trace(requests, seed);
  const ContiguousReplayResult result = replay_contiguous(
      trace, {.pool_slots = kFigure2PoolSlots, .reservation = reservation, .max_tokens = kFigure2MaxTokens});
  const ContiguousLedger& sum = result.ledger_waiting;
  return row("contiguous, " + reservation_name(reservation),
             {sum.live, sum.reserved, sum.internal, sum.rounding + sum.external + sum.free},
             result.running_waiting, result.steps_waiting);
}

// Blocks on demand, first come first served; a preempted request comes back first and writes again all
// that it had written.
Figure2Row paged(std::int64_t requests, std::uint64_t seed) {
  struct Sequence {
    SequenceId id;
    std::int64_t next = 0;            // slots its next iteration writes
    std::int64_t live = 0, last = 0;  // slots written, and written at its end
  };
  Fitting trace(requests, seed);
  CountedPool pool(static_cast<std::int32_t>(kFigure2PoolSlots / kFigure2BlockTokens));
  ForkedTables tables(pool, kFigure2BlockTokens);
  std::vector<BlockCopy> copies;
  std::deque<Sequence> running, preempted;  // preempted: first to come back in front
  Request request;
  bool more = trace.next(request);
  const auto start = [&](std::int64_t next, std::int64_t last) {
    const SequenceId id = tables.create();
    const bool fits = tables.reserve(id, next, copies);
    if (fits)
      running.push_back({id, next, 0, last});
    else
      tables.free(id);
    return fits;
  };
  std::int64_t live = 0, held = 0, batch = 0, steps = 0;
  for (;;) {
    const std::size_t before = preempted.size();
    for (std::size_t i = 0; i < running.size(); ++i)
      while (i < running.size() && !tables.reserve(running[i].id, running[i].next, copies)) {
        const Sequence newest = running.back();
        running.pop_back();
        tables.free(newest.id);
        preempted.push_front({SequenceId(), newest.live + newest.next, 0, newest.last});
      }
    bool waiting = preempted.size() > before;  // nobody starts in a step that preempted
    while (!waiting && !preempted.empty()) {
      waiting = !start(preempted.front().next, preempted.front().last);
      if (!waiting) preempted.pop_front();
    }
    while (!waiting && more) {
      waiting = !start(request.input_tokens, written_slots(request.input_tokens, request.output_tokens));
      if (!waiting) more = trace.next(request);
    }
    if (running.empty()) break;
    std::int64_t now = 0;
    std::deque<Sequence> left;
    const auto took_part = static_cast<std::int64_t>(running.size());
    const std::int64_t slots =
        kFigure2BlockTokens * static_cast<std::int64_t>(pool.blocks() - pool.free_blocks());
    for (Sequence& sequence : running) {
      tables.advance(sequence.id, sequence.next);
      sequence.live += sequence.next;
      sequence.next = 1;
      now += sequence.live;
      if (sequence.live < sequence.last)
        left.push_back(sequence);
      else
        tables.free(sequence.id);
    }
    running.swap(left);
    if (!waiting) continue;
    ++steps;
    live += now;
    held += slots;
    batch += took_part;
  }
  return row("paged, blocks of 16", {live, 0, held - live, kFigure2PoolSlots * steps - held}, batch, steps);
}

}  // namespace

Figure2 figure2(std::int64_t requests, std::uint64_t seed) {
  Fitting trace(requests, seed);
  Request request;
  while (trace.next(request)) {
  }
  Figure2 figure;
  const auto ratio = [](std::int64_t a, std::int64_t b) {
    return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
  };
  figure.lengths = {trace.kept, trace.left_out, ratio(trace.input, trace.kept),
                    ratio(trace.output, trace.kept), ratio(trace.output_squares, trace.output)};
  for (const Reservation reservation : {Reservation::kMax, Reservation::kPowerOfTwo, Reservation::kOracle})
    figure.ours.push_back(contiguous(reservation, requests, seed));
  figure.ours.push_back(paged(requests, seed));
  // Fig. 2; the batch sizes are those of Fig. 13 (ShareGPT at 2 requests a second). For vLLM the paper
  // gives only the token states: the rest is in one sum.
  figure.paper = {{"Orca (Max)", 20.4, 13.3, 57.3, 8.9, 7.00},
                  {"Orca (Pow2)", 26.8, 17.9, 13.6, 41.6, 9.81},
                  {"Orca (Oracle)", 38.2, 25.2, 0.0, 36.6, 13.62},
                  {"vLLM", 96.3, 0.0, 0.0, 3.7, 30.42}};
  return figure;
}

}  // namespace assay
