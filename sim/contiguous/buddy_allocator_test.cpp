// The buddy allocator by hand, and against a map of slots that is searched from scratch every time.
#include "sim/contiguous/buddy_allocator.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <string>

#include "model/core/check.h"
#include "model/core/philox.h"

namespace assay {
namespace {

TEST(BuddyAllocator, SplitsDownAndMergesUp) {
  BuddyAllocator buddy(16);
  const Extent a = *buddy.allocate(3);
  EXPECT_EQ(a, (Extent{0, 4}));
  EXPECT_EQ(buddy.free_extents(), (std::vector<Extent>{{4, 4}, {8, 8}}));
  const Extent b = *buddy.allocate(8);
  EXPECT_EQ(b, (Extent{8, 8}));
  EXPECT_EQ(buddy.free_slots(), 4);
  EXPECT_FALSE(buddy.allocate(5).has_value());
  buddy.free(a);
  EXPECT_EQ(buddy.largest_free_extent(), 8);
  buddy.free(b);
  EXPECT_EQ(buddy.free_extents(), (std::vector<Extent>{{0, 16}}));
}

// Eight slots free in two halves of different fours: nothing of eight fits. That is external fragmentation.
TEST(BuddyAllocator, FreeSlotsInPiecesDoNotServeALargeRequest) {
  BuddyAllocator buddy(16);
  std::vector<Extent> fours;
  for (int i = 0; i < 4; ++i) fours.push_back(*buddy.allocate(4));
  buddy.free(fours[1]);
  buddy.free(fours[2]);
  EXPECT_EQ(buddy.free_slots(), 8);
  EXPECT_FALSE(buddy.allocate(8).has_value());
  EXPECT_TRUE(buddy.allocate(4).has_value());
}

// 12 GiB at 800 KiB a token, the pool of the vLLM paper's OPT-13B: seven extents of 2048 and no more.
TEST(BuddyAllocator, APoolThatIsNoPowerOfTwoIsARowOfRoots) {
  BuddyAllocator buddy(15728);
  EXPECT_EQ(buddy.free_extents(), (std::vector<Extent>{{15712, 16},
                                                       {15680, 32},
                                                       {15616, 64},
                                                       {15360, 256},
                                                       {14336, 1024},
                                                       {12288, 2048},
                                                       {8192, 4096},
                                                       {0, 8192}}));
  EXPECT_EQ(buddy.largest_root(), 8192);
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(buddy.allocate(2048).has_value()) << i;
  EXPECT_FALSE(buddy.allocate(2048).has_value());
  EXPECT_EQ(buddy.free_slots(), 15728 - 7 * 2048);
  EXPECT_FALSE(buddy.allocate(1'000'000).has_value());
}

TEST(BuddyAllocator, AnEmptyPoolIsRefused) { EXPECT_THROW(BuddyAllocator(0), InputError); }

TEST(BuddyAllocatorDeathTest, AnExtentIsFreedOnceAndAsItWasGiven) {
  BuddyAllocator buddy(16);
  const Extent a = *buddy.allocate(4);
  EXPECT_DEATH(buddy.free({a.offset, 8}), "check failed");
  EXPECT_DEATH(buddy.free({4, 4}), "check failed");
  buddy.free(a);
  EXPECT_DEATH(buddy.free(a), "check failed");
}

enum class BuddyFault { kNone, kNeverMerges, kMergesWithTheWrongHalf, kTakesTheLargest, kDoesNotRoundUp };

// Slots in a plain array; free extents are found by cutting the pool from its roots down.
class NaiveBuddy {
 public:
  NaiveBuddy(std::int64_t slots, BuddyFault fault)
      : taken_(static_cast<std::size_t>(slots), false), fault_(fault) {}

  std::optional<Extent> allocate(std::int64_t slots) {
    std::int64_t size = 1;
    while (size < slots) size *= 2;
    if (fault_ == BuddyFault::kDoesNotRoundUp && size > slots) size /= 2;
    std::optional<Extent> best;
    for (const Extent& extent : free_extents()) {
      const bool larger = best && extent.slots > best->slots;
      const bool better = !best ||
                          (fault_ == BuddyFault::kTakesTheLargest ? larger : extent.slots < best->slots) ||
                          (extent.slots == best->slots && extent.offset < best->offset);
      if (extent.slots >= size && better) best = extent;
    }
    if (!best) return std::nullopt;
    set(best->offset, size, true);
    if (fault_ == BuddyFault::kNeverMerges) edges_.insert({best->offset, best->offset + size});
    return Extent{best->offset, size};
  }
  void free(const Extent& extent) { set(extent.offset, extent.slots, false); }

  [[nodiscard]] std::vector<Extent> free_extents() const {
    std::vector<Extent> extents;
    const auto slots = static_cast<std::int64_t>(taken_.size());
    std::int64_t offset = 0;
    for (std::int64_t root = std::int64_t{1} << 40; root > 0; root /= 2)
      if ((slots & root) != 0) {
        cut(offset, root, extents);
        offset += root;
      }
    if (fault_ == BuddyFault::kMergesWithTheWrongHalf)
      for (std::size_t i = 0; i + 1 < extents.size(); ++i)
        if (extents[i].slots == extents[i + 1].slots &&
            extents[i].offset + extents[i].slots == extents[i + 1].offset) {
          extents[i].slots *= 2;
          extents.erase(extents.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
    return extents;
  }

 private:
  void set(std::int64_t offset, std::int64_t size, bool taken) {
    for (std::int64_t i = offset; i < offset + size; ++i) taken_[static_cast<std::size_t>(i)] = taken;
  }
  void cut(std::int64_t offset, std::int64_t size, std::vector<Extent>& extents) const {
    std::int64_t busy = 0;
    for (std::int64_t i = offset; i < offset + size; ++i) busy += taken_[static_cast<std::size_t>(i)] ? 1 : 0;
    if (busy == size) return;
    bool split = busy > 0;
    for (const std::int64_t edge : edges_) split = split || (edge > offset && edge < offset + size);
    if (!split) {
      extents.push_back({offset, size});
      return;
    }
    cut(offset, size / 2, extents);
    cut(offset + size / 2, size / 2, extents);
  }
  std::vector<bool> taken_;
  BuddyFault fault_;
  std::set<std::int64_t> edges_;
};

std::optional<std::string> differs(std::int64_t pool, const std::vector<std::uint16_t>& events,
                                   BuddyFault fault = BuddyFault::kNone) {
  BuddyAllocator buddy(pool);
  NaiveBuddy naive(pool, fault);
  std::vector<Extent> held;
  const auto fail = [](std::size_t i, const char* what) {
    return "event " + std::to_string(i) + ": " + what;
  };
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::uint16_t event = events[i];
    if (event % 5 < 2 && !held.empty()) {
      const std::size_t gone = event / 5 % held.size();
      buddy.free(held[gone]);
      naive.free(held[gone]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(gone));
    } else {
      const std::int64_t slots = 1 + event / 5 % (event % 2 == 0 ? 9 : pool);
      const auto fast = buddy.allocate(slots), slow = naive.allocate(slots);
      if (fast != slow) return fail(i, "another extent was given");
      if (fast) held.push_back(*fast);
    }
    std::int64_t free = 0, largest = 0;
    for (const Extent& extent : naive.free_extents()) {
      free += extent.slots;
      largest = std::max(largest, extent.slots);
    }
    if (buddy.free_slots() != free) return fail(i, "free slots");
    if (buddy.largest_free_extent() != largest) return fail(i, "largest free extent");
  }
  while (!held.empty()) {
    buddy.free(held.back());
    held.pop_back();
  }
  if (buddy.free_extents() != BuddyAllocator(pool).free_extents())
    return "an emptied pool is not a fresh one";
  return std::nullopt;
}

RC_GTEST_PROP(BuddyProperty, GivesTheExtentsThatASearchFromScratchGives,
              (const std::vector<std::uint16_t>& events)) {
  if (const auto wrong = differs(*rc::gen::inRange<std::int64_t>(1, 300), events)) RC_FAIL(*wrong);
}

class BuddyCanary : public testing::TestWithParam<BuddyFault> {};

TEST_P(BuddyCanary, IsCaught) {
  for (std::uint64_t run = 0; run < 100; ++run) {
    const RandomStream stream = RandomStream(1, "buddy canary").child(run);
    std::vector<std::uint16_t> events(60);
    for (std::size_t i = 0; i < events.size(); ++i) events[i] = static_cast<std::uint16_t>(stream.u32(i));
    if (differs(static_cast<std::int64_t>(8 + stream.below(100, 200)), events, GetParam())) return;
  }
  FAIL() << "a broken copy survived 100 runs";
}

INSTANTIATE_TEST_SUITE_P(Faults, BuddyCanary,
                         testing::Values(BuddyFault::kNeverMerges, BuddyFault::kMergesWithTheWrongHalf,
                                         BuddyFault::kTakesTheLargest, BuddyFault::kDoesNotRoundUp));

}  // namespace
}  // namespace assay
