#include "tools/gate/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/core/check.h"
#include "properties/campaign/selftest.h"
#include "properties/kernels/registry.h"
#include "tools/commands/command.h"
#include "tools/commands/kernel_options.h"
#include "tools/gate/receipt.h"
#include "tools/gate/resources.h"
#include "tools/gate/schedule_check.h"
#include "tools/gate/speed.h"
#include "tools/gate/tool_output.h"

namespace assay::tools::gate {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSchedulesName = "schedules";  // its baseline's file

std::optional<std::string> text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Writes a baseline and notes what is different; nothing when it is the same.
void write_baseline(const RunOptions& options, const std::string& name, const Baseline& now, GateRun& run) {
  const std::string path = baseline_path(options, name);
  const std::vector<std::string> list = differences(read_baseline(options, name), now);
  if (list.empty() && fs::exists(path)) return;
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  write_text(path, "--update-baseline", baseline_text(name, now));
  run.baseline_notes.push_back(path + ":");
  for (const std::string& line : list) run.baseline_notes.push_back("  " + line);
}

void run_selftest_smoke(const RunOptions& options, GateRun& run, const Say& say) {
  const SelftestPlan& plan = options.config.selftest;
  if (plan.mutants.empty()) return;
  properties::SelftestOptions selftest;
  selftest.worker = [](const std::string& kernel) {
    KernelOptions asked;
    asked.kernel = kernel;
    return worker_command(asked);
  };
  selftest.cases = plan.cases;
  selftest.seconds = plan.seconds;
  selftest.workers = options.workers;
  selftest.shrink.tries = 0;
  selftest.only = plan.mutants;
  for (const std::string& name : plan.mutants)
    if (std::none_of(properties::kernel_mutants().begin(), properties::kernel_mutants().end(),
                     [&](const properties::KernelMutant& mutant) { return name == mutant.name; }))
      throw InputError(options.config_path + ".selftest.mutants", "names of mutants, such as K5a", name);
  Finding finding;
  finding.check = "selftest";
  std::int64_t killed = 0, cases = 0;
  std::string survivors;
  for (const properties::MutantVerdict& verdict :
       run_selftest(selftest, [&](const properties::MutantVerdict& seen) {
         say("selftest: " + seen.name);
         return !interrupted;
       })) {
    killed += verdict.killed;
    cases += verdict.cases;
    finding.seconds += verdict.seconds;
    if (!verdict.killed) survivors += fmt::format("; {} lives: {}", verdict.name, verdict.fault);
  }
  finding.text = fmt::format("{} of {} planted faults found in {} cases{}", killed, plan.mutants.size(),
                             cases, survivors);
  if (!survivors.empty())
    finding.outcome = Outcome::kMutantLives;
  else if (killed < static_cast<std::int64_t>(plan.mutants.size()))
    finding.outcome = Outcome::kUndecided;
  finding.continue_with = survivors.empty() ? "" : "assay selftest";
  run.findings.push_back(std::move(finding));
}

void run_schedules(const RunOptions& options, GateRun& run) {
  const SchedulePlan& plan = options.config.schedules;
  if (plan.planners.empty()) return;
  const std::optional<Baseline> baseline = read_baseline(options, kSchedulesName);
  Baseline now;
  bool whole = true;
  for (const std::string& name : plan.planners) {
    const ScheduleVerdict verdict = check_planner(planner_named(name), plan.batches, 1);
    Finding finding;
    finding.check = "schedule " + name;
    const double balance = rounded_up(verdict.balance);
    finding.text = fmt::format("{} batches, {} pieces, every unit once; makespan {} x ideal", verdict.batches,
                               verdict.pieces, balance);
    if (!verdict.fault.empty()) {
      finding.outcome = Outcome::kWrong;
      finding.text = verdict.fault;
      whole = false;
    } else {
      now.balance[name] = balance;
      const auto before = baseline ? baseline->balance.find(name) : decltype(now.balance.end()){};
      const bool known = baseline && before != baseline->balance.end();
      if (options.update_baseline) {
        finding.text += ", becomes the baseline";
      } else if (!known) {
        finding.outcome = Outcome::kUndecided;
        finding.text += fmt::format(", and no baseline in {}", baseline_path(options, kSchedulesName));
        finding.continue_with = "assay gate --update-baseline";
      } else if (balance > before->second * (1 + plan.worse_balance)) {
        finding.outcome = Outcome::kRegression;
        finding.severity = balance / before->second;
        finding.text += fmt::format(", baseline {}", before->second);
      }
    }
    run.findings.push_back(std::move(finding));
  }
  if (options.update_baseline && whole) write_baseline(options, kSchedulesName, now, run);
}

}  // namespace

std::string path_in(const RunOptions& options, const std::string& path) {
  return (fs::path(options.root) / path).lexically_normal().string();
}

std::string kernel_in(const RunOptions& options, const std::string& kernel) {
  if (properties::is_python(kernel) || properties::is_plugin(kernel)) {
    const std::string path = path_in(options, kernel);
    return path.find('/') == std::string::npos ? "./" + path : path;
  }
  return kernel;
}

std::string baseline_path(const RunOptions& options, const std::string& name) {
  return path_in(options, options.config.baselines + "/" + name + ".json");
}

std::optional<Baseline> read_baseline(const RunOptions& options, const std::string& name) {
  const std::string path = baseline_path(options, name);
  const std::optional<std::string> text = text_of(path);
  if (!text) return std::nullopt;
  return parse_baseline(*text, path);
}

void run_whole_checks(const RunOptions& options, GateRun& run, const Say& say) {
  run_selftest_smoke(options, run, say);
  if (exit_code_of(run.findings) == kMutantSurvived) return;
  say("schedules");
  run_schedules(options, run);
}

void run_resource_checks(const RunOptions& options, const GatedKernel& kernel,
                         const std::optional<Baseline>& baseline, KernelReport& report, GateRun& run) {
  const ResourceLimits& limits = kernel.resources;
  if (limits.report.empty() && limits.binary.empty()) return;
  Finding finding;
  finding.kernel = kernel.name;
  finding.check = "resources";
  finding.file = kernel.sources.empty() ? "" : kernel.sources.front();
  try {
    if (!limits.report.empty()) {
      const std::string path = path_in(options, limits.report);
      const std::optional<std::string> text = text_of(path);
      if (!text) throw EnvironmentError(path, "the compiler's report (nvcc -Xptxas -v)", "no such file");
      report.resources = parse_resources(*text, path);
    }
    if (!limits.binary.empty()) {
      const std::string path = path_in(options, limits.binary);
      if (!fs::exists(path))
        throw EnvironmentError(path, "a cubin, shared object or program", "no such file");
      if (limits.report.empty())
        report.resources =
            parse_resources(tool_output({"cuobjdump", "--dump-resource-usage", path}).text_or_throw(), path);
      // With a report the mix is an extra, left out where the tool is not installed.
      const ToolOutput sass = tool_output({"cuobjdump", "-sass", path});
      if (sass.exit_code == 0)
        add_instructions(sass.text, report.resources);
      else
        finding.text = "no instruction mix (" + sass.why + "); ";
    }
    std::int64_t registers = 0, spilt = 0;
    for (const auto& [name, entry] : report.resources) {
      registers = std::max(registers, entry.registers);
      spilt += entry.spill_store_bytes + entry.spill_load_bytes;
    }
    finding.text += fmt::format("{} entry functions, at most {} registers, {} bytes spilt",
                                report.resources.size(), registers, spilt);
    if (options.update_baseline) {
      finding.text += ", becomes the baseline";
    } else if (!baseline || baseline->resources.empty()) {
      finding.outcome = Outcome::kUndecided;
      finding.text +=
          fmt::format(", and no baseline in {} to compare with", baseline_path(options, kernel.name));
      finding.continue_with = "assay gate --update-baseline";
    } else {
      for (const Excess& excess : resource_excesses(report.resources, baseline->resources, limits)) {
        finding.outcome = Outcome::kRegression;
        finding.severity = std::max(finding.severity, excess.excess);
        finding.text += "; " + excess.text;
      }
    }
  } catch (const Error& error) {
    finding.outcome = Outcome::kBroken;
    finding.text = error.what();
  }
  run.findings.push_back(std::move(finding));
}

// Files that git says are different now from what they were in that revision, from the root; new ones that are
// not ignored, too.
std::vector<std::string> changed_files(const RunOptions& options) {
  std::vector<std::string> files;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"git", "-c", "core.quotepath=off", "-C", options.root, "diff", "--name-only",
                                 "--relative", options.changed_since, "--", "."},
        std::vector<std::string>{"git", "-c", "core.quotepath=off", "-C", options.root, "ls-files",
                                 "--others", "--exclude-standard"}}) {
    const ToolOutput output = tool_output(words);
    if (output.exit_code != 0)
      throw InputError("--changed-since", "a revision that git knows here", output.why);
    std::istringstream lines(output.text);
    for (std::string line; std::getline(lines, line);) files.push_back(line);
  }
  return files;
}

// "" when the kernel has to be gated; why not, otherwise.
std::string left_out_because(const RunOptions& options, const GatedKernel& kernel,
                             const std::vector<std::string>& changed) {
  if (options.changed_since.empty()) return "";
  // What decides how strictly is gated touches everything.
  const std::string config = fs::path(options.config_path).lexically_relative(options.root).generic_string();
  const std::string baseline = options.config.baselines + "/" + kernel.name + ".json";
  for (const std::string& name : changed)
    if (name == config || name == baseline || name == options.config.receipt ||
        name == options.config.known_failures)
      return "";
  const SourceClosure closure = source_closure(options.root, kernel.sources, kernel.include_paths);
  if (is_touched(closure.files, changed)) return "";
  return fmt::format("none of its {} files changed since {}", closure.files.size(), options.changed_since);
}

void run_speed_check(const RunOptions& options, const GatedKernel& kernel, KernelReport& report, GateRun& run,
                     const Say& say) {
  if (kernel.speed.baseline_kernel.empty()) return;
  Finding finding;
  finding.kernel = kernel.name;
  finding.check = "performance";
  finding.file = kernel.sources.empty() ? "" : kernel.sources.front();
  if (options.without_speed) {
    finding.outcome = Outcome::kNotRun;
    finding.text = "--no-performance";
  } else {
    say(kernel.name + ": performance");
    const auto begin = std::chrono::steady_clock::now();
    try {
      std::vector<std::string> words{fs::read_symlink("/proc/self/exe").string()};
      for (std::string& word : bench_arguments(kernel, kernel_in(options, kernel.kernel),
                                               kernel_in(options, kernel.speed.baseline_kernel)))
        words.push_back(std::move(word));
      const ToolOutput output = tool_output(words);
      if (output.text.empty())
        throw EnvironmentError("assay bench", "a document on standard output",
                               fmt::format("exit code {}: {}", output.exit_code, output.why));
      report.speed = nlohmann::ordered_json::parse(output.text, nullptr, false);
      finding = judge_speed(kernel, report.speed, "assay bench");
    } catch (const Error& error) {
      finding.outcome = Outcome::kBroken;
      finding.text = error.what();
    }
    finding.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (finding.outcome != Outcome::kHeld)
      finding.continue_with =
          fmt::format("assay bench --kernel {} --baseline {}", kernel_in(options, kernel.kernel),
                      kernel_in(options, kernel.speed.baseline_kernel));
  }
  run.findings.push_back(std::move(finding));
}

GateRun run_gate(const RunOptions& options, const Say& say) {
  GateRun run;
  for (const std::string& name : options.only)
    if (std::none_of(options.config.kernels.begin(), options.config.kernels.end(),
                     [&](const GatedKernel& kernel) { return kernel.name == name; }))
      throw InputError("--only", "names of kernels in " + options.config_path, name);
  const std::vector<std::string> changed =
      options.changed_since.empty() ? std::vector<std::string>{} : changed_files(options);
  if (options.only.empty()) run_whole_checks(options, run, say);
  if (exit_code_of(run.findings) == kMutantSurvived) return run;
  for (const GatedKernel& kernel : options.config.kernels) {
    const bool chosen = options.only.empty() || std::find(options.only.begin(), options.only.end(),
                                                          kernel.name) != options.only.end();
    if (!chosen || interrupted) continue;
    if (const std::string why = left_out_because(options, kernel, changed); !why.empty()) {
      Finding finding;
      finding.kernel = kernel.name;
      finding.check = "changed";
      finding.outcome = Outcome::kNotRun;
      finding.text = why;
      run.findings.push_back(std::move(finding));
      continue;
    }
    KernelReport report;
    report.name = kernel.name;
    bool right = false;
    const std::optional<Baseline> before = read_baseline(options, kernel.name);
    if (!kernel.on_device || options.device.present) {
      right = run_kernel_checks(options, kernel, report, run, say);
      // The time of a wrong kernel says nothing.
      if (right) run_speed_check(options, kernel, report, run, say);
    } else {
      const std::string path = options.config.receipt.empty() ? "" : path_in(options, options.config.receipt);
      run.findings.push_back(
          judge_receipt(options, kernel, path.empty() ? std::nullopt : text_of(path),
                        path.empty() ? options.config_path + " (no \"receipt\" key)" : path, before));
    }
    run_resource_checks(options, kernel, before, report, run);
    // What the compiler says needs no device; headroom does.
    const bool only_resources = kernel.on_device && !options.device.present && !report.resources.empty();
    if (options.update_baseline && (right || only_resources)) {
      Baseline now = before.value_or(Baseline{});
      if (right) now.headroom = report.headroom;
      if (!report.resources.empty()) now.resources = report.resources;
      write_baseline(options, kernel.name, now, run);
    } else if (options.update_baseline) {
      run.baseline_notes.push_back(kernel.name + ": left as it was; only a right result becomes a baseline");
    }
    run.kernels.push_back(std::move(report));
  }
  if (interrupted) {
    run.interrupted = true;
    Finding finding;
    finding.check = "complete";
    finding.outcome = Outcome::kUndecided;
    finding.text = "interrupted: what is missing was not checked";
    run.findings.push_back(std::move(finding));
  }
  return run;
}

}  // namespace assay::tools::gate
