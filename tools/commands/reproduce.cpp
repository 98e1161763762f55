// assay reproduce and assay shrink: what a case file says about a kernel, and a smaller file that says it too.
#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "model/core/check.h"
#include "properties/campaign/campaign.h"
#include "properties/engine/shrink.h"
#include "tools/commands/fuzz_modes.h"
#include "tools/commands/kernel_options.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::Outcome;

struct ReproduceOptions {
  CommonOptions common;
  KernelOptions kernel;
  std::string file;
  int repeats = 1;
};

struct ShrinkOptions {
  CommonOptions common;
  KernelOptions kernel;
  std::string file, out;
  std::int64_t tries = 500;
  double seconds = 300;
};

nlohmann::ordered_json to_json(const Outcome& outcome) {
  return {{"status", name_of(outcome.status)},
          {"text", outcome.text},
          {"digest", properties::hex_of(outcome.digest)},
          {"elements", outcome.elements},
          {"twin_elements", outcome.twin_elements},
          {"worst_headroom", outcome.headroom}};
}

void print_outcome(const properties::KernelCase& kernel_case, const Outcome& outcome) {
  const Terminal terminal = terminal_of(stdout);
  const Tone tone = is_failure(outcome.status)                      ? Tone::kBad
                    : outcome.status == properties::Status::kPassed ? Tone::kGood
                                                                    : Tone::kWarning;
  fmt::print("{}\n{}", summary_of(kernel_case), toned(name_of(outcome.status), tone, terminal));
  if (!outcome.text.empty()) fmt::print("  {}", outcome.text);
  fmt::print("\n{} elements compared, {} with the twin, headroom {:.3f}, digest {}\n", outcome.elements,
             outcome.twin_elements, outcome.headroom, properties::hex_of(outcome.digest));
}

int code_of(const Outcome& outcome) {
  if (is_failure(outcome.status)) return kWrongResult;
  return outcome.status == properties::Status::kPassed ? kPass : kInconclusive;
}

int run(const ReproduceOptions& options) {
  nlohmann::ordered_json document = read_case_document(options.file);
  if (document.is_object() && document.value("schema", nlohmann::ordered_json()) == "assay.world/1")
    return reproduce_world(options.common, options.file, document, options.kernel.kernel);
  if (document.is_object() && document.value("schema", nlohmann::ordered_json()) == "assay.allocator-case/1")
    return reproduce_allocator(options.common, options.file, document,
                               options.kernel.kernel == "twin" ? "pool" : options.kernel.kernel);
  const properties::KernelCase kernel_case = properties::case_from_json(document, options.file);
  if (options.repeats < 1) throw InputError("--repeat", "1 or more", std::to_string(options.repeats));
  properties::WorkerProcess worker(worker_command(options.kernel));
  Outcome outcome = try_case(worker, kernel_case);
  int failed = is_failure(outcome.status) ? 1 : 0;
  for (int i = 1; i < options.repeats && !interrupted; ++i) {
    const Outcome again = try_case(worker, kernel_case);
    failed += is_failure(again.status) ? 1 : 0;
    if (is_failure(again.status) && !is_failure(outcome.status)) outcome = again;
  }
  nlohmann::ordered_json result{
      {"schema", "assay.reproduce/1"}, {"file", options.file}, {"kernel", options.kernel.kernel}};
  result["outcome"] = to_json(outcome);
  result["repeats"] = options.repeats;
  result["failed"] = failed;
  const auto expected = document.find("expected");
  if (expected != document.end()) {
    result["expected"] = *expected;
    result["same_status"] = expected->value("status", std::string()) == name_of(outcome.status);
    result["same_digest"] = expected->value("digest", std::string()) == properties::hex_of(outcome.digest);
  }
  if (!options.common.quiet && options.common.json_path != "-") {
    print_outcome(kernel_case, outcome);
    if (expected != document.end())
      fmt::print(
          "recorded: {}, {}\n", expected->value("status", std::string("nothing")),
          result["same_digest"].get<bool>() ? "same digest" : "another digest (another kernel or version)");
    if (options.repeats > 1) fmt::print("{} of {} runs failed\n", failed, options.repeats);
  }
  write_json(options.common, result);
  return code_of(outcome);
}

int run(const ShrinkOptions& options) {
  const properties::KernelCase kernel_case =
      properties::case_from_json(read_case_document(options.file), options.file);
  properties::WorkerProcess worker(worker_command(options.kernel));
  const properties::Diagnosis start = diagnose(worker, kernel_case);
  if (!is_failure(start.outcome.status)) {
    if (!options.common.quiet) print_outcome(kernel_case, start.outcome);
    throw InputError(options.file, "a case that fails with kernel " + options.kernel.kernel,
                     name_of(start.outcome.status));
  }
  ProgressLine line(!options.common.quiet);
  const properties::Shrunk shrunk = shrink(
      worker, start.named, start.outcome, {options.tries, options.seconds},
      [&](const properties::Shrunk& now) {
        if (line.due())
          line.show(fmt::format("{} tries, {} steps: {}", now.tries, now.steps, summary_of(now.kernel_case)));
        return !interrupted;
      });
  const std::string out = options.out.empty() ? options.file : options.out;
  write_text(
      out, "--out",
      case_document(shrunk.kernel_case, shrunk.outcome, fmt::format("shrunk in {} tries", shrunk.tries))
              .dump(1) +
          "\n");
  nlohmann::ordered_json result{{"schema", "assay.shrink/1"},
                                {"file", out},
                                {"tries", shrunk.tries},
                                {"steps", shrunk.steps},
                                {"finished", shrunk.finished}};
  result["outcome"] = to_json(shrunk.outcome);
  result["sequences"] = properties::sequences_of(shrunk.kernel_case);
  result["blocks"] = properties::blocks_of(shrunk.kernel_case);
  if (!options.common.quiet && options.common.json_path != "-") {
    print_outcome(shrunk.kernel_case, shrunk.outcome);
    fmt::print("{} steps in {} tries{}; written to {}\n", shrunk.steps, shrunk.tries,
               shrunk.finished ? "" : " (a limit ended it)", out);
  }
  write_json(options.common, result);
  return kWrongResult;
}

}  // namespace

void register_reproduce(Registry& registry) {
  auto options = std::make_shared<ReproduceOptions>();
  CLI::App* command = registry.app.add_subcommand(
      "reproduce", "Runs one case file against a kernel: the same verdict anywhere");
  command->add_option("file", options->file, "A case or a world (assay.case/1, assay.world/1)")->required();
  command->add_option("--repeat", options->repeats, "Run it that often (races)")->capture_default_str();
  add_kernel_options(*command, options->kernel);
  add_common_options(*command, options->common);
  command->footer(
      "\nExample:\n  assay reproduce assay-failures/paged-mqa-logits-WRONG_BLOCK.json --kernel ./my.so");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

void register_shrink(Registry& registry) {
  auto options = std::make_shared<ShrinkOptions>();
  CLI::App* command =
      registry.app.add_subcommand("shrink", "Makes a failing case smaller, keeping the way it fails");
  command->add_option("file", options->file, "A failing case (assay.case/1)")->required();
  command->add_option("--out", options->out, "Where the smaller case goes (default: over the file)");
  command->add_option("--tries", options->tries, "Attempts")->capture_default_str();
  command->add_option("--seconds", options->seconds, "Seconds")->capture_default_str();
  add_kernel_options(*command, options->kernel);
  add_common_options(*command, options->common);
  command->footer("\nExample:\n  assay shrink failing.json --kernel ./my.so --out small.json");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
