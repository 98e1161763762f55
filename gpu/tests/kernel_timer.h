// A kernel's own duration, as a profiler's activity records say it. The profiling library is looked up at run
// time; without it available() is false and only event intervals can be had.
#pragma once

#include <cupti.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace assay {

class KernelTimer {
 public:
  static KernelTimer& instance() {
    static KernelTimer timer;
    return timer;
  }
  [[nodiscard]] bool available() const { return enabled_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

  // Durations in nanoseconds of the kernels whose name contains `name`, that ended since the last call, in
  // order. The device must be idle.
  std::vector<std::int64_t> take(const std::string& name) {
    records_.clear();
    if (enabled_) flush_(1);
    std::vector<std::int64_t> durations;
    for (const Record& record : records_)
      if (record.name.find(name) != std::string::npos) durations.push_back(record.ns);
    return durations;
  }

 private:
  struct Record {
    std::string name;
    std::int64_t ns;
  };
  static constexpr std::size_t kBufferBytes = 8 << 20;

  KernelTimer() {
    void* library = nullptr;
    for (const char* path :
         {"libcupti.so.13", "libcupti.so", "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so",
          "/usr/local/cuda/lib64/libcupti.so.13"})
      if (library == nullptr) library = dlopen(path, RTLD_NOW);
    if (library == nullptr) {
      reason_ = "the profiling library cannot be loaded";
      return;
    }
    const auto enable =
        reinterpret_cast<decltype(&cuptiActivityEnable)>(dlsym(library, "cuptiActivityEnable"));
    const auto callbacks = reinterpret_cast<decltype(&cuptiActivityRegisterCallbacks)>(
        dlsym(library, "cuptiActivityRegisterCallbacks"));
    flush_ = reinterpret_cast<decltype(flush_)>(dlsym(library, "cuptiActivityFlushAll"));
    next_ = reinterpret_cast<decltype(next_)>(dlsym(library, "cuptiActivityGetNextRecord"));
    if (enable == nullptr || callbacks == nullptr || flush_ == nullptr || next_ == nullptr) {
      reason_ = "the profiling library lacks a function";
      return;
    }
    callbacks(give_buffer, take_buffer);
    const CUptiResult status = enable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
    enabled_ = status == CUPTI_SUCCESS;
    if (!enabled_)
      reason_ = "activity records refused with status " + std::to_string(static_cast<int>(status));
  }

  static void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(64, kBufferBytes));
    *size = kBufferBytes;
    *most_records = 0;
  }
  static void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                                   std::size_t valid) {
    KernelTimer& timer = instance();
    CUpti_Activity* record = nullptr;
    while (timer.next_(buffer, valid, &record) == CUPTI_SUCCESS) {
      if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      timer.records_.push_back({kernel->name, static_cast<std::int64_t>(kernel->end - kernel->start)});
    }
    std::free(buffer);
  }

  bool enabled_ = false;
  std::string reason_;
  std::vector<Record> records_;
  decltype(&cuptiActivityFlushAll) flush_ = nullptr;
  decltype(&cuptiActivityGetNextRecord) next_ = nullptr;
};

}  // namespace assay
