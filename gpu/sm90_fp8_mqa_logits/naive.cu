// The readable prefill logits: a thread per logit, plain fp32. Baseline and second oracle; its sums are in another
// order than the tensor core's, so it agrees within rounding, not in every bit.
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"

namespace assay {
namespace {

__device__ float e4m3(std::uint8_t code) {
  __nv_fp8_e4m3 value;
  value.__x = code;
  return static_cast<float>(value);
}

__device__ void store(const MqaLogits& p, std::int64_t at, float logit) {
  if (p.type == ElementType::kFp32) {
    static_cast<std::uint32_t*>(p.logits)[at] = fp32_output_bits(logit);
  } else {
    static_cast<std::uint16_t*>(p.logits)[at] = bf16_output_bits(logit);
  }
}

__global__ void naive_mqa_logits(const __grid_constant__ MqaLogits p) {
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t begin = max(0, p.starts[row]), end = min(p.tokens, p.ends[row]);
  const std::int64_t shift = p.compressed ? begin : 0;
  for (std::int64_t c = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; c < p.columns;
       c += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t t = c + shift;
    if (t < begin || t >= end) {
      if (p.clean) store(p, row * p.logits_stride + c, -INFINITY);
      continue;
    }
    float sum = 0;
    for (int h = 0; h < p.heads; ++h) {
      float dot = 0;
      for (int d = 0; d < p.dims; ++d)
        dot += e4m3(p.q[row * p.q_row_stride + h * p.dims + d]) * e4m3(p.keys[t * p.key_stride + d]);
      sum += fmaxf(dot, 0.0f) * p.weights[row * p.weights_stride + h];
    }
    store(p, row * p.logits_stride + c, sum * p.scales[t]);
  }
}

}  // namespace

void launch_naive_mqa_logits(const MqaLogits& call, void* stream) {
  validate(call);
  if (call.rows == 0) return;
  naive_mqa_logits<<<dim3(64, static_cast<unsigned>(call.rows)), 128, 0, static_cast<cudaStream_t>(stream)>>>(
      call);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess)
    throw EnvironmentError("naive prefill logits: launch", "cudaSuccess", cudaGetErrorString(status));
}

}  // namespace assay
