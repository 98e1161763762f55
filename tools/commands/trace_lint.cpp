// assay trace lint: prints findings as file:line:column, and what was counted.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"
#include "traces/lint.h"

namespace assay::tools {

int lint_traces(const LintAction& action, std::FILE* print, nlohmann::ordered_json& document) {
  if (action.listed < 0)
    throw InputError("--list", "0 or more findings of a kind", std::to_string(action.listed));
  LintOptions options;
  options.listed_per_code = static_cast<std::size_t>(action.listed);
  options.duplicates = !action.no_duplicates;
  std::unique_ptr<TraceProgress> progress;
  options.go_on = [&](std::int64_t requests, std::int64_t bytes) { return progress->tick(requests, bytes); };
  Linter linter(options);
  for (const std::string& path : action.paths) {
    progress = std::make_unique<TraceProgress>(path, -1, print != nullptr);
    linter.run(path, open_options(action.input));
    if (!linter.complete()) break;
  }
  progress.reset();

  document["schema"] = "assay.trace.lint/1";
  document["complete"] = linter.complete();
  auto& files = document["files"] = nlohmann::ordered_json::array();
  for (const std::string& path : action.paths) files.push_back(json_safe(path));
  document["formats"] = linter.formats();
  document["requests"] = linter.requests();
  for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kNote})
    document[std::string(severity_name(severity)) + "s"] = linter.count(severity);
  document["counts"] = linter.counts();
  auto& listed = document["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : linter.findings())
    listed.push_back({{"severity", severity_name(finding.severity)},
                      {"code", finding.code},
                      {"file", json_safe(finding.file)},
                      {"line", finding.line},
                      {"column", finding.column},
                      {"message", json_safe(finding.message)}});

  const std::int64_t errors = linter.count(Severity::kError), warnings = linter.count(Severity::kWarning);
  if (print != nullptr) {
    const Terminal terminal = terminal_of(print);
    for (const Finding& finding : linter.findings()) {
      const Tone tone = finding.severity == Severity::kError     ? Tone::kBad
                        : finding.severity == Severity::kWarning ? Tone::kWarning
                                                                 : Tone::kFaint;
      // An unreadable file names itself in the message.
      const std::string place =
          finding.line == 0 ? "" : fmt::format("{}:{}:{}: ", finding.file, finding.line, finding.column);
      fmt::print(print, "{}{}: {} [{}]\n", place, toned(severity_name(finding.severity), tone, terminal),
                 finding.message, finding.code);
    }
    for (const auto& [code, count] : linter.counts())
      if (count > action.listed)
        fmt::print(print, "{}: {} in all, {} listed\n", code, grouped(count), action.listed);
    if (!linter.complete()) fmt::print(print, "interrupted: this is about the part that was read\n");
    fmt::print(print, "{} requests: {} errors, {} warnings, {} notes\n", grouped(linter.requests()),
               grouped(errors), grouped(warnings), grouped(linter.count(Severity::kNote)));
  }
  if (errors == 0 && !linter.complete()) return kInconclusive;
  return errors > 0 || (action.strict && warnings > 0) ? kUsage : kPass;
}

}  // namespace assay::tools
