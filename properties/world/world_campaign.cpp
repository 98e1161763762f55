#include "properties/world/world_campaign.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <mutex>
#include <string>

#include "model/core/check.h"
#include "model/golden/parallel.h"
#include "properties/kernels/registry.h"

namespace assay::properties {
namespace {

struct Lived {
  bool done = false, declined = false;
  WorldOutcome outcome;
};

// A second life, in other memory: the verifier, the pool and the engine are made anew.
void live_again(const World& world, const assay_kernel& kernel, EngineFault fault, WorldOutcome& first) {
  const WorldOutcome second = live(world, kernel, fault);
  if (second.digest == first.digest) return;
  first.failure = WorldFailure::kNondeterministic;
  first.text = "two lives of one world differ: " + std::to_string(first.digest) + " and " +
               std::to_string(second.digest);
}

}  // namespace

WorldCampaignResult run_world_campaign(const WorldCampaignOptions& options, const WorldProgress& progress) {
  if (options.cases < 0 || options.cases > 100'000'000)
    throw InputError("--cases", "0 to 100000000", std::to_string(options.cases));
  const KernelSet kernels(options.kernel);
  if (kernel_for({}, kernels, options.kernel) == nullptr)
    throw InputError("--kernel", "a kernel of paged-mqa-logits", options.kernel + ", which has none");
  std::vector<Lived> lives(static_cast<std::size_t>(options.cases));
  std::mutex telling;
  std::int64_t done = 0;
  parallel_for(options.cases, std::max(1, options.threads), [&](std::int64_t i, int) {
    if (options.interrupted != nullptr && options.interrupted->load(std::memory_order_relaxed)) return;
    Lived& lived = lives[static_cast<std::size_t>(i)];
    const World world = world_of(options.seed, options.first_case + i);
    const assay_kernel* kernel = kernel_for(world, kernels, options.kernel);
    lived.declined = kernel == nullptr;
    if (kernel != nullptr) {
      lived.outcome = live(world, *kernel, options.fault);
      if (options.twice) live_again(world, *kernel, options.fault, lived.outcome);
    }
    lived.done = true;
    const std::lock_guard<std::mutex> lock(telling);
    ++done;
    if (progress) progress(done);
  });

  WorldCampaignResult result;
  for (std::size_t i = 0; i < lives.size(); ++i) {
    if (!lives[i].done) {
      result.partial = true;
      break;
    }
    const WorldOutcome& o = lives[i].outcome;
    ++result.cases;
    result.declined += lives[i].declined;
    result.failed += o.failure != WorldFailure::kNone;
    result.steps += o.steps;
    result.judged_steps += o.judged_steps;
    result.elements += o.elements;
    result.preemptions += o.preemptions;
    result.rejected += o.rejected;
    result.hit_tokens += o.hit_tokens;
    result.fault_strikes += o.fault_strikes;
    result.worst_headroom = std::max(result.worst_headroom, o.worst_headroom);
    result.digest = XXH3_64bits_withSeed(&o.digest, sizeof o.digest, result.digest);
    if (o.failure == WorldFailure::kNone || result.findings.size() >= options.most_findings) continue;
    WorldFinding finding;
    finding.case_index = options.first_case + static_cast<std::int64_t>(i);
    finding.failure = o.failure;
    finding.text = o.text;
    finding.shrunk = world_of(options.seed, finding.case_index);
    finding.shrunk_text = o.text;
    if (o.failure != WorldFailure::kNondeterministic) {  // a second chance may not show it again
      ShrunkWorld shrunk =
          shrink_world(finding.shrunk, o, *kernel_for(finding.shrunk, kernels, options.kernel), options.fault,
                       options.shrink_lives);
      finding.shrunk = std::move(shrunk.world);
      finding.shrunk_text = shrunk.outcome.text;
      finding.lives = shrunk.lives;
    }
    result.findings.push_back(std::move(finding));
  }
  return result;
}

}  // namespace assay::properties
