// Fig. 2 of the vLLM paper: what must come out by arithmetic, and how near the rest comes.
#include "sim/contiguous/figure2.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

// 7 extents of 2048 are all that fit: 1 - 14336 / 15728 = 8.85 % can serve nobody, whatever the lengths.
TEST(Figure2, TheMaxReservationLeavesWhatSevenExtentsLeave) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Figure2 figure = figure2(500, seed);
    EXPECT_NEAR(figure.ours[0].others, 100 * (1 - 7 * 2048 / 15728.0), 1e-9);
    EXPECT_DOUBLE_EQ(figure.ours[0].batch, 7);
    EXPECT_EQ(figure.ours[2].internal, 0);
    for (const Figure2Row& row : figure.ours)
      EXPECT_NEAR(row.live + row.reserved + row.internal + row.others, 100, 1e-9) << row.system;
  }
}

// Near, with lengths that share only their means with the paper's; docs/fig2.md says what is left.
TEST(Figure2, EveryShareIsWithinThreePointsOfThePaper) {
  const Figure2 figure = figure2(4000, 1);
  for (std::size_t i = 0; i < figure.ours.size(); ++i) {
    const Figure2Row &ours = figure.ours[i], &paper = figure.paper[i];
    EXPECT_NEAR(ours.live, paper.live, 3) << ours.system;
    EXPECT_NEAR(ours.reserved, paper.reserved, 3) << ours.system;
    EXPECT_NEAR(ours.internal, paper.internal, 3) << ours.system;
    EXPECT_NEAR(ours.others, paper.others, 3) << ours.system;
  }
}

TEST(Figure2, TheSameSeedGivesTheSameFigure) {
  EXPECT_EQ(figure2(300, 5).ours[1].live, figure2(300, 5).ours[1].live);
  EXPECT_NE(figure2(300, 5).ours[1].live, figure2(300, 6).ours[1].live);
}

}  // namespace
}  // namespace assay
