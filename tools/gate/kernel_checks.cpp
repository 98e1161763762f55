// What a kernel that runs here is put through, in the order in which it is believed:
//
//   corpus -> generated cases (properties, claims) -> share that it accepted -> headroom against the baseline
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "model/core/check.h"
#include "properties/campaign/campaign.h"
#include "properties/kernels/registry.h"
#include "tools/commands/corpus_run.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/known_failures.h"
#include "tools/gate/run.h"

namespace assay::tools::gate {
namespace {

using properties::CampaignResult;
using properties::Operation;

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

Finding finding_of(const GatedKernel& kernel, std::string check, double seconds) {
  Finding finding;
  finding.kernel = kernel.name;
  finding.check = std::move(check);
  finding.file = kernel.sources.empty() ? "" : kernel.sources.front();
  finding.seconds = seconds;
  return finding;
}

void check_corpus(const RunOptions& options, const GatedKernel& kernel, properties::WorkerProcess& worker,
                  const std::vector<Operation>& operations, GateRun& run, bool& right) {
  const Stopwatch watch;
  const std::string& ledger = options.config.known_failures;
  const CorpusRun corpus = run_corpus(worker, kernel.kernel, operations,
                                      read_known_failures(ledger.empty() ? "" : path_in(options, ledger)));
  Finding finding = finding_of(kernel, "corpus", watch.seconds());
  finding.text = fmt::format("{} cases: {} passed, {} declined, {} failed{}", corpus.cases, corpus.passed,
                             corpus.unsupported, corpus.failures.size(),
                             corpus.excused > 0 ? fmt::format(" ({} of them known)", corpus.excused) : "");
  if (corpus.failed()) {
    right = false;
    finding.outcome = Outcome::kWrong;
    finding.severity = static_cast<double>(corpus.failures.size());
    finding.continue_with = fmt::format("assay verify --kernel {}", kernel_in(options, kernel.kernel));
    constexpr std::int64_t kNamed = 3;
    std::int64_t unexcused = 0;
    for (const CorpusRun::Finding& one : corpus.failures)
      if (one.excuse.empty() && ++unexcused <= kNamed)
        finding.text += fmt::format("; {} {}: {}", name_of(one.outcome.status), one.name, one.outcome.text);
    if (unexcused > kNamed) finding.text += fmt::format("; and {} more", unexcused - kNamed);
    for (const std::string& name : corpus.passing_entries)
      finding.text += fmt::format("; {} passes: remove its entry from {}", name, ledger);
  }
  run.findings.push_back(std::move(finding));
}

bool is_claim(const properties::Failure& failure) {
  return failure.outcome.status == properties::Status::kClaimFalse ||
         failure.outcome.status == properties::Status::kNondeterministic;
}

// Of one operation, over all seeds.
struct Sums {
  std::int64_t cases = 0, passed = 0, declined = 0, elements = 0, twin_elements = 0, relations = 0;
  std::int64_t broken = 0, claims_broken = 0;
  std::string kinds, claim_kinds, file, claim_file;
};

void add_failures(const CampaignResult& result, Sums& sums) {
  for (const auto& [kind, failure] : result.failures) {
    const bool claim = is_claim(failure);
    (claim ? sums.claims_broken : sums.broken) += failure.count;
    (claim ? sums.claim_kinds : sums.kinds) +=
        fmt::format("; {} in {} cases: {}", kind, failure.count, failure.outcome.text);
    std::string& file = claim ? sums.claim_file : sums.file;
    if (file.empty()) file = failure.file;
  }
}

void report_campaign(const RunOptions& options, const GatedKernel& kernel, Operation operation,
                     const std::string& claims, const Sums& sums, double seconds, bool interrupted_here,
                     GateRun& run, bool& right) {
  const std::string name = name_of(operation);
  const auto reproduce = [&](const std::string& file) {
    return file.empty()
               ? ""
               : fmt::format("assay reproduce {} --kernel {}", file, kernel_in(options, kernel.kernel));
  };
  Finding finding = finding_of(kernel, "properties " + name, seconds);
  finding.text = fmt::format("{} cases, {} declined, {} broke a property; {} elements compared", sums.cases,
                             sums.declined, sums.broken, sums.elements);
  if (sums.broken > 0) {
    finding.outcome = Outcome::kWrong;
    finding.severity = static_cast<double>(sums.broken);
    finding.text += sums.kinds;
    finding.continue_with = reproduce(sums.file);
  } else if (interrupted_here) {
    finding.outcome = Outcome::kUndecided;
    finding.text += "; interrupted";
  } else if (sums.passed == 0 && sums.claims_broken == 0) {
    finding.outcome = Outcome::kUndecided;
    finding.text += "; every case was declined";
  }
  right = right && sums.broken == 0 && !interrupted_here;
  run.findings.push_back(std::move(finding));

  Finding claim = finding_of(kernel, "claims " + name, 0);
  claim.text = claims.empty() ? "claims nothing"
                              : fmt::format("{} related cases, {} elements against the twin; {}",
                                            sums.relations, sums.twin_elements, claims);
  if (sums.claims_broken > 0) {
    claim.outcome = Outcome::kWrong;
    claim.severity = static_cast<double>(sums.claims_broken);
    claim.text = "false: " + claims + sums.claim_kinds;
    claim.continue_with = reproduce(sums.claim_file);
    right = false;
  }
  run.findings.push_back(std::move(claim));

  if (sums.cases == 0) return;
  const double accepted = 1 - static_cast<double>(sums.declined) / static_cast<double>(sums.cases);
  Finding coverage = finding_of(kernel, "accepted " + name, 0);
  coverage.text = fmt::format("{:.0f} % of the cases, at least {:.0f} % wanted", 100 * accepted,
                              100 * kernel.least_accepted);
  if (accepted < kernel.least_accepted) {
    coverage.outcome = Outcome::kRegression;
    coverage.severity = kernel.least_accepted / std::max(accepted, 1e-3);
  }
  run.findings.push_back(std::move(coverage));
}

void check_operation(const RunOptions& options, const GatedKernel& kernel, Operation operation,
                     const properties::WorkerCommand& command, const std::string& claims,
                     KernelReport& report, GateRun& run, bool& right, const Say& say) {
  const Stopwatch watch;
  Sums sums;
  bool stopped = false;
  for (const std::uint64_t seed : kernel.seeds) {
    properties::CampaignOptions campaign;
    campaign.command = command;
    campaign.generator.operations = {operation};
    campaign.generator.products = kernel.products;
    campaign.seed = seed;
    campaign.cases = kernel.cases;
    campaign.workers = options.workers;
    campaign.directory = options.out;
    const CampaignResult result =
        run_campaign(campaign, [&](const properties::CampaignCounts& counts, const auto&, std::int64_t) {
          say(fmt::format("{}: {}, {} of {} cases of seed {}", kernel.name, name_of(operation), counts.cases,
                          kernel.cases, seed));
          return !interrupted;
        });
    const properties::CampaignCounts& counts = result.counts;
    sums.cases += counts.cases;
    sums.passed += counts.passed;
    sums.declined += counts.unsupported;
    sums.elements += counts.elements;
    sums.twin_elements += counts.twin_elements;
    sums.relations += counts.relations;
    add_failures(result, sums);
    stopped = stopped || result.interrupted;
    // A schedule has no values, so no headroom.
    if (operation != Operation::kScheduleMetadata && counts.elements > 0)
      for (const properties::Lane lane : lanes_of(operation)) {
        double& worst = report.headroom[fmt::format("{}/{}", name_of(operation), name_of(lane))];
        worst = std::max(worst, rounded_up(counts.lane_headroom[static_cast<std::size_t>(lane)]));
      }
    if (stopped) break;
  }
  report.cases += sums.cases;
  report.accepted += sums.cases - sums.declined;
  report.elements += sums.elements;
  report_campaign(options, kernel, operation, claims, sums, watch.seconds(), stopped, run, right);
}

void check_headroom(const RunOptions& options, const GatedKernel& kernel,
                    const std::optional<Baseline>& baseline, const KernelReport& report, bool right,
                    GateRun& run) {
  if (report.headroom.empty()) return;
  double worst = 0;
  std::string where;
  for (const auto& [key, r] : report.headroom)
    if (r >= worst) {
      worst = r;
      where = key;
    }
  Finding finding = finding_of(kernel, "headroom", 0);
  finding.text = fmt::format("worst r {:.3g} ({})", worst, where);
  const bool known = baseline && !baseline->headroom.empty();
  if (!right) {
    finding.outcome = Outcome::kNotRun;
    finding.text = "of wrong results there is none";
  } else if (options.update_baseline) {
    finding.text += ", becomes the baseline";
    if (worst > kernel.headroom.most) finding.outcome = Outcome::kRegression;
  } else if (!known) {
    finding.outcome = Outcome::kUndecided;
    finding.text +=
        fmt::format(", and no baseline in {} to compare with", baseline_path(options, kernel.name));
    finding.continue_with = "assay gate --update-baseline";
  } else {
    const std::vector<Excess> excesses =
        headroom_excesses(report.headroom, baseline->headroom, kernel.headroom);
    for (const Excess& excess : excesses) {
      finding.outcome = Outcome::kRegression;
      finding.severity = std::max(finding.severity, excess.excess);
      finding.text += "; " + excess.text;
    }
    if (excesses.empty())
      finding.text += fmt::format(", all within {} x baseline", kernel.headroom.times_baseline);
  }
  run.findings.push_back(std::move(finding));
}

}  // namespace

bool run_kernel_checks(const RunOptions& options, const GatedKernel& kernel, KernelReport& report,
                       GateRun& run, const Say& say) {
  KernelOptions asked;
  asked.kernel = kernel_in(options, kernel.kernel);
  asked.operations = kernel.operations;
  asked.timeout_seconds = kernel.timeout_seconds;
  bool right = true;
  try {
    const properties::WorkerCommand command = worker_command(asked);
    properties::WorkerProcess worker(command);
    const std::vector<Operation> operations = operations_of(asked, worker.kernels());
    say(kernel.name + ": corpus");
    check_corpus(options, kernel, worker, operations, run, right);
    for (const Operation operation : operations) {
      if (interrupted) break;
      const properties::KernelDescription* offered = worker.find(operation);
      check_operation(options, kernel, operation, command, offered != nullptr ? offered->claims : "", report,
                      run, right, say);
    }
  } catch (const Error& error) {
    Finding finding = finding_of(kernel, "start", 0);
    finding.outcome = Outcome::kBroken;
    finding.text = error.what();
    run.findings.push_back(std::move(finding));
    return false;
  }
  report.ran_on = kernel.on_device ? options.device.name + ", driver " + options.device.driver : "cpu";
  if (!interrupted) check_headroom(options, kernel, read_baseline(options, kernel.name), report, right, run);
  return right && !interrupted;
}

}  // namespace assay::tools::gate
