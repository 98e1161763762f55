// Prints our Fig. 2 beside the paper's (figure2.h, docs/fig2.md).
//
//   figure2 [requests [seed]]
#include <fmt/core.h>

#include <cstdlib>

#include "model/core/check.h"
#include "sim/contiguous/figure2.h"

namespace {

int print(std::int64_t requests, std::uint64_t seed) {
  const assay::Figure2 figure = assay::figure2(requests, seed);
  const assay::Figure2Lengths& lengths = figure.lengths;
  fmt::print("pool {} slots; {} requests ({} longer than {} left out), seed {}\n", assay::kFigure2PoolSlots,
             lengths.requests, lengths.left_out, assay::kFigure2MaxTokens, seed);
  fmt::print(
      "mean prompt {:.1f} (paper 161.3), mean output {:.1f} (338.0), weighted by its own length {:.0f}\n\n",
      lengths.mean_input, lengths.mean_output, lengths.weighted_output);
  const auto header = [](const char* name, const char* a, const char* b) {
    fmt::print("{:<26}", name);
    for (int i = 0; i < 5; ++i) fmt::print(" {:>6} {:>6}  ", a, b);
    fmt::print("\n");
  };
  fmt::print("{:<26} {:<15} {:<15} {:<15} {:<15} {:<15}\n", "% of the pool", "token states", "reservation",
             "internal frag.", "external, rest", "mean batch");
  header("", "ours", "paper");
  for (std::size_t i = 0; i < figure.ours.size(); ++i) {
    const assay::Figure2Row &ours = figure.ours[i], &paper = figure.paper[i];
    fmt::print("{:<26}", ours.system);
    for (const auto& [a, b] : {std::pair{ours.live, paper.live},
                               {ours.reserved, paper.reserved},
                               {ours.internal, paper.internal},
                               {ours.others, paper.others},
                               {ours.batch, paper.batch}})
      fmt::print(" {:6.1f} {:6.1f}  ", a, b);
    fmt::print("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long long requests = argc > 1 ? std::strtoll(argv[1], nullptr, 10) : 4000;
  if (argc > 3 || requests <= 0) {
    fmt::print(stderr, "usage: figure2 [requests [seed]]; requests must be at least 1\n");
    return 2;
  }
  try {
    return print(requests, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  } catch (const assay::Error& error) {
    fmt::print(stderr, "figure2: {}\n", error.what());
    return 2;
  }
}
