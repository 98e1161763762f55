#include "tools/commands/replay_pools.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

// By doubling and bisection between neighbours.
std::optional<PoolPoint> smallest_calm_pool(const PoolSearch& search, const PoolRun& run,
                                            std::vector<PoolPoint>& tried) {
  const auto calm = [&](std::int32_t blocks) {
    tried.push_back(run(blocks));
    return tried.back().preemptions == 0 && tried.back().rejected == 0;
  };
  std::int32_t high = std::max(2, search.first_blocks);
  while (!calm(high)) {
    if (interrupted || high > search.most_blocks / 2) return std::nullopt;
    high *= 2;
  }
  std::int32_t low = 1;
  while (high - low > std::max(1, high / 200)) {  // to half a percent
    if (interrupted) return std::nullopt;
    const std::int32_t middle = low + (high - low) / 2;
    (calm(middle) ? high : low) = middle;
  }
  for (const PoolPoint& point : tried)
    if (point.blocks == high) return point;
  return std::nullopt;
}

nlohmann::ordered_json as_json(const PoolPoint& p) {
  return {{"blocks", p.blocks},
          {"preemptions", p.preemptions},
          {"rejected", p.rejected},
          {"token_ratio", p.token_ratio}};
}

void find_knee(const PoolSearch& search, const PoolRun& run, const PoolPoint& smallest,
               nlohmann::ordered_json& document) {
  const Terminal terminal = terminal_of(stdout);
  std::vector<PoolPoint> knee;
  for (const int percent : {20, 30, 40, 50, 60, 70, 80, 90, 95, 100, 110, 150}) {
    if (interrupted) break;
    const auto blocks =
        static_cast<std::int32_t>(std::max<std::int64_t>(2, std::int64_t{smallest.blocks} * percent / 100));
    knee.push_back(percent == 100 ? smallest : run(blocks));
  }
  document["knee"] = nlohmann::ordered_json::array();
  std::int64_t most = 1;
  for (const PoolPoint& point : knee) most = std::max(most, point.preemptions);
  for (const PoolPoint& point : knee) {
    document["knee"].push_back(as_json(point));
    if (search.print)
      fmt::print("  {:>10} blocks  {:>8} preemptions {:>7} rejected  hits {:>6.2f} %  {}\n",
                 grouped(point.blocks), grouped(point.preemptions), grouped(point.rejected),
                 point.token_ratio * 100,
                 bar(static_cast<double>(point.preemptions) / static_cast<double>(most), 24, terminal));
  }
}

}  // namespace

void find_pools(const PoolSearch& search, const PoolRun& run, nlohmann::ordered_json& document) {
  std::vector<PoolPoint> tried;
  const std::optional<PoolPoint> smallest = smallest_calm_pool(search, run, tried);
  document["find_pool"] = {{"smallest_blocks", nullptr}, {"tried", nlohmann::ordered_json::array()}};
  if (smallest) document["find_pool"]["smallest_blocks"] = smallest->blocks;
  for (const PoolPoint& point : tried) document["find_pool"]["tried"].push_back(as_json(point));
  if (search.print)
    fmt::print("\nsmallest pool without preemption or rejection: {}\n",
               smallest ? fmt::format("{} blocks ({} tokens), to half a percent", grouped(smallest->blocks),
                                      grouped(std::int64_t{smallest->blocks} * search.block_tokens))
                        : "none found");
  if (search.knee && smallest) find_knee(search, run, *smallest, document);
}

}  // namespace assay::tools
