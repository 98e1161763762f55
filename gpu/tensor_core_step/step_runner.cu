// Formula and interface: step_runner.h. Not timed, not tuned: one CTA per 8 questions.
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "gpu/tensor_core_step/step_runner.h"
#include "model/core/check.h"

namespace assay {
namespace {

constexpr int kBytes = 32;     // of K, one step
constexpr int kQuestions = 8;  // of a CTA: one per column of the accumulator
constexpr int kWgmmaRows = 64, kWgmmaThreads = 128;
constexpr int kCoreRows = 8, kCoreBytes = 16;  // a core matrix of the unswizzled layout: 8 rows of 16 bytes

enum class Kind : int { kE4M3, kE5M2, kE4M3E5M2, kE5M2E4M3, kBf16, kFp16 };

struct StepArguments {
  const std::uint8_t *a, *b;
  const std::uint32_t* accumulators;
  std::uint32_t* answers;
  std::int64_t count;
  // Past the end the last question is asked again.
  __device__ std::int64_t question(int column) const {
    const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kQuestions + column;
    return index < count ? index : count - 1;
  }
  __device__ bool exists(int column) const {
    return static_cast<std::int64_t>(blockIdx.x) * kQuestions + column < count;
  }
};

// ---- one instruction, one function ------------------------------------------------------------------

// Shared-memory operand, K-major, no swizzle: two core matrices along K (leading offset 128 bytes), groups
// of eight rows 256 bytes apart (stride offset).
__device__ std::uint64_t operand_descriptor(const std::uint8_t* operand) {
  const std::uint64_t address = __cvta_generic_to_shared(operand);
  constexpr std::uint64_t kLeading = kCoreRows * kCoreBytes, kStride = 2 * kLeading;
  return (address & 0x3ffff) >> 4 | (kLeading >> 4) << 16 | (kStride >> 4) << 32;
}
// Byte k of row r of such an operand.
__device__ int operand_offset(int row, int k) {
  return (row / kCoreRows * 2 + k / kCoreBytes) * (kCoreRows * kCoreBytes) + row % kCoreRows * kCoreBytes +
         k % kCoreBytes;
}

#define ASSAY_WGMMA(SHAPE_AND_TYPES, TRANSPOSE)                                                     \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned." SHAPE_AND_TYPES \
               " {%0,%1,%2,%3}, %4, %5, p, 1, 1" TRANSPOSE "; }"                                    \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                     \
               : "l"(a), "l"(b))
template <Kind kKind>
__device__ void wgmma_step(float (&d)[4], std::uint64_t a, std::uint64_t b) {
  if constexpr (kKind == Kind::kE4M3) ASSAY_WGMMA("m64n8k32.f32.e4m3.e4m3", "");
  if constexpr (kKind == Kind::kE5M2) ASSAY_WGMMA("m64n8k32.f32.e5m2.e5m2", "");
  if constexpr (kKind == Kind::kE4M3E5M2) ASSAY_WGMMA("m64n8k32.f32.e4m3.e5m2", "");
  if constexpr (kKind == Kind::kE5M2E4M3) ASSAY_WGMMA("m64n8k32.f32.e5m2.e4m3", "");
  if constexpr (kKind == Kind::kBf16) ASSAY_WGMMA("m64n8k16.f32.bf16.bf16", ", 0, 0");
  if constexpr (kKind == Kind::kFp16) ASSAY_WGMMA("m64n8k16.f32.f16.f16", ", 0, 0");
}
#undef ASSAY_WGMMA

#define ASSAY_MMA(SHAPE, TYPES)                                             \
  asm volatile("mma.sync.aligned." SHAPE ".row.col.f32." TYPES              \
               ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])             \
               : "r"(a[0]), "r"(a[0]), "r"(a[1]), "r"(a[1]), "r"(b[0]), "r"(b[1]))
// a: rows g and g + 8 are the same, so the four registers of A are two.
template <Kind kKind>
__device__ void mma_sync_step(float (&d)[4], const std::uint32_t (&a)[2], const std::uint32_t (&b)[2]) {
  if constexpr (kKind == Kind::kE4M3) ASSAY_MMA("m16n8k32", "e4m3.e4m3");
  if constexpr (kKind == Kind::kE5M2) ASSAY_MMA("m16n8k32", "e5m2.e5m2");
  if constexpr (kKind == Kind::kE4M3E5M2) ASSAY_MMA("m16n8k32", "e4m3.e5m2");
  if constexpr (kKind == Kind::kE5M2E4M3) ASSAY_MMA("m16n8k32", "e5m2.e4m3");
  if constexpr (kKind == Kind::kBf16) ASSAY_MMA("m16n8k16", "bf16.bf16");
  if constexpr (kKind == Kind::kFp16) ASSAY_MMA("m16n8k16", "f16.f16");
}
#undef ASSAY_MMA

// ---- the two kernels --------------------------------------------------------------------------------

// Row r of the accumulator has operand a of question r mod 8, column c operand b of question c: the answers
// are the elements (c + 8 g, c), read from another group g in every CTA.
template <Kind kKind>
__global__ void __launch_bounds__(kWgmmaThreads) wgmma_steps(const __grid_constant__ StepArguments p) {
  __shared__ __align__(128) std::uint8_t a[kWgmmaRows * kBytes];
  __shared__ __align__(128) std::uint8_t b[kQuestions * kBytes];
  for (int i = threadIdx.x; i < kWgmmaRows * kBytes; i += kWgmmaThreads) {
    const int row = i / kBytes, k = i % kBytes;
    a[operand_offset(row, k)] = p.a[p.question(row % kQuestions) * kBytes + k];
    if (row < kQuestions) b[operand_offset(row, k)] = p.b[p.question(row) * kBytes + k];
  }
  asm volatile("fence.proxy.async;" ::: "memory");  // the tensor core reads what the threads wrote
  __syncthreads();                                  // all threads: both operands are there

  const int lane = threadIdx.x % 32;
  const auto row_of = [&](int i) { return static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4 + i / 2 * 8; };
  const auto column_of = [&](int i) { return lane % 4 * 2 + i % 2; };
  float d[4];
  for (int i = 0; i < 4; ++i) {
    const bool own = row_of(i) % kQuestions == column_of(i);
    d[i] = own ? __uint_as_float(p.accumulators[p.question(column_of(i))]) : 0.0f;
  }
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  wgmma_step<kKind>(d, operand_descriptor(a), operand_descriptor(b));
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])::"memory");
  const int group = static_cast<int>(blockIdx.x % (kWgmmaRows / kQuestions));
  for (int i = 0; i < 4; ++i) {
    const int row = row_of(i), column = column_of(i);
    if (row % kQuestions == column && row / kQuestions == group && p.exists(column))
      p.answers[p.question(column)] = __float_as_uint(d[i]);
  }
}

// One warp: lane = 4 * row + quarter holds bytes 4 * quarter and 16 + 4 * quarter of its row and column.
template <Kind kKind>
__global__ void __launch_bounds__(32) mma_sync_steps(const __grid_constant__ StepArguments p) {
  const int lane = threadIdx.x, row = lane / 4, quarter = lane % 4;
  const auto word = [&](const std::uint8_t* operand, int half) {
    return *reinterpret_cast<const std::uint32_t*>(operand + p.question(row) * kBytes + half * 16 +
                                                   quarter * 4);
  };
  const std::uint32_t a[2] = {word(p.a, 0), word(p.a, 1)}, b[2] = {word(p.b, 0), word(p.b, 1)};
  float d[4];
  for (int i = 0; i < 4; ++i) {
    const int column = quarter * 2 + i % 2;
    d[i] = column == row ? __uint_as_float(p.accumulators[p.question(column)]) : 0.0f;
  }
  mma_sync_step<kKind>(d, a, b);
  const int upper = static_cast<int>(blockIdx.x % 2) * 2;  // rows g or g + 8
  for (int i = upper; i < upper + 2; ++i) {
    const int column = quarter * 2 + i % 2;
    if (column == row && p.exists(column)) p.answers[p.question(column)] = __float_as_uint(d[i]);
  }
}

// ---- host -------------------------------------------------------------------------------------------

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw EnvironmentError(std::string("tensor core steps: ") + what, "cudaSuccess",
                         std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")");
}

template <typename T>
class DeviceCopy {
 public:
  DeviceCopy(const T* host, std::int64_t count) : bytes_(static_cast<std::size_t>(count) * sizeof(T)) {
    check_cuda(cudaMalloc(&data_, bytes_), "cudaMalloc");
    if (host != nullptr) {
      const cudaError_t status = cudaMemcpy(data_, host, bytes_, cudaMemcpyHostToDevice);
      if (status != cudaSuccess) cudaFree(data_);
      check_cuda(status, "copy to the device");
    }
  }
  ~DeviceCopy() { cudaFree(data_); }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;
  void to_host(T* host) const {
    check_cuda(cudaMemcpy(host, data_, bytes_, cudaMemcpyDeviceToHost), "copy from the device");
  }
  T* get() const { return data_; }

 private:
  T* data_ = nullptr;
  std::size_t bytes_;
};

template <Kind kKind>
void launch(StepInstruction instruction, const StepArguments& arguments) {
  const auto ctas = static_cast<unsigned>((arguments.count + kQuestions - 1) / kQuestions);
  if (instruction == StepInstruction::kWgmma) {
    wgmma_steps<kKind><<<ctas, kWgmmaThreads>>>(arguments);
  } else {
    mma_sync_steps<kKind><<<ctas, 32>>>(arguments);
  }
}

}  // namespace

void run_tensor_core_steps(StepInstruction instruction, ElementType type_a, ElementType type_b,
                           const std::uint8_t* a, const std::uint8_t* b, const std::uint32_t* accumulators,
                           std::uint32_t* answers, std::int64_t count) {
  void (*launcher)(StepInstruction, const StepArguments&) = nullptr;
  const auto offer = [&](ElementType x, ElementType y,
                         void (*candidate)(StepInstruction, const StepArguments&)) {
    if (x == type_a && y == type_b) launcher = candidate;
  };
  offer(ElementType::kE4M3, ElementType::kE4M3, launch<Kind::kE4M3>);
  offer(ElementType::kE5M2, ElementType::kE5M2, launch<Kind::kE5M2>);
  offer(ElementType::kE4M3, ElementType::kE5M2, launch<Kind::kE4M3E5M2>);
  offer(ElementType::kE5M2, ElementType::kE4M3, launch<Kind::kE5M2E4M3>);
  offer(ElementType::kBf16, ElementType::kBf16, launch<Kind::kBf16>);
  offer(ElementType::kFp16, ElementType::kFp16, launch<Kind::kFp16>);
  if (launcher == nullptr) {
    throw InputError("tensor core steps: operand types", "two fp8 types, or bf16 twice, or fp16 twice",
                     std::string(name_of(type_a)) + " and " + name_of(type_b));
  }
  if (count <= 0) return;
  const DeviceCopy<std::uint8_t> device_a(a, count * kBytes), device_b(b, count * kBytes);
  const DeviceCopy<std::uint32_t> device_accumulators(accumulators, count), device_answers(nullptr, count);
  launcher(instruction,
           {device_a.get(), device_b.get(), device_accumulators.get(), device_answers.get(), count});
  check_cuda(cudaGetLastError(), "launch");
  check_cuda(cudaDeviceSynchronize(), "run");
  device_answers.to_host(answers);
}

const char* step_device_name() {
  static cudaDeviceProp properties;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) return "";
  return cudaGetDeviceProperties(&properties, 0) == cudaSuccess ? properties.name : "";
}

}  // namespace assay
