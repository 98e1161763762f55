// MIGraphX's calls over a pool: the loop of its decode example, both table formats, forks, refusals.
#include "sim/views/migraphx_tables.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay {
namespace {

using Ints = std::vector<std::int32_t>;

TEST(PagedKvCacheManager, TheDecodeLoopOfTheExampleNamesTheSlotsOfTheNextTokens) {
  CountedPool pool(16);
  PagedKvCacheManager manager(pool, {.batch_size = 2, .max_tokens = 64, .block_tokens = 16});
  EXPECT_EQ(manager.max_blocks(), 4);
  ASSERT_TRUE(manager.prefill(0, 50));  // blocks 0 1 2 3
  ASSERT_TRUE(manager.prefill(1, 15));  // block 4
  EXPECT_EQ(*manager.get_slot_mapping(0, 1), (Ints{3 * 16 + 2}));
  EXPECT_EQ(*manager.get_slot_mapping(0, 1), (Ints{3 * 16 + 2}));  // asking changes nothing
  EXPECT_EQ(*manager.get_slot_mapping(1, 3), (Ints{4 * 16 + 15, 5 * 16, 5 * 16 + 1}));
  manager.advance(1, 3);
  EXPECT_EQ(manager.get_current_position(1), 18);
  EXPECT_EQ(manager.get_block_table_flat(), (Ints{0, 1, 2, 3, 4, 5, -1, -1}));
  EXPECT_EQ(manager.written_slots(1)[15], 4 * 16 + 15);
}

TEST(PagedKvCacheManager, AnotherPrefillStartsTheRowAnew) {
  CountedPool pool(4);
  PagedKvCacheManager manager(pool, {.batch_size = 1, .max_tokens = 64, .block_tokens = 16});
  ASSERT_TRUE(manager.prefill(0, 40));
  ASSERT_TRUE(manager.prefill(0, 64));  // its own three blocks count as free
  EXPECT_EQ(manager.get_current_position(0), 64);
  EXPECT_EQ(pool.free_blocks(), 0);
}

TEST(PagedKvCacheManager, AFailedCallChangesNothing) {
  CountedPool pool(3);
  PagedKvCacheManager manager(pool, {.batch_size = 2, .max_tokens = 64, .block_tokens = 16});
  ASSERT_TRUE(manager.prefill(0, 32));
  ASSERT_TRUE(manager.prefill(1, 16));
  const Ints before = manager.get_block_table_flat();
  EXPECT_FALSE(manager.get_slot_mapping(0, 1).has_value());
  EXPECT_FALSE(manager.prefill(1, 17));
  EXPECT_EQ(manager.get_block_table_flat(), before);
  EXPECT_EQ(manager.get_current_position(1), 16);
  manager.clear(1);
  EXPECT_EQ(*manager.get_slot_mapping(0, 1), (Ints{2 * 16}));
}

TEST(PagedKvCacheManager, AForkedRowCopiesItsTailBeforeItIsWritten) {
  CountedPool pool(8);
  PagedKvCacheManager manager(pool, {.batch_size = 2, .max_tokens = 64, .block_tokens = 4, .dead_entry = 99});
  ASSERT_TRUE(manager.prefill(0, 6));
  manager.fork(0, 1);
  EXPECT_EQ(manager.written_slots(0), manager.written_slots(1));
  EXPECT_EQ(*manager.get_slot_mapping(1, 1), (Ints{2 * 4 + 2}));
  const std::vector<BlockCopy> copies = manager.take_copies();
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0], (BlockCopy{BlockId(1), BlockId(2), 2}));
  EXPECT_TRUE(manager.take_copies().empty());
  EXPECT_EQ(manager.get_block_table_flat()[2], 99);
}

TEST(PagedKvCacheManager, RowsPositionsAndPoolsThatCannotBeAreRefused) {
  CountedPool pool(4);
  PagedKvCacheManager manager(pool, {.batch_size = 1, .max_tokens = 20, .block_tokens = 16});
  EXPECT_THROW((void)manager.prefill(0, 21), InputError);
  EXPECT_THROW((void)manager.prefill(1, 1), InputError);
  ASSERT_TRUE(manager.prefill(0, 20));
  EXPECT_THROW((void)manager.get_slot_mapping(0, 1), InputError);
  EXPECT_THROW(manager.advance(0, 1), InputError);
  EXPECT_THROW(PagedKvCacheManager(pool, {.batch_size = 1, .max_tokens = 0}), InputError);
  EXPECT_THROW(PagedKvCacheManager(pool, {.batch_size = 1, .max_tokens = 4, .block_tokens = 0}), InputError);
  CountedPool large(1 << 20);
  EXPECT_THROW(PagedKvCacheManager(large, {.batch_size = 1, .max_tokens = 4, .block_tokens = 4096}),
               InputError);
}

TEST(PagedKvCacheManager, AViewReturnsEverythingToItsPool) {
  CountedPool pool(4);
  {
    PagedKvCacheManager manager(pool, {.batch_size = 2, .max_tokens = 64, .block_tokens = 16});
    ASSERT_TRUE(manager.prefill(0, 33));
    manager.fork(0, 1);
    ASSERT_TRUE(manager.get_slot_mapping(1, 1).has_value());
  }
  EXPECT_EQ(pool.free_blocks(), 4);
}

// One pool for both halves: K and V take turns, so their ids interleave and are never equal.
TEST(PagedKvCacheManagerCombined, KeysAndValuesHaveIdsOfTheirOwn) {
  CountedPool pool(8);
  PagedKvCacheManagerCombined manager(pool, pool, {.batch_size = 2, .max_tokens = 48, .block_tokens = 16});
  EXPECT_EQ(manager.get_slot_mapping_prefill(0, 17)->back(), 1 * 16);
  EXPECT_EQ(manager.get_slot_mapping_prefill(0, 17, PagedKvCacheManagerCombined::Part::kValues)->back(),
            3 * 16);
  manager.advance(0, 17);
  EXPECT_EQ(manager.get_slot_mapping_prefill(1, 1)->front(), 4 * 16);
  EXPECT_EQ(manager.get_block_table_combined(), (Ints{0, 1, -1, 2, 3, -1, 4, -1, -1, 5, -1, -1}));
}

TEST(PagedKvCacheManagerCombined, EitherBothHalvesGetTheirBlocksOrNeither) {
  CountedPool keys(4), values(1);
  PagedKvCacheManagerCombined manager(keys, values, {.batch_size = 1, .max_tokens = 64, .block_tokens = 16});
  EXPECT_FALSE(manager.get_slot_mapping_prefill(0, 17).has_value());
  EXPECT_EQ(keys.free_blocks(), 4);
  EXPECT_TRUE(manager.get_slot_mapping_prefill(0, 16).has_value());
  CountedPool both(3);
  PagedKvCacheManagerCombined shared(both, both, {.batch_size = 1, .max_tokens = 64, .block_tokens = 16});
  EXPECT_FALSE(shared.get_slot_mapping_prefill(0, 17).has_value());  // two and two, of three
  EXPECT_EQ(both.free_blocks(), 3);
  EXPECT_THROW((void)shared.get_slot_mapping_prefill(0, 65), InputError);
}

TEST(PagedKvCacheManagerCombined, AForkedRowCopiesBothTails) {
  using Part = PagedKvCacheManagerCombined::Part;
  CountedPool keys(4), values(6);
  PagedKvCacheManagerCombined manager(keys, values, {.batch_size = 2, .max_tokens = 16, .block_tokens = 4});
  ASSERT_TRUE(manager.get_slot_mapping_prefill(0, 3).has_value());
  manager.advance(0, 3);
  manager.fork(0, 1);
  ASSERT_TRUE(manager.get_slot_mapping_prefill(1, 1).has_value());
  EXPECT_EQ(manager.take_copies(Part::kKeys).size(), 1u);
  EXPECT_EQ(manager.take_copies(Part::kValues).size(), 1u);
  manager.advance(1, 1);
  EXPECT_EQ(manager.get_current_position(1), 4);
  EXPECT_EQ(manager.get_current_position(0), 3);
}

}  // namespace
}  // namespace assay
