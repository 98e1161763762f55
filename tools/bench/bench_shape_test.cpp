#include "tools/bench/bench_shape.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay::tools {
namespace {

using properties::Operation;

TEST(BenchShape, ItsTextReadsBackAsTheSameShape) {
  for (const Operation operation :
       {Operation::kPagedMqaLogits, Operation::kMqaLogits, Operation::kPagedAttention,
        Operation::kScheduleMetadata, Operation::kMerge, Operation::kCacheWrite}) {
    const std::vector<BenchShape> shapes = default_shapes(operation);
    EXPECT_GE(shapes.size(), 3u);
    for (const BenchShape& shape : shapes) EXPECT_EQ(shape_from_text(text_of(shape), "test"), shape);
  }
  const BenchShape shape = shape_from_text("paged-mqa-logits,ctx=300,out=bf16,block=16,next_n=3", "test");
  EXPECT_EQ(text_of(shape), "paged-mqa-logits,B=4,ctx=300,H=32,D=64,next_n=3,block=16,out=bf16");
}

TEST(BenchShape, AWordThatItDoesNotKnowIsRefusedWithTheListOfThoseItKnows) {
  for (const char* text :
       {"", "logits", "mqa-logits,B=3", "mqa-logits,M", "mqa-logits,M=", "mqa-logits,M=0", "mqa-logits,M=3x",
        "mqa-logits,out=fp64", "schedule-metadata,out=fp32", "paged-mqa-logits,B=1,,ctx=3"})
    EXPECT_THROW((void)shape_from_text(text, "--shape"), InputError) << text;
  try {
    (void)shape_from_text("mqa-logits,B=3", "--shape");
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "--shape: expected keys of mqa-logits: M, ctx, H, D, out, got B=3");
  }
}

TEST(BenchShape, WordsNameShapesOfTheWantedOperationsOnly) {
  const std::vector<Operation> logits{Operation::kMqaLogits},
      both{Operation::kMqaLogits, Operation::kPagedAttention};
  EXPECT_EQ(shapes_from_words({"default"}, logits, false), default_shapes(Operation::kMqaLogits));
  EXPECT_EQ(shapes_from_words({"small,wide"}, logits, false).size(), 2u);
  EXPECT_EQ(shapes_from_words({"small", "default"}, both, false).size(), 7u) << "a shape is timed once";
  EXPECT_EQ(shapes_from_words({"prefill"}, both, false).size(), 1u);
  EXPECT_EQ(shapes_from_words({"mqa-logits,M=3", "small"}, logits, false).front().queries, 3);
  const std::vector<BenchShape> lengths = shapes_from_words({"mqa-logits,ctx=64..300,M=2"}, logits, false);
  ASSERT_EQ(lengths.size(), 3u) << "64, 128, 256";
  EXPECT_EQ(lengths.back(), shape_from_text("mqa-logits,M=2,ctx=256", "test"));
  for (const char* word : {"", "mqa-logits,ctx=9..3", "mqa-logits,ctx=a..3", "mqa-logits,ctx=..3",
                           "mqa-logits,ctx=1..", "huge", "small,", "paged-attention,B=1", "prefill"})
    EXPECT_THROW((void)shapes_from_words({word}, logits, false), InputError) << word;
  EXPECT_THROW((void)shapes_from_words({"decode-1x8k"}, both, false), InputError) << "only for devices";
  EXPECT_EQ(shapes_from_words({"decode-1x8k"}, both, true).size(), 1u);
}

// The slow twin: count logits one by one through the case's own limits.
TEST(BenchShape, LiveBytesAndOperationsEqualACountOverTheCase) {
  for (const char* text : {"paged-mqa-logits,B=3,ctx=100,H=8,D=16,next_n=4,block=16,out=bf16",
                           "paged-mqa-logits,B=2,ctx=2,H=8,D=16,next_n=4,block=64"}) {
    const BenchShape shape = shape_from_text(text, "test");
    const auto c = case_of(shape, 1);
    const auto& p = std::get<properties::PagedMqaParameters>(c.parameters);
    std::int64_t logits = 0, table_entries = 0;
    for (std::int64_t row = 0; row < p.rows(); ++row) logits += p.limit(row);
    for (const auto& table : p.pool.tables) table_entries += static_cast<std::int64_t>(table.size());
    const std::int64_t bytes = p.rows() * (8 * 16 + 8 * 4) + shape.batch * shape.context_tokens * (16 + 4) +
                               4 * table_entries + 4 * shape.batch + logits * bytes_of(shape.output);
    EXPECT_EQ(work_of(shape).live_bytes, bytes) << text;
    EXPECT_EQ(work_of(shape).operations, static_cast<double>(logits) * 2 * 8 * 17) << text;
  }
}

TEST(BenchShape, AttentionCountsWhatItsQueriesSee) {
  const BenchShape shape =
      shape_from_text("paged-attention,B=2,ctx=30,H=4,Hkv=2,D=16,next_n=3,block=16", "test");
  const auto c = case_of(shape, 1);
  const auto& p = std::get<properties::PagedAttentionParameters>(c.parameters);
  std::int64_t seen = 0;
  for (std::int32_t b = 0; b < p.batch(); ++b)
    for (std::int32_t i = 0; i < 3; ++i) seen += p.visible(b, i).end - p.visible(b, i).begin;
  EXPECT_EQ(work_of(shape).operations, static_cast<double>(seen * 4 * 4 * 16));
  // q and out in bf16, lse; keys and values of 2 heads in bf16; two tables; contexts and prefix sums.
  EXPECT_EQ(work_of(shape).live_bytes,
            6 * 4 * 16 * 4 + 6 * 4 * 4 + 60 * 2 * 16 * 2 * 2 + 2 * 4 * 4 + 2 * 4 + 3 * 4);
}

TEST(BenchShape, AMergeReadsTwoPartsAndAWriteCopiesKeysAndValues) {
  const BenchWork merge = work_of(shape_from_text("merge,T=3,H=2,D=16", "test"));
  EXPECT_EQ(merge.live_bytes, 2 * 96 * 4 + 96 * 2 + 3 * 6 * 4);
  const BenchWork write = work_of(shape_from_text("cache-write,T=3,Hkv=2,D=16,block=4", "test"));
  EXPECT_EQ(write.live_bytes, 2 * (2 * 96 * 2) + 3 * 8)
      << "read and written, keys and values; slots of 8 bytes";
  EXPECT_EQ(write.operations, 0);
}

TEST(BenchShape, EveryNamedShapeIsAValidCase) {
  for (const NamedShape& named : named_shapes())
    EXPECT_NO_THROW((void)case_of(shape_from_text(named.text, "test"), 1)) << named.text;
}

TEST(BenchShape, ASeedChangesValuesOnly) {
  for (const Operation operation :
       {Operation::kPagedMqaLogits, Operation::kMqaLogits, Operation::kPagedAttention}) {
    auto one = case_of(default_shapes(operation)[0], 1);
    const auto two = case_of(default_shapes(operation)[0], 2);
    EXPECT_NE(digest_of(one), digest_of(two));
    one.seed = 2;
    EXPECT_EQ(digest_of(one), digest_of(two));
  }
}

}  // namespace
}  // namespace assay::tools
