#include "sim/schedules/balance.h"

#include <algorithm>

namespace assay {

double fluid_makespan(std::span<const std::int64_t> sorted_loads, double rate_cap) {
  const auto parts = static_cast<double>(sorted_loads.size());
  double time = 0;
  std::int64_t done = 0;
  for (std::size_t i = 0; i < sorted_loads.size(); ++i) {
    if (sorted_loads[i] == done) continue;
    const auto active = static_cast<double>(sorted_loads.size() - i);
    const double rate = std::min(rate_cap, parts / active);
    time += static_cast<double>(sorted_loads[i] - done) / rate;
    done = sorted_loads[i];
  }
  return time;
}

Balance balance_of(const Planner& planner, const DecodeBatch& batch, BalanceScratch& scratch,
                   double rate_cap) {
  planner.plan(batch, scratch.schedule);
  loads_of(scratch.schedule, batch, scratch.loads);
  Balance balance;
  balance.useful_tokens = batch.useful_tokens();
  scratch.sorted.assign(scratch.loads.begin(), scratch.loads.end());
  std::sort(scratch.sorted.begin(), scratch.sorted.end());
  for (const std::int64_t load : scratch.sorted) {
    balance.scheduled_tokens += load;
    balance.idle_parts += load == 0;
  }
  if (balance.scheduled_tokens == 0) return balance;
  const auto parts = static_cast<double>(scratch.loads.size());
  const double ideal = static_cast<double>(balance.useful_tokens) / parts;
  const auto largest = static_cast<double>(scratch.sorted.back());
  balance.max_over_mean = largest / (static_cast<double>(balance.scheduled_tokens) / parts);
  balance.compute_over_ideal = largest / ideal;
  balance.fluid_over_ideal = fluid_makespan(scratch.sorted, rate_cap) / ideal;
  return balance;
}

}  // namespace assay
