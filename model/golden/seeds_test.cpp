// The worked examples of the documents that the project grew from, recomputed with the project's own
// functions. Where a document's figure leaves something out, the test says what.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "model/golden/small_cases.h"

namespace assay {
namespace {

// "A K/V cache with 10 blocks, two sequences of 3 and 4 blocks: create a possible block table."
TEST(WorkedExamples, ABlockTableForSequencesOfThreeAndFourBlocksGivesTheSameLogitsAsAnyOther) {
  // With 64-token blocks, 150 tokens need 3 blocks and 200 need 4.
  testing::SmallMqa small({150, 200}, 1, 8, 32, 64, false, 5);
  ASSERT_EQ(ceil_div(150, 64), 3);
  ASSERT_EQ(ceil_div(200, 64), 4);
  ASSERT_EQ(small.blocks, 9);
  // One possible answer in a pool of 10: sequence 1 -> [0, 3, 7], sequence 2 -> [1, 2, 5, 9].
  const std::vector<std::int32_t> answer{0, 3, 7, -1, 1, 2, 5, 9};
  std::vector<std::uint8_t> pool(10 * small.block_stride, 0x7f);
  for (int b = 0; b < 2; ++b)
    for (int i = 0; i < 3 + b; ++i)
      std::memcpy(&pool[answer[b * 4 + i] * small.block_stride],
                  &small.cache[small.table[b * (small.max_blocks + 3) + i] * small.block_stride],
                  small.block_stride);
  PagedMqaLogitsCase c = small.view();
  std::vector<double> mine(400), theirs(400);
  paged_mqa_logits(c, compact_result<2>(mine.data(), {2, 200}), {true, false}, {1});
  c.cache.data = pool.data();
  c.cache.blocks = 10;
  c.table = {answer.data(), 4, 4};
  paged_mqa_logits(c, compact_result<2>(theirs.data(), {2, 200}), {true, false}, {1});
  EXPECT_EQ(mine, theirs);
}

// "Sequence with 50 tokens, block_size = 16: needs ceil(50 / 16) = 4 blocks" and "writing token at
// position 50: block = 3, offset = 2, physical_block = block_table[3] = 3, slot = 3 * 16 + 2 = 50".
TEST(WorkedExamples, TheSlotOfPositionFiftyIsFifty) {
  const std::vector<std::int32_t> table{0, 5, 12, 3};
  const BlockTableView view{table.data(), 4, 4};
  EXPECT_EQ(ceil_div(50, 16), 4);
  EXPECT_EQ(slot_of(view, 0, 50, 16), 50);
  // Position 50 is the 51st token: the 50 tokens of the first example end at position 49, slot 49.
  EXPECT_EQ(slot_of(view, 0, 49, 16), 49);
  EXPECT_EQ(slot_of(view, 0, 16, 16), 80);  // block 5: the identity at 50 is an accident of the table
}

// "For a batch with lengths [100, 50, 75, 200]: padded 800 positions, PagedAttention 425, savings 47 %"
// and "Wasted computation: 9/24 = 37.5 %" for lengths 8, 4, 5 padded to 8.
TEST(WorkedExamples, ThePaddedAndPagedPositionsAreThoseOfTheTableButForTheLastPartialBlocks) {
  const std::vector<std::int32_t> lengths{100, 50, 75, 200};
  std::int64_t live = 0, longest = 0;
  for (const std::int32_t length : lengths) {
    live += length;
    longest = std::max<std::int64_t>(longest, length);
  }
  const std::int64_t padded = longest * 4;
  EXPECT_EQ(padded, 800);
  EXPECT_EQ(live, 425);
  EXPECT_EQ((padded - live) * 100 / padded, 46);  // 46.875 %, printed as 47 %
  // 425 counts tokens. A pool hands out whole blocks: the last, partial block of every sequence is
  // allocated too. With the document's own page of 16 keys that is 464 positions (savings 42 %), with
  // 64 it is 576 (28 %).
  const auto allocated = [&](std::int32_t block_tokens) {
    std::int64_t sum = 0;
    for (const std::int32_t length : lengths) sum += ceil_div(length, block_tokens) * block_tokens;
    return sum;
  };
  EXPECT_EQ(allocated(1), 425);
  EXPECT_EQ(allocated(16), 464);
  EXPECT_EQ(allocated(64), 576);
  // The first figure of that document: 8 + 4 + 5 of 24 positions hold tokens. It prints 9/24 = 37.5 %,
  // the waste is 7/24 = 29.2 %.
  EXPECT_EQ(24 - (8 + 4 + 5), 7);
}

// Its page table drawing: positions 0-3 -> page 2, 4-7 -> page 0, 8-11 -> page 1.
TEST(WorkedExamples, LogicalPositionsFollowThePageTableDrawing) {
  const std::vector<std::int32_t> table{2, 0, 1};
  const BlockTableView view{table.data(), 3, 3};
  EXPECT_EQ(slot_of(view, 0, 0, 4), 8);
  EXPECT_EQ(slot_of(view, 0, 7, 4), 3);
  EXPECT_EQ(slot_of(view, 0, 8, 4), 4);
}

}  // namespace
}  // namespace assay
