// What the golden model refuses, and what it survives.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <functional>

#include "model/golden/small_cases.h"

namespace assay {
namespace {

using testing::SmallAttention;
using testing::SmallMqa;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BadInput, TheTableThatChecksIsTheTableThatIsPrinted) {
  EXPECT_NE(paged_mqa_logits_preconditions().describe().find("next_n: 1 to 8"), std::string::npos);
  EXPECT_NE(mqa_logits_preconditions().describe().find("keys.type: e4m3"), std::string::npos);
  EXPECT_NE(paged_attention_preconditions().describe().find("dims: 1 to 1024"), std::string::npos);
}

TEST(BadInput, MqaLogitsNamePlaceExpectationAndWhatCame) {
  const SmallMqa small({40, 20}, 2, 4, 8, 16, false, 1);
  const auto with = [&](const std::function<void(PagedMqaLogitsCase&)>& change) {
    PagedMqaLogitsCase c = small.view();
    change(c);
    return refusal([&] { validate(c); });
  };
  EXPECT_EQ(with([](auto&) {}), "accepted");
  EXPECT_EQ(with([](auto& c) { c.q.type = ElementType::kBf16; }),
            "paged_mqa_logits.q.type: expected e4m3, got bf16");
  EXPECT_EQ(with([](auto& c) { c.q.shape[1] = 9; }), "paged_mqa_logits.next_n: expected 1 to 8, got 9");
  EXPECT_EQ(with([](auto& c) { c.weights.shape[0] = 3; }),
            "paged_mqa_logits.weights.shape[0]: expected 4, got 3");
  EXPECT_EQ(with([](auto& c) { c.cache.layout.dims = 4; }),
            "paged_mqa_logits.cache.layout.dims: expected 8, got 4");
  EXPECT_EQ(with([](auto& c) { c.cache.layout.block_stride = 16; }),
            "paged_mqa_logits.cache.layout: expected block_stride a multiple of 4 and at least 192, got 16");
  EXPECT_EQ(with([](auto& c) { c.table.max_blocks = 2; }),
            "paged_mqa_logits.contexts[0]: expected at most max_blocks * block_tokens = 32, got 40");
  EXPECT_EQ(with([](auto& c) { c.table.entries = nullptr; }),
            "paged_mqa_logits.table.entries and cache.data: expected memory, got a null pointer");
  EXPECT_NE(with([](auto& c) { c.cache.blocks = 1; }).find("expected a block id below 1"), std::string::npos);
  EXPECT_EQ(with([](auto& c) { c.contexts.columns = 3; }),
            "paged_mqa_logits.contexts.columns: expected 0 (one length per sequence) or next_n = 2, got 3");
  std::vector<std::int32_t> rising{40, 20, 5, 20};  // the row maximum is not in the last column
  EXPECT_EQ(with([&](auto& c) {
              c.contexts = {rising.data(), 2, 2, 2, 1};
            }),
            "paged_mqa_logits.contexts[0]: expected 0 to 20 (the row's last column), got 40");
  std::vector<double> logits(4 * 39);
  EXPECT_EQ(refusal([&] {
              paged_mqa_logits(small.view(), compact_result<2>(logits.data(), {4, 39}), {}, {1});
            }),
            "paged_mqa_logits.logits.shape[1]: expected room for row 1, 40 columns, got 39");
  EXPECT_EQ(refusal([&] {
              std::vector<double> wide(4 * 40);
              paged_mqa_logits(small.view(), compact_result<2>(wide.data(), {4, 40}), {}, {0});
            }),
            "execution.threads: expected 1 or more, got 0");
}

TEST(BadInput, AttentionNamesPlaceExpectationAndWhatCame) {
  const SmallAttention small({40, 20}, {1, 1}, 6, 2, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false,
                             1);
  const auto with = [&](const std::function<void(PagedAttentionCase&)>& change) {
    PagedAttentionCase c = small.view();
    change(c);
    return refusal([&] { validate(c); });
  };
  EXPECT_EQ(with([](auto&) {}), "accepted");
  EXPECT_EQ(with([](auto& c) { c.q.shape[1] = 5; }),
            "paged_attention.query_heads: expected a multiple of kv_heads = 2, got 5");
  EXPECT_EQ(with([](auto& c) { c.keys.type = ElementType::kFp32; }),
            "paged_attention.keys.layout.element_bytes: expected 4, got 2");
  EXPECT_EQ(with([](auto& c) { c.softmax_scale = std::nan(""); }),
            "paged_attention.softmax_scale: expected a finite number, got nan");
  EXPECT_EQ(with([](auto& c) { c.window_tokens = -1; }).substr(0, 30), "paged_attention.window_tokens:");
  const std::vector<std::int32_t> q_begin{0, 2, 1};
  EXPECT_EQ(with([&](auto& c) { c.q_begin.data = q_begin.data(); }),
            "paged_attention.q_begin[2]: expected at least 2, got 1");
  EXPECT_NE(with([](auto& c) { c.values.blocks = 1; }).find("paged_attention.values.table["),
            std::string::npos);
}

TEST(BadInput, EmptyBatchesAndAllZeroLengthsAreNoWorkNotAnError) {
  PagedMqaLogitsCase none;
  none.q = compact_view<4>(nullptr, ElementType::kE4M3, {0, 1, 64, 128});
  none.weights = compact_view<2>(nullptr, ElementType::kFp32, {0, 64});
  none.cache.layout = make_fused_index_layout(64, 128);
  EXPECT_EQ(paged_mqa_logits(none, compact_result<2>(nullptr, {0, 0}), {true, false}, {4}).elements, 0);

  const SmallMqa zeros(std::vector<std::int32_t>(32, 0), 2, 4, 8, 16, true, 1);
  PagedMqaLogitsCase c = zeros.view();
  c.cache.data = nullptr;  // nothing is live, so nothing is read
  c.table.entries = nullptr;
  std::vector<double> logits(64 * 3, 1.0);
  EXPECT_EQ(paged_mqa_logits(c, compact_result<2>(logits.data(), {64, 3}), {true, false}, {2}).elements, 0);
  for (const double x : logits) EXPECT_EQ(x, -testing::kInfinity);

  const SmallAttention empty({}, {}, 4, 2, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false, 1);
  PagedAttentionCase none_attention = empty.view();
  EXPECT_EQ(paged_attention(none_attention, compact_result<3>(nullptr, {0, 4, 8}),
                            compact_result<2>(nullptr, {0, 4}), {2})
                .rows,
            0);
  const SmallAttention all_zero({0, 0, 0}, {1, 2, 0}, 4, 2, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd,
                                false, 1);
  std::vector<double> out(3 * 4 * 8, 5.0), lse(12, 5.0);
  const AttentionReport report = paged_attention(all_zero.view(), compact_result<3>(out.data(), {3, 4, 8}),
                                                 compact_result<2>(lse.data(), {3, 4}), {2});
  EXPECT_EQ(report.empty_rows, 12);
  for (const double x : out) EXPECT_EQ(x, 0.0);
}

// Reserves address space without memory; only touched pages exist.
class Sparse {
 public:
  explicit Sparse(std::size_t bytes)
      : bytes_(bytes),
        data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                   0)) {}
  ~Sparse() {
    if (data_ != MAP_FAILED) munmap(data_, bytes_);
  }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;
  [[nodiscard]] std::uint8_t* bytes() const {
    return data_ == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(data_);
  }

 private:
  std::size_t bytes_;
  void* data_;
};

TEST(BadInput, BlockStridesThatPassTwoAndFourGigabytesAreFollowed) {
  // A strided view of a shared pool: 1,435,968 bytes per block, as engines have them.
  constexpr std::int64_t kStride = 1435968, kBlocks = 6000;
  const Sparse pool(kStride * kBlocks);
  if (pool.bytes() == nullptr) GTEST_SKIP() << "no address space for a sparse 8 GB mapping";
  SmallMqa near({100}, 1, 4, 8, 16, false, 3);
  std::vector<double> want(100), got(100);
  paged_mqa_logits(near.view(), compact_result<2>(want.data(), {1, 100}), {}, {1});
  SmallMqa far = near;
  for (std::int32_t i = 0; i < 7; ++i) {
    far.table[i] = static_cast<std::int32_t>(1400 + i * 750);  // 2.0 GB to 8.5 GB
    std::memcpy(pool.bytes() + far.table[i] * kStride, &near.cache[near.table[i] * near.block_stride],
                near.block_stride);
  }
  PagedMqaLogitsCase c = far.view();
  c.cache = {pool.bytes(), {16, 8, kStride}, kBlocks};
  paged_mqa_logits(c, compact_result<2>(got.data(), {1, 100}), {}, {1});
  EXPECT_EQ(got, want);

  SmallAttention close({60}, {1}, 2, 2, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false, 4);
  std::vector<double> out(16), far_out(16), lse(2);
  paged_attention(close.view(), compact_result<3>(out.data(), {1, 2, 8}),
                  compact_result<2>(lse.data(), {1, 2}), {1});
  PagedAttentionCase a = close.view();
  a.keys.layout.block_stride = kStride;
  a.keys.blocks = kBlocks;
  std::vector<std::int32_t> table;
  for (std::int32_t i = 0; i < 4; ++i) {
    table.push_back(2990 + i * 1000);
    std::memcpy(pool.bytes() + table[i] * kStride,
                &close.keys[close.key_table[i] * close.key_layout.block_stride],
                close.key_layout.block_stride);
  }
  a.keys.data = pool.bytes();
  a.keys.table = {table.data(), 4, 4};
  paged_attention(a, compact_result<3>(far_out.data(), {1, 2, 8}), compact_result<2>(lse.data(), {1, 2}),
                  {1});
  EXPECT_EQ(far_out, out);
}

}  // namespace
}  // namespace assay
