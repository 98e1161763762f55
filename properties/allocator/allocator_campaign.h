// Thousands of short lives of an allocator; failures by the rule they break, shrunk to a few events.
//
// Life i is a function of (seed, i); sums commute: the result does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "properties/allocator/history.h"

namespace assay::properties {

struct AllocatorCampaignOptions {
  std::string allocator = "pool";
  std::uint64_t seed = 1;
  std::int64_t first_case = 0, cases = 1000;
  int threads = 1;
  std::int64_t shrink_tries = 500;
};

struct AllocatorFinding {
  std::int64_t index = 0, count = 0;
  AllocatorHistory shrunk;
  AllocatorBreach breach;  // of the shrunk history
  std::int64_t tries = 0;
};

struct AllocatorCampaign {
  std::int64_t cases = 0, failures = 0, events = 0;
  std::uint64_t digest = 0;
  std::map<std::string, AllocatorFinding> findings;  // by oracle
};

// progress: how many lives are done, from any thread, one call at a time; false ends the campaign.
[[nodiscard]] AllocatorCampaign run_allocator_campaign(
    const AllocatorCampaignOptions& options, const std::function<bool(std::int64_t)>& progress = {});

// The smallest part of a history, with the simplest tokens, that still breaks the same rule.
struct ShrunkHistory {
  AllocatorHistory history;
  AllocatorLife life;
  std::int64_t tries = 0;
};
[[nodiscard]] ShrunkHistory shrink_history(const AllocatorHistory& history, const std::string& allocator,
                                           const std::string& oracle, std::int64_t tries);

}  // namespace assay::properties
