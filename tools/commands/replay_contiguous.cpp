#include "tools/commands/replay_contiguous.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

struct Place {
  const char* name;
  std::int64_t slots;
  const char* meaning;
};
std::array<Place, 6> places_of(const ContiguousLedger& ledger) {
  return {{{"live", ledger.live, "tokens of running requests"},
           {"reserved", ledger.reserved, "will be written by the request that has it"},
           {"internal", ledger.internal, "asked for, never used"},
           {"rounding", ledger.rounding, "extents are powers of two"},
           {"external", ledger.external, "free, and the first that waits does not fit"},
           {"free", ledger.free, "free, and nobody waits for room"}}};
}

}  // namespace

nlohmann::ordered_json contiguous_document(const ReplayConfig& config, const ContiguousReplayOptions& options,
                                           const ContiguousReplayResult& r) {
  const auto ledger_of = [&](const ContiguousLedger& ledger, std::int64_t steps) {
    nlohmann::ordered_json mean;
    for (const Place& place : places_of(ledger))
      mean[place.name] = ratio(place.slots, options.pool_slots * steps);
    return mean;
  };
  const auto pool = options.pool_slots;
  return {{"schema", "assay.replay/1"},
          {"seed", config.seed},
          {"digest", ""},
          {"partial", r.partial},
          {"trace",
           {{"name", config.trace},
            {"format", config.format},
            {"requests", r.requests},
            {"input_tokens", r.input_tokens},
            {"output_tokens", r.output_tokens},
            {"hash_tokens", config.hash_tokens}}},
          {"config",
           {{"mode", "serve"},
            {"engine", config.engine},
            {"pool_slots", pool},
            {"max_context_tokens", options.max_tokens},
            {"max_sequences", options.max_sequences},
            {"step_ns", options.step_ns}}},
          {"steps", r.steps},
          {"preemptions", 0},
          {"rejected", r.rejected},
          {"completed", r.completed},
          {"ledger",
           {{"weight", "steps"},
            {"pool_slots", pool},
            {"mean", ledger_of(r.ledger, r.steps)},
            {"mean_while_waiting", ledger_of(r.ledger_waiting, r.steps_waiting)},
            {"steps_while_waiting", r.steps_waiting},
            {"p50_live", ratio(r.p50_live, pool)},
            {"p99_live", ratio(r.p99_live, pool)},
            {"peak_live", ratio(r.peak_live, pool)}}},
          {"fragmentation", {{"largest_free_extent_mean", ratio(r.largest_free, pool * r.steps)}}},
          {"batch",
           {{"running", {{"mean", ratio(r.running, r.steps)}}},
            {"running_while_waiting", {{"mean", ratio(r.running_waiting, r.steps_waiting)}}},
            {"peak_running", r.peak_running}}},
          {"seconds", static_cast<double>(r.end_ns) * 1e-9}};
}

void print_contiguous(const ReplayConfig& config, const ContiguousReplayOptions& options,
                      const ContiguousReplayResult& r) {
  const Terminal terminal = terminal_of(stdout);
  fmt::print("{}{}\n", toned(config.trace, Tone::kStrong, terminal),
             r.partial ? toned("  (interrupted: partial result)", Tone::kWarning, terminal) : "");
  fmt::print("{} requests, {} prompt and {} generated tokens; {} completed, {} rejected\n",
             grouped(r.requests), grouped(r.input_tokens), grouped(r.output_tokens), grouped(r.completed),
             grouped(r.rejected));
  fmt::print(
      "pool of {} slots, {}, longest context {}, {} steps, {} of them with a request waiting for room\n\n",
      grouped(options.pool_slots), config.engine, grouped(options.max_tokens), grouped(r.steps),
      grouped(r.steps_waiting));
  fmt::print("{}  mean, and mean while a request waited\n",
             toned("where the pool's slots were", Tone::kStrong, terminal));
  const auto all = places_of(r.ledger), waiting = places_of(r.ledger_waiting);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double share = ratio(all[i].slots, options.pool_slots * r.steps);
    fmt::print("  {:<10}{:>8.3f} %{:>10.3f} %  {:<24} {}\n", all[i].name, share * 100,
               ratio(waiting[i].slots, options.pool_slots * r.steps_waiting) * 100, bar(share, 24, terminal),
               all[i].meaning);
  }
  fmt::print("{}  running {:.1f} mean, {:.1f} while a request waited, {} peak\n",
             toned("batch", Tone::kStrong, terminal), ratio(r.running, r.steps),
             ratio(r.running_waiting, r.steps_waiting), r.peak_running);
}

}  // namespace assay::tools
