// assay schedule: how a batch's decode work falls on the SMs under every public planner. The batch is typed, or
// a decode step of a replayed trace.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "sim/schedules/balance.h"
#include "tools/commands/command.h"
#include "tools/commands/lengths.h"
#include "tools/commands/schedule_measure.h"
#include "tools/commands/schedule_trace.h"
#include "tools/terminal/bars.h"
#include "tools/timeline/schedule_timeline.h"

namespace assay::tools {
namespace {

struct Options {
  CommonOptions common;
  std::string lengths;
  ScheduleTraceOptions trace;
  std::string planner = "all", timeline_path;
  std::int32_t parts = kH200SmCount;
  std::int32_t kv_heads = 1;
  std::int32_t group = 1;
  double rate_cap = kDefaultRateCap;
  ScheduleMeasureOptions measure;
};

// The 66 columns of a picture: each is the largest load of its share of the parts.
std::vector<double> columns_of(const std::vector<std::int64_t>& loads, std::size_t width) {
  width = std::min(width, loads.size());
  std::vector<double> columns(width, 0);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    double& column = columns[i * width / loads.size()];
    column = std::max(column, static_cast<double>(loads[i]));
  }
  return columns;
}

void check(const Options& options) {
  const auto want = [](bool holds, const char* place, const char* expected, auto got) {
    if (!holds) throw InputError(place, expected, fmt::format("{}", got));
  };
  want(options.parts >= 1 && options.parts <= 4096, "--parts", "1 to 4096 SMs", options.parts);
  want(options.kv_heads >= 1 && options.kv_heads <= 1024, "--kv-heads", "1 to 1024", options.kv_heads);
  want(options.group >= 1 && options.group <= 128, "--group", "1 to 128 query heads per KV head",
       options.group);
  if (options.lengths.empty() == options.trace.path.empty())
    throw InputError("--lengths and --trace", "one of them", options.lengths.empty() ? "none" : "both");
  want(options.trace.listed >= 1 && options.trace.listed <= 10'000, "--worst", "1 to 10000 steps",
       options.trace.listed);
  want(options.rate_cap >= 1, "--rate-cap", "at least 1, the fair share", options.rate_cap);
}

// Says which step the lengths are from, and which others are bad.
void show_trace(const Options& options, const ScheduleTrace& trace, bool print,
                nlohmann::ordered_json& document) {
  const DecodeStep& chosen = trace.steps.front();
  document["trace"] = {{"name", trace.name}, {"step", chosen.step}, {"lengths", chosen.lengths}};
  if (options.trace.step >= 0) {
    if (print) fmt::print("{}, step {}\n", trace.name, chosen.step);
    return;
  }
  const std::string planner = options.planner == "all" ? "assay" : options.planner;
  if (print)
    fmt::print(
        "{}: {} decode steps; the worst under planner {} on {} SMs\n{:>12} {:>10} {:>10} {:>10} {:>9}\n",
        trace.name, trace.decode_steps, planner, options.parts, "step", "sequences", "tokens", "longest",
        "compute");
  document["trace"]["decode_steps"] = trace.decode_steps;
  auto& worst = document["trace"]["worst"] = nlohmann::ordered_json::array();
  for (const DecodeStep& step : trace.steps) {
    std::int64_t tokens = 0;
    for (const std::int64_t length : step.lengths) tokens += length;
    const std::int64_t longest = *std::max_element(step.lengths.begin(), step.lengths.end());
    worst.push_back({{"step", step.step},
                     {"sequences", step.lengths.size()},
                     {"tokens", tokens},
                     {"longest", longest},
                     {"compute_over_ideal", step.score}});
    if (print)
      fmt::print("{:>12} {:>10} {:>10} {:>10} {:>9.2f}\n", step.step, step.lengths.size(), tokens, longest,
                 step.score);
  }
  if (print) fmt::print("\nstep {}\n", chosen.step);
}

int run(const Options& options) {
  check(options);
  if (options.measure.steps != 0 || options.measure.tables) {
    if (options.measure.steps < 0)
      throw InputError("--measure", "a number of steps", std::to_string(options.measure.steps));
    return measure_schedule(options.common, options.trace, options.measure);
  }
  const bool print = !options.common.quiet && options.common.json_path != "-";
  nlohmann::ordered_json document;
  document["schema"] = "assay.schedule/1";
  std::vector<std::int64_t> lengths;
  if (options.trace.path.empty()) {
    lengths = parse_lengths(options.lengths, "--lengths");
  } else {
    const ScheduleTrace trace = decode_steps_of(options.trace, options.planner, options.parts);
    show_trace(options, trace, print, document);
    lengths = trace.steps.front().lengths;
  }
  constexpr std::int64_t kMostItems = 1 << 22;
  if (static_cast<std::int64_t>(lengths.size()) * options.kv_heads > kMostItems)
    throw InputError("--lengths x --kv-heads", "at most 2^22 (sequence, head) pairs",
                     fmt::format("{} x {}", lengths.size(), options.kv_heads));
  const DecodeBatch batch{lengths, options.parts, options.kv_heads, options.group};
  std::vector<const Planner*> chosen;
  for (const Planner& planner : planners())
    if (options.planner == "all" ? !(planner.multi_query_only && options.kv_heads > 1)
                                 : planner.name == options.planner)
      chosen.push_back(&planner);
  if (chosen.empty() || options.planner != "all") {
    const Planner& planner = planner_named(options.planner);
    if (planner.multi_query_only && options.kv_heads > 1)
      throw InputError("--kv-heads", "1 for planner " + std::string(planner.name),
                       std::to_string(options.kv_heads));
  }

  const Terminal terminal = terminal_of(stdout);
  document["config"] = {{"sequences", lengths.size()},  {"parts", options.parts},
                        {"kv_heads", options.kv_heads}, {"group", options.group},
                        {"rate_cap", options.rate_cap}, {"useful_tokens", batch.useful_tokens()}};
  if (print) {
    fmt::print("{} sequences, {} tokens x {} KV heads on {} SMs; 1.00 is a perfect schedule\n\n",
               lengths.size(), batch.useful_tokens() / options.kv_heads, options.kv_heads, options.parts);
    fmt::print("{:<21} {:>9} {:>9} {:>9} {:>6}  {}\n", "planner", "max/mean", "compute", "shared bw", "idle",
               "load per SM");
  }
  BalanceScratch scratch;
  ScheduleTimeline timeline;
  auto& results = document["planners"] = nlohmann::ordered_json::object();
  for (const Planner* planner : chosen) {
    const Balance balance = balance_of(*planner, batch, scratch, options.rate_cap);
    results[std::string(planner->name)] = {{"max_over_mean", balance.max_over_mean},
                                           {"compute_over_ideal", balance.compute_over_ideal},
                                           {"fluid_over_ideal", balance.fluid_over_ideal},
                                           {"idle_parts", balance.idle_parts},
                                           {"parts", scratch.schedule.parts},
                                           {"pieces", scratch.schedule.pieces.size()},
                                           {"scheduled_tokens", balance.scheduled_tokens},
                                           {"loads", scratch.loads}};
    if (!options.timeline_path.empty()) timeline.add(*planner, scratch.schedule, batch);
    if (!print) continue;
    const double top = static_cast<double>(*std::max_element(scratch.loads.begin(), scratch.loads.end()));
    const Tone tone = balance.compute_over_ideal > 2     ? Tone::kBad
                      : balance.compute_over_ideal > 1.2 ? Tone::kWarning
                                                         : Tone::kGood;
    fmt::print("{:<21} {:>9.2f} {} {:>9.2f} {:>6}  |{}|\n", planner->name, balance.max_over_mean,
               toned(fmt::format("{:>9.2f}", balance.compute_over_ideal), tone, terminal),
               balance.fluid_over_ideal, balance.idle_parts,
               sparkline(columns_of(scratch.loads, 44), top, terminal));
  }
  if (print)
    fmt::print(
        "\nmax/mean: largest load over the mean of all SMs. compute: makespan over ideal when every SM works "
        "at its\n"
        "own rate. shared bw: the same when SMs share the memory's bandwidth, each at most {:g} times its "
        "fair share.\n",
        options.rate_cap);
  if (!options.timeline_path.empty()) write_text(options.timeline_path, "--timeline", timeline.json());
  write_json(options.common, document);
  return kPass;
}

}  // namespace

void register_schedule(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand("schedule", "SM balance of a batch under every planner");
  command->add_option("--lengths", options->lengths, "Context lengths, as 8192,63x2k,128k");
  command
      ->add_option("--trace", options->trace.path,
                   "Lengths of a decode step of this trace's replay; 'sample' is built in")
      ->type_name("FILE");
  command->add_option("--step", options->trace.step,
                      "Which step; default: the worst ones are named, the worst shown");
  command->add_option("--worst", options->trace.listed, "How many bad steps are named")
      ->capture_default_str();
  command->add_option("--format", options->trace.format, "Format of the trace; default: recognised");
  command->add_option("--blocks", options->trace.blocks, "Replay: blocks of the pool")->capture_default_str();
  command->add_option("--block-tokens", options->trace.block_tokens, "Replay: tokens per block")
      ->capture_default_str();
  command->add_option("--max-sequences", options->trace.max_sequences, "Replay: sequences running at once")
      ->capture_default_str();
  command->add_option("--token-budget", options->trace.token_budget, "Replay: tokens per step")
      ->capture_default_str();
  command->add_option("--clock", options->trace.clock, "Replay: none, fixed:<ms>, roofline:<model>@<gpu>")
      ->capture_default_str();
  command->add_option("--planner", options->planner, "One planner, or all")->capture_default_str();
  command->add_option("--parts", options->parts, "SMs")->capture_default_str();
  command->add_option("--kv-heads", options->kv_heads, "KV heads")->capture_default_str();
  command->add_option("--group", options->group, "Query heads per KV head")->capture_default_str();
  command->add_option("--rate-cap", options->rate_cap, "Bandwidth one SM can draw, in fair shares")
      ->capture_default_str();
  command->add_option("--timeline", options->timeline_path, "Write the plans for ui.perfetto.dev to FILE")
      ->type_name("FILE");
  command->add_option("--measure", options->measure.steps,
                      "Time that many decode steps of the trace on this GPU against a fitted model");
  command->add_flag("--measure-tables", options->measure.tables,
                    "Time the busiest step under contiguous, the engine's and shuffled block tables");
  command->add_option("--op", options->measure.op, "Measured kernel: paged-mqa-logits or paged-attention")
      ->capture_default_str();
  command->add_option("--repeats", options->measure.repeats, "Launches per measured step")
      ->capture_default_str();
  add_common_options(*command, options->common);
  command->footer(
      "\nExample:\n  assay schedule --lengths 128k,63x2k --kv-heads 8 --group 8\n"
      "  assay schedule --trace sample --blocks 3500 --planner one-cta-per-sequence");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
