// assay sweep: replays over every combination of option values, on all cores, into a folder that survives a kill.
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/replay_point.h"
#include "tools/commands/trace_actions.h"
#include "tools/sweep/design.h"
#include "tools/sweep/result_log.h"
#include "tools/sweep/table.h"
#include "tools/version.h"
#include "traces/sample.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

// Room that is asked for before work starts, for every point's line in both files.
constexpr std::int64_t kBytesPerPoint = 16384;

struct Options {
  CommonOptions common;
  std::string spec_path, out, resume;
  std::int64_t random_points = 0;
  int workers = 0;
  std::vector<std::string> axes;
};

std::string read_file(const std::string& path, const std::string& option) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.is_open() || in.bad()) throw InputError(option + " " + path, "a file that can be read", "none");
  return text;
}

Json parse_json(const std::string& text, const std::string& place) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw InputError(place, "JSON", error.what());
  }
}

std::string hash_of(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

struct Sweep {
  SweepDesign design;
  std::map<std::string, ReplayTrace> traces;  // by the path that was given; "" is the sample

  [[nodiscard]] std::map<std::string, std::string> values(std::int64_t point) const {
    std::map<std::string, std::string> values;
    const std::vector<std::size_t> chosen = design.choices(point);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      values[design.axes[i].name] = design.axes[i].values[chosen[i]];
    return values;
  }
  [[nodiscard]] std::vector<std::string> arguments(std::int64_t point) const {
    std::vector<std::string> arguments;
    bool series = false;
    for (const auto& [name, value] : values(point)) {
      if (name == "trace") continue;
      series = series || name == "series-points";
      arguments.push_back("--" + name + "=" + value);
    }
    if (!series) arguments.emplace_back("--series-points=0");
    return arguments;
  }
  [[nodiscard]] std::string spec() const {
    Json axes = Json::object(), digests = Json::object();
    for (const Axis& axis : design.axes) axes[axis.name] = axis.values;
    for (const auto& [path, trace] : traces) digests[path] = hash_of(trace.bytes);
    return Json{{"schema", "assay.sweep-spec/1"}, {"version", version_text()}, {"axes", axes},
                {"random", design.random_points}, {"seed", design.seed},       {"traces", digests}}
               .dump(2) +
           "\n";
  }
};

Sweep sweep_of(const Options& options) {
  Sweep sweep;
  sweep.design.random_points = options.random_points;
  sweep.design.seed = options.common.seed;
  if (options.random_points < 0)
    throw InputError("--random", "0 (the grid) or more points", std::to_string(options.random_points));
  if (!options.spec_path.empty() && !options.axes.empty())
    throw InputError("--spec", "a file, or options with values", "both");
  if (!options.spec_path.empty()) {
    sweep.design.axes = axes_of_json(parse_json(read_file(options.spec_path, "--spec"), options.spec_path),
                                     options.spec_path);
  } else if (options.axes.empty() && !options.resume.empty()) {
    const std::string path = options.resume + "/spec.json";
    const Json spec = parse_json(read_file(path, "--resume"), path);
    if (!spec.is_object() || !spec.contains("axes") || !spec.contains("random") || !spec.contains("seed"))
      throw InputError(path, "the spec of a sweep", "something else");
    sweep.design.axes = axes_of_json(spec["axes"], path);
    sweep.design.random_points = spec["random"].get<std::int64_t>();
    sweep.design.seed = spec["seed"].get<std::uint64_t>();
  } else {
    sweep.design.axes = axes_of_arguments(options.axes);
  }
  if (sweep.design.axes.empty())
    throw InputError("assay sweep", "options with values, such as --blocks 2000,8000", "none");
  for (const Axis& axis : sweep.design.axes)
    if (axis.name == "trace")
      for (const std::string& path : axis.values)
        sweep.traces[path] = {std::filesystem::path(path).filename().string(), read_file(path, "--trace")};
  if (sweep.traces.empty()) sweep.traces[""] = {std::string(kSampleTraceName), std::string(sample_trace())};
  return sweep;
}

// All points that `log` has not: handed out one by one, in order, to threads that share traces and log.
void run_points(const Sweep& sweep, ResultLog& log, int workers, bool quiet) {
  std::mutex mutex;
  std::int64_t next = 0;
  const std::int64_t points = sweep.design.points(), before = static_cast<std::int64_t>(log.lines().size());
  std::exception_ptr failure;
  ProgressLine progress(!quiet);
  const auto work = [&] {
    for (;;) {
      std::int64_t point = 0;
      {
        const std::lock_guard lock(mutex);
        while (next < points && log.lines().count(next) > 0) ++next;
        if (next == points || failure || interrupted) return;
        point = next++;
      }
      try {
        const auto values = sweep.values(point);
        const auto trace = values.find("trace");
        const std::optional<Json> result =
            replay_point(sweep.arguments(point), sweep.traces.at(trace == values.end() ? "" : trace->second),
                         sweep.design.seed);
        if (!result) return;
        Json line = {{"point", point}, {"options", Json::object()}, {"result", *result}};
        for (const Axis& axis : sweep.design.axes) line["options"][axis.name] = values.at(axis.name);
        const std::string text = line.dump();
        const std::lock_guard lock(mutex);
        if (failure) return;
        log.add(point, text);
        if (!progress.due()) continue;
        const auto done = static_cast<std::int64_t>(log.lines().size());
        const double left =
            progress.seconds() / static_cast<double>(done - before) * static_cast<double>(points - done);
        progress.show(fmt::format("{} of {} points, {:.0f} s left", grouped(done), grouped(points), left));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        return;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  progress.hide();
  if (failure) std::rethrow_exception(failure);
}

int run(const Options& options) {
  if (options.out.empty() == options.resume.empty())
    throw InputError("assay sweep", "--out DIR or --resume DIR", options.out.empty() ? "neither" : "both");
  const Sweep sweep = sweep_of(options);
  const std::int64_t points = sweep.design.points();
  for (std::int64_t point = 0; point < points; ++point) check_replay_point(sweep.arguments(point));
  const bool resume = !options.resume.empty();
  const std::string folder = resume ? options.resume : options.out;
  ResultLog log(folder, sweep.spec(), resume, points * kBytesPerPoint);
  const int workers = options.workers > 0
                          ? options.workers
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  run_points(sweep, log, workers, options.common.quiet);

  const SweepTable table(sweep.design.axes, log.lines());
  log.finish(table.csv());
  std::string all;
  for (const auto& [point, line] : log.lines()) all += line + "\n";
  const auto done = static_cast<std::int64_t>(log.lines().size());
  const Json summary = {{"schema", "assay.sweep/1"}, {"digest", hash_of(all)},   {"points", points},
                        {"finished", done},          {"partial", done < points}, {"fronts", table.fronts()}};
  log.write("summary.json", summary.dump(2) + "\n");
  write_json(options.common, summary);
  if (!options.common.quiet && options.common.json_path != "-")
    fmt::print("{}{} of {} points in {}\ndigest {}\n", table.text(), grouped(done), grouped(points), folder,
               summary["digest"].get<std::string>());
  return done < points ? kInconclusive : kPass;
}

}  // namespace

void register_sweep(Registry& registry) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      registry.app.add_subcommand("sweep", "Replays over combinations of options, on all cores");
  command->allow_extras();
  command->add_option("--spec", o->spec_path, "The options and their values as JSON, instead of flags")
      ->type_name("FILE");
  command->add_option("--out", o->out, "Folder of the results; must not hold a sweep")->type_name("DIR");
  command->add_option("--resume", o->resume, "Finish the sweep in DIR")->type_name("DIR");
  command->add_option("--random", o->random_points, "N seeded random points instead of the whole grid");
  command->add_option("--workers", o->workers, "Threads; 0 = one per core")->capture_default_str();
  add_common_options(*command, o->common);
  command->footer(
      "\nEvery other option is one of assay replay (or --trace) with a list of values; a flag takes "
      "true,false.\n\nExample:\n  assay sweep --trace traces/samples/sample.jsonl --block-tokens 16,64 "
      "--blocks "
      "2000,8000 --out sweep");
  command->callback([&registry, command, o] {
    o->axes = command->remaining();
    registry.chosen = [o] { return run(*o); };
  });
}

}  // namespace assay::tools
