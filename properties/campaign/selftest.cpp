#include "properties/campaign/selftest.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

#include "model/core/check.h"

namespace assay::properties {
namespace {

bool lists(const std::string& words, const std::string& word) {
  std::istringstream in(words);
  for (std::string one; in >> one;)
    if (one == word) return true;
  return false;
}

MutantVerdict try_mutant(const SelftestOptions& options, const KernelMutant& mutant) {
  CampaignOptions campaign;
  campaign.command = options.worker(std::string("mutant:") + mutant.name);
  campaign.generator.operations = {static_cast<Operation>(mutant.kernel.op)};
  campaign.seed = options.seed;
  campaign.cases = options.cases;
  campaign.seconds = options.seconds;
  campaign.stop_at_failure = true;
  campaign.shrink = options.shrink;
  const CampaignResult result = run_campaign(campaign);
  MutantVerdict verdict;
  verdict.name = mutant.name;
  verdict.fault = mutant.fault;
  verdict.oracle = mutant.oracle;
  verdict.cases = result.counts.cases;
  verdict.witness = result.counts.witness;
  verdict.seconds = result.seconds;
  if (result.failures.empty()) return verdict;
  const Failure& failure = result.failures.begin()->second;
  verdict.status = name_of(failure.outcome.status);
  verdict.text = failure.outcome.text;
  verdict.killed = lists(mutant.statuses, verdict.status);
  verdict.shrunk = failure.shrunk;
  verdict.sequences = sequences_of(failure.shrunk);
  verdict.blocks = blocks_of(failure.shrunk);
  verdict.shrink_tries = failure.shrink_tries;
  return verdict;
}

// Which planted fault dies by which check.
constexpr std::pair<Check, const char*> kWitnesses[] = {
    {Check::kMargins, "K13c"},  {Check::kUnwritten, "K12a"}, {Check::kSecondPoison, "K7c"},
    {Check::kGolden, "K16a"},   {Check::kEveryRow, "K16a"},  {Check::kTwin, "K20a"},
    {Check::kRelation, "K18a"}, {Check::kExit, "K19e"},      {Check::kHiddenValues, "K19f"}};
constexpr std::int64_t kCasesPerCheck = 400;  // fewer when it is noticed sooner

}  // namespace

std::vector<CheckVerdict> run_check_selftest(const SelftestOptions& options) {
  std::vector<CheckVerdict> verdicts;
  for (const auto& [check, name] : kWitnesses) {
    const auto& mutants = kernel_mutants();
    const auto mutant = std::find_if(mutants.begin(), mutants.end(), [name = name](const KernelMutant& m) {
      return std::string(name) == m.name;
    });
    ASSAY_CHECK(mutant != mutants.end());
    WorkerProcess worker(options.worker(std::string("mutant:") + name));
    GeneratorOptions generator;
    generator.operations = {static_cast<Operation>(mutant->kernel.op)};
    CheckVerdict verdict{check, name, false, 0, 0, 0};
    for (std::int64_t index = 0; index < kCasesPerCheck && !verdict.detected; ++index) {
      const KernelCase kernel_case = generate_case(generator, options.seed, index);
      const bool with = lists(mutant->statuses, name_of(try_case(worker, kernel_case).status));
      const bool without = lists(mutant->statuses, name_of(try_case(worker, kernel_case, check).status));
      ++verdict.cases;
      verdict.killed_with += with;
      verdict.killed_without += without;
      verdict.detected = verdict.detected || (with && !without);
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

std::vector<MutantVerdict> run_selftest(const SelftestOptions& options,
                                        const std::function<bool(const MutantVerdict&)>& seen) {
  std::vector<const KernelMutant*> chosen;
  for (const KernelMutant& mutant : kernel_mutants())
    if (options.only.empty() ||
        std::find(options.only.begin(), options.only.end(), mutant.name) != options.only.end())
      chosen.push_back(&mutant);
  std::vector<MutantVerdict> verdicts(chosen.size());
  std::vector<bool> done(chosen.size(), false);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;  // done, error, seen
  std::exception_ptr error;
  const auto work = [&] {
    for (std::size_t i = next++; i < chosen.size() && !stop; i = next++) {
      try {
        verdicts[i] = try_mutant(options, *chosen[i]);
        const std::lock_guard lock(mutex);
        done[i] = true;
        if (seen && !seen(verdicts[i])) stop = true;
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        stop = true;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < std::max(1, options.workers); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
  std::vector<MutantVerdict> finished;
  for (std::size_t i = 0; i < chosen.size(); ++i)
    if (done[i]) finished.push_back(std::move(verdicts[i]));
  return finished;
}

}  // namespace assay::properties
