#include "gpu/device/arena.h"

#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "model/core/check.h"

namespace assay {
namespace {

void checked(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw EnvironmentError(what, "success", cudaGetErrorString(status));
}
void checked(CUresult status, const char* what) {
  if (status != CUDA_SUCCESS)
    throw EnvironmentError(what, "success", "CUDA driver error " + std::to_string(status));
}

// The driver's functions, without a link to it.
struct Driver {
  decltype(&cuMemAddressReserve) reserve = nullptr;
  decltype(&cuMemAddressFree) free = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;

  static const Driver& get() {
    static const Driver driver;
    return driver;
  }

 private:
  template <typename Function>
  static void look_up(const char* name, Function& function) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    checked(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result), name);
    if (found == nullptr) throw EnvironmentError(name, "a function of the driver", "none");
    function = reinterpret_cast<Function>(found);
  }
  Driver() {
    checked(cudaFree(nullptr), "CUDA context");
    look_up("cuMemAddressReserve", reserve);
    look_up("cuMemAddressFree", free);
    look_up("cuMemCreate", create);
    look_up("cuMemRelease", release);
    look_up("cuMemMap", map);
    look_up("cuMemUnmap", unmap);
    look_up("cuMemSetAccess", set_access);
    look_up("cuMemGetAllocationGranularity", granularity);
  }
};

CUmemAllocationProp properties_of_memory() {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  checked(cudaGetDevice(&properties.location.id), "cudaGetDevice");
  return properties;
}

CUmemAccessDesc access(CUmemAccess_flags flags) {
  CUmemAccessDesc description{};
  description.location = properties_of_memory().location;
  description.flags = flags;
  return description;
}

__global__ void find_other_byte(const unsigned char* data, unsigned char byte, long long bytes,
                                unsigned long long* first) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < bytes; i += step)
    if (data[i] != byte) {
      atomicMin(first, static_cast<unsigned long long>(i));
      return;  // later bytes of this thread lie further on
    }
}

__global__ void fill_shared(std::uint32_t pattern, int words, std::uint32_t* sink) {
  extern __shared__ std::uint32_t memory[];
  for (int i = static_cast<int>(threadIdx.x); i < words; i += static_cast<int>(blockDim.x))
    memory[i] = pattern;
  __syncthreads();
  // Never true for the patterns in use; keeps the stores alive.
  if (memory[threadIdx.x] == 0x600dc0deu) *sink = pattern;
}

}  // namespace

std::int64_t device_page_bytes() {
  static const std::int64_t bytes = [] {
    const CUmemAllocationProp properties = properties_of_memory();
    std::size_t granularity = 0;
    checked(Driver::get().granularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
            "granularity");
    return static_cast<std::int64_t>(granularity);
  }();
  return bytes;
}

DeviceArena::DeviceArena(std::int64_t total_bytes, const std::vector<DeviceSpan>& chunks,
                         std::int64_t guard_bytes, bool read_only_view)
    : total_bytes_(total_bytes) {
  const Driver& driver = Driver::get();
  const std::int64_t page = device_page_bytes();
  guard_bytes_ = (guard_bytes + page - 1) / page * page;
  reserved_bytes_ = (total_bytes + page - 1) / page * page + 2 * guard_bytes_;
  try {
    const auto reserve = [&](unsigned long long& range) {
      CUdeviceptr address = 0;
      checked(driver.reserve(&address, static_cast<std::size_t>(reserved_bytes_), 0, 0, 0),
              "device address space");
      range = address;
      return reinterpret_cast<std::byte*>(address) + guard_bytes_;
    };
    kernel_ = reserve(kernel_range_);
    harness_ = read_only_view ? reserve(harness_range_) : kernel_;
    const CUmemAllocationProp properties = properties_of_memory();
    const CUmemAccessDesc write = access(CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
                          read = access(CU_MEM_ACCESS_FLAGS_PROT_READ);
    for (const DeviceSpan& chunk : chunks) {
      ASSAY_CHECK(chunk.begin % page == 0 && chunk.end % page == 0 && chunk.begin < chunk.end);
      Mapped& mapped = mapped_.emplace_back();
      mapped.span = chunk;
      const auto bytes = static_cast<std::size_t>(chunk.end - chunk.begin);
      CUmemGenericAllocationHandle handle = 0;
      checked(driver.create(&handle, bytes, &properties, 0), "device memory");
      mapped.handle = handle;
      const auto map = [&](std::byte* base, const CUmemAccessDesc& rights, bool& done) {
        const auto address = reinterpret_cast<CUdeviceptr>(base + chunk.begin);
        checked(driver.map(address, bytes, 0, handle, 0), "device mapping");
        done = true;
        checked(driver.set_access(address, bytes, &rights, 1), "device access rights");
      };
      map(harness_, write, mapped.in_harness);
      if (read_only_view) map(kernel_, read, mapped.in_kernel);
    }
  } catch (...) {
    release();
    throw;
  }
}

DeviceArena::~DeviceArena() { release(); }

void DeviceArena::release() {
  const Driver& driver = Driver::get();
  for (const Mapped& mapped : mapped_) {
    const auto bytes = static_cast<std::size_t>(mapped.span.end - mapped.span.begin);
    if (mapped.in_harness) driver.unmap(reinterpret_cast<CUdeviceptr>(harness_ + mapped.span.begin), bytes);
    if (mapped.in_kernel) driver.unmap(reinterpret_cast<CUdeviceptr>(kernel_ + mapped.span.begin), bytes);
    if (mapped.handle != 0) driver.release(mapped.handle);
  }
  mapped_.clear();
  if (kernel_range_ != 0) driver.free(kernel_range_, static_cast<std::size_t>(reserved_bytes_));
  if (harness_range_ != 0) driver.free(harness_range_, static_cast<std::size_t>(reserved_bytes_));
  kernel_range_ = harness_range_ = 0;
}

bool DeviceArena::holds(std::uint64_t address, std::int64_t& offset) const {
  for (const std::byte* base : {kernel_, harness_}) {
    offset = static_cast<std::int64_t>(address - reinterpret_cast<std::uint64_t>(base));
    if (offset >= -guard_bytes_ && offset < reserved_bytes_ - guard_bytes_) return true;
  }
  return false;
}

void copy_to_device(void* device, const void* host, std::int64_t bytes) {
  if (bytes > 0)
    checked(cudaMemcpy(device, host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice),
            "copy to device");
}
void copy_from_device(void* host, const void* device, std::int64_t bytes) {
  if (bytes > 0)
    checked(cudaMemcpy(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost),
            "copy from device");
}
void fill_device(void* device, std::uint8_t byte, std::int64_t bytes) {
  if (bytes > 0) checked(cudaMemset(device, byte, static_cast<std::size_t>(bytes)), "fill on device");
}

std::int64_t first_other_byte(const void* device, std::uint8_t byte, std::int64_t bytes) {
  if (bytes <= 0) return -1;
  static unsigned long long* found = nullptr;
  if (found == nullptr) checked(cudaMalloc(&found, sizeof *found), "device memory");
  checked(cudaMemset(found, 0xff, sizeof *found), "fill on device");
  const int ctas = static_cast<int>(std::min<std::int64_t>((bytes + 255) / 256, 1024));
  find_other_byte<<<ctas, 256>>>(static_cast<const unsigned char*>(device), byte, bytes, found);
  checked(cudaGetLastError(), "comparison on device");
  unsigned long long first = 0;
  copy_from_device(&first, found, sizeof first);
  return first == ~0ull ? -1 : static_cast<std::int64_t>(first);
}

void dirty_shared_memory(std::uint32_t pattern) {
  static std::uint32_t* sink = nullptr;
  static int bytes = 0, processors = 0;
  if (sink == nullptr) {
    int device = 0;
    checked(cudaGetDevice(&device), "cudaGetDevice");
    checked(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory");
    checked(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "processors");
    checked(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
            "shared memory");
    checked(cudaMalloc(&sink, sizeof *sink), "device memory");
  }
  // One CTA per SM fits at this size; twice as many, so that no SM is passed over.
  fill_shared<<<2 * processors, 256, static_cast<std::size_t>(bytes)>>>(pattern, bytes / 4, sink);
  checked(cudaGetLastError(), "dirty shared memory");
}

void wait_for_device() { checked(cudaDeviceSynchronize(), "the device"); }

DeviceStream::DeviceStream() {
  cudaStream_t stream = nullptr;
  checked(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  stream_ = stream;
}
DeviceStream::~DeviceStream() { cudaStreamDestroy(static_cast<cudaStream_t>(stream_)); }

std::string DeviceStream::wait() const {
  const cudaError_t status = cudaStreamSynchronize(static_cast<cudaStream_t>(stream_));
  return status == cudaSuccess ? ""
                               : std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status);
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count == 0 ? "no device" : "";
}

}  // namespace assay
