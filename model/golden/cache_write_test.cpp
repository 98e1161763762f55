#include "model/golden/cache_write.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/core/philox.h"
#include "model/golden/small_cases.h"

namespace assay {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CacheWrite, PutsEveryRowAtItsSlotAndTouchesNothingElse) {
  const PagedLayout layout = make_paged_layout(PagedOrder::kHnd, 4, 2, 3, 2, 64);
  std::vector<std::uint16_t> cache(5 * 32, 0xabcd), before;
  const RandomStream random(1, "rows");
  std::vector<float> rows(3 * 2 * 3);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = random.normal(i);
  const std::vector<std::int64_t> slots{17, -1, 2};  // block 4 place 1, skipped, block 0 place 2
  CacheTarget target;
  target.data = cache.data();
  target.type = ElementType::kBf16;
  target.layout = layout;
  target.blocks = 5;
  const CacheWriteReport report =
      write_cache(compact_view<3>(rows.data(), ElementType::kFp32, {3, 2, 3}), {slots.data(), 3}, target);
  EXPECT_EQ(report.written_tokens, 2);
  EXPECT_EQ(report.skipped_tokens, 1);
  std::size_t written = 0;
  for (std::size_t i = 0; i < cache.size(); ++i) {
    const PagedLayout::Inverse at = layout.inverse(static_cast<std::int64_t>(i) * 2);
    const std::int64_t slot = at.at.block * 4 + at.at.slot;
    const int token = slot == 17 ? 0 : slot == 2 ? 2 : -1;
    if (!at.inside || token < 0) {
      EXPECT_EQ(cache[i], 0xabcd) << i;
    } else {
      ++written;
      EXPECT_EQ(cache[i], Bf16::encode(static_cast<double>(rows[(token * 2 + at.at.head) * 3 + at.at.dim])));
    }
  }
  EXPECT_EQ(written, 12u);
}

TEST(CacheWrite, CopiesTheCachesOwnTypeBitForBitNanPayloadsIncluded) {
  const PagedLayout layout = make_paged_layout(PagedOrder::kNhd, 2, 1, 2, 1);
  std::vector<std::uint8_t> cache(8, 0), rows{0xff, 0x80};
  const std::int64_t slot = 3;
  CacheTarget target;
  target.data = cache.data();
  target.type = ElementType::kE4M3;
  target.layout = layout;
  target.blocks = 4;
  write_cache(compact_view<3>(rows.data(), ElementType::kE4M3, {1, 1, 2}), {&slot, 1}, target);
  EXPECT_EQ(cache, (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0xff, 0x80}));
}

TEST(CacheWrite, QuantisesRowsWithTheirOwnScaleOrWithTheGivenOne) {
  const PagedLayout layout = make_paged_layout(PagedOrder::kNhd, 2, 2, 4, 1);
  std::vector<std::uint8_t> cache(64, 0);
  std::vector<float> scales(16, -1.0f);
  // Token 0: an ordinary row, and a row of zeros (the floor of 1e-4); token 1: NaN beside numbers.
  const std::vector<float> rows{1, -2, 0.5f, 0.25f, 0, 0, 0, 0, kNan, 4.48f, 1, -1, 3, 3, 3, 3};
  const std::vector<std::int64_t> slots{5, 0};
  CacheTarget target;
  target.data = cache.data();
  target.type = ElementType::kE4M3;
  target.layout = layout;
  target.blocks = 4;
  target.row_scales = scales.data();
  target.scale_block_stride = 4;
  target.scale_slot_stride = 2;
  target.scale_head_stride = 1;
  const auto view = compact_view<3>(rows.data(), ElementType::kFp32, {2, 2, 4});
  write_cache(view, {slots.data(), 2}, target);
  EXPECT_EQ(scales[2 * 4 + 1 * 2 + 0], 2.0f / 448.0f);
  EXPECT_EQ(scales[2 * 4 + 1 * 2 + 1], 1e-4f / 448.0f);
  EXPECT_EQ(scales[0], 4.48f / 448.0f);  // the NaN does not enter
  const std::uint8_t* row = &cache[layout.offset(2, 1, 0, 0)];
  EXPECT_EQ(E4M3::decode(row[1]), -448.0);
  EXPECT_EQ(E4M3::decode(row[0]), 224.0);
  EXPECT_EQ(cache[layout.offset(0, 0, 0, 0)], E4M3::kNan);
  EXPECT_EQ(cache[layout.offset(2, 1, 1, 3)], 0);

  target.row_scales = nullptr;
  target.scale = 0.5f;
  write_cache(view, {slots.data(), 2}, target);
  EXPECT_EQ(E4M3::decode(cache[layout.offset(2, 1, 0, 1)]), -4.0);
}

TEST(CacheWrite, PutsIndexKeysAndTheirScalesIntoTheFusedBlock) {
  const FusedIndexLayout layout = make_fused_index_layout(4, 8, 4 * 12 + 20);
  std::vector<std::uint8_t> cache(3 * layout.block_stride, 0x55);
  const RandomStream random(3, "rows");
  std::vector<float> rows(16);
  for (int i = 0; i < 16; ++i) rows[i] = random.normal(i) * 3;
  const std::vector<std::int64_t> slots{6, 11};
  write_index_cache(compact_view<2>(rows.data(), ElementType::kFp32, {2, 8}), {slots.data(), 2}, cache.data(),
                    layout, 3);
  for (int t = 0; t < 2; ++t) {
    float amax = 0, scale = 0;
    for (int d = 0; d < 8; ++d) amax = std::max(amax, std::fabs(rows[t * 8 + d]));
    std::memcpy(&scale, &cache[layout.scale_offset(slots[t] / 4, static_cast<std::int32_t>(slots[t] % 4))],
                4);
    EXPECT_EQ(scale, std::max(amax, 1e-4f) / 448.0f);
    for (int d = 0; d < 8; ++d)
      EXPECT_EQ(cache[layout.key_offset(slots[t] / 4, static_cast<std::int32_t>(slots[t] % 4), d)],
                E4M3::encode(static_cast<double>(rows[t * 8 + d] / scale)));
  }
  EXPECT_EQ(std::count(cache.begin(), cache.end(), 0x55) >= static_cast<std::ptrdiff_t>(cache.size()) - 24,
            true);
}

TEST(CacheWrite, RefusesDuplicateAndForeignSlotsBeforeWritingAByte) {
  const PagedLayout layout = make_paged_layout(PagedOrder::kNhd, 4, 1, 1, 4);
  std::vector<float> cache(8, 9.0f), rows(4, 1.0f);
  CacheTarget target;
  target.data = cache.data();
  target.type = ElementType::kFp32;
  target.layout = layout;
  target.blocks = 2;
  const auto view = compact_view<3>(rows.data(), ElementType::kFp32, {4, 1, 1});
  const std::vector<std::int64_t> twice{3, -1, 5, 3}, foreign{0, 1, 8, 2}, skipped{-1, -1, -5, -1};
  EXPECT_EQ(refusal([&] {
              write_cache(view, {twice.data(), 4}, target);
            }),
            "cache_write.slots[3]: expected a slot of its own, got slot 3, taken by token 0 (1 such pairs)");
  EXPECT_EQ(refusal([&] {
              write_cache(view, {foreign.data(), 4}, target);
            }),
            "cache_write.slots[2]: expected below 8, or negative to skip, got 8");
  EXPECT_EQ(write_cache(view, {skipped.data(), 4}, target).skipped_tokens, 4);
  EXPECT_EQ(cache, std::vector<float>(8, 9.0f));
}

}  // namespace
}  // namespace assay
