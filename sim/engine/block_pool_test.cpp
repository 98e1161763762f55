// The pool's queue, contents and counts; what a wrong call does.
#include "sim/engine/block_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace assay {
namespace {

TEST(BlockPool, HandsOutIdsInOrderAndNeverTheNullBlock) {
  BlockPool pool(5);
  EXPECT_EQ(pool.free_blocks(), 4);
  for (int expected = 1; expected <= 4; ++expected) EXPECT_EQ(pool.take(), expected);
  EXPECT_EQ(pool.free_blocks(), 0);
  pool.check_invariants();
}

TEST(BlockPool, AReleasedBlockGoesToTheBackAndKeepsItsContentUntilItIsHandedOut) {
  BlockPool pool(4);
  const std::int32_t block = pool.take();
  pool.publish(block, 7);
  pool.release(block);
  EXPECT_EQ(pool.free_queue(), (std::vector<std::int32_t>{2, 3, 1}));
  EXPECT_EQ(pool.find(7), 1);
  EXPECT_EQ(pool.cached_idle_blocks(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.find(7), 1);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.find(7), -1) << "handed out: its content is gone";
  EXPECT_EQ(pool.evictions(), 1);
  pool.check_invariants();
}

TEST(BlockPool, ABlockReleasedToTheFrontIsHandedOutNext) {
  BlockPool pool(5);
  const std::int32_t a = pool.take(), b = pool.take();
  pool.release(a);
  pool.release(b, QueueEnd::kFront);
  EXPECT_EQ(pool.free_queue(), (std::vector<std::int32_t>{b, 3, 4, a}));
  pool.check_invariants();
  for (const std::int32_t expected : {b, 3, 4, a}) EXPECT_EQ(pool.take(), expected);
  pool.release(b, QueueEnd::kFront);  // into an empty queue
  EXPECT_EQ(pool.free_queue(), std::vector<std::int32_t>{b});
  pool.check_invariants();
}

TEST(BlockPool, AHitTakesTheBlockOutOfTheQueue) {
  BlockPool pool(4);
  const std::int32_t block = pool.take();
  pool.publish(block, 7);
  pool.release(block);
  pool.touch(block);
  EXPECT_EQ(pool.free_queue(), (std::vector<std::int32_t>{2, 3}));
  EXPECT_EQ(pool.owners(block), 1);
  pool.touch(block);
  pool.release(block);
  EXPECT_EQ(pool.free_blocks(), 2) << "still owned once";
  pool.check_invariants();
}

TEST(BlockPool, OfSeveralBlocksWithOneContentTheFirstPublishedIsFound) {
  BlockPool pool(5);
  const std::int32_t a = pool.take(), b = pool.take(), c = pool.take();
  pool.publish(b, 7);
  pool.publish(a, 7);
  pool.publish(c, 7);
  EXPECT_EQ(pool.find(7), b);
  pool.release(b);
  pool.take();  // 4
  pool.take();  // b again
  EXPECT_EQ(pool.find(7), a);
  pool.check_invariants();
}

TEST(BlockPool, ManyContentsSurviveInsertionsAndRemovalsInAnyOrder) {
  BlockPool pool(200);
  std::vector<std::int32_t> held;
  for (int round = 0; round < 2000; ++round) {
    if (pool.free_blocks() > 0 && round % 3 != 2) {
      held.push_back(pool.take());
      pool.publish(held.back(), round * 7919LL % 97);
    } else if (!held.empty()) {
      const auto at = static_cast<std::size_t>(round * 31 % static_cast<int>(held.size()));
      pool.release(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (round % 50 == 0) pool.check_invariants();
  }
}

TEST(BlockPool, TheLargestFreeRunIsOverConsecutiveIds) {
  BlockPool pool(8);
  std::vector<std::int32_t> blocks;
  for (int i = 0; i < 7; ++i) blocks.push_back(pool.take());
  EXPECT_EQ(pool.largest_free_run(), 0);
  for (const int i : {1, 2, 4}) pool.release(blocks[static_cast<std::size_t>(i)]);
  EXPECT_EQ(pool.largest_free_run(), 2);
}

TEST(BlockPoolDeathTest, ADoubleReleaseAborts) {
  BlockPool pool(3);
  const std::int32_t block = pool.take();
  pool.release(block);
  EXPECT_DEATH(pool.release(block), "owners");
}

TEST(BlockPoolDeathTest, TakingFromAnEmptyQueueAborts) {
  BlockPool pool(1);
  EXPECT_DEATH((void)pool.take(), "empty free queue");
}

}  // namespace
}  // namespace assay
