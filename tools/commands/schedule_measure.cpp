#include "tools/commands/schedule_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "model/core/attention_plan.h"
#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "sim/schedules/schedule.h"
#include "sim/schedules/step_time.h"
#include "tools/commands/kernel_options.h"

#if defined(ASSAY_HAS_CUDA)
#include "gpu/measured/decode_timer.h"
#endif

namespace assay::tools {

#if defined(ASSAY_HAS_CUDA)
namespace {

constexpr std::int32_t kUnitTokens = 64;

DecodeShape shape_of(const ScheduleMeasureOptions& options, std::int32_t block_tokens) {
  if (options.op == "paged-mqa-logits") return {DecodeKernel::kPagedMqaLogits, 64, 1, 128, block_tokens};
  if (options.op == "paged-attention") return {DecodeKernel::kPagedAttention, 64, 8, 128, block_tokens};
  throw InputError("--op", "paged-mqa-logits or paged-attention", options.op);
}

// As the kernels cut: logits into units of 64 tokens, nothing to merge; attention into tiles of every KV head,
// over as many parts as its plan uses (model/core/attention_plan.h).
StepLoad load_of(const DecodeTables& step, const DecodeShape& shape) {
  if (shape.kernel == DecodeKernel::kPagedMqaLogits) {
    StepLoad load = step_load_of(step.lengths, kUnitTokens, kH200SmCount);
    load.most_cuts = 0;
    return load;
  }
  std::vector<std::int32_t> lengths;
  std::int64_t tiles = 0;
  for (const std::int32_t length : step.lengths) {
    lengths.insert(lengths.end(), static_cast<std::size_t>(shape.kv_heads), length);
    tiles += shape.kv_heads * ceil_div(length, AttentionOrder::kTileTokens);
  }
  const std::int32_t parts = used_parts(tiles, 2 * kH200SmCount, static_cast<std::int64_t>(lengths.size()));
  return step_load_of(lengths, AttentionOrder::kTileTokens, parts);
}

struct Timed {
  DecodeTables step;
  MeasuredStep measured;
  double terabytes_per_second = 0;
};

std::vector<Timed> time_steps(const ScheduleTraceOptions& trace, const ScheduleMeasureOptions& options,
                              bool quiet) {
  const DecodeShape shape = shape_of(options, trace.block_tokens);
  DecodeTimer timer(shape, trace.blocks);
  std::vector<Timed> timed;
  ProgressLine line(!quiet);
  for (DecodeTables& step : decode_tables_of(trace, options.steps)) {
    if (interrupted) break;
    const DecodeTime time = timer.time({step.lengths, step.table, step.columns}, options.repeats);
    timed.push_back({std::move(step), {}, time.bytes / time.median_us * 1e-6});
    timed.back().measured = {load_of(timed.back().step, shape), time.median_us};
    if (line.due()) line.show(fmt::format("{} of {} steps", timed.size(), options.steps));
  }
  return timed;
}

int measure_model(const CommonOptions& common, const ScheduleTraceOptions& trace,
                  const ScheduleMeasureOptions& options) {
  const std::vector<Timed> timed = time_steps(trace, options, common.quiet);
  if (timed.size() < 4)
    throw InputError("--measure", "a replay with at least 4 decode steps", std::to_string(timed.size()));
  std::vector<MeasuredStep> seen;
  for (std::size_t i = 0; i < timed.size(); i += 2) seen.push_back(timed[i].measured);
  const StepTimeModel model = fit_step_time(seen);
  std::vector<double> errors;  // of the steps that were held back
  nlohmann::ordered_json document{{"schema", "assay.schedule-measure/1"},
                                  {"device", device_name()},
                                  {"trace", std::filesystem::path(trace.path).filename().string()},
                                  {"op", options.op},
                                  {"block_tokens", trace.block_tokens},
                                  {"repeats", options.repeats}};
  document["model"] = {{"start_us", model.start_us},
                       {"unit_us", model.unit_us},
                       {"shared_us", model.shared_us},
                       {"sequence_us", model.sequence_us},
                       {"merge_us", model.merge_us}};
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < timed.size(); ++i) {
    const Timed& t = timed[i];
    const double predicted = model.predict_us(t.measured.load), error = predicted / t.measured.us - 1;
    if (i % 2 == 1) errors.push_back(std::abs(error));
    steps.push_back({{"step", t.step.step},
                     {"sequences", t.step.lengths.size()},
                     {"units", t.measured.load.total_units},
                     {"busiest_units", t.measured.load.busiest_units},
                     {"measured_us", t.measured.us},
                     {"predicted_us", predicted},
                     {"error", error},
                     {"held_back", i % 2 == 1},
                     {"terabytes_per_second", t.terabytes_per_second}});
  }
  std::sort(errors.begin(), errors.end());
  const double median = errors[errors.size() / 2], p90 = errors[errors.size() * 9 / 10],
               worst = errors.back();
  document["held_back"] = {{"steps", errors.size()},
                           {"median_error", median},
                           {"p90_error", p90},
                           {"worst_error", worst},
                           {"tolerance", options.tolerance}};
  if (!common.quiet && common.json_path != "-") {
    fmt::print("{} on {}: {} decode steps of {}, blocks of {}, medians of {}, cold L2\n", options.op,
               device_name(), timed.size(), std::filesystem::path(trace.path).filename().string(),
               trace.block_tokens, options.repeats);
    fmt::print(
        "time = {:.2f} us + max({:.4f} us x busiest part's units, {:.5f} us x all units) + {:.3f} us x "
        "sequences "
        "of a part + {:.3f} us x cuts of a sequence\n\n",
        model.start_us, model.unit_us, model.shared_us, model.sequence_us, model.merge_us);
    fmt::print("{:>9} {:>10} {:>9} {:>9} {:>11} {:>11} {:>8} {:>7}\n", "step", "sequences", "units",
               "busiest", "measured us", "predicted", "error", "TB/s");
    for (std::size_t i = 0; i < timed.size(); i += std::max<std::size_t>(1, timed.size() / 16)) {
      const auto& s = steps[i];
      fmt::print("{:>9} {:>10} {:>9} {:>9} {:>11.1f} {:>11.1f} {:>7.1f}% {:>7.2f}{}\n", timed[i].step.step,
                 timed[i].step.lengths.size(), timed[i].measured.load.total_units,
                 timed[i].measured.load.busiest_units, timed[i].measured.us,
                 s.at("predicted_us").get<double>(), 100 * s.at("error").get<double>(),
                 timed[i].terabytes_per_second, i % 2 == 1 ? "  held back" : "");
    }
    fmt::print("\nheld back {} steps: median error {:.1f} %, 90th percentile {:.1f} %, worst {:.1f} %\n",
               errors.size(), 100 * median, 100 * p90, 100 * worst);
  }
  document["steps"] = std::move(steps);
  write_json(common, document);
  if (interrupted) return kInconclusive;
  return p90 <= options.tolerance ? kPass : kWrongResult;
}

// The same blocks of the same sequences elsewhere in the pool.
DecodeTables with_order(const DecodeTables& step, const std::string& order, std::int64_t pool_blocks,
                        std::int32_t block_tokens) {
  if (order == "engine") return step;
  DecodeTables other = step;
  std::vector<std::int32_t> ids(static_cast<std::size_t>(pool_blocks));
  std::iota(ids.begin(), ids.end(), 0);
  if (order == "shuffled") {
    const RandomStream random(1, "shuffled tables");
    for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random.below(i, i)]);
  }
  std::size_t next = 0;
  for (std::size_t s = 0; s < step.lengths.size(); ++s)
    for (std::int64_t i = 0; i < ceil_div(step.lengths[s], block_tokens); ++i)
      other.table[s * static_cast<std::size_t>(step.columns) + static_cast<std::size_t>(i)] =
          ids[next++ % ids.size()];
  return other;
}

int measure_tables(const CommonOptions& common, ScheduleTraceOptions trace,
                   const ScheduleMeasureOptions& options) {
  const std::int64_t pool_tokens = std::int64_t{trace.blocks} * trace.block_tokens;
  const bool logits = options.op == "paged-mqa-logits";
  nlohmann::ordered_json document{{"schema", "assay.schedule-tables/1"},
                                  {"device", device_name()},
                                  {"op", options.op},
                                  {"repeats", options.repeats}};
  auto& rows = document["rows"] = nlohmann::ordered_json::array();
  const bool print = !common.quiet && common.json_path != "-";
  if (print) {
    fmt::print(
        "{} on {}: the busiest of 16 decode steps of {}, TB/s of live bytes, medians of {}, cold L2\n\n",
        options.op, device_name(), std::filesystem::path(trace.path).filename().string(), options.repeats);
    fmt::print("{:>12} {:>10} {:>10} {:>12} {:>10} {:>10}\n", "block tokens", "sequences", "tokens",
               "contiguous", "engine", "shuffled");
  }
  const std::vector<std::int32_t> sizes =
      logits ? std::vector<std::int32_t>{64, 128, 256} : std::vector<std::int32_t>{16, 32, 64, 128};
  for (const std::int32_t block_tokens : sizes) {
    trace.block_tokens = block_tokens;
    trace.blocks = static_cast<std::int32_t>(pool_tokens / block_tokens);
    std::vector<DecodeTables> steps = decode_tables_of(trace, 16);
    const auto tokens = [](const DecodeTables& step) {
      return std::accumulate(step.lengths.begin(), step.lengths.end(), std::int64_t{0});
    };
    const DecodeTables& busiest = *std::max_element(
        steps.begin(), steps.end(), [&](const auto& a, const auto& b) { return tokens(a) < tokens(b); });
    DecodeTimer timer(shape_of(options, block_tokens), trace.blocks);
    nlohmann::ordered_json row{{"block_tokens", block_tokens},
                               {"step", busiest.step},
                               {"sequences", busiest.lengths.size()},
                               {"tokens", tokens(busiest)}};
    for (const char* order : {"contiguous", "engine", "shuffled"}) {
      const DecodeTables call = with_order(busiest, order, trace.blocks, block_tokens);
      const DecodeTime time = timer.time({call.lengths, call.table, call.columns}, options.repeats);
      row[order] = {{"us", time.median_us}, {"terabytes_per_second", time.bytes / time.median_us * 1e-6}};
    }
    if (print)
      fmt::print("{:>12} {:>10} {:>10} {:>12.3f} {:>10.3f} {:>10.3f}\n", block_tokens, busiest.lengths.size(),
                 tokens(busiest), row["contiguous"]["terabytes_per_second"].get<double>(),
                 row["engine"]["terabytes_per_second"].get<double>(),
                 row["shuffled"]["terabytes_per_second"].get<double>());
    rows.push_back(std::move(row));
    if (interrupted) break;
  }
  write_json(common, document);
  return interrupted ? kInconclusive : kPass;
}

}  // namespace

int measure_schedule(const CommonOptions& common, const ScheduleTraceOptions& trace,
                     const ScheduleMeasureOptions& options) {
  if (trace.path.empty()) throw InputError("--measure", "a trace to take steps from (--trace)", "none");
  if (options.repeats < 1) throw InputError("--repeats", "1 or more", std::to_string(options.repeats));
  return options.tables ? measure_tables(common, trace, options) : measure_model(common, trace, options);
}

#else

int measure_schedule(const CommonOptions&, const ScheduleTraceOptions&, const ScheduleMeasureOptions&) {
  throw EnvironmentError("--measure", "a build with CUDA", "a build without");
}

#endif

}  // namespace assay::tools
