// Schedule metadata on a CUDA device, with a plan step: plan() sums the units up once per batch and leaves the
// sums in the workspace, run() searches them, one thread per part. The device twin of schedule.c.
//
//   nvcc -O2 -shared -Xcompiler -fPIC -arch=sm_90a -I gpu/api cuda_schedule.cu -o cuda_schedule.so
//   assay verify --kernel ./cuda_schedule.so
//
// plan() reads lengths, which is all there is to read here; of its own it writes the workspace only. Both steps
// enqueue on call->stream and return: the stream keeps their order.
#include <cuda_runtime.h>

#include "assay_kernel.h"

namespace {

constexpr int kThreads = 256;

// sums[s] = units of all sequences before s; sums [batch + 1]. One CTA walks over the batch, a chunk of
// kThreads sequences at a time; the last thread carries the total over.
__global__ void sum_units(const int* contexts, long stride, long batch, long unit, long* sums) {
  __shared__ long chunk[kThreads];
  __shared__ long before;  // units of all chunks before this one
  const int lane = static_cast<int>(threadIdx.x);
  if (lane == 0) before = sums[0] = 0;
  for (long first = 0; first < batch; first += kThreads) {
    const long s = first + lane;
    chunk[lane] = s < batch ? (contexts[s * stride] + unit - 1) / unit : 0;
    __syncthreads();  // the chunk is written, and so is `before`
    for (int step = 1; step < kThreads; step *= 2) {
      const long more = lane >= step ? chunk[lane - step] : 0;
      __syncthreads();  // all have read before one writes
      chunk[lane] += more;
      __syncthreads();
    }
    if (s < batch) sums[s + 1] = before + chunk[lane];
    __syncthreads();  // all have used `before`
    if (lane == kThreads - 1) before += chunk[lane];
  }
}

// metadata [parts + 1, 2]: sequence and unit at which each part begins.
__global__ void cut(const long* sums, long batch, long parts, int* metadata) {
  const long part = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (part > parts) return;
  const long unit = sums[batch] * part / parts;
  long low = 0, high = batch;
  while (low < high) {  // the first sequence that ends behind `unit`
    const long middle = low + (high - low) / 2;
    if (sums[middle + 1] > unit)
      high = middle;
    else
      low = middle + 1;
  }
  metadata[2 * part] = static_cast<int>(low);
  metadata[2 * part + 1] = static_cast<int>(low == batch ? 0 : unit - sums[low]);
}

uint64_t workspace(const assay_call* call) {
  return static_cast<uint64_t>(call->inputs[0].shape[0] + 1) * sizeof(long);
}

int launched() { return cudaGetLastError() == cudaSuccess ? ASSAY_OK : ASSAY_FAILED; }

int plan(const assay_call* call) {
  const assay_tensor& contexts = call->inputs[0];
  sum_units<<<1, kThreads, 0, static_cast<cudaStream_t>(call->stream)>>>(
      static_cast<const int*>(contexts.data), contexts.strides[0], contexts.shape[0], call->ints[0],
      static_cast<long*>(call->workspace));
  return launched();
}

int run(const assay_call* call) {
  const long parts = call->ints[1];
  cut<<<static_cast<unsigned>(parts / kThreads + 1), kThreads, 0, static_cast<cudaStream_t>(call->stream)>>>(
      static_cast<const long*>(call->workspace), call->inputs[0].shape[0], parts,
      static_cast<int*>(call->outputs[0].data));
  return launched();
}

}  // namespace

ASSAY_KERNEL(ASSAY_OP_SCHEDULE_METADATA, "schedule in CUDA", "determinism=bitwise", ASSAY_DEVICE_CUDA,
             workspace, plan, run)
