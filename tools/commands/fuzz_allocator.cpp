// assay fuzz --allocator: short lives of a block allocator, every rule checked after every event.
#include <fmt/format.h>

#include <filesystem>

#include "model/core/check.h"
#include "properties/allocator/allocator_campaign.h"
#include "properties/allocator/allocator_mutants.h"
#include "properties/cases/kernel_case.h"
#include "tools/commands/fuzz_modes.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {

using properties::AllocatorCampaign;

int fuzz_allocators(const CommonOptions& common, const AllocatorFuzzOptions& options) {
  constexpr std::int64_t kRound = 1 << 14;  // lives between two looks at the clock
  ProgressLine line(!common.quiet);
  AllocatorCampaign sum;
  while (!interrupted && (options.cases > 0 ? sum.cases < options.cases : line.seconds() < options.seconds)) {
    properties::AllocatorCampaignOptions campaign;
    campaign.allocator = options.allocator;
    campaign.seed = common.seed;
    campaign.first_case = sum.cases;
    campaign.cases = options.cases > 0 ? std::min(kRound, options.cases - sum.cases) : kRound;
    campaign.threads = options.workers;
    campaign.shrink_tries = options.shrink_tries;
    AllocatorCampaign part = run_allocator_campaign(campaign, [&](std::int64_t) { return !interrupted; });
    sum.cases += part.cases;
    sum.failures += part.failures;
    sum.events += part.events;
    sum.digest += part.digest;
    for (auto& [oracle, finding] : part.findings) {
      const auto [at, is_new] = sum.findings.try_emplace(oracle, finding);
      if (!is_new) at->second.count += finding.count;
    }
    if (line.due())
      line.show(fmt::format("{} lives, {} events, {:.0f} events/s, {} failed", grouped(sum.cases),
                            grouped(sum.events), static_cast<double>(sum.events) / line.seconds(),
                            grouped(sum.failures)));
  }
  const double seconds = line.seconds();
  nlohmann::ordered_json document{{"schema", "assay.fuzz-allocator/1"},
                                  {"allocator", options.allocator},
                                  {"seed", common.seed},
                                  {"cases", sum.cases},
                                  {"failures", sum.failures},
                                  {"events", sum.events},
                                  {"digest", properties::hex_of(sum.digest)},
                                  {"interrupted", interrupted.load()}};
  const bool print = !common.quiet && common.json_path != "-";
  if (print)
    fmt::print("allocator {}: {} lives of seed {}, {} events, {:.0f} events a second; {} failed, digest {}\n",
               options.allocator, grouped(sum.cases), common.seed, grouped(sum.events),
               static_cast<double>(sum.events) / seconds, grouped(sum.failures),
               properties::hex_of(sum.digest));
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const auto& [oracle, finding] : sum.findings) {
    std::string file;
    if (!options.out.empty()) {
      std::error_code error;
      std::filesystem::create_directories(options.out, error);
      file = (std::filesystem::path(options.out) / fmt::format("allocator-{}.json", oracle)).string();
      write_text(file, "--out", to_json(finding.shrunk).dump(1) + "\n");
    }
    findings.push_back({{"rule", oracle},
                        {"count", finding.count},
                        {"first_case", finding.index},
                        {"text", finding.breach.text},
                        {"events", finding.shrunk.events.size()},
                        {"tries", finding.tries},
                        {"file", file}});
    if (print)
      fmt::print(
          "\n{}  {} lives, the first is number {}\n  {}\n  shrunk to {} events on {} blocks in {} tries{}\n",
          toned(oracle, Tone::kBad, terminal_of(stdout)), grouped(finding.count), finding.index,
          finding.breach.text, finding.shrunk.events.size(), finding.shrunk.shape.blocks, finding.tries,
          file.empty() ? "" : fmt::format("\n  assay reproduce {} --kernel {}", file, options.allocator));
  }
  document["findings"] = std::move(findings);
  write_json(common, document);
  if (sum.failures > 0) return kWrongResult;
  return interrupted ? kInconclusive : kPass;
}

int reproduce_allocator(const CommonOptions& common, const std::string& file,
                        const nlohmann::ordered_json& document, const std::string& allocator) {
  const properties::AllocatorHistory history = properties::history_from_json(document, file);
  const std::unique_ptr<properties::Allocator> tested = properties::make_allocator(allocator, history.shape);
  const properties::AllocatorLife life = live_history(history, *tested);
  if (!common.quiet && common.json_path != "-")
    fmt::print("allocator {}, {} blocks of {} tokens, {} events: {}\n", allocator, history.shape.blocks,
               history.shape.block_tokens, life.events,
               life.breach.broken() ? life.breach.oracle + ": " + life.breach.text : "every rule kept");
  write_json(common, {{"schema", "assay.reproduce/1"},
                      {"file", file},
                      {"allocator", allocator},
                      {"outcome",
                       {{"status", life.breach.broken() ? life.breach.oracle : "PASSED"},
                        {"text", life.breach.text},
                        {"digest", properties::hex_of(life.digest)}}}});
  return life.breach.broken() ? kWrongResult : kPass;
}

}  // namespace assay::tools
