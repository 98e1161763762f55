#include "gpu/device/stopwatch.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <vector>

#include "model/core/check.h"

namespace assay {
namespace {

void checked(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw EnvironmentError(what, "success", cudaGetErrorString(status));
}

// Kept until the end: a flush must not wait for an allocation.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : bytes_(bytes) { checked(cudaMalloc(&data_, bytes), "device memory"); }
  ~Scratch() { cudaFree(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

cudaStream_t raw(const DeviceStream& stream) { return static_cast<cudaStream_t>(stream.get()); }

}  // namespace

DeviceStopwatch::DeviceStopwatch() {
  cudaEvent_t begin = nullptr, end = nullptr;
  checked(cudaEventCreate(&begin), "event");
  begin_ = begin;
  checked(cudaEventCreate(&end), "event");
  end_ = end;
}
DeviceStopwatch::~DeviceStopwatch() {
  cudaEventDestroy(static_cast<cudaEvent_t>(begin_));
  cudaEventDestroy(static_cast<cudaEvent_t>(end_));
}

double DeviceStopwatch::seconds_of(const DeviceStream& stream, const std::function<void()>& work) {
  const auto begin = static_cast<cudaEvent_t>(begin_), end = static_cast<cudaEvent_t>(end_);
  checked(cudaEventRecord(begin, raw(stream)), "event");
  work();
  checked(cudaEventRecord(end, raw(stream)), "event");
  checked(cudaEventSynchronize(end), "timed launches");
  float milliseconds = 0;
  checked(cudaEventElapsedTime(&milliseconds, begin, end), "event");
  return static_cast<double>(milliseconds) * 1e-3;
}

void flush_device_cache(const DeviceStream& stream) {
  static const Scratch scratch = [] {
    int device = 0, cache = 0;
    checked(cudaGetDevice(&device), "cudaGetDevice");
    checked(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), "L2 size");
    return Scratch(std::max(static_cast<std::size_t>(cache) * 4, std::size_t{256} << 20));
  }();
  static int byte = 0;
  checked(cudaMemsetAsync(scratch.data(), ++byte & 255, scratch.bytes(), raw(stream)), "flush");
}

std::string name_of_device() {
  int device = 0;
  checked(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  checked(cudaGetDeviceProperties(&properties, device), "CUDA device");
  return properties.name;
}

int device_clock_mhz() {
  // NVML, looked up at run time; the handle is found by bus address, as NVML counts devices in another order.
  using Init = int (*)();
  using Handle = int (*)(const char*, void**);
  using Clock = int (*)(void*, int, unsigned*);
  static void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return 0;
  const auto init = reinterpret_cast<Init>(dlsym(library, "nvmlInit_v2"));
  const auto handle = reinterpret_cast<Handle>(dlsym(library, "nvmlDeviceGetHandleByPciBusId_v2"));
  const auto clock = reinterpret_cast<Clock>(dlsym(library, "nvmlDeviceGetClockInfo"));
  if (init == nullptr || handle == nullptr || clock == nullptr) return 0;
  static const bool ready = init() == 0;
  char bus[32];
  int device = 0;
  void* found = nullptr;
  unsigned mhz = 0;
  constexpr int kSmClock = 1;
  if (!ready || cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetPCIBusId(bus, sizeof bus, device) != cudaSuccess || handle(bus, &found) != 0 ||
      clock(found, kSmClock, &mhz) != 0)
    return 0;
  return static_cast<int>(mhz);
}

double device_copy_bytes_per_second() {
  constexpr int kWarmUps = 3, kRuns = 15;
  std::size_t free_bytes = 0, total_bytes = 0;
  checked(cudaMemGetInfo(&free_bytes, &total_bytes), "device memory");
  const std::size_t bytes = std::min(std::size_t{1} << 30, free_bytes / 4);
  const Scratch from(bytes), to(bytes);
  const DeviceStream stream;
  DeviceStopwatch watch;
  std::vector<double> rates;
  for (int i = 0; i < kWarmUps + kRuns; ++i) {
    const double seconds = watch.seconds_of(stream, [&] {
      checked(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, raw(stream)), "copy");
    });
    if (i >= kWarmUps) rates.push_back(2 * static_cast<double>(bytes) / seconds);
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

}  // namespace assay
