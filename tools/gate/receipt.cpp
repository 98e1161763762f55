#include "tools/gate/receipt.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/core/check.h"
#include "traces/sha256.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

// In the order of name_of(); kHeld when the word is none of ours.
std::optional<Outcome> outcome_named(const std::string& name) {
  for (int i = 0; i < kOutcomes; ++i)
    if (name == name_of(static_cast<Outcome>(i))) return static_cast<Outcome>(i);
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& list, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < list.size() && i < most; ++i) text += (i == 0 ? "" : ", ") + list[i];
  if (list.size() > most) text += fmt::format(" and {} more", list.size() - most);
  return text;
}

// Of a file that somebody else may have written: nothing is taken for granted.
struct Entry {
  std::string ran_on, date;
  FileDigests files;
  std::vector<std::string> flags;
  Json strictness;
  std::vector<Finding> findings;
  Headroom headroom;
};

std::optional<Entry> entry_of(const Json& receipt, const std::string& name) {
  Entry entry;
  entry.date = receipt.at("date").get<std::string>();
  for (const Json& kernel : receipt.at("kernels")) {
    if (kernel.at("name") != name) continue;
    entry.ran_on = kernel.at("ran_on").get<std::string>();
    for (const auto& [file, digest] : kernel.at("sources").items())
      entry.files[file] = digest.get<std::string>();
    entry.flags = kernel.at("flags").get<std::vector<std::string>>();
    entry.strictness = kernel.at("gated_as");
    for (const Json& verdict : kernel.at("verdicts")) {
      Finding finding;
      finding.check = verdict.at("check").get<std::string>();
      finding.text = verdict.at("text").get<std::string>();
      const std::optional<Outcome> outcome = outcome_named(verdict.at("outcome").get<std::string>());
      if (!outcome) throw InputError("verdicts", "outcomes of this program", verdict.at("outcome").dump());
      finding.outcome = *outcome;
      entry.findings.push_back(std::move(finding));
    }
    for (const auto& [key, r] : kernel.at("headroom").items()) entry.headroom[key] = r.get<double>();
    return entry;
  }
  return std::nullopt;
}

bool has_check(const Entry& entry, const std::string& begin) {
  return std::any_of(entry.findings.begin(), entry.findings.end(), [&](const Finding& finding) {
    return finding.check.rfind(begin, 0) == 0 && finding.outcome != Outcome::kNotRun;
  });
}

// What is different between the kernel of the receipt and the kernel of today; "" = nothing.
std::string mismatch_of(const Entry& entry, const GatedKernel& kernel, const SourceClosure& now) {
  const std::vector<std::string> files = file_differences(entry.files, now.files);
  if (!files.empty()) return "the kernel is not the one that ran: " + joined(files, 12);
  if (entry.flags != kernel.flags)
    return fmt::format("other compiler flags: \"{}\" then, \"{}\" now", fmt::join(entry.flags, " "),
                       fmt::join(kernel.flags, " "));
  if (entry.strictness != strictness_of(kernel))
    return fmt::format("gated in another way then: {}, now {}", entry.strictness.dump(),
                       strictness_of(kernel).dump());
  return "";
}

Finding broken_or(Finding finding, Outcome outcome, const std::string& text) {
  finding.outcome = outcome;
  finding.text = text;
  finding.continue_with = "assay gate --receipt FILE, on a machine with a GPU";
  return finding;
}

}  // namespace

std::string receipt_digest(Json receipt) {
  receipt.erase("digest");
  return sha256_of(receipt.dump());
}

Json make_receipt(const RunOptions& options, const GateRun& run, const std::string& date,
                  const std::string& program, const std::map<std::string, std::string>& binary_digests) {
  Json receipt{{"schema", kReceiptSchema},
               {"date", date},
               {"program", program},
               {"device", options.device.name},
               {"driver", options.device.driver}};
  Json& kernels = receipt["kernels"] = Json::array();
  for (const GatedKernel& kernel : options.config.kernels) {
    const auto report = std::find_if(run.kernels.begin(), run.kernels.end(),
                                     [&](const KernelReport& r) { return r.name == kernel.name; });
    if (!kernel.on_device || report == run.kernels.end() || report->ran_on.empty()) continue;
    const SourceClosure closure = source_closure(options.root, kernel.sources, kernel.include_paths);
    Json one{{"name", kernel.name}, {"ran_on", report->ran_on}};
    one["sources"] = Json(closure.files);
    one["flags"] = kernel.flags;
    one["digest_of_sources_and_flags"] = digest_of(closure.files, kernel.flags);
    const auto binary = binary_digests.find(kernel.name);
    one["machine_code"] = binary == binary_digests.end() ? "" : binary->second;
    one["gated_as"] = strictness_of(kernel);
    Json& verdicts = one["verdicts"] = Json::array();
    for (const Finding& finding : run.findings)
      if (finding.kernel == kernel.name)
        verdicts.push_back(
            {{"check", finding.check}, {"outcome", name_of(finding.outcome)}, {"text", finding.text}});
    one["cases"] = report->cases;
    one["elements"] = report->elements;
    Json& headroom = one["headroom"] = Json::object();
    for (const auto& [key, r] : report->headroom) headroom[key] = r;
    one["performance"] = report->speed;
    kernels.push_back(std::move(one));
  }
  receipt["digest"] = receipt_digest(receipt);
  return receipt;
}

Finding judge_receipt(const RunOptions& options, const GatedKernel& kernel,
                      const std::optional<std::string>& text, const std::string& path,
                      const std::optional<Baseline>& baseline) {
  Finding finding;
  finding.kernel = kernel.name;
  finding.check = "receipt";
  finding.file = kernel.sources.front();
  if (!text)
    return broken_or(std::move(finding), Outcome::kBroken,
                     fmt::format("no CUDA device here ({}), and no receipt in {}", options.device.why, path));
  Json receipt;
  std::optional<Entry> entry;
  try {
    receipt = Json::parse(*text);
    if (receipt.at("schema") != kReceiptSchema)
      throw InputError(path + ".schema", kReceiptSchema, receipt.at("schema").dump());
    const std::string told = receipt.at("digest").get<std::string>(), computed = receipt_digest(receipt);
    if (told != computed)
      return broken_or(std::move(finding), Outcome::kWrong,
                       fmt::format("{} was changed after it was written: its digest is {}, it says {}", path,
                                   computed.substr(0, 12), told.substr(0, 12)));
    entry = entry_of(receipt, kernel.name);
  } catch (const Json::exception& error) {
    return broken_or(std::move(finding), Outcome::kWrong,
                     fmt::format("{}: no receipt: {}", path, error.what()));
  } catch (const InputError& error) {
    return broken_or(std::move(finding), Outcome::kWrong, error.what());
  }
  if (!entry)
    return broken_or(std::move(finding), Outcome::kBroken,
                     fmt::format("no CUDA device here ({}), and {} does not speak of this kernel",
                                 options.device.why, path));
  const SourceClosure now = source_closure(options.root, kernel.sources, kernel.include_paths);
  if (const std::string why = mismatch_of(*entry, kernel, now); !why.empty()) {
    // Annotations point to the first file that is different.
    for (const auto& [name, digest] : now.files) {
      const auto then = entry->files.find(name);
      if (then == entry->files.end() || then->second != digest) {
        finding.file = name;
        break;
      }
    }
    return broken_or(std::move(finding), Outcome::kWrong, why);
  }
  std::vector<std::string> missing;
  for (const char* check : {"corpus", "properties", "claims", "headroom"})
    if (!has_check(*entry, check)) missing.emplace_back(check);
  if (!kernel.speed.baseline_kernel.empty() && !has_check(*entry, "performance"))
    missing.emplace_back("performance");
  const std::string seen =
      fmt::format("ran on {} ({}), {} files as they are now", entry->ran_on, entry->date, now.files.size());
  if (const std::vector<const Finding*> worst = worst_first(entry->findings); !worst.empty())
    return broken_or(
        std::move(finding), worst.front()->outcome,
        fmt::format("{}, where it did not pass: {}: {}", seen, worst.front()->check, worst.front()->text));
  if (!missing.empty())
    return broken_or(std::move(finding), Outcome::kUndecided,
                     fmt::format("{}, without {}", seen, joined(missing, 9)));
  finding.text = seen;
  if (baseline && !baseline->headroom.empty())
    for (const Excess& excess : headroom_excesses(entry->headroom, baseline->headroom, kernel.headroom)) {
      finding.outcome = Outcome::kRegression;
      finding.severity = std::max(finding.severity, excess.excess);
      finding.text += "; " + excess.text;
    }
  if (!now.unresolved.empty()) finding.text += fmt::format("; not followed: {}", joined(now.unresolved, 3));
  return finding;
}

}  // namespace assay::tools::gate
