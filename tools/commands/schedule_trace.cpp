#include "tools/commands/schedule_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>

#include "model/core/check.h"
#include "properties/world/step_pick.h"
#include "tools/commands/command.h"
#include "traces/open.h"
#include "traces/sample.h"

namespace assay::tools {
namespace {

std::unique_ptr<TraceReader> open_source(const ScheduleTraceOptions& options) {
  OpenOptions open;
  open.format = options.format;
  if (options.path == "sample" && !std::filesystem::exists(options.path))
    return open_trace_in_memory(std::string(sample_trace()), std::string(kSampleTraceName), open);
  if (options.path == "-") throw InputError("--trace", "a file that can be read again", "standard input");
  return open_trace(options.path, open);
}

ReplayOptions replay_options(const ScheduleTraceOptions& options) {
  ReplayOptions replay;
  replay.scheduler.blocks = options.blocks;
  replay.scheduler.block_tokens = options.block_tokens;
  replay.scheduler.max_sequences = options.max_sequences;
  replay.scheduler.token_budget = options.token_budget;
  replay.clock = StepClock::parse(options.clock);
  replay.series_points = 0;
  replay.interrupted = &interrupted;
  return replay;
}

std::vector<std::int64_t> lengths_of(const StepView& view) {
  std::vector<std::int64_t> lengths;
  for (const ScheduledSequence& s : view.record.scheduled)
    if (s.decode) lengths.push_back(s.computed_before + 1);
  return lengths;
}

// The lengths of the steps (ascending); the replay ends after the last of them.
void collect(const ScheduleTraceOptions& options, const std::vector<std::int64_t>& steps,
             ScheduleTrace& trace, std::int64_t& last_seen) {
  ReplayOptions replay = replay_options(options);
  std::atomic<bool> stop{false};
  replay.interrupted = &stop;
  std::size_t next = 0;
  const auto reader = open_source(options);
  (void)replay_serving(*reader, replay, [&](const StepView& view) {
    std::vector<std::int64_t> lengths = lengths_of(view);
    last_seen = view.step;
    if (!lengths.empty()) ++trace.decode_steps;
    if (next < steps.size() && view.step == steps[next]) {
      trace.steps.push_back({view.step, 0, std::move(lengths)});
      ++next;
    }
    if (next == steps.size() || interrupted) stop.store(true, std::memory_order_relaxed);
  });
}

DecodeTables tables_of(const StepView& view) {
  DecodeTables tables{view.step, {}, {}, 0};
  std::vector<const Sequence*> sequences;
  for (const ScheduledSequence& s : view.record.scheduled) {
    if (!s.decode) continue;
    sequences.push_back(&view.scheduler.sequence(s.sequence));
    tables.lengths.push_back(static_cast<std::int32_t>(s.computed_before + 1));
    tables.columns = std::max(tables.columns, static_cast<std::int32_t>(sequences.back()->blocks.size()));
  }
  for (const Sequence* sequence : sequences) {
    tables.table.insert(tables.table.end(), sequence->blocks.begin(), sequence->blocks.end());
    tables.table.resize(
        tables.table.size() + static_cast<std::size_t>(tables.columns) - sequence->blocks.size(), -1);
  }
  return tables;
}

}  // namespace

std::vector<DecodeTables> decode_tables_of(const ScheduleTraceOptions& options, std::int64_t count) {
  std::vector<std::int64_t> decoding;  // steps with a decoding sequence
  const auto first = open_source(options);
  (void)replay_serving(*first, replay_options(options), [&](const StepView& view) {
    for (const ScheduledSequence& s : view.record.scheduled)
      if (s.decode) {
        decoding.push_back(view.step);
        return;
      }
  });
  if (decoding.empty()) throw InputError("--trace", "a replay with decode steps", "none");
  std::vector<std::int64_t> wanted;
  const auto steps = static_cast<std::int64_t>(decoding.size());
  for (std::int64_t i = 0; i < std::min(count, steps); ++i)
    wanted.push_back(decoding[static_cast<std::size_t>((2 * i + 1) * steps / (2 * std::min(count, steps)))]);
  ReplayOptions replay = replay_options(options);
  std::atomic<bool> stop{false};
  replay.interrupted = &stop;
  std::vector<DecodeTables> tables;
  const auto second = open_source(options);
  (void)replay_serving(*second, replay, [&](const StepView& view) {
    if (tables.size() < wanted.size() && view.step == wanted[tables.size()])
      tables.push_back(tables_of(view));
    if (tables.size() == wanted.size() || interrupted) stop.store(true, std::memory_order_relaxed);
  });
  return tables;
}

ScheduleTrace decode_steps_of(const ScheduleTraceOptions& options, const std::string& planner,
                              std::int32_t parts) {
  ScheduleTrace trace;
  trace.name = options.path == "sample" && !std::filesystem::exists(options.path)
                   ? std::string(kSampleTraceName)
                   : std::filesystem::path(options.path).filename().string();
  const std::string& scorer = planner == "all" ? "assay" : planner;
  std::int64_t last_seen = -1;
  if (options.step >= 0) {
    collect(options, {options.step}, trace, last_seen);
    if (trace.steps.empty())
      throw InputError("--step", fmt::format("a step of this replay, 0 to {}", last_seen),
                       std::to_string(options.step));
    if (trace.steps[0].lengths.empty())
      throw InputError("--step", "a step in which a sequence decodes",
                       std::to_string(options.step) + ", which only fills prompts");
  } else {
    properties::StepScores scores(properties::StepPick::kImbalance, parts, scorer);
    const auto reader = open_source(options);
    (void)replay_serving(*reader, replay_options(options),
                         [&](const StepView& view) { scores.observe(view); });
    std::vector<std::int64_t> worst = scores.pick(options.listed);
    if (worst.empty()) throw InputError("--trace", "a replay with decode steps", "none");
    collect(options, worst, trace, last_seen);
    trace.decode_steps = static_cast<std::int64_t>(scores.scored().size());
  }
  BalanceScratch scratch;
  for (DecodeStep& step : trace.steps)
    step.score = balance_of(planner_named(scorer), {step.lengths, parts}, scratch).compute_over_ideal;
  std::stable_sort(trace.steps.begin(), trace.steps.end(),
                   [](const DecodeStep& a, const DecodeStep& b) { return a.score > b.score; });
  return trace;
}

}  // namespace assay::tools
