// A campaign: many generated cases, one kernel, several workers, one result.
//
//   counter --chunks of 32 cases--> threads, each with a worker process --> sums that commute
//
// With a number of cases the result (counts, failures, digest) is the same for any number of workers:
// case i is drawn from (seed, i), sums commute, and of every kind of failure the one with the smallest
// index is kept. With a time limit only the number of cases differs.
//
// Interrupt and resume: with a directory every finished chunk is logged there (campaign_log.h); what is
// tried twice is the chunk that was cut short. A campaign that comes to its end removes its log.
//
// Shares: share r of n takes the chunks c with c % n == r, so that n processes together try exactly what
// one would, and no two of them the same case.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "properties/engine/shrink.h"
#include "properties/engine/trial.h"
#include "properties/generators/features.h"
#include "properties/generators/generator.h"

namespace assay::properties {

struct CampaignOptions {
  WorkerCommand command;
  GeneratorOptions generator;
  std::uint64_t seed = 1;
  std::int64_t cases = 0;  // 0: until `seconds` have passed
  double seconds = 0;      // 0: no limit
  int workers = 1;
  std::int64_t share = 0, shares = 1;
  bool stop_at_failure = false;  // after the first one: what mutants need
  ShrinkLimits shrink;           // tries = 0: not at all
  std::string directory;         // cases in flight, failures and the log; "" = nothing is written
  bool resume = false;           // go on behind what the log in `directory` holds
};

// One kind of failure: operation, status, and the relation of a false claim.
struct Failure {
  std::int64_t index = 0;  // smallest case number that shows it
  std::int64_t count = 0;
  Outcome outcome;  // of the shrunk case
  KernelCase found, shrunk;
  std::int64_t shrink_tries = 0;
  bool shrink_finished = true;
  std::string file;  // where the shrunk case was written; "" = nowhere
};

struct CampaignCounts {
  std::int64_t cases = 0, passed = 0, unsupported = 0, failures = 0;
  std::int64_t elements = 0, twin_elements = 0, relations = 0, worker_deaths = 0, witness = 0;
  double worst_headroom = 0;
  std::array<double, kLanes> lane_headroom{};                             // worst, by Lane
  std::array<std::int64_t, std::size(kRelations) + 1> relation_checks{};  // by Relation
  std::uint64_t digest = 0;
};

struct CampaignResult {
  CampaignCounts counts;
  Coverage coverage;
  std::map<std::string, Failure> failures;  // by kind
  double seconds = 0;
  std::int64_t resumed_cases = 0;  // of counts.cases: taken from the log
  bool interrupted = false;
};

// Called a few times a second from one thread, with what there is so far; false ends the campaign.
using CampaignProgress =
    std::function<bool(const CampaignCounts&, const Coverage&, std::int64_t kinds_of_failure)>;

// Throws what starting the worker throws (a kernel that cannot be loaded is an InputError at once).
[[nodiscard]] CampaignResult run_campaign(const CampaignOptions& options,
                                          const CampaignProgress& progress = {});

// "paged-mqa-logits WRONG_BLOCK", with the relation where a claim is false.
[[nodiscard]] std::string kind_of(const KernelCase& kernel_case, const Outcome& outcome);

// A case as a file: the case, what it shows ("expected") and a comment. Read back by case_from_json.
[[nodiscard]] nlohmann::ordered_json case_document(const KernelCase& kernel_case, const Outcome& outcome,
                                                   const std::string& comment);

}  // namespace assay::properties
