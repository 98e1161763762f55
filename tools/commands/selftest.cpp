// assay selftest: every planted fault must be killed, by the oracle that should see it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "model/core/check.h"
#include "properties/allocator/allocator_campaign.h"
#include "properties/allocator/allocator_mutants.h"
#include "properties/campaign/selftest.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::MutantVerdict;

struct Options {
  CommonOptions common;
  std::vector<std::string> only;
  std::int64_t cases = 4000;
  double seconds = 60;
  int workers = 0;
  std::int64_t shrink_tries = 500;
};

template <typename T>
T median_of(std::vector<T> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print_one(const MutantVerdict& v) {
  const Terminal terminal = terminal_of(stdout);
  const std::string verdict =
      v.killed ? toned("killed  ", Tone::kGood, terminal) : toned("SURVIVED", Tone::kBad, terminal);
  fmt::print("{:<5} {} {:>5} cases {:>6.2f} s  {:<20} {} seq {} blocks   {}\n", v.name, verdict, v.cases,
             v.seconds, v.status, v.sequences, v.blocks, v.fault);
  if (!v.killed)
    fmt::print("      expected: {}; {}\n", v.oracle,
               v.witness == 0      ? "the planted line never made a difference"
               : !v.status.empty() ? "seen only as " + v.status + ": " + v.text
                                   : "reached, and not seen");
}

int run(const Options& options) {
  properties::SelftestOptions selftest;
  selftest.worker = [](const std::string& kernel) {
    KernelOptions kernel_options;
    kernel_options.kernel = kernel;
    return worker_command(kernel_options);
  };
  selftest.seed = options.common.seed;
  if (options.cases < 1) throw InputError("--cases", "1 or more", std::to_string(options.cases));
  selftest.cases = options.cases;
  selftest.seconds = options.seconds;
  selftest.workers = options.workers > 0 ? options.workers
                                         : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  selftest.shrink.tries = options.shrink_tries;
  selftest.only = options.only;
  for (const std::string& name : options.only)
    if (std::none_of(properties::kernel_mutants().begin(), properties::kernel_mutants().end(),
                     [&](const auto& m) { return name == m.name; }))
      throw InputError("--only", "names of mutants, such as K5a", name);
  const bool print = !options.common.quiet && options.common.json_path != "-";
  ProgressLine line(!print && !options.common.quiet);
  std::int64_t seen = 0;
  const std::vector<MutantVerdict> verdicts = run_selftest(selftest, [&](const MutantVerdict& v) {
    ++seen;
    if (print) print_one(v);
    if (line.due()) line.show(fmt::format("{} of {} mutants", seen, properties::kernel_mutants().size()));
    return !interrupted;
  });
  nlohmann::ordered_json document{
      {"schema", "assay.selftest/1"}, {"seed", options.common.seed}, {"interrupted", interrupted.load()}};
  nlohmann::ordered_json matrix = nlohmann::ordered_json::array();
  nlohmann::ordered_json survivors = nlohmann::ordered_json::array();
  std::vector<std::int64_t> cases, sequences, blocks;
  std::int64_t killed = 0;
  for (const MutantVerdict& v : verdicts) {
    killed += v.killed;
    if (!v.killed) survivors.push_back(v.name);
    cases.push_back(v.cases);
    if (v.killed) {
      sequences.push_back(v.sequences);
      blocks.push_back(v.blocks);
    }
    matrix.push_back({{"mutant", v.name},
                      {"fault", v.fault},
                      {"oracle", v.oracle},
                      {"killed", v.killed},
                      {"status", v.status},
                      {"text", v.text},
                      {"cases", v.cases},
                      {"witness", v.witness},
                      {"sequences", v.sequences},
                      {"blocks", v.blocks},
                      {"shrink_tries", v.shrink_tries}});
  }
  std::int64_t mutants = static_cast<std::int64_t>(verdicts.size());
  if (options.only.empty() && !interrupted) {
    auto& checks = document["checks"] = nlohmann::ordered_json::array();
    for (const properties::CheckVerdict& v : run_check_selftest(selftest)) {
      ++mutants;
      killed += v.detected;
      if (!v.detected) survivors.push_back(std::string("check ") + name_of(v.check));
      checks.push_back({{"check", name_of(v.check)},
                        {"mutant", v.mutant},
                        {"detected", v.detected},
                        {"killed_with", v.killed_with},
                        {"killed_without", v.killed_without},
                        {"cases", v.cases}});
      if (print)
        fmt::print("check {:<14} left out: {}  {} kills {} of {} cases with it, {} without\n",
                   name_of(v.check),
                   toned(v.detected ? "noticed " : "UNNOTICED", v.detected ? Tone::kGood : Tone::kBad,
                         terminal_of(stdout)),
                   v.mutant, v.killed_with, v.cases, v.killed_without);
    }
  }
  if (options.only.empty() && !interrupted)
    for (const properties::AllocatorMutant& mutant : properties::allocator_mutants()) {
      properties::AllocatorCampaignOptions campaign;
      campaign.allocator = mutant.name;
      campaign.seed = options.common.seed;
      campaign.cases = std::min<std::int64_t>(options.cases, 1000);
      const properties::AllocatorCampaign result = run_allocator_campaign(campaign);
      const auto rule =
          std::find_if(result.findings.begin(), result.findings.end(), [&](const auto& finding) {
            return (" " + std::string(mutant.oracles) + " ").find(" " + finding.first + " ") !=
                   std::string::npos;
          });
      const bool dead = rule != result.findings.end();
      ++mutants;
      killed += dead;
      if (!dead) survivors.push_back(mutant.name);
      matrix.push_back({{"mutant", mutant.name},
                        {"fault", mutant.fault},
                        {"oracle", mutant.oracles},
                        {"killed", dead},
                        {"status", dead ? rule->first : ""},
                        {"text", dead ? rule->second.breach.text : ""},
                        {"cases", dead ? rule->second.index + 1 : campaign.cases},
                        {"events", dead ? static_cast<std::int64_t>(rule->second.shrunk.events.size()) : 0}});
      if (print)
        fmt::print(
            "{:<5} {} {:>5} lives  {:<6} {:>2} events   {}\n", mutant.name,
            toned(dead ? "killed  " : "SURVIVED", dead ? Tone::kGood : Tone::kBad, terminal_of(stdout)),
            dead ? rule->second.index + 1 : campaign.cases, dead ? rule->first : "",
            dead ? rule->second.shrunk.events.size() : 0, mutant.fault);
    }
  document["matrix"] = std::move(matrix);
  document["mutants"] = mutants;
  document["killed"] = killed;
  document["survivors"] = survivors;
  document["median"] = {
      {"cases", median_of(cases)}, {"sequences", median_of(sequences)}, {"blocks", median_of(blocks)}};
  if (print)
    fmt::print("\n{} of {} mutants killed; median {} cases, shrunk to {} sequences and {} blocks\n", killed,
               mutants, median_of(cases), median_of(sequences), median_of(blocks));
  write_json(options.common, document);
  if (!survivors.empty()) return kMutantSurvived;
  return interrupted ? kInconclusive : kPass;
}

}  // namespace

void register_selftest(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand(
      "selftest", "Plants faults and demands that each is found (exit 6 when one survives)");
  command->add_option("--only", options->only, "Names of mutants")->delimiter(',');
  command->add_option("--cases", options->cases, "Cases per mutant")->capture_default_str();
  command->add_option("--seconds", options->seconds, "Seconds per mutant")->capture_default_str();
  command->add_option("--workers", options->workers, "Mutants at once (0: one per core)")
      ->capture_default_str();
  command->add_option("--shrink-tries", options->shrink_tries, "Attempts to shrink each first failure")
      ->capture_default_str();
  add_common_options(*command, options->common);
  command->footer("\nExample:\n  assay selftest --json kill-matrix.json");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
