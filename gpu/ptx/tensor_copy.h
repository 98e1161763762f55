// The copy engine: boxes of a tensor and runs of bytes from global to shared memory, one instruction, one
// function; and the maps that describe tensors to it, made on the host without linking the driver.
//
// Whoever issues a copy has announced its bytes to the barrier, or does so before the phase can end. A box lies in
// shared memory row after row, 16-byte chunks swizzled as wgmma wants them (swizzled_chunk in wgmma_e4m3.h);
// elements outside the tensor become zero and count as bytes.
#pragma once

#include <cuda.h>  // types only
#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <string>

#include "model/core/check.h"

namespace assay::ptx {

// L2 drops these lines first: read once, or soon no longer needed.
__device__ __forceinline__ std::uint64_t evict_first() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ std::uint64_t evict_last() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}
__device__ __forceinline__ void copy_box(void* to, const CUtensorMap& map, std::uint64_t& barrier, int x,
                                         int y, int z, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
      "l"(&map), "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier))), "r"(x), "r"(y), "r"(z),
      "l"(policy)
      : "memory");
}
// Addresses and bytes: multiples of 16.
__device__ __forceinline__ void copy_bytes(void* to, const void* from, int bytes, std::uint64_t& barrier,
                                           std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, "
      "[%3], "
      "%4;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(bytes), "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier))), "l"(policy)
      : "memory");
}

// A tensor of bytes [z][y][x], x contiguous; a box holds whole rows of x (32, 64 or 128 bytes).
struct ByteTensor {
  const void* base = nullptr;
  std::array<std::uint64_t, 3> size{};          // x, y, z
  std::array<std::uint64_t, 2> stride_bytes{};  // of y and z, multiples of 16
  std::array<std::uint32_t, 2> box{1, 1};       // rows y, planes z
};

inline CUtensorMap tensor_map(const ByteTensor& t, const std::string& place) {
  static const auto encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t status =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
    if (status != cudaSuccess || found == nullptr)
      throw EnvironmentError("cuTensorMapEncodeTiled", "a function of the driver",
                             cudaGetErrorString(status));
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found);
  }();
  const cuuint64_t size[3] = {t.size[0], t.size[1], t.size[2]};
  const cuuint64_t stride[2] = {t.stride_bytes[0], t.stride_bytes[1]};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(t.size[0]), t.box[0], t.box[1]}, step[3] = {1, 1, 1};
  const CUtensorMapSwizzle swizzle = t.size[0] == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : t.size[0] == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                                                       : CU_TENSOR_MAP_SWIZZLE_32B;
  CUtensorMap map;
  const CUresult status = encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, const_cast<void*>(t.base), size,
                                 stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw EnvironmentError(place + ": tensor map", "CUDA_SUCCESS", std::to_string(static_cast<int>(status)));
  return map;
}

}  // namespace assay::ptx
