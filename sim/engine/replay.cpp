#include "sim/engine/replay.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <string>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "sim/cache/content_chain.h"
#include "sim/engine/id_set.h"

namespace assay {
namespace {

constexpr std::int64_t kRunLengthScanSteps = 1024;  // every so often the whole pool is looked at

// sum over x = 1 .. n of ceil(x / block)
std::int64_t sum_of_blocks(std::int64_t n, std::int64_t block) {
  const std::int64_t full = n / block, rest = n % block;
  return block * (full * (full + 1) / 2) + rest * (full + 1);
}

class Replay {
 public:
  Replay(RequestSource& source, const ReplayOptions& options, const StepObserver& observe,
         const ProgressObserver& progress)
      : source_(source),
        options_(options),
        observe_(observe),
        progress_(progress),
        scheduler_(options.scheduler),
        timed_(options.clock.kind() != StepClock::Kind::kNone),
        pool_slots_(static_cast<std::int64_t>(options.scheduler.blocks) * options.scheduler.block_tokens) {
    result_.ledger = LedgerMeter(pool_slots_);
    for (const std::string& name : options.planners) {
      planners_.push_back(&planner_named(name));
      result_.balance.push_back({});
      result_.balance.back().planner = name;
    }
  }

  ReplayResult run() {
    while (!stopped()) {
      pull();
      if (scheduler_.idle()) {
        if (!pending_) break;
        skip_to(pending_request_.arrival_ns);
        continue;
      }
      step();
    }
    finish();
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool stopped() {
    if (options_.interrupted != nullptr && options_.interrupted->load(std::memory_order_relaxed))
      result_.partial = true;
    return result_.partial;
  }

  // ---- arrivals ----

  [[nodiscard]] bool read_next() {
    if (options_.limit_requests > 0 && result_.requests == options_.limit_requests) return false;
    if (!source_.next(pending_request_)) return false;
    Request& r = pending_request_;
    ++result_.requests;
    const std::int64_t facts[3] = {r.arrival_ns, r.input_tokens, r.output_tokens};
    result_.trace_digest = XXH3_64bits_withSeed(facts, sizeof facts, result_.trace_digest);
    result_.trace_digest = XXH3_64bits_withSeed(r.hash_ids.data(), r.hash_ids.size() * sizeof(std::int64_t),
                                                result_.trace_digest);
    if (timed_ && r.arrival_ns < last_arrival_ns_) {
      ++result_.time_reversals;
      r.arrival_ns = last_arrival_ns_;
    }
    last_arrival_ns_ = r.arrival_ns;
    if (result_.requests == 1 && timed_) now_ns_ = r.arrival_ns;
    return true;
  }

  // Hands over everything that has arrived; without a clock, as much as one step can look at.
  void pull() {
    const auto wanted = [&] {
      return timed_
                 ? pending_request_.arrival_ns <= now_ns_
                 : static_cast<std::int64_t>(scheduler_.waiting().size()) <= options_.scheduler.max_sequences;
    };
    while (!exhausted_) {
      if (!pending_ && !(pending_ = read_next())) {
        exhausted_ = true;
        return;
      }
      if (!wanted()) return;
      submit(pending_request_);
      pending_ = false;
    }
  }

  void submit(const Request& r) {
    const std::int64_t block = options_.scheduler.block_tokens;
    result_.input_tokens += r.input_tokens;
    result_.output_tokens += r.output_tokens;
    result_.block_references += static_cast<std::int64_t>(r.hash_ids.size());
    for (const std::int64_t id : r.hash_ids) result_.unique_blocks += hash_ids_.insert(id);
    if (r.input_tokens > 0 && r.output_tokens > 0) {
      result_.live_slot_steps +=
          r.output_tokens * r.input_tokens + r.output_tokens * (r.output_tokens - 1) / 2;
      result_.reserved_slot_steps += block * (sum_of_blocks(r.input_tokens + r.output_tokens - 1, block) -
                                              sum_of_blocks(r.input_tokens - 1, block));
    }
    result_.without_output += r.output_tokens == 0;
    if (r.input_tokens <= 0) {
      ++result_.rejected_empty_prompt;
      return;
    }
    if (!scheduler_.fits(r.input_tokens, r.output_tokens)) {
      ++result_.rejected_too_large;
      return;
    }
    const std::int32_t handle = scheduler_.create();
    Sequence& s = scheduler_.sequence(handle);
    s.request = RequestId(result_.requests - 1);
    s.arrival_ns = r.arrival_ns;
    s.prompt_tokens = r.input_tokens;
    s.output_tokens = r.output_tokens;
    if (!r.hash_ids.empty()) {
      append_contents(r, s.contents);
      remember_hash_ids(handle, r);
    }
    scheduler_.submit(handle);
  }

  // Names of the prompt's full blocks. Blocks that divide a hash id are named by its place in the chain and
  // theirs within it, so that the chain grows with the trace's hash ids and not with the blocks.
  void append_contents(const Request& r, std::vector<BlockContent>& contents) {
    const std::int64_t block = options_.scheduler.block_tokens, g = source_.header().hash_tokens;
    const std::int64_t parts = g % block == 0 ? g / block : 1;
    if (!chain_) chain_ = std::make_unique<ContentChain>(g, parts * block);
    contents_.clear();
    chain_->append(r, contents_);
    for (std::int64_t i = 0; i < r.input_tokens / block; ++i)
      contents.push_back(contents_[static_cast<std::size_t>(i / parts)].value() * parts + i % parts);
  }

  // Whether the first hash id that a block begins with is known is asked at admission, when the trace's own
  // ids are no longer at hand: kept per waiting sequence, only while blocks are not parts of one hash id.
  void remember_hash_ids(std::int32_t handle, const Request& r) {
    const std::int64_t g = source_.header().hash_tokens, block = options_.scheduler.block_tokens;
    if (g % block == 0) return;  // a block lies inside one hash id: it is shared whole or not at all
    const auto at = static_cast<std::size_t>(handle);
    if (waiting_hash_ids_.size() <= at) waiting_hash_ids_.resize(at + 1);
    waiting_hash_ids_[at] = r.hash_ids;
  }

  // ---- a step ----

  void step() {
    scheduler_.schedule(record_);
    ASSAY_CHECK(record_.tokens > 0, "livelock: a step that schedules nothing while sequences wait or run");
    const StepWork work = work_of(record_);
    const std::int64_t duration = options_.clock.step_ns(work);
    count_admissions();
    scheduler_.complete(record_);
    const std::int64_t begin = now_ns_;
    now_ns_ += duration;
    count_finished();
    const Ledger ledger = ledger_now();
    result_.ledger.add(ledger, duration);
    count_step(ledger);
    if (observe_) observe_({result_.steps, begin, duration, record_, scheduler_, ledger});
    if (options_.check_every_step) scheduler_.check_invariants();
    scheduler_.release_finished(record_);
    ++result_.steps;
    if (progress_) progress_(result_.completed + result_.rejected());
  }

  static StepWork work_of(const StepRecord& record) {
    StepWork work;
    work.tokens = record.tokens;
    for (const ScheduledSequence& s : record.scheduled) {
      const std::int64_t context = s.computed_before + s.tokens;
      work.context_tokens += context;
      work.attended_pairs += static_cast<double>(s.tokens) * static_cast<double>(context);
    }
    return work;
  }

  void count_admissions() {
    std::size_t at = 0;
    for (const ScheduledSequence& scheduled : record_.scheduled) {
      if (!scheduled.admitted && !scheduled.resumed) continue;
      const AdmissionLookup& lookup = record_.lookups[at++];
      Sequence& s = scheduler_.sequence(scheduled.sequence);
      const auto add = [&](HitCounts& counts) {
        counts.block_references += lookup.references;
        counts.block_hits += lookup.hits;
        counts.any_block_hits += lookup.any_hits;
        counts.token_references += s.tokens();
        counts.token_hits += scheduled.hit_tokens;
        counts.full_block_references += lookup.references - lookup.partial;
        counts.full_block_hits += lookup.hits;
      };
      add(result_.all_admissions);
      if (scheduled.resumed) {
        result_.misses.recompute += lookup.references - lookup.hits;
        result_.recomputed_tokens += s.tokens() - scheduled.hit_tokens;
        continue;
      }
      add(result_.first_admission);
      ratio_sum_ += static_cast<double>(scheduled.hit_tokens) / static_cast<double>(s.prompt_tokens);
      ++ratio_count_;
      s.first_step = result_.steps;
      s.first_scheduled_ns = now_ns_;
      result_.queue_seconds.add(static_cast<double>(now_ns_ - s.arrival_ns) * (timed_ ? 1e-9 : 0));
      classify_misses(s, scheduled.sequence, lookup);
    }
  }

  void classify_misses(const Sequence& s, std::int32_t handle, const AdmissionLookup& lookup) {
    MissCounts& misses = result_.misses;
    misses.partial += lookup.partial;
    misses.cap += lookup.cap;
    const std::int64_t full = s.prompt_tokens / options_.scheduler.block_tokens - lookup.cap;
    for (std::int64_t i = lookup.hits; i < full; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool seen = at < s.contents.size() && static_cast<std::size_t>(s.contents[at]) < seen_.size() &&
                        seen_[static_cast<std::size_t>(s.contents[at])];
      if (seen) {
        ++misses.evicted;
      } else if (i == lookup.hits && begins_like_a_known_prefix(handle, i)) {
        ++misses.granularity;
      } else {
        ++misses.cold;
      }
    }
    for (const BlockContent content : s.contents) {
      const auto at = static_cast<std::size_t>(content);
      if (seen_.size() <= at) seen_.resize(std::max(at + 1, seen_.size() * 2), false);
      seen_[at] = true;
    }
    if (static_cast<std::size_t>(handle) < waiting_hash_ids_.size()) {
      auto& ids = waiting_hash_ids_[static_cast<std::size_t>(handle)];
      for (const std::int64_t id : ids) admitted_hash_ids_.insert(id);
      ids.clear();
    }
  }

  [[nodiscard]] bool begins_like_a_known_prefix(std::int32_t handle, std::int64_t block) const {
    const auto at = static_cast<std::size_t>(handle);
    if (at >= waiting_hash_ids_.size() || waiting_hash_ids_[at].empty()) return false;
    const auto first =
        static_cast<std::size_t>(block * options_.scheduler.block_tokens / source_.header().hash_tokens);
    return first < waiting_hash_ids_[at].size() && admitted_hash_ids_.contains(waiting_hash_ids_[at][first]);
  }

  void count_finished() {
    for (const ScheduledSequence& scheduled : record_.scheduled) {
      Sequence& s = scheduler_.sequence(scheduled.sequence);
      if (s.generated_tokens != 1 || s.first_token_ns >= 0) continue;
      s.first_token_ns = now_ns_;
      result_.first_token_seconds.add(static_cast<double>(now_ns_ - s.arrival_ns) * (timed_ ? 1e-9 : 0));
    }
    for (const std::int32_t handle : record_.finished) {
      ++result_.completed;
      result_.preempted_requests += scheduler_.sequence(handle).preemptions > 0;
    }
  }

  [[nodiscard]] Ledger ledger_now() const {
    const std::int64_t block = options_.scheduler.block_tokens;
    const BlockPool& pool = scheduler_.pool();
    Ledger ledger;
    ledger.null = block;
    ledger.cached_idle = pool.cached_idle_blocks() * block;
    ledger.free = (pool.free_blocks() - pool.cached_idle_blocks()) * block;
    ledger.live = scheduler_.live_slots();
    ledger.tail = pool_slots_ - ledger.null - ledger.cached_idle - ledger.free - ledger.live;
    ASSAY_CHECK_GE(ledger.tail, 0);
    return ledger;
  }

  void count_step(const Ledger& ledger) {
    result_.scheduled_tokens += record_.tokens;
    const auto running = static_cast<std::int64_t>(scheduler_.running().size());
    const std::int64_t waiting = timed_ ? static_cast<std::int64_t>(scheduler_.waiting().size()) : 0;
    result_.peak_running = std::max(result_.peak_running, running);
    result_.peak_waiting = std::max(result_.peak_waiting, waiting);
    result_.running.add(static_cast<double>(running));
    if (scheduler_.table_runs() > 0) {
      result_.run_blocks.add(static_cast<double>(scheduler_.table_blocks()) /
                             static_cast<double>(scheduler_.table_runs()));
      result_.single_run_share.add(static_cast<double>(scheduler_.single_run_sequences()) /
                                   static_cast<double>(running));
    }
    if (result_.steps % kRunLengthScanSteps == 0)
      result_.largest_free_run_blocks.add(static_cast<double>(scheduler_.pool().largest_free_run()));
    lengths_.clear();
    for (const ScheduledSequence& s : record_.scheduled) {
      if (s.decode) {
        lengths_.push_back(s.computed_before + 1);
      } else {
        result_.prefill_tokens += s.tokens;
      }
    }
    if (!lengths_.empty()) balance_step();
    add_to_series(ledger, running, waiting);
  }

  void balance_step() {
    ++result_.decode_steps;
    const DecodeBatch batch{lengths_, options_.parts};
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
        sums.worst_lengths = lengths_;
      }
    }
  }

  // ---- the time series: at most twice series_points; when full, neighbours are joined ----

  void add_to_series(const Ledger& ledger, std::int64_t running, std::int64_t waiting) {
    if (options_.series_points <= 0) return;
    auto& series = result_.series;
    if (series.empty() || series.back().steps == series_stride_) {
      if (static_cast<std::int64_t>(series.size()) == 2 * options_.series_points) join_neighbours();
      series.push_back({});
    }
    SeriesPoint& point = series.back();
    const auto places = places_of(ledger);
    for (std::size_t i = 0; i < places.size(); ++i)
      point.places[i] += static_cast<double>(places[i]) / static_cast<double>(pool_slots_);
    point.running += static_cast<double>(running);
    point.waiting += static_cast<double>(waiting);
    point.scheduled_tokens += static_cast<double>(record_.tokens);
    const std::int64_t used = ledger.live + ledger.tail;
    point.live_share_of_used += used == 0 ? 1 : static_cast<double>(ledger.live) / static_cast<double>(used);
    point.preemptions += static_cast<std::int64_t>(record_.preempted.size());
    point.seconds = timed_ ? static_cast<double>(now_ns_) * 1e-9 : static_cast<double>(result_.steps + 1);
    ++point.steps;
  }

  void join_neighbours() {
    auto& series = result_.series;
    for (std::size_t i = 0; i + 1 < series.size(); i += 2) {
      SeriesPoint joined = series[i];
      const SeriesPoint& other = series[i + 1];
      for (std::size_t k = 0; k < joined.places.size(); ++k) joined.places[k] += other.places[k];
      joined.running += other.running;
      joined.waiting += other.waiting;
      joined.scheduled_tokens += other.scheduled_tokens;
      joined.live_share_of_used += other.live_share_of_used;
      joined.preemptions += other.preemptions;
      joined.steps += other.steps;
      joined.seconds = other.seconds;
      series[i / 2] = joined;
    }
    series.resize(series.size() / 2);
    series_stride_ *= 2;
  }

  // ---- between steps, and the end ----

  // Nothing runs and nothing waits: time passes until the next arrival, and the pool sits as it is.
  void skip_to(std::int64_t arrival_ns) {
    if (!timed_ || arrival_ns <= now_ns_) return;
    result_.ledger.add(ledger_now(), arrival_ns - now_ns_);
    now_ns_ = arrival_ns;
  }

  void finish() {
    result_.preemptions = scheduler_.preemption_count();
    result_.evictions = scheduler_.pool().evictions();
    result_.end_ns = now_ns_;
    result_.unfinished = result_.requests - result_.completed - result_.rejected();
    result_.mean_request_ratio = ratio_count_ == 0 ? 0 : ratio_sum_ / static_cast<double>(ratio_count_);
    if (result_.ledger.empty()) result_.ledger.add(ledger_now(), 1);
    for (SeriesPoint& point : result_.series) {
      const auto steps = static_cast<double>(point.steps);
      for (double& share : point.places) share /= steps;
      point.running /= steps;
      point.waiting /= steps;
      point.scheduled_tokens /= steps;
      point.live_share_of_used /= steps;
    }
    if (!result_.partial) {
      ASSAY_CHECK_EQ(result_.unfinished, 0);
      ASSAY_CHECK_EQ(scheduler_.pool().free_blocks(), scheduler_.pool().blocks() - 1);  // quiescence
      ASSAY_CHECK_EQ(scheduler_.live_slots(), 0);
    }
  }

  RequestSource& source_;
  const ReplayOptions& options_;
  const StepObserver& observe_;
  const ProgressObserver& progress_;
  Scheduler scheduler_;
  const bool timed_;
  const std::int64_t pool_slots_;
  ReplayResult result_;
  StepRecord record_;

  Request pending_request_;
  bool pending_ = false, exhausted_ = false;
  std::int64_t last_arrival_ns_ = INT64_MIN, now_ns_ = 0;

  std::unique_ptr<ContentChain> chain_;
  std::vector<ContentId> contents_;
  std::vector<bool> seen_;
  IdSet hash_ids_, admitted_hash_ids_;
  std::vector<std::vector<std::int64_t>> waiting_hash_ids_;
  double ratio_sum_ = 0;
  std::int64_t ratio_count_ = 0;

  std::vector<const Planner*> planners_;
  BalanceScratch scratch_;
  std::vector<std::int64_t> lengths_;
  std::int64_t series_stride_ = 1;
};

}  // namespace

ReplayResult replay_serving(RequestSource& requests, const ReplayOptions& options,
                            const StepObserver& observe, const ProgressObserver& progress) {
  return Replay(requests, options, observe, progress).run();
}

}  // namespace assay
