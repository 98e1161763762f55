// What every program that judges kernels on a device needs: arrays on the device, checked calls, and times.
//
// Times are event intervals around one launch, L2 flushed before each; and, where the profiling library can
// be loaded, the kernel's own duration as its activity records say it (kernel_timer.h).
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "model/core/check.h"

namespace assay {

inline void cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw EnvironmentError(what, "cudaSuccess", cudaGetErrorString(status));
}

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    if (count > 0) cuda(cudaMalloc(&data_, count * sizeof(T)), "cudaMalloc");
  }
  explicit DeviceArray(const std::vector<T>& host) : DeviceArray(host.size()) { copy_from(host); }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  void copy_from(const std::vector<T>& host) {
    cuda(cudaMemcpy(data_, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "copy to device");
  }
  std::vector<T> to_host() const {
    std::vector<T> host(count_);
    cuda(cudaMemcpy(host.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "copy from device");
    return host;
  }
  T* get() const { return data_; }
  std::size_t count() const { return count_; }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

struct Times {
  double median = 0, least = 0;
};
template <typename Launch>
Times time_of(const Launch& launch, const DeviceArray<unsigned char>& flush, int runs) {
  cudaEvent_t begin, end;
  cuda(cudaEventCreate(&begin), "event");
  cuda(cudaEventCreate(&end), "event");
  std::vector<float> times;
  for (int i = 0; i < runs + 3; ++i) {
    cuda(cudaMemsetAsync(flush.get(), i, flush.count()), "flush");
    cuda(cudaEventRecord(begin), "event");
    launch();
    cuda(cudaEventRecord(end), "event");
    cuda(cudaEventSynchronize(end), "timed launch");
    float ms = 0;
    cuda(cudaEventElapsedTime(&ms, begin, end), "event");
    if (i >= 3) times.push_back(ms * 1000);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return {static_cast<double>(times[times.size() / 2]), static_cast<double>(times[0])};
}

}  // namespace assay
