#include "tools/commands/corpus_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/commands/command.h"
#include "tools/terminal/bars.h"

namespace assay::tools {

bool CorpusRun::failed() const {
  return static_cast<std::int64_t>(failures.size()) > excused || !passing_entries.empty();
}

CorpusRun run_corpus(properties::WorkerProcess& worker, const std::string& kernel,
                     const std::vector<properties::Operation>& operations,
                     const std::vector<KnownFailure>& ledger) {
  CorpusRun run;
  const std::string now = today();
  for (const properties::CorpusCase& item : properties::corpus(operations)) {
    if (interrupted) break;
    properties::Outcome outcome = try_case(worker, item.kernel_case);
    ++run.cases;
    if (outcome.status == properties::Status::kUnsupported) {
      ++run.unsupported;
    } else if (outcome.status == properties::Status::kPassed) {
      ++run.passed;
      if (entry_for(ledger, kernel, item.name) != nullptr) run.passing_entries.push_back(item.name);
    } else {
      const KnownFailure* known = excuse_for(ledger, kernel, item.name, name_of(outcome.status), now);
      run.excused += known != nullptr;
      run.failures.push_back(
          {item.name, item.comment, std::move(outcome), known != nullptr ? known->issue : ""});
    }
  }
  return run;
}

nlohmann::ordered_json to_json(const CorpusRun& run) {
  nlohmann::ordered_json json{{"cases", run.cases},
                              {"passed", run.passed},
                              {"unsupported", run.unsupported},
                              {"excused", run.excused}};
  auto& failures = json["failures"] = nlohmann::ordered_json::array();
  for (const CorpusRun::Finding& finding : run.failures)
    failures.push_back({{"case", finding.name},
                        {"status", name_of(finding.outcome.status)},
                        {"text", finding.outcome.text},
                        {"excuse", finding.excuse}});
  json["passing_entries"] = run.passing_entries;
  return json;
}

void print_corpus(const CorpusRun& run) {
  const Terminal terminal = terminal_of(stdout);
  fmt::print("corpus: {} cases, {} passed, {} declined, {} failed{}\n", run.cases, run.passed,
             run.unsupported, run.failures.size(),
             run.excused > 0 ? fmt::format(", {} of them known", run.excused) : "");
  constexpr std::size_t kShown = 6;  // one screen; the JSON has all
  std::size_t shown = 0;
  for (const CorpusRun::Finding& finding : run.failures) {
    if (shown++ == kShown) {
      fmt::print("  ... and {} more\n", run.failures.size() - kShown);
      break;
    }
    const Tone tone = finding.excuse.empty() ? Tone::kBad : Tone::kWarning;
    fmt::print("  {}  {}: {}\n    {}{}\n", toned(name_of(finding.outcome.status), tone, terminal),
               finding.name, finding.comment, finding.outcome.text,
               finding.excuse.empty() ? "" : "\n    known: " + finding.excuse);
  }
  for (const std::string& name : run.passing_entries)
    fmt::print("  {} passes: remove its entry from the ledger, so that the fault cannot come back unseen\n",
               name);
}

}  // namespace assay::tools
