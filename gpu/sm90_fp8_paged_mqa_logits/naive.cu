// The readable paged logits: a thread per logit, one key at a time, plain fp32. Baseline and second oracle; its
// sums are in another order than the tensor core's, so it agrees within rounding, not in every bit.
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <string>

#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"

namespace assay {
namespace {

__device__ float e4m3(std::uint8_t code) {
  __nv_fp8_e4m3 value;
  value.__x = code;
  return static_cast<float>(value);
}

__global__ void naive_paged_logits(const __grid_constant__ PagedLogits p) {
  const std::int64_t row = blockIdx.y;
  const auto sequence = static_cast<std::int32_t>(row / p.next_n),
             i = static_cast<std::int32_t>(row % p.next_n);
  const std::int32_t* context = p.contexts + sequence * p.context_stride;
  const std::int32_t limit = p.context_columns == 0 ? context[0] - p.next_n + i + 1 : context[i];
  for (std::int64_t t = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       t < p.columns || t < limit; t += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    float logit = -INFINITY;
    if (t < limit) {
      const auto slot = static_cast<std::int32_t>(t % p.layout.block_tokens);
      const std::int64_t block = p.table.block(sequence, t / p.layout.block_tokens);
      const std::uint8_t* key = p.cache + p.layout.key_offset(block, slot);
      float sum = 0;
      for (int h = 0; h < p.heads; ++h) {
        const std::uint8_t* q = p.q + row * p.q_row_stride + h * p.dims;
        float dot = 0;
        for (int d = 0; d < p.dims; ++d) dot += e4m3(q[d]) * e4m3(key[d]);
        sum += fmaxf(dot, 0.0f) * p.weights[row * p.weights_stride + h];
      }
      logit = sum * *reinterpret_cast<const float*>(p.cache + p.layout.scale_offset(block, slot));
    } else if (!p.clean) {
      continue;
    }
    const std::int64_t at = row * p.logits_stride + t;
    if (p.type == ElementType::kFp32) {
      static_cast<std::uint32_t*>(p.logits)[at] = fp32_output_bits(logit);
    } else {
      static_cast<std::uint16_t*>(p.logits)[at] = bf16_output_bits(logit);
    }
  }
}

}  // namespace

void launch_naive_paged_logits(const PagedLogits& call, void* stream) {
  validate(call);
  if (call.batch == 0) return;
  const dim3 grid(64, static_cast<unsigned>(call.batch * call.next_n));
  naive_paged_logits<<<grid, 128, 0, static_cast<cudaStream_t>(stream)>>>(call);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess)
    throw EnvironmentError("naive paged logits: launch", "cudaSuccess", cudaGetErrorString(status));
}

}  // namespace assay
