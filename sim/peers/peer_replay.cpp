#include "sim/peers/peer_replay.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "sim/engine_sglang/sglang_engine.h"
#include "sim/engine_trtllm/trtllm_engine.h"

namespace assay {
namespace {

constexpr std::int64_t kRunLengthSampleSteps = 64;
constexpr std::size_t kWaitingWithoutClock = 1024;  // handed over at once; the queue behind cannot matter

// One admission as both engines report it.
struct Admission {
  RequestId request;
  std::int64_t known_tokens = 0, hit_tokens = 0;
  bool again = false;
};
Admission admission_of(const SglangAdmission& a) {
  return {a.request, a.prompt_tokens, a.hit_tokens, a.again};
}
Admission admission_of(const TrtllmAdmission& a) {
  return {a.request, a.prompt_tokens, a.reused_tokens, false};
}

const std::vector<RequestId>& preempted_in(const SglangStep& step) { return step.retracted; }
const std::vector<RequestId>& preempted_in(const TrtllmStep&) {
  static const std::vector<RequestId> nobody;
  return nobody;
}

Ledger ledger_of(const SglangEngine& engine) {
  const SglangLedger own = engine.ledger();
  return {own.live, own.tail, 0, own.cached_idle, 0, own.free};
}
Ledger ledger_of(const TrtllmEngine& engine) {
  const TrtllmLedger own = engine.ledger();
  return {own.live, own.tail, own.reserved, own.cached_idle, 0, own.free};
}

// sum over x = 1 .. n of ceil(x / block)
std::int64_t sum_of_blocks(std::int64_t n, std::int64_t block) {
  const std::int64_t full = n / block, rest = n % block;
  return block * (full * (full + 1) / 2) + rest * (full + 1);
}

template <typename Engine>
class PeerReplay {
 public:
  PeerReplay(RequestSource& source, Engine engine, const ReplayOptions& options,
             const ProgressObserver& progress)
      : source_(source),
        engine_(std::move(engine)),
        options_(options),
        progress_(progress),
        block_tokens_(options.scheduler.block_tokens),
        timed_(options.clock.kind() != StepClock::Kind::kNone) {
    result_.ledger = LedgerMeter(ledger_of(engine_).sum());
    for (const std::string& name : options.planners) {
      planners_.push_back(&planner_named(name));
      result_.balance.push_back({});
      result_.balance.back().planner = name;
    }
  }

  ReplayResult run() {
    while (!stopped()) {
      pull();
      if (engine_.idle()) {
        if (!pending_) break;
        skip_to(request_.arrival_ns);
        continue;
      }
      step();
    }
    result_.end_ns = now_ns_;
    result_.unfinished = result_.requests - result_.completed - result_.rejected();
    result_.preempted_requests = static_cast<std::int64_t>(preempted_.size());
    if (ratio_count_ > 0) result_.mean_request_ratio = ratio_sum_ / static_cast<double>(ratio_count_);
    if (result_.ledger.empty()) result_.ledger.add(ledger_of(engine_), 1);
    if (!result_.partial) ASSAY_CHECK_EQ(result_.unfinished, 0);
    return std::move(result_);
  }

 private:
  struct Waiting {
    std::int64_t arrival_ns = 0;
    bool admitted = false;
  };

  [[nodiscard]] bool stopped() {
    if (options_.interrupted != nullptr && options_.interrupted->load(std::memory_order_relaxed))
      result_.partial = true;
    return result_.partial;
  }

  [[nodiscard]] bool read_next() {
    if (options_.limit_requests > 0 && result_.requests == options_.limit_requests) return false;
    if (!source_.next(request_)) return false;
    ++result_.requests;
    const std::int64_t facts[3] = {request_.arrival_ns, request_.input_tokens, request_.output_tokens};
    result_.trace_digest = XXH3_64bits_withSeed(facts, sizeof facts, result_.trace_digest);
    result_.trace_digest = XXH3_64bits_withSeed(
        request_.hash_ids.data(), request_.hash_ids.size() * sizeof(std::int64_t), result_.trace_digest);
    if (timed_ && request_.arrival_ns < last_arrival_ns_) {
      ++result_.time_reversals;
      request_.arrival_ns = last_arrival_ns_;
    }
    last_arrival_ns_ = request_.arrival_ns;
    if (result_.requests == 1 && timed_) now_ns_ = request_.arrival_ns;
    return true;
  }

  void pull() {
    while (!exhausted_) {
      if (!pending_ && !(pending_ = read_next())) {
        exhausted_ = true;
        return;
      }
      if (timed_ ? request_.arrival_ns > now_ns_ : engine_.waiting() >= kWaitingWithoutClock) return;
      submit();
      pending_ = false;
    }
  }

  void submit() {
    const std::int64_t in = request_.input_tokens, out = request_.output_tokens;
    result_.input_tokens += in;
    result_.output_tokens += out;
    result_.block_references += static_cast<std::int64_t>(request_.hash_ids.size());
    for (const std::int64_t id : request_.hash_ids)
      result_.unique_blocks += hash_ids_.insert(id).second ? 1 : 0;
    if (in > 0 && out > 0) {
      result_.live_slot_steps += out * in + out * (out - 1) / 2;
      result_.reserved_slot_steps +=
          block_tokens_ * (sum_of_blocks(in + out - 1, block_tokens_) - sum_of_blocks(in - 1, block_tokens_));
    }
    result_.without_output += out == 0 ? 1 : 0;
    const RequestId id(result_.requests - 1);
    if (in <= 0)
      ++result_.rejected_empty_prompt;
    else if (!engine_.submit(request_, id))
      ++result_.rejected_too_large;
    else
      in_flight_[id.value()] = {request_.arrival_ns, false};
  }

  void step() {
    const auto step = engine_.step();
    ASSAY_CHECK(step.scheduled_tokens > 0,
                "livelock: a step that schedules nothing while requests wait or run");
    StepWork work;
    work.tokens = step.scheduled_tokens;
    const auto add = [&](std::int64_t tokens, std::int64_t context) {
      work.context_tokens += context;
      work.attended_pairs += static_cast<double>(tokens) * static_cast<double>(context);
    };
    for (const std::int64_t context : step.decode_contexts) add(1, context);
    for (const auto& chunk : step.chunks) {
      add(chunk.tokens, chunk.context_tokens);
      result_.prefill_tokens += chunk.tokens;
    }
    for (const auto& admission : step.admitted) count_admission(admission_of(admission));
    const std::int64_t duration = options_.clock.step_ns(work);
    now_ns_ += duration;
    result_.scheduled_tokens += step.scheduled_tokens;
    for (const RequestId id : preempted_in(step)) preempted_.insert(id.value());
    result_.preemptions += static_cast<std::int64_t>(preempted_in(step).size());
    for (const RequestId id : step.first_tokens) result_.first_token_seconds.add(seconds_since_arrival(id));
    for (const RequestId id : step.finished) in_flight_.erase(id.value());
    result_.completed += static_cast<std::int64_t>(step.finished.size());
    // Both engines have let go of the finished when a step returns: the ledger is what the next step finds.
    result_.ledger.add(ledger_of(engine_), duration);
    const auto running = static_cast<std::int64_t>(step.decode_contexts.size() + step.chunks.size());
    result_.running.add(static_cast<double>(running));
    result_.peak_running = std::max(result_.peak_running, running);
    if (timed_)
      result_.peak_waiting = std::max(result_.peak_waiting, static_cast<std::int64_t>(engine_.waiting()));
    if (!step.decode_contexts.empty()) balance_step(step.decode_contexts);
    if (result_.steps % kRunLengthSampleSteps == 0) count_runs();
    if (options_.check_every_step) engine_.check_invariants();
    ++result_.steps;
    if (progress_) progress_(result_.completed + result_.rejected());
  }

  [[nodiscard]] double seconds_since_arrival(RequestId id) const {
    return timed_ ? static_cast<double>(now_ns_ - in_flight_.at(id.value()).arrival_ns) * 1e-9 : 0;
  }

  // Called with now_ns_ at the step's beginning.
  void count_admission(const Admission& admission) {
    Waiting& waiting = in_flight_.at(admission.request.value());
    const std::int64_t blocks = ceil_div(admission.known_tokens, block_tokens_);
    const std::int64_t hits = admission.hit_tokens / block_tokens_;
    const auto count = [&](HitCounts& counts) {
      counts.block_references += blocks;
      counts.block_hits += hits;
      counts.token_references += admission.known_tokens;
      counts.token_hits += admission.hit_tokens;
      counts.full_block_references += admission.known_tokens / block_tokens_;
      counts.full_block_hits += hits;
    };
    count(result_.all_admissions);
    if (waiting.admitted) {
      result_.recomputed_tokens += admission.known_tokens - admission.hit_tokens;
      return;
    }
    waiting.admitted = true;
    count(result_.first_admission);
    ratio_sum_ += static_cast<double>(admission.hit_tokens) / static_cast<double>(admission.known_tokens);
    ++ratio_count_;
    result_.queue_seconds.add(seconds_since_arrival(admission.request));
  }

  void balance_step(const std::vector<std::int64_t>& contexts) {
    ++result_.decode_steps;
    const DecodeBatch batch{contexts, options_.parts};
    for (std::size_t i = 0; i < planners_.size(); ++i) {
      const Balance balance = balance_of(*planners_[i], batch, scratch_);
      PlannerBalance& sums = result_.balance[i];
      sums.max_over_mean.add(balance.max_over_mean);
      sums.compute_over_ideal.add(balance.compute_over_ideal);
      sums.fluid_over_ideal.add(balance.fluid_over_ideal);
      sums.idle_parts.add(balance.idle_parts);
      if (balance.compute_over_ideal > sums.worst) {
        sums.worst = balance.compute_over_ideal;
        sums.worst_step = result_.steps;
        sums.worst_lengths = contexts;
      }
    }
  }

  void count_runs() {
    std::int64_t blocks = 0, runs = 0, single = 0, tables = 0;
    engine_.for_each_table([&](const std::vector<BlockId>& table) {
      if (table.empty()) return;
      std::int64_t own = 1;
      for (std::size_t i = 1; i < table.size(); ++i)
        own += table[i].value() != table[i - 1].value() + 1 ? 1 : 0;
      blocks += static_cast<std::int64_t>(table.size());
      runs += own;
      single += own == 1 ? 1 : 0;
      ++tables;
    });
    if (runs == 0) return;
    result_.run_blocks.add(static_cast<double>(blocks) / static_cast<double>(runs));
    result_.single_run_share.add(static_cast<double>(single) / static_cast<double>(tables));
  }

  void skip_to(std::int64_t arrival_ns) {
    if (!timed_ || arrival_ns <= now_ns_) return;
    result_.ledger.add(ledger_of(engine_), arrival_ns - now_ns_);
    now_ns_ = arrival_ns;
  }

  RequestSource& source_;
  Engine engine_;
  const ReplayOptions& options_;
  const ProgressObserver& progress_;
  std::int64_t block_tokens_;
  bool timed_;
  std::vector<const Planner*> planners_;
  BalanceScratch scratch_;
  Request request_;
  bool pending_ = false, exhausted_ = false;
  std::int64_t now_ns_ = 0, last_arrival_ns_ = std::numeric_limits<std::int64_t>::min();
  std::unordered_map<std::int64_t, Waiting> in_flight_;  // by request
  std::unordered_set<std::int64_t> hash_ids_, preempted_;
  double ratio_sum_ = 0;
  std::int64_t ratio_count_ = 0;
  ReplayResult result_;
};

}  // namespace

const std::vector<std::string_view>& peer_engine_names() {
  static const std::vector<std::string_view> names = {"sglang", "trtllm"};
  return names;
}

ReplayResult replay_peer(RequestSource& requests, std::string_view engine, const ReplayOptions& options,
                         const ProgressObserver& progress) {
  const SchedulerOptions& s = options.scheduler;
  const std::string name(engine);
  const auto refuse = [&](bool asked, const char* flag, const char* what) {
    if (asked) throw InputError(flag, "nothing: " + name + " has no " + what, "a value");
  };
  refuse(s.watermark > 0, "--watermark", "watermark");
  refuse(s.window_tokens > 0, "--window", "sliding window here");
  refuse(s.long_prefill_tokens > 0, "--long-prefill-tokens", "chunk limit besides its budget");
  const std::int32_t hash_tokens = requests.header().hash_tokens;
  if (engine == "sglang") {
    refuse(!s.prefix_caching, "--no-prefix-caching", "switch for its radix cache here");
    SglangEngine own({.pool_tokens = std::int64_t{s.blocks} * s.block_tokens,
                      .page_tokens = s.block_tokens,
                      .chunk_tokens = s.token_budget,
                      .max_running_requests = s.max_sequences},
                     hash_tokens);
    return PeerReplay<SglangEngine>(requests, std::move(own), options, progress).run();
  }
  if (engine == "trtllm") {
    TrtllmEngine own({.pool = {.blocks = s.blocks, .block_tokens = s.block_tokens, .reuse = s.prefix_caching},
                      .max_batch_size = s.max_sequences,
                      .max_num_tokens = s.token_budget},
                     hash_tokens);
    return PeerReplay<TrtllmEngine>(requests, std::move(own), options, progress).run();
  }
  std::string expected = "one of";
  for (const std::string_view known : peer_engine_names()) expected += " " + std::string(known);
  throw InputError("--engine", expected, "'" + name + "'");
}

}  // namespace assay
