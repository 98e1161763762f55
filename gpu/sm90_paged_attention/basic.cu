// The readable paged decode: a CTA per (sequence, query head) that takes one block of the cache at a time.
// It is what one would write first: the baseline that the pipelined kernel is measured against, and a
// second oracle, in plain fp32 with the library's exponential.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <string>

#include "gpu/sm90_paged_attention/decode.h"
#include "model/core/check.h"

namespace assay {
namespace {

constexpr int kThreads = 128;
constexpr int kMostBlockTokens = 256;

__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ void store(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }
__device__ void store(__half* to, float x) { *to = __float2half_rn(x); }

template <typename Element>
__global__ void __launch_bounds__(kThreads) basic_paged_decode(const __grid_constant__ PagedDecode call) {
  __shared__ float query[kThreads];
  __shared__ float weight[kMostBlockTokens];
  const int sequence = blockIdx.x, q_head = blockIdx.y, kv_head = q_head / (call.q_heads / call.kv_heads);
  const int thread = threadIdx.x, context = call.contexts[sequence];
  const int first = call.window_tokens > 0 && call.window_tokens < context ? context - call.window_tokens : 0;
  const int block_tokens = call.key_layout.block_tokens;
  if (thread < call.dims)
    query[thread] = to_float(static_cast<const Element*>(
        call.q)[sequence * call.q_row_stride + q_head * call.q_head_stride + thread]);
  __syncthreads();

  float m = -INFINITY, l = 0, out = 0;  // of this thread's dimension; m and l are the same in all threads
  for (int block = first / block_tokens; block * block_tokens < context; ++block) {
    const char* keys = static_cast<const char*>(call.keys);
    const char* values = static_cast<const char*>(call.values);
    const std::int64_t key_block = call.key_table.block(sequence, block);
    const std::int64_t value_block = call.value_table.block(sequence, block);
    const int begin = block * block_tokens;
    // Scores of the block's tokens, one thread each.
    for (int slot = thread; slot < block_tokens; slot += kThreads) {
      float score = -INFINITY;
      if (begin + slot >= first && begin + slot < context) {
        const auto* key =
            reinterpret_cast<const Element*>(keys + call.key_layout.offset(key_block, slot, kv_head, 0));
        score = 0;
        for (int d = 0; d < call.dims; ++d) score += query[d] * to_float(key[d]);
        score *= call.softmax_scale;
      }
      weight[slot] = score;
    }
    __syncthreads();
    float next = m;
    for (int slot = 0; slot < block_tokens; ++slot) next = fmaxf(next, weight[slot]);
    const float alpha = m == -INFINITY ? 0 : expf(m - next);
    l *= alpha;
    out *= alpha;
    for (int slot = 0; slot < block_tokens; ++slot) {
      if (weight[slot] == -INFINITY) continue;
      const float p = expf(weight[slot] - next);
      l += p;
      if (thread < call.dims)
        out += p * to_float(*reinterpret_cast<const Element*>(
                       values + call.value_layout.offset(value_block, slot, kv_head, thread)));
    }
    m = next;
    __syncthreads();
  }
  if (thread < call.dims)
    store(static_cast<Element*>(call.out) + sequence * call.out_row_stride + q_head * call.out_head_stride +
              thread,
          context > 0 ? out / l : 0.0f);
  if (thread == 0 && call.lse != nullptr)
    call.lse[static_cast<std::int64_t>(sequence) * call.q_heads + q_head] =
        context > 0 ? m + logf(l) : -INFINITY;
}

}  // namespace

void launch_basic_paged_decode(const PagedDecode& call, void* stream) {
  validate(call);
  if (call.key_layout.block_tokens > kMostBlockTokens)
    throw InputError("basic paged decode: block tokens", "at most 256",
                     std::to_string(call.key_layout.block_tokens));
  if (call.batch == 0) return;
  const dim3 grid(static_cast<unsigned>(call.batch), static_cast<unsigned>(call.q_heads));
  const auto launched = static_cast<cudaStream_t>(stream);
  if (call.type == ElementType::kBf16) {
    basic_paged_decode<__nv_bfloat16><<<grid, kThreads, 0, launched>>>(call);
  } else {
    basic_paged_decode<__half><<<grid, kThreads, 0, launched>>>(call);
  }
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess)
    throw EnvironmentError("basic paged decode: launch", "cudaSuccess", cudaGetErrorString(status));
}

}  // namespace assay
