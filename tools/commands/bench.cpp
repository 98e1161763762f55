// assay bench: how fast a kernel is on given shapes, how far from the floor, and whether it is slower than
// another one. Every shape is timed in a process of its own; what was timed is verified there.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "model/core/check.h"
#include "properties/kernels/registry.h"
#include "tools/bench/machine_code.h"
#include "tools/commands/bench_json.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/report/html.h"
#include "tools/terminal/bars.h"
#include "tools/version.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;
using properties::KernelDescription;
using properties::Operation;

struct Options {
  CommonOptions common;
  KernelOptions kernel;
  std::string baseline;  // "": none
  std::vector<std::string> shapes{"default"};
  std::int32_t prefill_tokens = 0;
  bool list = false, cold = false, warm = false;
  std::int32_t repeats = 30;
  double budget_seconds = 5, threshold = 0.02, confidence = 0.95;
  std::string clock = "wall", html_path;
};

// What is the same for all shapes of a run.
struct Plan {
  std::vector<Operation> operations;
  std::vector<BenchShape> shapes;
  bool on_device = false, cold = false, identical = false;
};

std::vector<KernelDescription> descriptions_of(const KernelOptions& options) {
  if (properties::is_python(options.kernel))
    throw InputError("--kernel", "a built-in kernel or a shared object: Python's own time would be timed",
                     options.kernel);
  properties::WorkerProcess worker(worker_command(options));
  return worker.kernels();
}

const KernelDescription* find(const std::vector<KernelDescription>& kernels, Operation operation) {
  for (const KernelDescription& kernel : kernels)
    if (kernel.operation == static_cast<std::int32_t>(operation)) return &kernel;
  return nullptr;
}

// A path as itself, so that dlopen and the digest look at the same file.
std::string path_of(const std::string& kernel) {
  return properties::is_plugin(kernel) ? std::filesystem::absolute(kernel).lexically_normal().string() : "";
}

bool same_machine_code(const std::string& kernel, const std::string& baseline) {
  if (!properties::is_plugin(kernel) || !properties::is_plugin(baseline)) return kernel == baseline;
  return machine_code_digest_of_file(kernel) == machine_code_digest_of_file(baseline);
}

Plan plan_of(const Options& options) {
  const std::vector<KernelDescription> kernels = descriptions_of(options.kernel);
  std::vector<KernelDescription> against;
  if (!options.baseline.empty()) {
    KernelOptions other = options.kernel;
    other.kernel = options.baseline;
    against = descriptions_of(other);
  }
  Plan plan;
  std::int32_t device = 0;
  for (const Operation operation : operations_of(options.kernel, kernels)) {
    const KernelDescription& kernel = *find(kernels, operation);
    const KernelDescription* other = find(against, operation);
    if (default_shapes(operation).empty() || (!against.empty() && other == nullptr)) continue;
    if (other != nullptr && other->device != kernel.device)
      throw InputError("--baseline", "a kernel on the same device as " + options.kernel.kernel,
                       options.baseline);
    if (device != 0 && kernel.device != device)
      throw InputError("--op", "operations on one device", "kernels on two");
    device = kernel.device;
    plan.operations.push_back(operation);
  }
  if (plan.operations.empty())
    throw InputError(against.empty() ? "--kernel" : "--baseline",
                     against.empty() ? "an operation with shapes to time (assay bench --list)"
                                     : "an operation of " + options.kernel.kernel,
                     against.empty() ? options.kernel.kernel : options.baseline);
  plan.on_device = device == ASSAY_DEVICE_CUDA;
  plan.cold = options.cold || (plan.on_device && !options.warm);
  plan.identical = !against.empty() && same_machine_code(options.kernel.kernel, options.baseline);
  std::vector<std::string> words = options.shapes;
  if (options.prefill_tokens > 0)
    words = {fmt::format("paged-attention,B=1,ctx={0},next_n={0}", options.prefill_tokens)};
  plan.shapes = shapes_from_words(words, plan.operations, plan.on_device);
  return plan;
}

BenchOptions bench_options(const Options& options, const Plan& plan, KernelWatch& watch) {
  BenchOptions bench;
  bench.clock = options.clock == "cpu" ? BenchClock::kCpu : BenchClock::kWall;
  bench.cold = plan.cold;
  bench.budget_seconds = options.budget_seconds;
  // Longer runs when there is time for them: about 500 pairs of four runs fit into the budget.
  bench.run_seconds = std::clamp(options.budget_seconds / 2000, 1e-3, 20e-3);
  bench.threshold = options.threshold;
  // So many shapes are so many chances of an accident.
  bench.confidence = 1 - (1 - options.confidence) / static_cast<double>(plan.shapes.size());
  bench.most_runs = options.repeats;
  bench.seed = options.common.seed;
  bench.watch = &watch;
  return bench;
}

// In the child: the kernels are loaded here and nowhere else.
Json time_shape(const Options& options, const Plan& plan, const BenchShape& shape, KernelWatch& watch) {
  const int operation = static_cast<int>(shape.operation);
  const properties::KernelSet kernels(options.kernel.kernel);
  const assay_kernel* kernel = kernels.find(operation);
  std::optional<properties::KernelSet> others;
  const assay_kernel* against = nullptr;
  if (!options.baseline.empty() && !plan.identical) {
    others.emplace(options.baseline);
    against = others->find(operation);
  }
  BenchSurroundings surroundings;
  const auto look_at_clock = [&] {
    const double mhz = plan.on_device ? mirror_clock_mhz() : cpu_clock_mhz();
    surroundings.highest_mhz = std::max(surroundings.highest_mhz, mhz);
    surroundings.lowest_mhz = surroundings.lowest_mhz == 0 ? mhz : std::min(surroundings.lowest_mhz, mhz);
  };
  surroundings.ceilings =
      plan.on_device ? mirror_ceilings(shape.operation) : cpu_ceilings(work_of(shape).live_bytes, plan.cold);
  const BenchOptions bench = bench_options(options, plan, watch);
  const auto stop = [&watch] { return watch.stop.load(); };
  look_at_clock();
  BenchBaseline baseline = plan.identical       ? BenchBaseline::kIdentical
                           : against != nullptr ? BenchBaseline::kTimed
                                                : BenchBaseline::kNone;
  BenchResult result = against != nullptr ? bench_shape(shape, *against, kernel, false, bench, stop)
                                          : bench_shape(shape, *kernel, nullptr, false, bench, stop);
  if (against != nullptr && result.a.unsupported && !result.b->unsupported) {
    baseline = BenchBaseline::kDeclines;
    result = bench_shape(shape, *kernel, nullptr, false, bench, stop);
  }
  look_at_clock();
  return bench_entry(result, baseline, surroundings);
}

Json device_json(const Plan& plan, const Options& options, const BenchShape& shape) {
  if (!plan.on_device)
    return {{"name", cpu_name()}, {"kind", "cpu"}, {"threads", std::thread::hardware_concurrency()}};
  // A process that has looked at a device cannot fork children that use it.
  const ChildEnd end =
      run_in_child([](KernelWatch&) { return mirror_device_name(); }, options.kernel.timeout_seconds, {});
  if (end.kind != ChildEnd::Kind::kAnswered)
    throw EnvironmentError(text_of(shape), "a CUDA device that says its name", end.text);
  return {{"name", end.text}, {"kind", "cuda"}};
}

std::string named_or(const std::string& word, const char* instead) { return word.empty() ? instead : word; }

void print_head(const Json& document, const Plan& plan) {
  const Json& kernel = document.at("kernel");
  fmt::print("{} on {}, {} caches, {} time, seed {}\n", kernel.at("name").get<std::string>(),
             named_or(document.at("device").at("name").get<std::string>(), "this machine"),
             document.at("cache").get<std::string>(), document.at("clock").get<std::string>(),
             document.at("seed").get<std::uint64_t>());
  if (!document.at("baseline").is_null())
    fmt::print("against {}{}, threshold {:g} %\n", document.at("baseline").at("name").get<std::string>(),
               plan.identical ? ": the same machine code" : "", 100 * document.at("threshold").get<double>());
  fmt::print("\n{:>11} {:>11} {:>7} {:>11} {:>9} {:>9} {:>8}  {}\n", "median us", "min us", "spread",
             "live bytes", "GB/s", "TFLOPS", "of floor", "floor");
}

void print_entry(const Json& entry) {
  const Terminal terminal = terminal_of(stdout);
  fmt::print("{}\n", toned(entry.at("shape").get<std::string>(), Tone::kStrong, terminal));
  const Json& t = entry.at("kernel");
  if (!t.is_null()) {
    const Json& ceilings = entry.at("ceilings");
    const bool memory = t.at("floor") == "memory";
    fmt::print("{:>11.3f} {:>11.3f} {:>6.2f}% {:>11} {:>9.2f} {:>9.4f} {:>7.1f}%  {}, {:.4g} {}\n",
               t.at("median_us").get<double>(), t.at("min_us").get<double>(),
               100 * t.at("spread").get<double>(), grouped(t.at("live_bytes").get<std::int64_t>()),
               t.at("gb_s").get<double>(), t.at("tflops").get<double>(),
               t.at("percent_of_floor").get<double>(), t.at("floor").get<std::string>(),
               ceilings.at(memory ? "gb_s" : "tflops").get<double>(), memory ? "GB/s" : "TFLOPS");
    fmt::print("            {} results of {} runs judged, {} elements, {} wrong",
               entry.at("verified").at("results").get<std::int64_t>(), t.at("runs").get<std::int64_t>(),
               grouped(entry.at("verified").at("elements").get<std::int64_t>()),
               entry.at("verified").at("wrong").get<std::int64_t>());
    if (t.contains("tokens_per_s"))
      fmt::print("; avg {:.3f} min {:.3f} max {:.3f} us, {} tokens/s", t.at("mean_us").get<double>(),
                 t.at("min_us").get<double>(), t.at("max_us").get<double>(),
                 grouped(static_cast<std::int64_t>(t.at("tokens_per_s").get<double>())));
    const double mhz = entry.at("clock_mhz").at("high").get<double>();
    if (mhz > 0)
      fmt::print("; clock {:.0f} to {:.0f} MHz", entry.at("clock_mhz").at("low").get<double>(), mhz);
    fmt::print("\n");
  }
  const std::string verdict = verdict_of(entry);
  const int code = exit_code_of(verdict);
  const Tone tone = code == 0 ? Tone::kGood : code == 4 ? Tone::kWarning : Tone::kBad;
  const Json& c = entry.at("comparison");
  std::string words;
  if (verdict == "UNCHANGED") words = ": the same machine code, not compared";
  if (!c.is_null() && c.at("pairs").get<std::int64_t>() > 0) {
    const auto number = [](const Json& value) {
      return value.is_null() ? std::string("?") : fmt::format("{:.4f}", value.get<double>());
    };
    words = fmt::format(": {:.4f} of the baseline's time [{}, {}], {} pairs; the same kernel twice [{}, {}]",
                        c.at("ratio").get<double>(), number(c.at("low")), number(c.at("high")),
                        c.at("pairs").get<std::int64_t>(), number(c.at("same_kernel").at("low")),
                        number(c.at("same_kernel").at("high")));
  }
  const auto text = entry.at("text").get<std::string>();
  if (verdict != "TIMED" || !text.empty())
    fmt::print("            {}{}{}\n", toned(verdict, tone, terminal), words,
               text.empty() ? "" : ": " + text);
}

int list_shapes() {
  fmt::print("{:<16} {:<8} {}\n", "--shapes", "default", "shape");
  for (const NamedShape& named : named_shapes())
    fmt::print("{:<16} {:<8} {}\n", named.name, named.for_devices ? "cuda" : "cpu",
               text_of(shape_from_text(named.text, "named shape")));
  return kPass;
}

void check(const Options& options) {
  const auto refuse = [](bool bad, const char* option, const char* expected, double got) {
    if (bad) throw InputError(option, expected, fmt::format("{:g}", got));
  };
  refuse(options.repeats < 1 || options.repeats > 100000, "--repeats", "1 to 100000", options.repeats);
  refuse(!(options.budget_seconds >= 0 && options.budget_seconds <= 86400), "--budget", "0 to 86400 seconds",
         options.budget_seconds);
  refuse(!(options.threshold > 0 && options.threshold < 1), "--threshold", "more than 0, less than 1",
         options.threshold);
  refuse(!(options.confidence >= 0.5 && options.confidence <= 0.999), "--confidence", "0.5 to 0.999",
         options.confidence);
  if (options.cold && options.warm) throw InputError("--cold", "one of --cold and --warm", "both");
}

int run(const Options& options) {
  if (options.list) return list_shapes();
  check(options);
  const Plan plan = plan_of(options);
  Json document{{"schema", "assay.bench/1"}, {"seed", options.common.seed}, {"version", kVersion}};
  document["device"] = device_json(plan, options, plan.shapes.front());
  document["cache"] = plan.cold ? "cold" : "warm";
  document["clock"] = plan.on_device ? "events" : options.clock;
  document["threshold"] = options.threshold;
  document["confidence"] = options.confidence;
  const auto named = [](const std::string& kernel) {
    const std::string path = path_of(kernel);
    return Json{{"name", kernel}, {"path", path.empty() ? Json(nullptr) : Json(path)}};
  };
  document["kernel"] = named(options.kernel.kernel);
  document["baseline"] = options.baseline.empty() ? Json(nullptr) : named(options.baseline);
  Json& entries = document["shapes"] = Json::array();
  const bool print = !options.common.quiet && options.common.json_path != "-";
  if (print) print_head(document, plan);
  ProgressLine line(!options.common.quiet);
  for (std::size_t i = 0; i < plan.shapes.size() && !interrupted; ++i) {
    const BenchShape& shape = plan.shapes[i];
    const double left = static_cast<double>(plan.shapes.size() - i) * options.budget_seconds;
    const double begun = line.seconds();
    const ChildEnd end =
        run_in_child([&](KernelWatch& watch) { return time_shape(options, plan, shape, watch).dump(); },
                     options.kernel.timeout_seconds,
                     [&](KernelWatch& watch) {
                       watch.stop = interrupted.load();
                       if (line.due())
                         line.show(fmt::format("shape {} of {}, {} runs, about {:.0f} s left at most", i + 1,
                                               plan.shapes.size(), watch.runs.load(),
                                               std::max(0.0, left - (line.seconds() - begun))));
                     });
    entries.push_back(end.kind == ChildEnd::Kind::kAnswered ? Json::parse(end.text)
                                                            : lost_entry(shape, end.text));
    if (print) {
      line.hide();
      print_entry(entries.back());
      std::fflush(stdout);
    }
  }
  const std::string verdict = worst_verdict(entries);
  const bool partial = interrupted || entries.size() < plan.shapes.size();
  const int code = partial && exit_code_of(verdict) == kPass ? kInconclusive : exit_code_of(verdict);
  document["verdict"] = verdict;
  document["exit_code"] = code;
  document["partial"] = partial;
  if (print)
    fmt::print("\n{}{}\n", verdict,
               partial
                   ? fmt::format(", interrupted after {} of {} shapes", entries.size(), plan.shapes.size())
                   : "");
  write_json(options.common, document);
  if (!options.html_path.empty()) write_text(options.html_path, "--html", html_report({document}));
  return code;
}

}  // namespace

void register_bench(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand(
      "bench", "How fast a kernel is, how far from the floor, and whether it is slower than another one");
  add_kernel_options(*command, options->kernel);
  command->add_option("--baseline", options->baseline, "Kernel to compare with, named as --kernel is");
  command
      ->add_option("--shapes", options->shapes,
                   "default, names, or shapes as texts (see --list); several words")
      ->expected(1, 1000);
  command->add_option("--prefill", options->prefill_tokens, "Only paged attention of one prompt of N tokens")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--list", options->list, "Lists the named shapes");
  command->add_flag("--cold", options->cold, "Caches flushed before every launch (the default on a device)");
  command->add_flag("--warm", options->warm, "Launches back to back (the default on a CPU)");
  command->add_option("--repeats", options->repeats, "Timed runs of a kernel without a baseline")
      ->capture_default_str();
  command
      ->add_option("--budget", options->budget_seconds,
                   "Seconds per shape; pairs are bought until a verdict or its end")
      ->capture_default_str();
  command->add_option("--threshold", options->threshold, "Differences below it count as equal")
      ->capture_default_str();
  command->add_option("--confidence", options->confidence, "Of all intervals together")
      ->capture_default_str();
  command
      ->add_option("--clock", options->clock,
                   "wall, or cpu: time of this process, other programs' turns left out")
      ->check(CLI::IsMember({"wall", "cpu"}))
      ->capture_default_str();
  command
      ->add_option("--html", options->html_path,
                   "Write roofline, times over length and comparison as one page")
      ->type_name("FILE");
  add_common_options(*command, options->common);
  command->footer(
      "\nExamples:\n  assay bench --kernel twin --shapes small\n  assay bench --kernel ./new.so --baseline "
      "./old.so --budget 20\n  assay bench --kernel naive --shapes mqa-logits,M=64,ctx=512 --json -");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
