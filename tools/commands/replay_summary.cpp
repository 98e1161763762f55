#include "tools/commands/replay_summary.h"

#include <fmt/format.h>

#include <string>

#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {

void print_summary(const ReplayOptions& replay, const ReplayConfig& config, const ReplayResult& r,
                   std::int64_t bad_lines) {
  const Terminal terminal = terminal_of(stdout);
  const SchedulerOptions& s = replay.scheduler;
  const auto share = [&](std::size_t place) { return r.ledger.mean(place); };
  fmt::print("{}{}\n", toned(config.trace, Tone::kStrong, terminal),
             r.partial ? toned("  (interrupted: partial result)", Tone::kWarning, terminal) : "");
  fmt::print("{} requests, {} prompt and {} generated tokens; {} completed, {} rejected{}\n",
             grouped(r.requests), grouped(r.input_tokens), grouped(r.output_tokens), grouped(r.completed),
             grouped(r.rejected()),
             bad_lines > 0 ? fmt::format(", {} malformed lines skipped", grouped(bad_lines)) : "");
  fmt::print("pool of {} blocks of {} tokens, {}, clock {}, {} steps\n\n", grouped(s.blocks), s.block_tokens,
             config.engine, replay.clock.text(), grouped(r.steps));

  fmt::print("{}\n", toned("where the pool's slots were (mean)", Tone::kStrong, terminal));
  static constexpr const char* kMeaning[] = {"tokens of running sequences",
                                             "allocated, not written yet",
                                             "promised for later",
                                             "kept for hits, evictable",
                                             "the null block",
                                             "nobody's"};
  for (std::size_t i = 0; i < kLedgerPlaces.size(); ++i)
    fmt::print("  {:<12}{:>8.3f} %  {:<32} {}\n", kLedgerPlaces[i], share(i) * 100,
               bar(share(i), 32, terminal), kMeaning[i]);
  const double live = share(0), tail = share(1);
  fmt::print(
      "  peak live {:.2f} %; of what sequences held, {:.2f} % were tokens (schedule-free {:.4f} %)\n\n",
      static_cast<double>(r.ledger.peak_live()) / static_cast<double>(r.ledger.pool_slots()) * 100,
      live + tail == 0 ? 100.0 : live / (live + tail) * 100,
      r.reserved_slot_steps == 0
          ? 100.0
          : static_cast<double>(r.live_slot_steps) / static_cast<double>(r.reserved_slot_steps) * 100);

  const HitCounts& h = r.first_admission;
  const auto percent = [](std::int64_t part, std::int64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole) * 100;
  };
  fmt::print("{}  blocks {:.2f} %, tokens {:.2f} %, full blocks {:.2f} %, mean per request {:.2f} %\n",
             toned("prefix hits", Tone::kStrong, terminal), percent(h.block_hits, h.block_references),
             percent(h.token_hits, h.token_references), percent(h.full_block_hits, h.full_block_references),
             r.mean_request_ratio * 100);
  const bool details = config.engine == "vllm-v1";
  if (details)
    fmt::print(
        "  missed blocks: {} cold, {} evicted, {} partial tail, {} block larger than the shared prefix, {} "
        "cap\n",
        grouped(r.misses.cold), grouped(r.misses.evicted), grouped(r.misses.partial),
        grouped(r.misses.granularity), grouped(r.misses.cap));
  fmt::print("{}  {} of {} requests; {} tokens computed again\n",
             toned(fmt::format("preemptions {}", grouped(r.preemptions)), Tone::kStrong, terminal),
             grouped(r.preempted_requests), grouped(r.completed), grouped(r.recomputed_tokens));
  fmt::print(
      "{}  running {:.1f} mean, {} peak; {:.1f} blocks per run of consecutive ids, {:.1f} % of tables in one "
      "run\n",
      toned("batch", Tone::kStrong, terminal), r.running.mean(), r.peak_running, r.run_blocks.mean(),
      r.single_run_share.mean() * 100);
  if (replay.clock.kind() != StepClock::Kind::kNone)
    fmt::print("  queue {:.3f} s mean, {:.3f} s p99; first token {:.3f} s mean, {:.3f} s p99\n",
               r.queue_seconds.mean(), r.queue_seconds.quantile(0.99), r.first_token_seconds.mean(),
               r.first_token_seconds.quantile(0.99));
  if (r.decode_steps > 0 && !r.balance.empty()) {
    fmt::print("{}  makespan / ideal over {} decode steps on {} SMs\n",
               toned("SM balance", Tone::kStrong, terminal), grouped(r.decode_steps), replay.parts);
    for (const PlannerBalance& b : r.balance)
      fmt::print(
          "  {:<22} mean {:>6.2f}  p99 {:>6.2f}  worst {:>6.2f} (step {})   shared bandwidth mean {:>5.2f}\n",
          b.planner, b.compute_over_ideal.mean(), b.compute_over_ideal.quantile(0.99), b.worst, b.worst_step,
          b.fluid_over_ideal.mean());
  }
  if (r.time_reversals > 0)
    fmt::print("{} requests carry a time before their predecessor's; they arrive with it\n",
               grouped(r.time_reversals));
  if (r.rejected_too_large > 0)
    fmt::print("{} requests can never fit into this pool and were rejected before they started\n",
               grouped(r.rejected_too_large));
  if (r.rejected_empty_prompt > 0)
    fmt::print("{} requests have no prompt and were rejected\n", grouped(r.rejected_empty_prompt));
}

}  // namespace assay::tools
