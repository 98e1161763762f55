// assay fuzz --world: seeds that are worlds of traffic, pool, policy, call and schedule.
#include <fmt/format.h>

#include <filesystem>

#include "model/core/check.h"
#include "properties/cases/kernel_case.h"
#include "properties/kernels/registry.h"
#include "properties/world/world_campaign.h"
#include "tools/commands/fuzz_modes.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::WorldCampaignResult;

// A time limit is spent in rounds, so that what ran is always a whole number of cases from the first on.
constexpr std::int64_t kRound = 256;

void add(WorldCampaignResult& sum, WorldCampaignResult&& more) {
  sum.cases += more.cases;
  sum.failed += more.failed;
  sum.steps += more.steps;
  sum.judged_steps += more.judged_steps;
  sum.elements += more.elements;
  sum.preemptions += more.preemptions;
  sum.rejected += more.rejected;
  sum.hit_tokens += more.hit_tokens;
  sum.worst_headroom = std::max(sum.worst_headroom, more.worst_headroom);
  sum.partial = more.partial;
  const std::uint64_t words[2] = {sum.digest, more.digest};
  sum.digest = properties::fnv1a(words, sizeof words);
  for (auto& finding : more.findings) sum.findings.push_back(std::move(finding));
}

WorldCampaignResult run_rounds(const CommonOptions& common, const WorldFuzzOptions& options) {
  ProgressLine line(!common.quiet);
  WorldCampaignResult sum;
  while (!interrupted && (options.cases > 0 ? sum.cases < options.cases : line.seconds() < options.seconds)) {
    properties::WorldCampaignOptions campaign;
    campaign.seed = common.seed;
    campaign.first_case = sum.cases;
    campaign.cases = options.cases > 0 ? std::min(kRound, options.cases - sum.cases) : kRound;
    campaign.threads = options.workers;
    campaign.twice = options.twice;
    campaign.kernel = options.kernel;
    campaign.most_findings = sum.findings.size() < 3 ? 3 - sum.findings.size() : 0;
    campaign.interrupted = &interrupted;
    const std::int64_t before = sum.cases;
    add(sum, run_world_campaign(campaign, [&](std::int64_t done) {
          if (!line.due()) return;
          const double seconds = line.seconds();
          const double part = options.cases > 0
                                  ? static_cast<double>(before + done) / static_cast<double>(options.cases)
                                  : seconds / options.seconds;
          line.show(fmt::format("{} worlds, {:.0f}/s, {} failed, {:.0f} s left", grouped(before + done),
                                static_cast<double>(before + done) / seconds, sum.failed,
                                part > 0 ? std::max(0.0, seconds / part - seconds) : 0.0));
        }));
    if (sum.partial) break;
  }
  return sum;
}

}  // namespace

int fuzz_worlds(const CommonOptions& common, const WorldFuzzOptions& options) {
  const WorldCampaignResult result = run_rounds(common, options);
  nlohmann::ordered_json document{{"schema", "assay.fuzz-world/1"},
                                  {"kernel", options.kernel},
                                  {"seed", common.seed},
                                  {"cases", result.cases},
                                  {"failures", result.failed},
                                  {"digest", properties::hex_of(result.digest)},
                                  {"twice", options.twice},
                                  {"steps", result.steps},
                                  {"judged_steps", result.judged_steps},
                                  {"elements", result.elements},
                                  {"preemptions", result.preemptions},
                                  {"rejected", result.rejected},
                                  {"hit_tokens", result.hit_tokens},
                                  {"worst_headroom", result.worst_headroom},
                                  {"interrupted", interrupted.load()}};
  const bool print = !common.quiet && common.json_path != "-";
  if (print) {
    fmt::print(
        "{} worlds of seed {}{}: {} steps, {} judged with {}, {} elements compared, worst headroom {:.3f}\n",
        grouped(result.cases), common.seed, options.twice ? ", each lived twice" : "", grouped(result.steps),
        grouped(result.judged_steps), options.kernel, grouped(result.elements), result.worst_headroom);
    fmt::print(
        "  {} preemptions, {} requests rejected, {} tokens from the prefix cache; {} failed, digest {}\n",
        grouped(result.preemptions), grouped(result.rejected), grouped(result.hit_tokens),
        grouped(result.failed), properties::hex_of(result.digest));
  }
  auto& findings = document["findings"] = nlohmann::ordered_json::array();
  if (!options.out.empty() && !result.findings.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (error) throw EnvironmentError("--out", "a directory that can be made", error.message());
  }
  for (const properties::WorldFinding& finding : result.findings) {
    std::string file;
    if (!options.out.empty()) {
      file = (std::filesystem::path(options.out) /
              fmt::format("world-{}-{}.json", finding.case_index, name_of(finding.failure)))
                 .string();
      nlohmann::ordered_json world = world_as_json(finding.shrunk);
      write_text(file, "--out", world.dump(1) + "\n");
    }
    findings.push_back({{"case", finding.case_index},
                        {"failure", name_of(finding.failure)},
                        {"text", finding.shrunk_text},
                        {"lives", finding.lives},
                        {"file", file}});
    if (print)
      fmt::print("\n{}  world {}\n  {}\n  shrunk in {} lives: {} requests, {} blocks{}\n",
                 toned(name_of(finding.failure), Tone::kBad, terminal_of(stdout)), finding.case_index,
                 finding.shrunk_text, finding.lives, finding.shrunk.requests.size(),
                 finding.shrunk.engine.blocks,
                 file.empty() ? "" : "\n  assay reproduce " + file + " --kernel " + options.kernel);
  }
  write_json(common, document);
  if (result.failed > 0) return kWrongResult;
  return interrupted ? kInconclusive : kPass;
}

int reproduce_world(const CommonOptions& common, const std::string& file,
                    const nlohmann::ordered_json& document, const std::string& kernel) {
  const properties::World world = properties::world_from_json(document);
  const properties::KernelSet kernels(kernel);
  const assay_kernel* chosen = kernel_for(world, kernels, kernel);
  if (chosen == nullptr) throw InputError("--kernel", "a kernel of the world's operation", kernel);
  const properties::WorldOutcome outcome = live(world, *chosen);
  nlohmann::ordered_json result{{"schema", "assay.reproduce/1"}, {"file", file}, {"kernel", kernel}};
  result["outcome"] = {{"status", name_of(outcome.failure)},
                       {"text", outcome.text},
                       {"digest", properties::hex_of(outcome.digest)},
                       {"elements", outcome.elements},
                       {"worst_headroom", outcome.worst_headroom}};
  if (!common.quiet && common.json_path != "-")
    fmt::print(
        "world of {} requests on {} blocks: {}  {}\n{} steps, {} judged, {} elements compared, digest {}\n",
        world.requests.size(), world.engine.blocks, name_of(outcome.failure), outcome.text, outcome.steps,
        outcome.judged_steps, outcome.elements, properties::hex_of(outcome.digest));
  write_json(common, result);
  return outcome.failure == properties::WorldFailure::kNone ? kPass : kWrongResult;
}

}  // namespace assay::tools
