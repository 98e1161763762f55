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
#include "tools/commands/bench_programs.h"
#include "tools/commands/bench_table.h"
#include "tools/commands/kernel_options.h"
#include "tools/report/html.h"
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
  std::string program, baseline_program, filter;  // Google Benchmark programs instead of a kernel
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

Json time_or_fault(const Options& options, const Plan& plan, const BenchShape& shape, KernelWatch& watch) {
  try {
    return time_shape(options, plan, shape, watch);
  } catch (const KernelFault& fault) {
    return lost_entry(shape, fault.what());
  }
}

Json device_json(const Options& options, const BenchShape& shape) {
  // A process that has looked at a device cannot fork children that use it.
  const ChildEnd end =
      run_in_child([](KernelWatch&) { return mirror_device_name(); }, options.kernel.timeout_seconds, {});
  if (end.kind != ChildEnd::Kind::kAnswered)
    throw EnvironmentError(text_of(shape), "a CUDA device that says its name", end.text);
  return {{"name", end.text}, {"kind", "cuda"}};
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

// What every document begins with.
Json document_of(const Options& options, const std::string& kernel, const std::string& baseline,
                 bool is_program) {
  const auto named = [&](const std::string& name) {
    const std::string path =
        is_program ? std::filesystem::absolute(name).lexically_normal().string() : path_of(name);
    return Json{{"name", name}, {"path", path.empty() ? Json(nullptr) : Json(path)}};
  };
  return {
      {"schema", "assay.bench/1"},
      {"seed", options.common.seed},
      {"version", kVersion},
      {"device", {{"name", cpu_name()}, {"kind", "cpu"}, {"threads", std::thread::hardware_concurrency()}}},
      {"cache", nullptr},
      {"clock", options.clock},
      {"threshold", options.threshold},
      {"confidence", options.confidence},
      {"kernel", named(kernel)},
      {"baseline", baseline.empty() ? Json(nullptr) : named(baseline)}};
}

bool prints(const Options& options) { return !options.common.quiet && options.common.json_path != "-"; }

// Adds the verdict, writes everything that was asked for, and gives the exit code.
int finish(const Options& options, Json document, std::size_t planned) {
  const Json& entries = document.at("shapes");
  const std::string verdict = worst_verdict(entries);
  const bool partial = interrupted || entries.size() < planned;
  const int code = partial && exit_code_of(verdict) == kPass ? kInconclusive : exit_code_of(verdict);
  if (prints(options))
    fmt::print("\n{}{}\n", verdict,
               partial ? fmt::format(", interrupted after {} of {}", entries.size(), planned) : "");
  document["verdict"] = verdict;
  document["exit_code"] = code;
  document["partial"] = partial;
  write_json(options.common, document);
  if (!options.html_path.empty()) write_text(options.html_path, "--html", html_report({document}));
  return code;
}

int run_programs(const Options& options) {
  if (options.program.empty()) throw InputError("--baseline-program", "--program beside it", "none");
  ProgramBenchOptions bench{options.program,    options.baseline_program, options.filter,
                            options.repeats,    options.budget_seconds,   options.threshold,
                            options.confidence, options.clock == "cpu"};
  const std::vector<std::string> names = common_benchmarks(bench);
  Json document = document_of(options, options.program, options.baseline_program, true);
  const bool print = prints(options);
  if (print) print_bench_head(document);
  ProgressLine line(!options.common.quiet);
  document["shapes"] = bench_programs(
      bench, names,
      [&](const Json& entry) {
        line.hide();
        if (print) print_bench_entry(entry);
      },
      [&](const std::string& text) {
        if (line.due()) line.show(text);
      },
      [] { return interrupted.load(); });
  return finish(options, std::move(document), names.size());
}

int run(const Options& options) {
  if (options.list) return print_named_shapes(), kPass;
  check(options);
  if (!options.program.empty() || !options.baseline_program.empty()) return run_programs(options);
  const Plan plan = plan_of(options);
  Json document = document_of(options, options.kernel.kernel, options.baseline, false);
  document["cache"] = plan.cold ? "cold" : "warm";
  if (plan.on_device) {
    document["device"] = device_json(options, plan.shapes.front());
    document["clock"] = "events";
  }
  Json& entries = document["shapes"] = Json::array();
  const bool print = prints(options);
  if (print) print_bench_head(document);
  ProgressLine line(!options.common.quiet);
  for (std::size_t i = 0; i < plan.shapes.size() && !interrupted; ++i) {
    const BenchShape& shape = plan.shapes[i];
    const double left = static_cast<double>(plan.shapes.size() - i) * options.budget_seconds;
    const double begun = line.seconds();
    const auto tick = [&](KernelWatch& watch) {
      watch.stop = interrupted.load();
      if (line.due())
        line.show(fmt::format("shape {} of {}, {} runs, about {:.0f} s left at most", i + 1,
                              plan.shapes.size(), watch.runs.load(),
                              std::max(0.0, left - (line.seconds() - begun))));
    };
    const ChildEnd end =
        run_in_child([&](KernelWatch& watch) { return time_or_fault(options, plan, shape, watch).dump(); },
                     options.kernel.timeout_seconds, tick);
    entries.push_back(end.kind == ChildEnd::Kind::kAnswered ? Json::parse(end.text)
                                                            : lost_entry(shape, end.text));
    line.hide();
    if (print) print_bench_entry(entries.back());
  }
  return finish(options, std::move(document), plan.shapes.size());
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
  command->add_option("--program", options->program, "Google Benchmark program to time, instead of a kernel")
      ->check(CLI::ExistingFile);
  command->add_option("--baseline-program", options->baseline_program, "Another build of it, to compare with")
      ->check(CLI::ExistingFile);
  command->add_option("--filter", options->filter, "Only its benchmarks that match this regular expression");
  command
      ->add_option("--html", options->html_path,
                   "Write roofline, times over length and comparison as one page")
      ->type_name("FILE");
  add_common_options(*command, options->common);
  command->footer(
      "\nExamples:\n  assay bench --kernel twin --shapes small\n  assay bench --kernel ./new.so --baseline "
      "./old.so --budget 20\n  assay bench --kernel naive --shapes mqa-logits,M=64,ctx=512 --json -\n  assay "
      "bench "
      "--program new/twin_bench --baseline-program old/twin_bench --filter Gemm --clock cpu");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
