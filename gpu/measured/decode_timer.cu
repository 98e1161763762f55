#include "gpu/measured/decode_timer.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "gpu/sm90_paged_attention/decode.h"
#include "model/core/check.h"

namespace assay {
namespace {

constexpr std::size_t kFlushBytes = std::size_t{256} << 20;  // several times the L2

void cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw EnvironmentError(what, "success", cudaGetErrorString(status));
}

// Memory that grows and is never given back before the end.
class Buffer {
 public:
  ~Buffer() { cudaFree(data_); }
  template <typename T>
  T* at_least(std::int64_t count) {
    const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * sizeof(T);
    if (bytes > bytes_) {
      cudaFree(data_);
      data_ = nullptr;
      cuda(cudaMalloc(&data_, bytes), "device memory");
      bytes_ = bytes;
    }
    return static_cast<T*>(data_);
  }
  template <typename T>
  T* holding(const std::vector<T>& values) {
    T* data = at_least<T>(static_cast<std::int64_t>(values.size()));
    cuda(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
         "copy to device");
    return data;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Noise of moderate numbers: e4m3 codes and bf16 halves without NaN, so that power is what real data draws.
__global__ void fill_with_noise(std::uint32_t* words, long long count, std::uint32_t keep,
                                std::uint32_t set) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 0x9e3779b9u + 0x7f4a7c15u;
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    words[i] = (x & keep) | set;
  }
}
void noise(void* data, std::int64_t bytes, bool is_e4m3) {
  // e4m3: exponents up to 2^0; bf16: +-[1, 2)
  fill_with_noise<<<1024, 256>>>(static_cast<std::uint32_t*>(data), bytes / 4,
                                 is_e4m3 ? 0xbfbfbfbfu : 0x807f807fu, is_e4m3 ? 0u : 0x3f803f80u);
  cuda(cudaGetLastError(), "noise");
}

}  // namespace

struct DecodeTimer::Device {
  Buffer cache, values, flush, q, weights, table, contexts, out, lse, scratch, counters;
  cudaEvent_t begin = nullptr, end = nullptr;
  Device() {
    cuda(cudaEventCreate(&begin), "event");
    cuda(cudaEventCreate(&end), "event");
  }
  ~Device() {
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
  }
};

DecodeTimer::DecodeTimer(const DecodeShape& shape, std::int64_t pool_blocks)
    : shape_(shape), pool_blocks_(pool_blocks), device_(std::make_unique<Device>()) {
  if (pool_blocks < 1) throw InputError("pool", "at least one block", std::to_string(pool_blocks));
  const bool logits = shape.kernel == DecodeKernel::kPagedMqaLogits;
  const std::int64_t block_bytes = logits
                                       ? make_fused_index_layout(shape.block_tokens, shape.dims).block_bytes()
                                       : std::int64_t{2} * shape.block_tokens * shape.kv_heads * shape.dims;
  for (Buffer* pool : {&device_->cache, &device_->values}) {
    if (logits && pool == &device_->values) continue;
    noise(pool->at_least<std::byte>(pool_blocks * block_bytes), pool_blocks * block_bytes, logits);
  }
  cuda(cudaDeviceSynchronize(), "pool of noise");
}
DecodeTimer::~DecodeTimer() = default;

DecodeTime DecodeTimer::time(const DecodeCall& call, int repeats) {
  Device& d = *device_;
  const auto batch = static_cast<std::int32_t>(call.lengths.size());
  ASSAY_CHECK_EQ(call.table.size(), call.lengths.size() * static_cast<std::size_t>(call.columns));
  std::int64_t tokens = 0, longest = 0;
  for (const std::int32_t length : call.lengths) {
    tokens += length;
    longest = std::max<std::int64_t>(longest, length);
  }
  const std::int64_t q_elements = std::int64_t{batch} * shape_.q_heads * shape_.dims;
  const BlockTableView table{d.table.holding(call.table), call.columns, call.columns};
  const std::int32_t* contexts = d.contexts.holding(call.lengths);
  DecodeTime result;
  PagedLogits logits;
  PagedDecode attention;
  PagedDecodeWorkspace workspace;
  if (shape_.kernel == DecodeKernel::kPagedMqaLogits) {
    logits.batch = batch;
    logits.heads = shape_.q_heads;
    logits.dims = shape_.dims;
    std::byte* q = d.q.at_least<std::byte>(q_elements);
    noise(q, q_elements, true);
    logits.q = reinterpret_cast<const std::uint8_t*>(q);
    logits.q_row_stride = std::int64_t{shape_.q_heads} * shape_.dims;
    float* weights = d.weights.at_least<float>(std::int64_t{batch} * shape_.q_heads);
    cuda(cudaMemset(weights, 0, static_cast<std::size_t>(batch) * shape_.q_heads * sizeof(float)), "weights");
    logits.weights = weights;
    logits.weights_stride = shape_.q_heads;
    logits.cache = d.cache.at_least<std::uint8_t>(1);
    logits.layout = make_fused_index_layout(shape_.block_tokens, shape_.dims);
    logits.table = table;
    logits.contexts = contexts;
    logits.columns = longest;
    logits.logits_stride = (longest + 255) / 256 * 256;
    logits.logits = d.out.at_least<float>(batch * logits.logits_stride);
    result.bytes = static_cast<double>(tokens) * (shape_.dims + 4 + 4) + static_cast<double>(q_elements) +
                   4.0 * batch * shape_.q_heads;
  } else {
    attention.batch = batch;
    attention.q_heads = shape_.q_heads;
    attention.kv_heads = shape_.kv_heads;
    attention.dims = shape_.dims;
    std::byte* q = d.q.at_least<std::byte>(2 * q_elements);
    noise(q, 2 * q_elements, false);
    attention.q = q;
    attention.q_head_stride = shape_.dims;
    attention.q_row_stride = std::int64_t{shape_.q_heads} * shape_.dims;
    attention.keys = d.cache.at_least<std::byte>(1);
    attention.values = d.values.at_least<std::byte>(1);
    attention.key_layout = attention.value_layout =
        make_paged_layout(PagedOrder::kNhd, shape_.block_tokens, shape_.kv_heads, shape_.dims, 2);
    attention.key_table = attention.value_table = table;
    attention.contexts = contexts;
    attention.softmax_scale = 0.01f;
    attention.out = d.out.at_least<std::byte>(2 * q_elements);
    attention.out_head_stride = shape_.dims;
    attention.out_row_stride = std::int64_t{shape_.q_heads} * shape_.dims;
    attention.lse = d.lse.at_least<float>(std::int64_t{batch} * shape_.q_heads);
    workspace.scratch_bytes = paged_decode_scratch_bytes(attention, 264);
    workspace.scratch = d.scratch.at_least<std::byte>(static_cast<std::int64_t>(workspace.scratch_bytes));
    workspace.counter_count = paged_decode_counter_count(attention);
    workspace.counters =
        d.counters.at_least<std::int32_t>(static_cast<std::int64_t>(workspace.counter_count));
    cuda(cudaMemset(workspace.counters, 0, workspace.counter_count * sizeof(std::int32_t)), "counters");
    result.bytes = 4.0 * static_cast<double>(tokens) * shape_.kv_heads * shape_.dims +
                   4.0 * static_cast<double>(q_elements);
  }
  const auto launch = [&] {
    if (shape_.kernel == DecodeKernel::kPagedMqaLogits)
      launch_paged_logits(logits, nullptr);
    else
      launch_paged_decode(attention, workspace, nullptr);
  };
  auto* flush = d.flush.at_least<std::byte>(kFlushBytes);
  std::vector<float> times;
  constexpr int kWarmUps = 3;
  for (int i = 0; i < repeats + kWarmUps; ++i) {
    cuda(cudaMemsetAsync(flush, i, kFlushBytes), "flush");
    cuda(cudaEventRecord(d.begin), "event");
    launch();
    cuda(cudaEventRecord(d.end), "event");
    cuda(cudaEventSynchronize(d.end), "timed launch");
    float ms = 0;
    cuda(cudaEventElapsedTime(&ms, d.begin, d.end), "event");
    if (i >= kWarmUps) times.push_back(ms * 1000);
  }
  std::sort(times.begin(), times.end());
  result.median_us = static_cast<double>(times[times.size() / 2]);
  result.least_us = static_cast<double>(times.front());
  return result;
}

const char* device_name() {
  static const std::string name = [] {
    cudaDeviceProp properties{};
    cuda(cudaGetDeviceProperties(&properties, 0), "CUDA device");
    return std::string(properties.name);
  }();
  return name.c_str();
}

}  // namespace assay
