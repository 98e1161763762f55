// fp32 operations that no compiler may fuse, flush or reorder: one rounding each, to nearest even,
// subnormals kept, the same on host and device. Whatever a twin predicts is made of these.
#pragma once

#if !defined(__CUDA_ARCH__)
#include <cmath>
#endif

#include "model/core/host_device.h"

namespace assay::exact {

ASSAY_HOST_DEVICE inline float multiply(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;  // host code is built with -ffp-contract=off
#endif
}

ASSAY_HOST_DEVICE inline float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

ASSAY_HOST_DEVICE inline float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}

ASSAY_HOST_DEVICE inline float divide(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

}  // namespace assay::exact
