// Thousands of worlds, lived on several threads, with one digest whatever their number; failures are shrunk to
// worlds that a person can read.
//
//   const WorldCampaignResult r = run_world_campaign({.seed = 1, .cases = 5000, .threads = 2}, progress);
//
// `twice` lives every world a second time, with another arrangement of threads and memory, and calls it
// nondeterministic when the digests differ.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "properties/world/world.h"

namespace assay::properties {

struct WorldCampaignOptions {
  std::uint64_t seed = 1;
  std::int64_t cases = 1000, first_case = 0;
  int threads = 1;
  bool twice = false;
  std::string kernel = "twin";  // of the built-in ones, or a path to a plug-in for the CPU
  EngineFault fault = EngineFault::kNone;
  std::size_t most_findings = 3;    // as many failures are shrunk and kept
  std::int64_t shrink_lives = 600;  // lives that shrinking one failure may cost
  const std::atomic<bool>* interrupted = nullptr;
};

struct WorldFinding {
  std::int64_t case_index = 0;
  WorldFailure failure = WorldFailure::kNone;
  std::string text;  // of the world as it was drawn
  World shrunk;      // fails in the same way
  std::string shrunk_text;
  std::int64_t lives = 0;  // that shrinking took
};

struct WorldCampaignResult {
  std::int64_t cases = 0, failed = 0;  // cases that were lived
  std::int64_t declined = 0;           // of them, worlds whose operation the kernel does not do: not lived
  std::int64_t steps = 0, judged_steps = 0, elements = 0;
  std::int64_t preemptions = 0, rejected = 0, hit_tokens = 0, fault_strikes = 0;
  double worst_headroom = 0;
  std::vector<WorldFinding> findings;  // in order of their cases
  std::uint64_t digest = 0;            // of all cases, in order
  bool partial = false;  // interrupted: the sums are about the cases before the first that is missing
};

// Told how many cases are done; from any thread, one call at a time.
using WorldProgress = std::function<void(std::int64_t done)>;

[[nodiscard]] WorldCampaignResult run_world_campaign(const WorldCampaignOptions& options,
                                                     const WorldProgress& progress = {});

// The smallest world found that fails in the same way, within `lives` tries; the world itself when none does.
struct ShrunkWorld {
  World world;
  WorldOutcome outcome;
  std::int64_t lives = 0;
};
[[nodiscard]] ShrunkWorld shrink_world(const World& world, const WorldOutcome& outcome,
                                       const assay_kernel& kernel, EngineFault fault, std::int64_t lives);

}  // namespace assay::properties
