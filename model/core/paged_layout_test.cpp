// Layouts: address and inverse are inverses, no two coordinates share a byte, nothing lies outside
// the block, whatever the strides; the seeds' worked examples.
#include "model/core/paged_layout.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

namespace assay {
namespace {

PagedLayout any_layout() {
  const auto order = *rc::gen::element(PagedOrder::kNhd, PagedOrder::kHnd);
  const auto block_tokens = *rc::gen::element(1, 2, 3, 16);
  const auto heads = *rc::gen::inRange(1, 5);
  const auto dims = *rc::gen::element(1, 8, 32);
  const auto element_bytes = *rc::gen::element(1, 2, 4);
  PagedLayout layout = make_paged_layout(order, block_tokens, heads, dims, element_bytes);
  // A strided view: gaps after rows, after groups of rows, after blocks.
  const std::int64_t row_gap = *rc::gen::element(0, 0, 16), group_gap = *rc::gen::element(0, 0, 48);
  std::int64_t& inner = order == PagedOrder::kNhd ? layout.head_stride : layout.slot_stride;
  std::int64_t& outer = order == PagedOrder::kNhd ? layout.slot_stride : layout.head_stride;
  const int inner_count = order == PagedOrder::kNhd ? heads : block_tokens;
  inner += row_gap;
  if (inner_count == 1)
    inner = *rc::gen::element<std::int64_t>(0, 7, 1 << 20);  // size one: any stride is legal
  outer =
      (inner_count == 1 ? static_cast<std::int64_t>(dims) * element_bytes : inner * inner_count) + group_gap;
  const std::int64_t block_gap = *rc::gen::element<std::int64_t>(0, 0, 64, 1'039'680);
  layout.block_stride = layout.block_span() + block_gap;
  return layout;
}

RC_GTEST_PROP(PagedLayoutProperty, TheInverseOfAnAddressIsItsCoordinate, ()) {
  const PagedLayout layout = any_layout();
  validate(layout, "layout");
  const PagedCoordinate at{*rc::gen::inRange<std::int64_t>(0, 1'000'000),
                           *rc::gen::inRange(0, layout.block_tokens), *rc::gen::inRange(0, layout.heads),
                           *rc::gen::inRange(0, layout.dims)};
  for (int byte = 0; byte < layout.element_bytes; ++byte) {
    const auto found = layout.inverse(layout.offset(at) + byte);
    RC_ASSERT(found.inside);
    RC_ASSERT(found.at == at);
  }
}

RC_GTEST_PROP(PagedLayoutProperty, NoTwoCoordinatesShareAByteAndNothingLeavesTheBlock, ()) {
  const PagedLayout layout = any_layout();
  std::unordered_set<std::int64_t> bytes;
  for (int slot = 0; slot < layout.block_tokens; ++slot)
    for (int head = 0; head < layout.heads; ++head)
      for (int dim = 0; dim < layout.dims; ++dim) {
        const std::int64_t offset = layout.offset(3, slot, head, dim);
        for (int byte = 0; byte < layout.element_bytes; ++byte) RC_ASSERT(bytes.insert(offset + byte).second);
        RC_ASSERT(offset >= 3 * layout.block_stride);
        RC_ASSERT(offset + layout.element_bytes <= 3 * layout.block_stride + layout.block_span());
      }
  // And every byte that no coordinate owns is reported as a gap.
  for (std::int64_t byte = 0; byte < std::min<std::int64_t>(layout.block_stride, 4096); ++byte) {
    const std::int64_t address = 3 * layout.block_stride + byte;
    RC_ASSERT(layout.inverse(address).inside == (bytes.count(address) == 1));
  }
}

RC_GTEST_PROP(FusedIndexLayoutProperty, EveryByteOfABlockHasExactlyOneOwner, ()) {
  const int block_tokens = *rc::gen::element(1, 32, 64, 128), dims = *rc::gen::element(32, 64, 128);
  const std::int64_t gap = *rc::gen::element<std::int64_t>(0, 4, 1'000'000);
  const auto compact = make_fused_index_layout(block_tokens, dims);
  const auto layout = make_fused_index_layout(block_tokens, dims, compact.block_stride + gap);
  validate(layout, "layout");
  const std::int64_t block = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
  const int slot = *rc::gen::inRange(0, block_tokens), dim = *rc::gen::inRange(0, dims),
            byte = *rc::gen::inRange(0, 4);
  using Part = FusedIndexLayout::Inverse::Part;
  const auto key = layout.inverse(layout.key_offset(block, slot, dim));
  RC_ASSERT(key.part == Part::kKey && key.block == block && key.slot == slot && key.byte == dim);
  const auto scale = layout.inverse(layout.scale_offset(block, slot) + byte);
  RC_ASSERT(scale.part == Part::kScale && scale.block == block && scale.slot == slot && scale.byte == byte);
  if (gap > 0) RC_ASSERT(layout.inverse((block + 1) * layout.block_stride - 1).part == Part::kGap);
}

TEST(PagedLayout, OffsetsOfAStridedPoolAreSixtyFourBit) {
  const auto layout = make_fused_index_layout(64, 128, 1'002'240);
  EXPECT_EQ(layout.key_offset(2143, 0), 2143LL * 1'002'240);
  EXPECT_GT(layout.key_offset(2143, 0), std::int64_t{1} << 31);
  const auto paged = make_paged_layout(PagedOrder::kNhd, 16, 8, 128, 2, 1 << 20);
  EXPECT_EQ(paged.offset(5000, 15, 7, 127), 5000LL * (1 << 20) + 15 * 2048 + 7 * 256 + 254);
}

TEST(PagedLayout, NhdPutsATokensHeadsTogetherAndHndAHeadsTokens) {
  const auto nhd = make_paged_layout(PagedOrder::kNhd, 16, 8, 128, 2);
  EXPECT_EQ(nhd.offset(0, 0, 1, 0), 256);
  EXPECT_EQ(nhd.offset(0, 1, 0, 0), 8 * 256);
  const auto hnd = make_paged_layout(PagedOrder::kHnd, 16, 8, 128, 2);
  EXPECT_EQ(hnd.offset(0, 0, 1, 0), 16 * 256);
  EXPECT_EQ(hnd.offset(0, 1, 0, 0), 256);
}

TEST(PagedLayout, OverlappingStridesAreRefusedWithExpectedAndGot) {
  PagedLayout layout = make_paged_layout(PagedOrder::kNhd, 16, 8, 128, 2);
  layout.block_stride -= 2;
  EXPECT_THROW(validate(layout, "k_cache"), InputError);
  layout = make_paged_layout(PagedOrder::kHnd, 16, 8, 128, 2);
  layout.head_stride = 16 * 256 - 256;
  EXPECT_THROW(validate(layout, "k_cache"), InputError);
  EXPECT_THROW(validate(make_fused_index_layout(64, 128, 8447), "index cache"), InputError);
}

// Seed 003: a sequence of 50 tokens in blocks of 16 has the table [0, 5, 12, 3]; position 50 goes to
// block 3 of the table (physical 3), offset 2, slot 50.
TEST(SlotMapping, PositionFiftyOfTheSeedIsSlotFifty) {
  const std::vector<std::int32_t> entries{0, 5, 12, 3};
  const BlockTableView table{entries.data(), 4, 4};
  EXPECT_EQ(slot_of(table, 0, 50, 16), 50);
  EXPECT_EQ(slot_of(table, 0, 17, 16), 5 * 16 + 1);
  EXPECT_EQ(ceil_div(50, 16), 4);
}

// Seed 003: the combined table holds K ids and V ids, which need not agree.
TEST(SlotMapping, ACombinedTableKeepsKeysAndValuesApart) {
  const std::vector<std::int32_t> entries{0, 5, 12, 3, 9, 8, 7, 6};  // [1, 2, 4]
  const auto table = split_combined_table(entries.data(), 4, 8);
  EXPECT_EQ(table.keys.block(0, 2), 12);
  EXPECT_EQ(table.values.block(0, 2), 7);
}

TEST(SlotMapping, LargeBlockIdsDoNotWrap) {
  const std::vector<std::int32_t> entries{200'000'000};
  const BlockTableView table{entries.data(), 1, 1};
  EXPECT_EQ(slot_of(table, 0, 15, 16), 200'000'000LL * 16 + 15);
}

}  // namespace
}  // namespace assay
