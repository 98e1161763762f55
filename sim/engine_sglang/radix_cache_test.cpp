// The radix cache by hand, and against its slow twin under drawn events.
#include "sim/engine_sglang/radix_cache.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <optional>
#include <string>

#include "model/core/philox.h"
#include "sim/engine_sglang/naive_radix.h"
#include "sim/engine_sglang/page_allocator.h"

namespace assay {
namespace {

using Contents = std::vector<PageContent>;

std::vector<BlockId> pages(const std::vector<std::int32_t>& ids) {
  std::vector<BlockId> pages;
  for (const std::int32_t id : ids) pages.emplace_back(id);
  return pages;
}
std::size_t insert(SglangRadixCache& tree, const Contents& contents, const std::vector<std::int32_t>& ids) {
  const auto blocks = pages(ids);
  const std::size_t had = tree.insert(contents.data(), blocks.data(), contents.size());
  tree.check_invariants();
  return had;
}
SglangRadixCache::Match match(SglangRadixCache& tree, const Contents& contents) {
  const auto match = tree.match(contents.data(), contents.size());
  tree.check_invariants();
  return match;
}

TEST(SglangRadixCache, KeepsItsOwnCopyOfWhatItHas) {
  SglangRadixCache tree(16);
  EXPECT_EQ(insert(tree, {1, 2, 3}, {10, 11, 12}), 0u);
  EXPECT_EQ(insert(tree, {1, 2, 4}, {20, 21, 22}), 2u);
  EXPECT_EQ(match(tree, {1, 2, 4, 5}).pages, pages({10, 11, 22}));
  EXPECT_EQ(tree.evictable_tokens(), 4 * 16);
  EXPECT_EQ(tree.leaf_count(), 2u);  // 3 and 4, below the split
}

TEST(SglangRadixCache, EvictsTheOldestLeafWholeAndThenItsParent) {
  SglangRadixCache tree(1);
  (void)insert(tree, {1, 2, 3}, {10, 11, 12});
  (void)insert(tree, {1, 2, 4}, {20, 21, 22});
  (void)match(tree, {1, 2, 3});  // 4 is the older leaf now
  EXPECT_EQ(tree.evict(1), (std::vector<std::vector<BlockId>>{pages({22})}));
  EXPECT_EQ(tree.evict(2), (std::vector<std::vector<BlockId>>{pages({12}), pages({10, 11})}));
  EXPECT_EQ(tree.evict(1).size(), 0u);
}

TEST(SglangRadixCache, AHeldPathIsNotEvictedAndASplitStaysHeld) {
  SglangRadixCache tree(1);
  (void)insert(tree, {1, 2, 3}, {10, 11, 12});
  const auto held = match(tree, {1, 2, 3});
  tree.lock(held.node);
  (void)match(tree, {1});  // splits the held run
  EXPECT_EQ(tree.protected_tokens(), 3);
  EXPECT_TRUE(tree.evict(10).empty());
  tree.unlock(held.node);
  EXPECT_EQ(tree.evictable_tokens(), 3);
  EXPECT_EQ(tree.evict(10).size(), 2u);
}

TEST(SglangRadixCacheDeathTest, ALockIsGivenBackOnce) {
  SglangRadixCache tree(1);
  (void)insert(tree, {1}, {10});
  const auto held = match(tree, {1});
  tree.lock(held.node);
  tree.unlock(held.node);
  EXPECT_DEATH(tree.unlock(held.node), "locks >= 1");
}

TEST(SglangPageAllocator, IsFirstInFirstOutForSingleTokensAndLastInFirstOutForPages) {
  SglangPageAllocator tokens(4, 1), larger(4, 16);
  for (SglangPageAllocator* allocator : {&tokens, &larger}) {
    EXPECT_EQ(allocator->take(), BlockId(1));  // page 0 is the dummy
    EXPECT_EQ(allocator->take(), BlockId(2));
    allocator->give_back({BlockId(2), BlockId(1)});
  }
  EXPECT_EQ(tokens.free_queue(), pages({3, 4, 2, 1}));
  EXPECT_EQ(larger.free_queue(), pages({1, 2, 3, 4}));
  EXPECT_EQ(larger.available_tokens(), 64);
  EXPECT_DEATH(tokens.give_back({BlockId(3)}), "returned twice");
  EXPECT_DEATH(tokens.give_back({BlockId(5)}), "outside the pool");
}

// Events: insert and match keys over few letters, lock and unlock ends, evict. The first difference.
std::optional<std::string> differs(const std::vector<std::uint32_t>& events,
                                   RadixFault fault = RadixFault::kNone) {
  SglangRadixCache tree(2);
  NaiveRadix naive(2, fault);
  std::vector<std::pair<SglangRadixCache::Node, NaiveRadix::Handle>> held;
  std::int32_t next_page = 1;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto fail = [&](const char* what) { return "event " + std::to_string(i) + ": " + what; };
    const std::uint32_t event = events[i];
    Contents key;
    // A letter stands for a page together with all before it, so it names its parent.
    for (std::uint32_t bits = event / 8 % 4096, k = 0; k < event / 32768 % 6; ++k, bits /= 3)
      key.push_back((key.empty() ? 0 : key.back() * 3) + bits % 3 + 1);
    if (event % 8 < 3) {
      std::vector<BlockId> own;
      for (std::size_t k = 0; k < key.size(); ++k) own.emplace_back(next_page++);
      if (tree.insert(key.data(), own.data(), key.size()) != naive.insert(key, own))
        return fail("prefix length");
    } else if (event % 8 < 6) {
      const auto fast = tree.match(key.data(), key.size());
      NaiveRadix::Handle end = nullptr;
      if (fast.pages != naive.match(key, &end)) return fail("matched pages");
      if (event % 8 == 5 && held.size() < 4) {
        tree.lock(fast.node);
        naive.lock(end, 1);
        held.emplace_back(fast.node, end);
      }
    } else if (event % 8 == 6 && !held.empty()) {
      const std::size_t gone = event / 8 % held.size();
      tree.unlock(held[gone].first);
      naive.lock(held[gone].second, -1);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(gone));
    } else {
      if (tree.evict(1 + event / 8 % 9) != naive.evict(1 + event / 8 % 9)) return fail("evicted pages");
    }
    tree.check_invariants();
    if (tree.evictable_tokens() != naive.tokens(false)) return fail("evictable tokens");
    if (tree.protected_tokens() != naive.tokens(true)) return fail("protected tokens");
  }
  return std::nullopt;
}

RC_GTEST_PROP(RadixProperty, MatchesInsertsAndEvictsWhatItsSlowTwinDoes,
              (const std::vector<std::uint32_t>& events)) {
  if (const auto wrong = differs(events)) RC_FAIL(*wrong);
}

std::vector<std::uint32_t> draw_events(std::uint64_t run) {
  const RandomStream stream = RandomStream(1, "radix events").child(run);
  std::vector<std::uint32_t> events(60);
  for (std::size_t i = 0; i < events.size(); ++i) events[i] = stream.u32(i);
  return events;
}

TEST(RadixProperty, HoldsOnTwoThousandLongerRuns) {
  for (std::uint64_t run = 0; run < 2000; ++run) ASSERT_EQ(differs(draw_events(run)), std::nullopt) << run;
}

class RadixCanary : public testing::TestWithParam<RadixFault> {};

TEST_P(RadixCanary, IsCaught) {
  for (std::uint64_t run = 0; run < 200; ++run)
    if (differs(draw_events(run), GetParam())) return;
  FAIL() << "a broken copy survived 200 runs";
}

INSTANTIATE_TEST_SUITE_P(Faults, RadixCanary,
                         testing::Values(RadixFault::kEvictsInnerNodes, RadixFault::kEvictsNewest,
                                         RadixFault::kMatchDoesNotTouch, RadixFault::kSplitDropsLock,
                                         RadixFault::kReplacesDuplicates, RadixFault::kParentNotRequeued));

}  // namespace
}  // namespace assay
