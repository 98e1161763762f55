// What the checks of both operations share: rows and tables of a step, which slots are live, the call of a kernel,
// names for what is wrong. Private to properties/world.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/core/paged_layout.h"
#include "model/golden/tensor.h"
#include "properties/cases/operands.h"
#include "properties/engine/claims.h"
#include "properties/world/step_check.h"

namespace assay::properties {

inline constexpr std::uint8_t kPoison =
    0xff;  // NaN in every float format of this project, however many bytes

[[nodiscard]] std::uint64_t chained(std::uint64_t digest, const void* data, std::size_t bytes);
template <typename T>
[[nodiscard]] std::uint64_t chained(std::uint64_t digest, const std::vector<T>& data) {
  return chained(digest, data.data(), data.size() * sizeof(T));
}

void merge(Verification& total, const Verification& part);

// A tensor with its shape, which must outlive the call.
template <int kRank>
struct CallTensor {
  std::array<std::int64_t, kRank> shape, strides;
  CallTensor(const Extents<kRank>& extents, const Extents<kRank>& steps) : shape(extents), strides(steps) {}
  explicit CallTensor(const Extents<kRank>& extents) : CallTensor(extents, compact_stride<kRank>(extents)) {}
  [[nodiscard]] assay_tensor with(void* data, DataType type) {
    assay_tensor tensor{};
    tensor.data = data;
    tensor.device = {ASSAY_DEVICE_CPU, 0};
    tensor.ndim = kRank;
    tensor.dtype = {type.code, type.bits, 1};
    tensor.shape = shape.data();
    tensor.strides = strides.data();
    return tensor;
  }
};

class PagedCheck : public StepCheck {
 public:
  void check(const LiveStep& live, const PoolShadow& shadow, const NamesOf& names,
             Verification& total) override;

 protected:
  struct Row {  // one decoding sequence: tokens [begin, context) are seen
    std::int64_t request = 0, begin = 0, context = 0;
    const RequestNames* names = nullptr;
    std::span<const std::int32_t> table;
  };

  PagedCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
             std::int32_t block_tokens, std::int64_t pool_bytes);

  // After rows_, table_ and contexts_ are made: queries, and room for the results.
  virtual void make_queries(const PoolShadow& shadow) = 0;
  // The tokens of these slots go into the pool.
  virtual void write_tokens(const std::vector<std::int64_t>& slots, const std::vector<TokenName>& names) = 0;
  virtual void poison_block(std::int32_t block) = 0;
  [[nodiscard]] virtual std::uint64_t hash_of_inputs() const = 0;
  [[nodiscard]] virtual int run_kernel() = 0;
  virtual void judge(const PoolShadow& shadow, Verification& total) = 0;

  [[nodiscard]] int call_kernel(std::span<const assay_tensor> inputs, std::span<const assay_tensor> outputs,
                                std::span<const std::int64_t> ints, std::span<const double> reals) const;
  [[nodiscard]] WrongElement named(const Row& row, std::int64_t token, const PoolShadow& shadow) const;
  // Tokens that the row sees in slots which do not hold them.
  [[nodiscard]] std::vector<std::int64_t> misplaced(const Row& row, const PoolShadow& shadow) const;
  [[nodiscard]] std::int64_t pool_blocks() const { return static_cast<std::int64_t>(live_.size()); }

  const assay_kernel& kernel_;
  const StepCheckOptions options_;
  const Claims claims_;
  const std::int32_t block_tokens_;
  std::vector<Row> rows_;
  std::int64_t step_ = 0, longest_ = 0, max_blocks_ = 0;
  std::vector<std::int32_t> table_;     // [rows, max_blocks]
  std::vector<std::int32_t> contexts_;  // [rows]
  std::vector<std::int32_t> touched_;   // blocks with live slots

 private:
  struct Slots {
    std::int32_t begin = 0, end = 0;
  };
  void make_rows(const LiveStep& live, const NamesOf& names);
  void fill_pool(const PoolShadow& shadow);
  void list_misplaced(const PoolShadow& shadow, Verification& total) const;

  std::vector<Slots> live_;  // [blocks] live slots of the step at hand
};

// The two operations.
[[nodiscard]] std::unique_ptr<StepCheck> make_logits_check(const assay_kernel& kernel,
                                                           const StepCheckOptions& options,
                                                           std::int32_t blocks, std::int32_t block_tokens);
[[nodiscard]] std::unique_ptr<StepCheck> make_attention_check(const assay_kernel& kernel,
                                                              const StepCheckOptions& options,
                                                              std::int32_t blocks, std::int32_t block_tokens);

}  // namespace assay::properties
