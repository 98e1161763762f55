#include "tools/commands/replay_curve.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::vector<std::int64_t> curve_sizes(const MissRatioCurve& curve) {
  const std::int64_t saturation = curve.saturation_blocks();
  std::vector<std::int64_t> sizes;
  for (std::int64_t decade = 1; decade < saturation; decade *= 10)
    for (const std::int64_t factor : {1, 2, 5})
      if (decade * factor < saturation) sizes.push_back(decade * factor);
  if (saturation > 0) sizes.push_back(saturation);
  return sizes;
}

nlohmann::ordered_json curve_document(const MissRatioCurve& curve) {
  nlohmann::ordered_json document = {
      {"saturation_blocks", curve.saturation_blocks()},
      {"columns", {"blocks", "block_hits", "any_block_hits", "token_hits", "full_block_hits"}},
      {"rows", nlohmann::ordered_json::array()}};
  for (const std::int64_t blocks : curve_sizes(curve)) {
    const CurvePoint point = curve.at(blocks);
    document["rows"].push_back(
        {blocks, point.block_hits, point.any_block_hits, point.token_hits, point.full_block_hits});
  }
  return document;
}

void print_curve(const MissRatioCurve& curve) {
  const Terminal terminal = terminal_of(stdout);
  fmt::print("\n{}  hits before the first miss, over the size of an LRU cache\n",
             toned("curve", Tone::kStrong, terminal));
  for (const std::int64_t blocks : curve_sizes(curve)) {
    const CurvePoint point = curve.at(blocks);
    const double hit = share(point.block_hits, curve.block_references);
    fmt::print("  {:>12} blocks  {:>8.4f} % of blocks  {:>8.4f} % of tokens  {}\n", grouped(blocks),
               hit * 100, share(point.token_hits, curve.token_references) * 100, bar(hit, 32, terminal));
  }
  fmt::print("  a larger cache hits no more\n");
}

}  // namespace assay::tools
