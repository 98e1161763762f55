// A recorded trace through an engine: every request, step by step, and everything that is counted on the way.
//
// Deterministic: the result is a function of the requests and the options. Arrivals are honoured unless the
// clock is `none`; a request whose time lies before its predecessor's arrives with its predecessor. A
// request that can never fit, or has no prompt, is rejected before it starts, and counted.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/engine/ledger.h"
#include "sim/engine/scheduler.h"
#include "sim/engine/step_clock.h"
#include "sim/schedules/balance.h"
#include "traces/request.h"

namespace assay {

struct ReplayOptions {
  SchedulerOptions scheduler;
  StepClock clock;
  std::vector<std::string> planners;  // whose SM balance is taken at every decode step
  std::int32_t parts = kH200SmCount;
  std::int64_t series_points = 512;  // of the down-sampled time series; 0 = none
  std::int64_t limit_requests = 0;   // 0 = all
  bool check_every_step = false;     // all invariants, after every step
  const std::atomic<bool>* interrupted = nullptr;
};

// Hits of one definition's counts. A request counts at its first admission.
struct HitCounts {
  std::int64_t block_references = 0, block_hits = 0, any_block_hits = 0;
  std::int64_t token_references = 0, token_hits = 0;
  std::int64_t full_block_references = 0, full_block_hits = 0;
};

// Why a referenced block was not hit, in blocks; with the hits they sum to block_references.
struct MissCounts {
  std::int64_t cold = 0;         // never in the pool before
  std::int64_t evicted = 0;      // was there, or lies behind one that was
  std::int64_t partial = 0;      // a last block that is not full
  std::int64_t granularity = 0;  // begins like a known prefix, but the block is larger than what is shared
  std::int64_t cap = 0;          // there, but the prompt's last token must be computed
  std::int64_t recompute = 0;    // after a preemption: blocks of re-admissions that had to be computed again
};

// One point of the time series: the mean of the steps it stands for.
struct SeriesPoint {
  double seconds = 0;  // end of its last step (steps when there is no clock)
  std::int64_t steps = 0;
  std::array<double, 6> places{};  // shares of the pool, as kLedgerPlaces
  double running = 0, waiting = 0, scheduled_tokens = 0, live_share_of_used = 0;
  std::int64_t preemptions = 0;
};

struct PlannerBalance {
  std::string planner;
  Distribution max_over_mean, compute_over_ideal, fluid_over_ideal, idle_parts;
  std::int64_t worst_step = -1;  // of compute_over_ideal
  double worst = 0;
  std::vector<std::int64_t> worst_lengths;
};

struct ReplayResult {
  std::int64_t requests = 0, completed = 0, rejected_too_large = 0, rejected_empty_prompt = 0;
  std::int64_t unfinished = 0;  // only when interrupted
  std::int64_t input_tokens = 0, output_tokens = 0, block_references = 0, unique_blocks = 0;
  std::int64_t time_reversals = 0, without_output = 0;
  std::int64_t steps = 0, decode_steps = 0, scheduled_tokens = 0, prefill_tokens = 0;
  std::int64_t preemptions = 0, preempted_requests = 0, recomputed_tokens = 0, evictions = 0;
  std::int64_t end_ns = 0;
  HitCounts first_admission, all_admissions;
  double mean_request_ratio = 0;
  MissCounts misses;
  LedgerMeter ledger{0};
  Distribution queue_seconds, first_token_seconds, running, run_blocks, single_run_share,
      largest_free_run_blocks;
  std::int64_t peak_running = 0, peak_waiting = 0;
  std::int64_t reserved_slot_steps = 0, live_slot_steps = 0;  // schedule-free utilisation
  std::vector<SeriesPoint> series;
  std::vector<PlannerBalance> balance;
  std::uint64_t trace_digest = 0;
  bool partial = false;

  [[nodiscard]] std::int64_t rejected() const { return rejected_too_large + rejected_empty_prompt; }
};

// What a caller may watch: every step, before the finished sequences give their blocks back.
struct StepView {
  std::int64_t step = 0;
  std::int64_t begin_ns = 0, duration_ns = 0;
  const StepRecord& record;
  const Scheduler& scheduler;
  const Ledger& ledger;
};
using StepObserver = std::function<void(const StepView&)>;
// Told after every step how far the replay is: requests finished or rejected.
using ProgressObserver = std::function<void(std::int64_t finished_requests)>;

[[nodiscard]] ReplayResult replay_serving(RequestSource& requests, const ReplayOptions& options,
                                          const StepObserver& observe = {},
                                          const ProgressObserver& progress = {});

}  // namespace assay
