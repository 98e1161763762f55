// assay trace describe: what a trace looks like, as text with small pictures and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"
#include "traces/describe.h"
#include "traces/formats.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Distribution& values) {
  return {{"mean", values.mean()},
          {"median", values.median()},
          {"min", values.min()},
          {"max", values.max()},
          {"p90", values.percentile(90000)},
          {"p95", values.percentile(95000)},
          {"p99", values.percentile(99000)},
          {"p99_9", values.percentile(99900)},
          {"sum", values.sum()},
          {"octaves", values.octaves()}};
}

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

Json json_of_reuse(const ReuseSummary& reuse, const TraceStatistics& statistics) {
  Json out = {{"references", reuse.references},
              {"unique", reuse.unique},
              {"used_once", reuse.used_once},
              {"top_tenth_share_of_reuses", reuse.top_tenth_share}};
  out["ideal_hits"] = {{"blocks",
                        {{"hits", reuse.block_hits},
                         {"of", reuse.references},
                         {"ratio", ratio(reuse.block_hits, reuse.references)}}},
                       {"any_blocks",
                        {{"hits", reuse.any_block_hits},
                         {"of", reuse.references},
                         {"ratio", ratio(reuse.any_block_hits, reuse.references)}}},
                       {"tokens",
                        {{"hits", reuse.token_hits},
                         {"of", statistics.input.sum()},
                         {"ratio", ratio(reuse.token_hits, statistics.input.sum())}}},
                       {"full_blocks",
                        {{"hits", reuse.full_hits},
                         {"of", reuse.full_references},
                         {"ratio", ratio(reuse.full_hits, reuse.full_references)}}},
                       {"mean_request", {{"ratio", reuse.mean_request_ratio}}}};
  if (reuse.half_known)
    out["ideal_hits"]["last_half_tokens"] = {{"hits", reuse.half_token_hits},
                                             {"of", reuse.half_tokens},
                                             {"ratio", ratio(reuse.half_token_hits, reuse.half_tokens)}};
  out["reuse_distance_blocks_octaves"] = reuse.distance_octaves;
  out["reuse_time_ms_octaves"] = reuse.time_octaves_ms;
  return out;
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 120) return fmt::format("{:.1f} s", seconds);
  if (whole < 7200) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", grouped(whole / 3600), whole / 60 % 60);
}

// A value such as 2^10 in few characters.
std::string power(std::size_t exponent) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P", "E"};
  return fmt::format("{}{}", 1u << exponent % 10, kUnits[exponent / 10]);
}

// One bar per power of two, from the first to the last that occurs.
void print_octaves(std::FILE* out, const std::vector<std::int64_t>& octaves, const char* unit,
                   const Terminal& terminal) {
  const std::int64_t top = octaves.empty() ? 0 : *std::max_element(octaves.begin(), octaves.end());
  if (top == 0) return;
  std::int64_t total = 0;
  for (const std::int64_t count : octaves) total += count;
  std::size_t first = 0;
  while (octaves[first] == 0) ++first;
  for (std::size_t slot = first; slot < octaves.size(); ++slot) {
    const std::string label = slot == 0 ? "0" : fmt::format("{}..{}", power(slot - 1), power(slot));
    fmt::print(out, "  {:>12} {:<4} {:>6.2f} %  {}\n", label, unit, 100 * ratio(octaves[slot], total),
               bar(ratio(octaves[slot], top), 40, terminal));
  }
}

void print_text(std::FILE* out, const std::string& name, const TraceReader& trace, const TraceStatistics& s,
                bool complete) {
  const Terminal terminal = terminal_of(out);
  const auto headline = [&](const std::string& text) {
    fmt::print(out, "\n{}\n", toned(text, Tone::kStrong, terminal));
  };
  const double seconds = s.duration_s();
  fmt::print(out, "{}: {}{}{}, {} requests{}\n", name, trace.header().format,
             *trace.compression() != '\0' ? " in " : "", trace.compression(), grouped(s.requests),
             complete ? "" : " (interrupted: of the part that was read)");
  if (trace.bad_count() > 0) {
    fmt::print(out, "{} malformed lines skipped\n", grouped(trace.bad_count()));
    for (std::size_t i = 0; i < std::min<std::size_t>(trace.bad_lines().size(), 10); ++i) {
      const BadLine& bad = trace.bad_lines()[i];
      fmt::print(out, "  {}:{}:{}: expected {}, got {}\n", name, bad.line, bad.fault.column,
                 bad.fault.expected, bad.fault.got);
    }
    if (trace.bad_count() > 10) fmt::print(out, "  ... (all are counted; assay trace lint lists them)\n");
  }
  if (s.requests == 0) return;

  headline("tokens per request");
  fmt::print(out, "  {:<8} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "", "mean", "median", "p90", "p99",
             "p99.9", "min", "max");
  for (const auto& [label, values] : {std::pair("prompt", &s.input), std::pair("output", &s.output)})
    fmt::print(out, "  {:<8} {:>10.2f} {:>9.6g} {:>8} {:>8} {:>8} {:>8} {:>8}\n", label, values->mean(),
               values->median(), values->percentile(90000), values->percentile(99000),
               values->percentile(99900), values->min(), values->max());
  fmt::print(out, "  {} prompt tokens, {} output tokens in all\n", grouped(s.input.sum()),
             grouped(s.output.sum()));
  if (s.no_output > 0) fmt::print(out, "  {} requests without output (failed)\n", grouped(s.no_output));
  if (s.no_input > 0) fmt::print(out, "  {} requests without prompt\n", grouped(s.no_input));
  fmt::print(out, "  prompt lengths\n");
  print_octaves(out, s.input.octaves(), "tok", terminal);

  headline("arrivals");
  if (s.no_arrival == s.requests) {
    fmt::print(out, "  no times\n");
  } else {
    fmt::print(out, "  {:.2f} requests a second over {}, {:.0f} in the busiest second\n",
               seconds > 0 ? static_cast<double>(s.requests) / seconds : 0.0, duration(seconds),
               static_cast<double>(s.per_second.max()));
    fmt::print(out, "  gaps: mean {:.4g} s, coefficient of variation {:.2f} (1 is Poisson)\n", s.gap_mean_s,
               s.gap_cv);
    fmt::print(out, "  {} at the time of the request before, {} before it\n", grouped(s.equal_times),
               grouped(s.backwards));
    if (s.no_arrival > 0) fmt::print(out, "  {} without a time of their own\n", grouped(s.no_arrival));
    std::vector<double> heights(s.over_time.begin(), s.over_time.end());
    const double top = *std::max_element(heights.begin(), heights.end());
    fmt::print(out, "  over time |{}|\n", sparkline(heights, top, terminal));
  }

  headline("prefix reuse");
  const ReuseSummary& reuse = s.reuse;
  if (reuse.references == 0) {
    fmt::print(out, "  no hash ids: nothing is known to be shared\n");
    return;
  }
  fmt::print(out, "  {} references to {} distinct blocks of {} tokens; {} used once\n",
             grouped(reuse.references), grouped(reuse.unique), trace.header().hash_tokens,
             grouped(reuse.used_once));
  fmt::print(out, "  the most reused tenth of the blocks makes {:.1f} % of the reuses\n",
             100 * reuse.top_tenth_share);
  fmt::print(out, "  hits of an unlimited cache, by definition:\n");
  const auto row = [&](const char* label, std::int64_t hits, std::int64_t of) {
    fmt::print(out, "    {:<34} {:>8.4f} %  {} of {}\n", label, 100 * ratio(hits, of), grouped(hits),
               grouped(of));
  };
  row("blocks (leading)", reuse.block_hits, reuse.references);
  row("blocks (any)", reuse.any_block_hits, reuse.references);
  row("tokens", reuse.token_hits, s.input.sum());
  row("full blocks only", reuse.full_hits, reuse.full_references);
  fmt::print(out, "    {:<34} {:>8.4f} %\n", "mean of each request's tokens", 100 * reuse.mean_request_ratio);
  if (reuse.half_known) row("tokens, last half of the requests", reuse.half_token_hits, reuse.half_tokens);
  fmt::print(out, "  reuse distance, in distinct blocks between two uses\n");
  print_octaves(out, reuse.distance_octaves, "blk", terminal);
  fmt::print(out, "  reuse time\n");
  print_octaves(out, reuse.time_octaves_ms, "ms", terminal);
}

}  // namespace

int describe_trace(const DescribeAction& action, std::FILE* print, Json& document) {
  const auto trace = open_trace(action.input.path, open_options(action.input));
  TraceStatistics statistics;
  Request request;
  bool complete = true;
  {
    TraceProgress progress(action.input.path, -1, print != nullptr);
    while (trace->next(request)) {
      statistics.add(request, trace->header().hash_tokens);
      if (!progress.tick(statistics.requests, trace->bytes_read())) {
        complete = false;
        break;
      }
    }
  }
  statistics.finish();
  const TraceStatistics& s = statistics;

  document["schema"] = "assay.trace.describe/1";
  document["complete"] = complete;
  document["file"] = json_safe(action.input.path);
  document["format"] = trace->header().format;
  document["hash_tokens"] = trace->header().hash_tokens;
  document["origin_ns"] = trace->header().origin_ns;
  document["bytes"] = trace->bytes_read();
  document["compression"] = trace->compression();
  document["requests"] = s.requests;
  document["skipped_lines"] = trace->bad_count();
  auto& skipped = document["skipped"] = Json::array();
  for (const BadLine& bad : trace->bad_lines())
    skipped.push_back({{"line", bad.line},
                       {"column", bad.fault.column},
                       {"code", bad.fault.code},
                       {"expected", bad.fault.expected},
                       {"got", bad.fault.got}});
  document["failed"] = s.no_output;
  document["empty_prompts"] = s.no_input;
  document["input_tokens"] = json_of(s.input);
  document["output_tokens"] = json_of(s.output);
  const double seconds = s.duration_s();
  document["arrivals"] = {
      {"first_ns", s.first_ns},
      {"last_ns", s.last_ns},
      {"without_time", s.no_arrival},
      {"equal_to_previous", s.equal_times},
      {"before_previous", s.backwards},
      {"requests_per_s", seconds > 0 ? static_cast<double>(s.requests) / seconds : 0.0},
      {"input_tokens_per_s", seconds > 0 ? static_cast<double>(s.input.sum()) / seconds : 0.0},
      {"output_tokens_per_s", seconds > 0 ? static_cast<double>(s.output.sum()) / seconds : 0.0},
      {"gap_mean_s", s.gap_mean_s},
      {"gap_cv", s.gap_cv},
      {"busiest_second", s.per_second.max()},
      {"second_p99", s.per_second.percentile(99000)},
      {"over_time", s.over_time}};
  document["kinds"] = s.kinds;
  document["models"] = s.models;
  document["with_session"] = s.with_session;
  document["with_hash_ids"] = s.with_ids;
  if (s.reuse.references > 0) document["reuse"] = json_of_reuse(s.reuse, s);
  if (print != nullptr) print_text(print, action.input.path, *trace, s, complete);
  return complete ? kPass : kInconclusive;
}

}  // namespace assay::tools
