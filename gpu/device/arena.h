// Device memory with nobody's pages around it, from the virtual-memory API.
//
//   reserved    | guard |  chunk  | hole |  chunk  | guard |      an access to guard or hole faults
//   mapped              [0 .. M)           2 MiB pages
//
// A tensor that ends where its chunk ends cannot be read past its end unseen; sparse ranges put blocks at
// offsets beyond 2^32 bytes for the price of the pages that hold them. The same physical pages are mapped
// twice when the kernel's view shall be read-only: a store through that view faults, the harness writes
// through the other.
//
// Runs on every chip with virtual memory (sm_80 and later); nothing links the driver, its functions are
// looked up at run time. No CUDA type appears here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace assay {

struct DeviceSpan {
  std::int64_t begin = 0, end = 0;  // bytes
};

// Bytes of a mapping unit; throws EnvironmentError when there is no device or no virtual memory on it.
[[nodiscard]] std::int64_t device_page_bytes();

class DeviceArena {
 public:
  // Chunks: ascending, disjoint, multiples of device_page_bytes(), within [0, total_bytes).
  DeviceArena(std::int64_t total_bytes, const std::vector<DeviceSpan>& chunks, std::int64_t guard_bytes,
              bool read_only_view);
  ~DeviceArena();
  DeviceArena(const DeviceArena&) = delete;
  DeviceArena& operator=(const DeviceArena&) = delete;

  // Address of byte 0, as the kernel sees it and as the harness writes it.
  [[nodiscard]] std::byte* kernel_view() const { return kernel_; }
  [[nodiscard]] std::byte* harness_view() const { return harness_; }
  // Does the address lie in the range or its guards, in either view? Its offset then.
  [[nodiscard]] bool holds(std::uint64_t address, std::int64_t& offset) const;

 private:
  struct Mapped {
    unsigned long long handle = 0;
    DeviceSpan span;
    bool in_kernel = false, in_harness = false;
  };
  void release();

  std::byte *kernel_ = nullptr, *harness_ = nullptr;
  unsigned long long kernel_range_ = 0, harness_range_ = 0;
  std::int64_t total_bytes_ = 0, guard_bytes_ = 0, reserved_bytes_ = 0;
  std::vector<Mapped> mapped_;
};

// Plain operations, synchronous with the default stream. Every failure is an EnvironmentError that carries
// CUDA's words; after an illegal access all of them fail for the rest of the process's life.
void copy_to_device(void* device, const void* host, std::int64_t bytes);
void copy_from_device(void* host, const void* device, std::int64_t bytes);
void fill_device(void* device, std::uint8_t byte, std::int64_t bytes);
// The first of `bytes` bytes at `device` that is not `byte`; -1: all are.
[[nodiscard]] std::int64_t first_other_byte(const void* device, std::uint8_t byte, std::int64_t bytes);
// Fills every SM's shared memory with the byte pattern, so that a kernel cannot live on what was there.
void dirty_shared_memory(std::uint32_t pattern);

// Waits for everything on the device.
void wait_for_device();

// A stream that is not the default one.
class DeviceStream {
 public:
  DeviceStream();
  ~DeviceStream();
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;
  [[nodiscard]] void* get() const { return stream_; }
  // Waits; "" or what CUDA says went wrong.
  [[nodiscard]] std::string wait() const;

 private:
  void* stream_ = nullptr;
};

// "" when a device can be used, or why not.
[[nodiscard]] std::string why_no_device();

}  // namespace assay
