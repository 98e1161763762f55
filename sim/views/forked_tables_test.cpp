// Forks and copy-on-write, step by step.
#include "sim/views/forked_tables.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay {
namespace {

std::vector<std::int32_t> ids(const std::vector<BlockId>& blocks) {
  std::vector<std::int32_t> ids;
  for (const BlockId block : blocks) ids.push_back(block.value());
  return ids;
}
using Ids = std::vector<std::int32_t>;

// Reserve and write in one go.
bool append(ForkedTables& tables, SequenceId sequence, std::int64_t tokens, std::vector<BlockCopy>& copies) {
  if (!tables.reserve(sequence, tokens, copies)) return false;
  tables.advance(sequence, tokens);
  tables.check_invariants();
  return true;
}

TEST(ForkedTables, TheFirstWriterCopiesTheSharedTailAndTheLastOneWritesInPlace) {
  CountedPool pool(8);
  ForkedTables tables(pool, 4);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 6, copies));
  const SequenceId b = tables.fork(a);
  const SequenceId c = tables.fork(a);
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0, 1}));
  EXPECT_EQ(pool.owners(BlockId(1)), 3);
  EXPECT_EQ(pool.free_blocks(), 6);
  EXPECT_TRUE(copies.empty());
  ASSERT_TRUE(append(tables, b, 1, copies));
  ASSERT_TRUE(append(tables, a, 1, copies));
  ASSERT_TRUE(append(tables, c, 1, copies));
  EXPECT_EQ(copies, (std::vector<BlockCopy>{{BlockId(1), BlockId(2), 2}, {BlockId(1), BlockId(3), 2}}));
  EXPECT_EQ(ids(tables.blocks(a)), (Ids{0, 3}));
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0, 2}));
  EXPECT_EQ(ids(tables.blocks(c)), (Ids{0, 1}));
  EXPECT_EQ(pool.owners(BlockId(0)), 3);
}

TEST(ForkedTables, AFullBlockIsNeverCopied) {
  CountedPool pool(4);
  ForkedTables tables(pool, 4);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 4, copies));
  const SequenceId b = tables.fork(a);
  ASSERT_TRUE(append(tables, a, 1, copies));
  ASSERT_TRUE(append(tables, b, 1, copies));
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(ids(tables.blocks(a)), (Ids{0, 1}));
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0, 2}));
}

// One block is left. The fork's first token needs it for the copy; five tokens would need two.
TEST(ForkedTables, CapacityIsDecidedExactlyAtTheBoundaryAndAFailureChangesNothing) {
  CountedPool pool(3);
  ForkedTables tables(pool, 4);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 6, copies));
  const SequenceId b = tables.fork(a);
  EXPECT_EQ(tables.blocks_needed(b, 2), 1);
  EXPECT_EQ(tables.blocks_needed(b, 3), 2);
  EXPECT_FALSE(tables.reserve(b, 3, copies));
  tables.check_invariants();
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0, 1}));
  EXPECT_EQ(pool.free_blocks(), 1);
  EXPECT_TRUE(append(tables, b, 2, copies));
  EXPECT_EQ(pool.free_blocks(), 0);
  EXPECT_FALSE(tables.reserve(b, 1, copies));
  EXPECT_TRUE(append(tables, a, 2, copies));  // a owns the old tail alone now
}

TEST(ForkedTables, BlocksComeBackLastFirstAndOnlyFromTheirLastOwner) {
  CountedPool pool(5);
  ForkedTables tables(pool, 2);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 6, copies));
  const SequenceId b = tables.fork(a);
  tables.free(a);
  EXPECT_EQ(pool.free_blocks(), 2);
  tables.free(b);
  EXPECT_EQ(ids(pool.free_queue()), (Ids{3, 4, 2, 1, 0}));
}

TEST(ForkedTables, AForkVoidsWhatItsParentHadReserved) {
  CountedPool pool(4);
  ForkedTables tables(pool, 4);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 2, copies));
  ASSERT_TRUE(tables.reserve(a, 4, copies));  // block 1 too
  const SequenceId b = tables.fork(a);
  tables.check_invariants();
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0}));
  EXPECT_EQ(tables.reserved_tokens(a), 0);
  EXPECT_THROW(tables.advance(a, 1), InputError);
  ASSERT_TRUE(tables.reserve(a, 4, copies));
  EXPECT_EQ(ids(tables.blocks(a)), (Ids{2, 1}));
  EXPECT_EQ(copies.size(), 1u);
}

// Beams 0 1 2 become children of 1 1 0: beam 2 is dropped, its tail comes back.
TEST(ForkedTables, SelectingBeamsSharesTheChosenAndDropsTheOthers) {
  CountedPool pool(8);
  ForkedTables tables(pool, 2);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  ASSERT_TRUE(append(tables, a, 2, copies));
  const SequenceId b = tables.fork(a), c = tables.fork(a);
  for (const SequenceId beam : {a, b, c}) ASSERT_TRUE(append(tables, beam, 1, copies));
  tables.select({a, b, c}, {1, 1, 0});
  tables.check_invariants();
  EXPECT_EQ(ids(tables.blocks(a)), (Ids{0, 2}));
  EXPECT_EQ(ids(tables.blocks(b)), (Ids{0, 2}));
  EXPECT_EQ(ids(tables.blocks(c)), (Ids{0, 1}));
  EXPECT_EQ(pool.free_blocks(), 5);
  EXPECT_EQ(tables.sharing().entries, 6);
  EXPECT_EQ(tables.sharing().blocks, 3);
  EXPECT_DOUBLE_EQ(tables.sharing().saved(), 0.5);
  EXPECT_THROW(tables.select({a, b}, {0}), InputError);
  EXPECT_THROW(tables.select({a, a}, {0, 1}), InputError);
  EXPECT_THROW(tables.select({a, b}, {0, 2}), InputError);
}

TEST(ForkedTables, CallsOnDeadSequencesAndUnreservedSlotsAreRefused) {
  CountedPool pool(2);
  ForkedTables tables(pool, 4);
  std::vector<BlockCopy> copies;
  const SequenceId a = tables.create();
  EXPECT_THROW(tables.advance(a, 1), InputError);
  EXPECT_THROW((void)tables.slot(a, 0), InputError);
  EXPECT_THROW((void)tables.reserve(a, -1, copies), InputError);
  tables.free(a);
  EXPECT_THROW((void)tables.tokens(a), InputError);
  EXPECT_THROW((void)tables.fork(a), InputError);
  EXPECT_THROW(tables.free(SequenceId()), InputError);
  EXPECT_THROW(ForkedTables(pool, 0), InputError);
  EXPECT_THROW(CountedPool(0), InputError);
}

TEST(ForkedTablesDeathTest, ABlockThatNobodyOwnsCannotBeReleased) {
  CountedPool pool(2);
  EXPECT_DEATH(pool.release(BlockId(1)), "owners\\(block\\) >= 1");
  EXPECT_DEATH(pool.share(BlockId(0)), "owners\\(block\\) >= 1");
}

}  // namespace
}  // namespace assay
