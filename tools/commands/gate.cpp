// assay gate: one verdict for a change, from gate.json.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "model/core/check.h"
#include "properties/kernels/registry.h"
#include "tools/bench/machine_code.h"
#include "tools/commands/command.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/known_failures.h"
#include "tools/gate/config.h"
#include "tools/gate/receipt.h"
#include "tools/gate/reports.h"
#include "tools/gate/run.h"
#include "tools/gate/workflows.h"
#include "tools/terminal/bars.h"
#include "tools/version.h"

namespace assay::tools {
namespace {

namespace fs = std::filesystem;
using gate::Finding;
using gate::GateRun;
using gate::Outcome;

struct Options {
  CommonOptions common;
  std::string config = "gate.json";
  bool init = false, force = false, update_baseline = false, without_speed = false;
  std::vector<std::string> only, workflows;
  std::string out = "assay-failures", device = "auto";
  std::string junit, summary, receipt, changed_since;
  bool annotate = false;
  int workers = 0;
};

Tone tone_of(Outcome outcome) {
  if (outcome == Outcome::kHeld) return Tone::kGood;
  if (outcome == Outcome::kNotRun) return Tone::kFaint;
  return outcome == Outcome::kUndecided ? Tone::kWarning : Tone::kBad;
}

void print_findings(const GateRun& run) {
  const Terminal terminal = terminal_of(stdout);
  std::string kernel = "-";
  for (const Finding& finding : run.findings) {
    if (finding.kernel != kernel)
      fmt::print("{}\n", finding.kernel.empty() ? "the whole run" : finding.kernel);
    kernel = finding.kernel;
    fmt::print("  {} {:<28} {}\n",
               toned(fmt::format("{:<15}", name_of(finding.outcome)), tone_of(finding.outcome), terminal),
               finding.check, finding.text);
    if (!finding.continue_with.empty()) fmt::print("  {:<15} {:<28} {}\n", "", "", finding.continue_with);
  }
  for (const std::string& note : run.baseline_notes) fmt::print("{}\n", note);
}

// A step summary is a file that other steps write to as well.
void append_text(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::app);
  out << text;
  out.close();
  if (!out) throw EnvironmentError("--summary " + path, "a file that can be written", "a failed write");
}

// What ran, as far as a digest of machine code says: a plug-in's own, or that of this program for built-ins.
std::map<std::string, std::string> binary_digests_of(const gate::RunOptions& run) {
  std::map<std::string, std::string> digests;
  for (const gate::GatedKernel& kernel : run.config.kernels) {
    if (!kernel.on_device || properties::is_python(kernel.kernel)) continue;
    digests[kernel.name] = machine_code_digest_of_file(
        properties::is_plugin(kernel.kernel) ? kernel_in(run, kernel.kernel) : "/proc/self/exe");
  }
  return digests;
}

void write_receipt(const Options& options, const gate::RunOptions& run_options, const GateRun& run) {
  const nlohmann::ordered_json receipt =
      make_receipt(run_options, run, today(), kVersion, binary_digests_of(run_options));
  write_text(options.receipt, "--receipt", receipt.dump(1) + "\n");
  if (!options.common.quiet && options.common.json_path != "-")
    fmt::print("receipt for {} kernels: {}\n", receipt["kernels"].size(), options.receipt);
}

int initialize(const Options& options) {
  for (const std::string& name : options.workflows) (void)gate::workflow_named(name);
  if (fs::exists(options.config) && !options.force)
    throw InputError(options.config, "no file there yet, or --force", "one");
  write_text(options.config, "--init", gate::commented_config());
  for (const std::string& name : options.workflows) {
    const gate::Workflow& workflow = gate::workflow_named(name);
    const fs::path path = fs::path(options.config).parent_path() / workflow_path(workflow);
    if (fs::exists(path) && !options.force)
      throw InputError(path.string(), "no file there yet, or --force", "one");
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    write_text(path.string(), "--workflow", workflow.text);
    if (!options.common.quiet) fmt::print("wrote {}\n", path.string());
  }
  if (!options.common.quiet)
    fmt::print("wrote {}\nNext: assay gate --config {} --update-baseline, and look at what it wrote.\n",
               options.config, options.config);
  return kPass;
}

gate::RunOptions run_options_of(const Options& options) {
  gate::RunOptions run;
  std::ifstream in(options.config, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw InputError(options.config, "a gate.json (assay gate --init writes one)", "no such file");
  run.config = gate::parse_config(text.str(), options.config);
  run.config_path = options.config;
  run.root = (fs::path(options.config).parent_path() / run.config.root).lexically_normal().string();
  if (run.root.empty()) run.root = ".";
  run.only = options.only;
  run.changed_since = options.changed_since;
  run.out = options.out;
  if (options.workers < 0 || options.workers > 1024)
    throw InputError("--workers", "1 to 1024, or 0 for one per core", std::to_string(options.workers));
  run.workers = options.workers > 0 ? options.workers
                                    : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  run.update_baseline = options.update_baseline;
  run.without_speed = options.without_speed;
  if (options.device == "auto")
    run.device = gate::find_device();
  else if (options.device == "none")
    run.device.why = "--device none";
  else
    throw InputError("--device", "auto or none", options.device);
  return run;
}

int run(const Options& options) {
  if (options.init) return initialize(options);
  const gate::RunOptions run_options = run_options_of(options);
  if (!options.receipt.empty() && !run_options.device.present)
    throw EnvironmentError("--receipt", "a CUDA device: a receipt says what ran on one",
                           run_options.device.why);
  GateRun run;
  {
    ProgressLine line(!options.common.quiet);
    run = run_gate(run_options, [&](const std::string& what) {
      if (line.due()) line.show(what);
    });
  }
  const int code = exit_code_of(run.findings);
  if (!options.common.quiet && options.common.json_path != "-") {
    print_findings(run);
    const gate::Tally tally = tally_of(run.findings);
    fmt::print("\n{} held, {} failed, {} without a verdict, {} not run here: exit code {}\n", tally.held,
               tally.failed, tally.errors, tally.not_run, code);
  }
  if (!options.junit.empty()) write_text(options.junit, "--junit", junit_xml(run));
  if (!options.summary.empty()) append_text(options.summary, markdown_summary(run, options.config));
  if (options.annotate && options.common.json_path != "-")
    for (const std::string& line : annotations(run, run_options.root, options.config))
      fmt::print("{}\n", line);
  if (!options.receipt.empty()) write_receipt(options, run_options, run);
  write_json(options.common, gate_json(run, run_options));
  return code;
}

}  // namespace

void register_gate(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand("gate", "One verdict for a change: what gate.json demands");
  command->add_option("--config", options->config, "What is gated, and how strictly")->capture_default_str();
  command->add_flag("--init", options->init, "Write a commented gate.json and stop");
  command->add_flag("--force", options->force, "With --init: overwrite what is there");
  command
      ->add_option("--workflow", options->workflows, "With --init: github-cpu, github-gpu or gitlab as well")
      ->delimiter(',');
  command->add_option("--only", options->only, "Names of kernels in gate.json")->delimiter(',');
  command
      ->add_option(
          "--changed-since", options->changed_since,
          "A git revision: leave out kernels of which no file changed since (those without sources stay)")
      ->type_name("REVISION");
  command->add_flag("--update-baseline", options->update_baseline,
                    "Write the baselines, and say what is different from the old ones");
  command
      ->add_option("--device", options->device, "auto: look for a CUDA device; none: as if there were none")
      ->capture_default_str();
  command
      ->add_option("--receipt", options->receipt,
                   "Write what this machine's CUDA device saw, for gates on machines without one")
      ->type_name("FILE");
  command->add_option("--junit", options->junit, "Write JUnit XML to FILE")->type_name("FILE");
  command->add_option("--summary", options->summary, "Append Markdown to FILE, e.g. $GITHUB_STEP_SUMMARY")
      ->type_name("FILE");
  command->add_flag("--annotate", options->annotate,
                    "Print at most ten GitHub annotations, worst first (also with --quiet)");
  command->add_option("--workers", options->workers, "Worker processes (0: one per core)")
      ->capture_default_str();
  command->add_option("--out", options->out, "Directory for failing cases; empty writes none")
      ->capture_default_str();
  add_common_options(*command, options->common);
  command->footer(
      "\nExamples:\n  assay gate --init\n  assay gate --update-baseline\n  assay gate --json "
      "gate-result.json");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
