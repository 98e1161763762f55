// How evenly a schedule falls on the SMs, in two cost models.
//
//   ideal          useful tokens / parts: what a perfect schedule would give every part
//   max_over_mean  largest load / mean load over all parts (idle ones too); 1 when there is no work
//   compute-like   every part works at its own fixed rate: makespan = largest load
//   fluid          active parts share the memory's bandwidth, each capped at `rate_cap` times its fair
//                  share: parts that finish early leave bandwidth to the rest
//
// A memory-bound kernel sits near the fluid figure, so max_over_mean overstates the time lost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/schedules/schedule.h"

namespace assay {

inline constexpr double kDefaultRateCap = 2.0;

struct Balance {
  double max_over_mean = 1;
  double compute_over_ideal = 1;  // makespan / ideal
  double fluid_over_ideal = 1;
  std::int32_t idle_parts = 0;
  std::int64_t scheduled_tokens = 0;  // what the parts work on, dead slots of full units included
  std::int64_t useful_tokens = 0;
};

// Scratch that callers keep between steps, so that a balance allocates nothing.
struct BalanceScratch {
  Schedule schedule;
  std::vector<std::int64_t> loads;
  std::vector<std::int64_t> sorted;
};

[[nodiscard]] Balance balance_of(const Planner& planner, const DecodeBatch& batch, BalanceScratch& scratch,
                                 double rate_cap = kDefaultRateCap);

// Time of the fluid model in units of token time at the fair rate; loads sorted ascending.
[[nodiscard]] double fluid_makespan(std::span<const std::int64_t> sorted_loads, double rate_cap);

}  // namespace assay
