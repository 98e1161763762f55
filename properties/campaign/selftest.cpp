#include "properties/campaign/selftest.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <sstream>
#include <thread>

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

}  // namespace

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
