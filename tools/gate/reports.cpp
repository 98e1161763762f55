#include "tools/gate/reports.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <sstream>

namespace assay::tools::gate {
namespace {

constexpr const char* kWholeRun = "the whole run";

std::string suite_of(const Finding& finding) { return finding.kernel.empty() ? kWholeRun : finding.kernel; }

// XML 1.0 has no place for control characters, escaped or not; kernels may print them.
std::string printable(const std::string& text) {
  std::string result;
  for (const char c : text)
    result += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
  return result;
}

// Findings by suite, in the order in which suites first appear.
std::vector<std::pair<std::string, std::vector<Finding>>> suites_of(const GateRun& run) {
  std::vector<std::pair<std::string, std::vector<Finding>>> suites;
  std::map<std::string, std::size_t> at;
  for (const Finding& finding : run.findings) {
    const auto [place, is_new] = at.emplace(suite_of(finding), suites.size());
    if (is_new) suites.emplace_back(suite_of(finding), std::vector<Finding>{});
    suites[place->second].second.push_back(finding);
  }
  return suites;
}

double seconds_of(const std::vector<Finding>& findings) {
  double sum = 0;
  for (const Finding& finding : findings) sum += finding.seconds;
  return sum;
}

void put_counts(pugi::xml_node node, const std::vector<Finding>& findings) {
  const Tally tally = tally_of(findings);
  node.append_attribute("tests") = static_cast<long long>(findings.size());
  node.append_attribute("failures") = static_cast<long long>(tally.failed);
  node.append_attribute("errors") = static_cast<long long>(tally.errors);
  node.append_attribute("skipped") = static_cast<long long>(tally.not_run);
  node.append_attribute("time") = fmt::format("{:.3f}", seconds_of(findings)).c_str();
}

// A table's cell: no pipe and no line end of its own, nothing that GitHub would take for HTML.
std::string cell(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '|')
      result += "\\|";
    else if (c == '<')
      result += "&lt;";
    else
      result += c == '\n' || c == '\r' ? ' ' : c;
  }
  return result;
}

const char* mark_of(Outcome outcome) {
  if (outcome == Outcome::kHeld) return "✅";
  if (outcome == Outcome::kNotRun) return "⚪";
  return is_error(outcome) ? "⚠️" : "❌";
}

std::string verdict_of(const GateRun& run) {
  const Tally tally = tally_of(run.findings);
  const int code = exit_code_of(run.findings);
  return fmt::format("{} (exit code {}): {} held, {} failed, {} without a verdict, {} not run here",
                     code == 0 ? "passed" : "not passed", code, tally.held, tally.failed, tally.errors,
                     tally.not_run);
}

// GitHub's workflow commands end at a line end and split properties at ',' and ':'.
std::string escaped(const std::string& text, bool property) {
  std::string result;
  for (const char c : text) {
    if (c == '%')
      result += "%25";
    else if (c == '\r')
      result += "%0D";
    else if (c == '\n')
      result += "%0A";
    else if (property && c == ':')
      result += "%3A";
    else if (property && c == ',')
      result += "%2C";
    else
      result += c;
  }
  return result;
}

// Cut where a character begins, so that what is left is UTF-8.
std::string shortened(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + " ...";
}

}  // namespace

std::string junit_xml(const GateRun& run) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node suites = document.append_child("testsuites");
  suites.append_attribute("name") = "assay gate";
  put_counts(suites, run.findings);
  for (const auto& [name, findings] : suites_of(run)) {
    pugi::xml_node suite = suites.append_child("testsuite");
    suite.append_attribute("name") = name.c_str();
    put_counts(suite, findings);
    for (const Finding& finding : findings) {
      pugi::xml_node test = suite.append_child("testcase");
      test.append_attribute("classname") = ("assay.gate." + name).c_str();
      test.append_attribute("name") = finding.check.c_str();
      if (!finding.file.empty()) test.append_attribute("file") = finding.file.c_str();
      test.append_attribute("time") = fmt::format("{:.3f}", finding.seconds).c_str();
      const std::string text = printable(finding.text);
      if (finding.outcome == Outcome::kHeld) {
        test.append_child("system-out").text() = text.c_str();
        continue;
      }
      const char* kind = is_failure(finding.outcome) ? "failure"
                         : is_error(finding.outcome) ? "error"
                                                     : "skipped";
      pugi::xml_node verdict = test.append_child(kind);
      verdict.append_attribute("message") = shortened(text, 400).c_str();
      if (finding.outcome != Outcome::kNotRun) {
        verdict.append_attribute("type") = name_of(finding.outcome);
        verdict.text() =
            (text + (finding.continue_with.empty() ? "" : "\n" + printable(finding.continue_with))).c_str();
      }
    }
  }
  std::ostringstream out;
  document.save(out, " ");
  return out.str();
}

std::string markdown_summary(const GateRun& run, const std::string& config_path, std::size_t most_bytes) {
  std::string text = fmt::format("## Assay gate: {}\n\n`{}`\n", verdict_of(run), config_path);
  std::size_t left_out = 0;
  constexpr std::size_t kLastLine = 200;  // room for the line that says what was cut
  const auto add = [&](const std::string& piece) {
    if (left_out > 0 || text.size() + piece.size() + kLastLine > most_bytes) {
      ++left_out;
      return;
    }
    text += piece;
  };
  // What is wrong comes first: whatever is cut later, this is not.
  for (const Finding* finding : worst_first(run.findings))
    add(fmt::format("\n- {} **{}: {}** ({}) {}{}\n", mark_of(finding->outcome), cell(suite_of(*finding)),
                    cell(finding->check), name_of(finding->outcome), cell(shortened(finding->text, 4000)),
                    finding->continue_with.empty() ? "" : "\n  `" + finding->continue_with + "`"));
  for (const auto& [name, findings] : suites_of(run)) {
    add(fmt::format("\n### {}\n\n|   | check | what was seen | s |\n|---|---|---|---:|\n", cell(name)));
    for (const Finding& finding : findings)
      add(fmt::format("| {} | {} | {} | {:.1f} |\n", mark_of(finding.outcome), cell(finding.check),
                      cell(shortened(finding.text, 1000)), finding.seconds));
  }
  if (!run.baseline_notes.empty()) {
    add("\n### Baselines\n\n```text\n");
    for (const std::string& note : run.baseline_notes) add(note + "\n");
    if (left_out == 0) text += "```\n";
  }
  if (left_out > 0)
    text += fmt::format(
        "\n**{} more lines were left out here to stay below {} bytes; --json and --junit have all.**\n",
        left_out, most_bytes);
  return text;
}

std::vector<std::string> annotations(const GateRun& run, const std::string& root,
                                     const std::string& config_path) {
  const std::vector<const Finding*> list = worst_first(run.findings);
  std::vector<std::string> lines;
  for (const Finding* finding : list) {
    const bool last = lines.size() + 1 == kMostAnnotations && list.size() > kMostAnnotations;
    const std::string file =
        finding->file.empty()
            ? config_path
            : (std::filesystem::path(root) / finding->file).lexically_normal().generic_string();
    std::string text = shortened(finding->text, 1000);
    if (last) text += fmt::format("\n({} more findings: see the summary)", list.size() - kMostAnnotations);
    const std::string title =
        finding->kernel.empty() ? finding->check : finding->check + " of " + finding->kernel;
    lines.push_back(fmt::format(
        "::{} file={},title={}::{}", finding->outcome == Outcome::kUndecided ? "warning" : "error",
        escaped(file, true), escaped("assay gate: " + title, true), escaped(text, false)));
    if (last) break;
  }
  return lines;
}

nlohmann::ordered_json gate_json(const GateRun& run, const RunOptions& options) {
  nlohmann::ordered_json json{{"schema", "assay.gate/1"},
                              {"config", options.config_path},
                              {"exit_code", exit_code_of(run.findings)},
                              {"interrupted", run.interrupted}};
  json["device"] = {{"present", options.device.present},
                    {"name", options.device.name},
                    {"driver", options.device.driver},
                    {"why", options.device.why}};
  const Tally tally = tally_of(run.findings);
  json["tally"] = {
      {"held", tally.held}, {"failed", tally.failed}, {"errors", tally.errors}, {"not_run", tally.not_run}};
  auto& findings = json["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : run.findings)
    findings.push_back({{"kernel", finding.kernel},
                        {"check", finding.check},
                        {"outcome", name_of(finding.outcome)},
                        {"text", finding.text},
                        {"file", finding.file},
                        {"seconds", finding.seconds},
                        {"continue_with", finding.continue_with}});
  auto& kernels = json["kernels"] = nlohmann::ordered_json::array();
  for (const KernelReport& report : run.kernels) {
    nlohmann::ordered_json one{{"name", report.name},
                               {"ran_on", report.ran_on},
                               {"cases", report.cases},
                               {"accepted", report.accepted},
                               {"elements", report.elements}};
    auto& headroom = one["headroom"] = nlohmann::ordered_json::object();
    for (const auto& [key, r] : report.headroom) headroom[key] = r;
    auto& resources = one["resources"] = nlohmann::ordered_json::object();
    for (const auto& [name, entry] : report.resources)
      resources[name] = {{"registers", entry.registers},
                         {"stack_bytes", entry.stack_bytes},
                         {"spill_store_bytes", entry.spill_store_bytes},
                         {"spill_load_bytes", entry.spill_load_bytes},
                         {"shared_bytes", entry.shared_bytes},
                         {"instructions", entry.instructions}};
    one["performance"] = report.speed;
    kernels.push_back(std::move(one));
  }
  json["baseline_notes"] = run.baseline_notes;
  return json;
}

}  // namespace assay::tools::gate
