// A raw CUDA launcher as a plug-in: the kernel as it was, and ten lines that wrap it.
//
//   nvcc -O2 -shared -Xcompiler -fPIC -arch=sm_90a -I gpu/api cuda_launcher.cu -o cuda_launcher.so
//   assay verify --kernel ./cuda_launcher.so
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include "assay_kernel.h"

namespace {

// One thread per logit. Rows of q compact; logits fp32.
__global__ void paged_logits(const unsigned char* q, const float* weights, const unsigned char* cache,
                             const int* table, const int* contexts, float* logits, long heads, long dims,
                             long tokens, long cache_stride, long table_stride, long weights_stride,
                             long logits_stride) {
  const long row = blockIdx.y, t = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (t >= contexts[row]) return;
  const unsigned char* block = cache + table[row * table_stride + t / tokens] * cache_stride;
  const unsigned char* key = block + t % tokens * dims;
  const auto value = [](unsigned char code) {
    return __half2float(__half(__nv_cvt_fp8_to_halfraw(code, __NV_E4M3)));
  };
  float sum = 0;
  for (long h = 0; h < heads; ++h) {
    float score = 0;
    for (long d = 0; d < dims; ++d) score += value(q[(row * heads + h) * dims + d]) * value(key[d]);
    sum += weights[row * weights_stride + h] * fmaxf(score, 0.0f);
  }
  logits[row * logits_stride + t] = sum * reinterpret_cast<const float*>(block + tokens * dims)[t % tokens];
}

// The ten lines.
template <typename T>
T* at(const assay_tensor& t) {
  return static_cast<T*>(t.data);
}
int run(const assay_call* c) {
  const assay_tensor &q = c->inputs[0], &w = c->inputs[1], &kv = c->inputs[2], &bt = c->inputs[3],
                     &len = c->inputs[4], &out = c->outputs[0];
  const long batch = q.shape[0], heads = q.shape[2], dims = q.shape[3], columns = out.shape[1];
  const bool plain = q.shape[1] == 1 && len.ndim == 1 && len.strides[0] == 1 && out.dtype.bits == 32 &&
                     c->ints[1] == 0 && q.strides[2] == dims && q.strides[0] == heads * dims && batch < 65536;
  if (!plain) return ASSAY_UNSUPPORTED;
  if (batch > 0 && columns > 0)
    paged_logits<<<dim3((columns + 127) / 128, batch), 128, 0, static_cast<cudaStream_t>(c->stream)>>>(
        at<unsigned char>(q), at<float>(w), at<unsigned char>(kv), at<int>(bt), at<int>(len), at<float>(out),
        heads, dims, c->ints[0], kv.strides[0], bt.strides[0], w.strides[0], out.strides[0]);
  return cudaGetLastError() == cudaSuccess ? ASSAY_OK : ASSAY_FAILED;
}

}  // namespace

ASSAY_KERNEL(ASSAY_OP_PAGED_MQA_LOGITS, "my launcher", "determinism=bitwise batch-invariant acc=fp32 unit=1",
             ASSAY_DEVICE_CUDA, nullptr, nullptr, run)
