// What the golden model reads and writes: plain views, a pointer with a shape, strides and an element
// type. Nothing is owned or copied; strides are in elements, 64-bit, and may leave gaps of any size
// (a q that comes from a split, a pool whose blocks lie megabytes apart). A stride of zero repeats.
//
//   element (i, j, k) lies at data + (i * stride[0] + j * stride[1] + k * stride[2]) * bytes_of(type)
//
// Results are doubles: rounding to fp32 or bf16 is the caller's (round_to), so that the bound can be
// laid around the unrounded value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "model/core/float_formats.h"

namespace assay {

template <int kRank>
using Extents = std::array<std::int64_t, kRank>;

template <int kRank>
[[nodiscard]] constexpr Extents<kRank> compact_stride(const Extents<kRank>& shape) {
  Extents<kRank> stride{};
  std::int64_t step = 1;
  for (int axis = kRank - 1; axis >= 0; --axis) {
    stride[axis] = step;
    step *= shape[axis];
  }
  return stride;
}

// Read-only. The innermost stride must be 1 wherever a whole row is read at once (q, keys, values).
template <int kRank>
struct TensorView {
  const void* data = nullptr;
  ElementType type = ElementType::kFp32;
  Extents<kRank> shape{};
  Extents<kRank> stride{};

  [[nodiscard]] std::int64_t offset(const Extents<kRank>& at) const {
    std::int64_t sum = 0;
    for (int axis = 0; axis < kRank; ++axis) sum += at[axis] * stride[axis];
    return sum;
  }
  [[nodiscard]] const std::byte* address(const Extents<kRank>& at) const {
    return static_cast<const std::byte*>(data) + offset(at) * bytes_of(type);
  }
};

template <int kRank>
[[nodiscard]] TensorView<kRank> compact_view(const void* data, ElementType type,
                                             const Extents<kRank>& shape) {
  return {data, type, shape, compact_stride<kRank>(shape)};
}

// A result in double.
template <int kRank>
struct ResultView {
  double* data = nullptr;
  Extents<kRank> shape{};
  Extents<kRank> stride{};

  [[nodiscard]] double* address(const Extents<kRank>& at) const {
    std::int64_t sum = 0;
    for (int axis = 0; axis < kRank; ++axis) sum += at[axis] * stride[axis];
    return data + sum;
  }
};

template <int kRank>
[[nodiscard]] ResultView<kRank> compact_result(double* data, const Extents<kRank>& shape) {
  return {data, shape, compact_stride<kRank>(shape)};
}

// Integers of the host side: lengths, starts, prefix sums. stride in entries.
struct IndexView {
  const std::int32_t* data = nullptr;
  std::int64_t count = 0;
  std::int64_t stride = 1;
  [[nodiscard]] std::int32_t operator[](std::int64_t index) const { return data[index * stride]; }
};

// How the work is spread. The result does not depend on it: every element is computed by one worker
// in one order.
struct Execution {
  int threads = 1;  // >= 1; fewer are used when the scratch memory would pass kScratchBytes
};

// Scratch memory on cache-line borders, so that vector code takes the same path in every worker.
template <typename T>
struct LineAligned {
  using value_type = T;
  LineAligned() = default;
  template <typename U>
  explicit constexpr LineAligned(const LineAligned<U>&) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete (memory, std::align_val_t{64}); }
  friend bool operator==(const LineAligned&, const LineAligned&) { return true; }
};
using Panel = std::vector<double, LineAligned<double>>;

// The golden model's own memory, beyond inputs and outputs, whatever the size of the case.
inline constexpr std::int64_t kScratchBytes = std::int64_t{96} << 20;

// One element, exactly.
[[nodiscard]] double load_element(const void* address, ElementType type);

// `count` consecutive elements, exactly.
void decode_row(const void* source, ElementType type, std::int64_t count, double* target);

// The nearest value of `type`, ties to even. Overflow goes to infinity where the type has one (fp32,
// bf16, fp16, e5m2) and saturates where it has none (e4m3), as the conversions of the hardware do.
[[nodiscard]] double round_to(ElementType type, double value);

}  // namespace assay
