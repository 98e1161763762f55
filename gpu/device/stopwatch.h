// What a benchmark needs of a device: event intervals on a stream, an emptied L2, its name, its clock, and how
// fast it copies. Settings are read and never changed. No CUDA type appears here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "gpu/device/arena.h"

namespace assay {

// Seconds between an event before and an event after what `work` puts into the stream. Waits for it.
// EnvironmentError with CUDA's words when it fails.
class DeviceStopwatch {
 public:
  DeviceStopwatch();
  ~DeviceStopwatch();
  DeviceStopwatch(const DeviceStopwatch&) = delete;
  DeviceStopwatch& operator=(const DeviceStopwatch&) = delete;
  [[nodiscard]] double seconds_of(const DeviceStream& stream, const std::function<void()>& work);

 private:
  void *begin_ = nullptr, *end_ = nullptr;
};

// Writes several times the L2's size into the stream.
void flush_device_cache(const DeviceStream& stream);

[[nodiscard]] std::string name_of_device();
// Of the SMs, now, as the management library tells it; 0 when it is not there.
[[nodiscard]] int device_clock_mhz();
// Bytes read plus bytes written per second by a copy of 1 GiB (less on small devices) within the device: median.
[[nodiscard]] double device_copy_bytes_per_second();

}  // namespace assay
