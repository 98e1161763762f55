#include "tools/commands/replay_json.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <nlohmann/json.hpp>

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

Json of(const Distribution& d) {
  return {{"mean", d.mean()}, {"p50", d.quantile(0.5)}, {"p99", d.quantile(0.99)}, {"max", d.largest()}};
}

Json of(const HitCounts& c) {
  return {{"block_hits", c.block_hits},
          {"any_block_hits", c.any_block_hits},
          {"block_references", c.block_references},
          {"token_hits", c.token_hits},
          {"token_references", c.token_references},
          {"full_block_hits", c.full_block_hits},
          {"full_block_references", c.full_block_references}};
}

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Json series_of(const std::vector<SeriesPoint>& series, bool timed) {
  Json columns = {timed ? "seconds" : "step"};
  for (const std::string_view place : kLedgerPlaces) columns.push_back(place);
  for (const char* name :
       {"running", "waiting", "scheduled_tokens", "live_share_of_used", "preemptions", "steps"})
    columns.push_back(name);
  Json rows = Json::array();
  for (const SeriesPoint& p : series) {
    Json row = {p.seconds};
    for (const double share : p.places) row.push_back(share);
    for (const double value : {p.running, p.waiting, p.scheduled_tokens, p.live_share_of_used})
      row.push_back(value);
    row.push_back(p.preemptions);
    row.push_back(p.steps);
    rows.push_back(std::move(row));
  }
  return {{"columns", columns}, {"rows", rows}};
}

}  // namespace

Json replay_document(const ReplayConfig& config, const ReplayOptions& options, const ReplayResult& r) {
  const SchedulerOptions& s = options.scheduler;
  const bool timed = options.clock.kind() != StepClock::Kind::kNone;
  Json d;
  d["schema"] = "assay.replay/1";
  d["seed"] = config.seed;
  d["digest"] = "";
  d["partial"] = r.partial;
  d["trace"] = {{"name", config.trace},
                {"format", config.format},
                {"digest", fmt::format("{:016x}", r.trace_digest)},
                {"requests", r.requests},
                {"input_tokens", r.input_tokens},
                {"output_tokens", r.output_tokens},
                {"hash_tokens", config.hash_tokens},
                {"block_references", r.block_references},
                {"unique_blocks", r.unique_blocks},
                {"time_reversals", r.time_reversals},
                {"without_output", r.without_output}};
  d["config"] = {{"mode", "serve"},
                 {"engine", config.engine},
                 {"block_tokens", s.block_tokens},
                 {"blocks", s.blocks},
                 {"token_budget", s.token_budget},
                 {"max_sequences", s.max_sequences},
                 {"long_prefill_tokens", s.long_prefill_tokens},
                 {"watermark", s.watermark},
                 {"window_tokens", s.window_tokens},
                 {"admission", s.whole_prompt_admission ? "whole-prompt" : "first-chunk"},
                 {"free_order", s.free_order == FreeOrder::kAppend ? "append" : "unpublished-first"},
                 {"prefix_caching", s.prefix_caching},
                 {"clock", options.clock.text()},
                 {"parts", options.parts}};
  Json prefix = of(r.first_admission);
  prefix["mean_request_ratio"] = r.mean_request_ratio;
  prefix["block_ratio"] = ratio(r.first_admission.block_hits, r.first_admission.block_references);
  prefix["token_ratio"] = ratio(r.first_admission.token_hits, r.first_admission.token_references);
  prefix["full_block_ratio"] =
      ratio(r.first_admission.full_block_hits, r.first_admission.full_block_references);
  prefix["miss"] = {{"cold", r.misses.cold},           {"evicted", r.misses.evicted},
                    {"partial", r.misses.partial},     {"granularity", r.misses.granularity},
                    {"recompute", r.misses.recompute}, {"cap", r.misses.cap}};
  prefix["all_admissions"] = of(r.all_admissions);
  d["prefix"] = prefix;
  d["steps"] = r.steps;
  d["decode_steps"] = r.decode_steps;
  d["scheduled_tokens"] = r.scheduled_tokens;
  d["prefill_tokens"] = r.prefill_tokens;
  d["recomputed_tokens"] = r.recomputed_tokens;
  d["preemptions"] = r.preemptions;
  d["preempted_requests"] = r.preempted_requests;
  d["rejected"] = r.rejected();
  d["rejected_by"] = {{"too_large", r.rejected_too_large}, {"empty_prompt", r.rejected_empty_prompt}};
  d["completed"] = r.completed;
  if (r.partial) d["unfinished"] = r.unfinished;
  d["evictions"] = r.evictions;
  Json mean;
  for (std::size_t i = 0; i < kLedgerPlaces.size(); ++i)
    mean[std::string(kLedgerPlaces[i])] = r.ledger.mean(i);
  const auto slots = static_cast<double>(r.ledger.pool_slots());
  d["ledger"] = {{"weight", timed ? "seconds" : "steps"},
                 {"pool_slots", r.ledger.pool_slots()},
                 {"mean", mean},
                 {"p50_live", r.ledger.live().quantile(0.5) / slots},
                 {"p99_live", r.ledger.live().quantile(0.99) / slots},
                 {"peak_live", static_cast<double>(r.ledger.peak_live()) / slots}};
  d["fragmentation"] = {{"run_blocks", of(r.run_blocks)},
                        {"single_run_share", of(r.single_run_share)},
                        {"largest_free_run_blocks", of(r.largest_free_run_blocks)}};
  d["utilization"] = {{"schedule_free", ratio(r.live_slot_steps, r.reserved_slot_steps)},
                      {"live_slot_steps", r.live_slot_steps},
                      {"reserved_slot_steps", r.reserved_slot_steps}};
  d["batch"] = {
      {"running", of(r.running)}, {"peak_running", r.peak_running}, {"peak_waiting", r.peak_waiting}};
  if (timed) {
    d["seconds"] = static_cast<double>(r.end_ns) * 1e-9;
    d["queue_seconds"] = of(r.queue_seconds);
    d["first_token_seconds"] = of(r.first_token_seconds);
  }
  Json balance = Json::object();
  for (const PlannerBalance& b : r.balance) {
    balance[b.planner] = {{"max_over_mean", of(b.max_over_mean)},
                          {"compute_over_ideal", of(b.compute_over_ideal)},
                          {"fluid_over_ideal", of(b.fluid_over_ideal)},
                          {"idle_parts", of(b.idle_parts)}};
    if (b.worst_step >= 0)
      balance[b.planner]["worst"] = {
          {"step", b.worst_step}, {"compute_over_ideal", b.worst}, {"lengths", b.worst_lengths}};
  }
  d["sm_balance"] = balance;
  if (!r.series.empty()) d["series"] = series_of(r.series, timed);
  return d;
}

Json cache_document(const ReplayConfig& config, const CacheReplayOptions& options,
                    const CacheReplayResult& r) {
  Json d;
  d["schema"] = "assay.replay/1";
  d["seed"] = config.seed;
  d["digest"] = "";
  d["partial"] = r.partial;
  d["trace"] = {{"name", config.trace},
                {"format", config.format},
                {"requests", r.requests},
                {"input_tokens", r.input_tokens},
                {"output_tokens", r.output_tokens},
                {"hash_tokens", config.hash_tokens},
                {"block_references", r.block_references},
                {"unique_blocks", r.unique_blocks}};
  d["config"] = {{"mode", "cache"},
                 {"block_tokens", options.block_tokens},
                 {"blocks", options.capacity_blocks},
                 {"evict", cache_policy_name(options.policy)}};
  d["prefix"] = {{"block_hits", r.block_hits},
                 {"any_block_hits", r.any_block_hits},
                 {"block_references", r.block_references},
                 {"token_hits", r.token_hits},
                 {"token_references", r.token_references},
                 {"full_block_hits", r.full_block_hits},
                 {"full_block_references", r.full_block_references},
                 {"mean_request_ratio", r.mean_request_ratio},
                 {"block_ratio", ratio(r.block_hits, r.block_references)},
                 {"token_ratio", ratio(r.token_hits, r.token_references)},
                 {"full_block_ratio", ratio(r.full_block_hits, r.full_block_references)},
                 {"miss", {{"cold", r.miss_cold}, {"evicted", r.miss_evicted}, {"behind", r.miss_behind}}}};
  d["evictions"] = r.evictions;
  d["peak_blocks"] = r.peak_blocks;
  return d;
}

void stamp_digest(Json& document) {
  document["digest"] = "";
  const std::string text = document.dump();
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  document["digest"] = fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace assay::tools
