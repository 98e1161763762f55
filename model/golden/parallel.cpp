#include "model/golden/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "model/core/check.h"
#include "model/golden/tensor.h"

namespace assay {

int workers_within_scratch(int threads, std::int64_t bytes_per_worker) {
  if (threads < 1) throw InputError("execution.threads", "1 or more", std::to_string(threads));
  const std::int64_t fitting = kScratchBytes / std::max<std::int64_t>(bytes_per_worker, 1);
  return static_cast<int>(std::clamp<std::int64_t>(fitting, 1, threads));
}

void parallel_for(std::int64_t items, int workers, const std::function<void(std::int64_t, int)>& body) {
  ASSAY_CHECK_GE(workers, 1);
  if (workers == 1 || items <= 1) {
    for (std::int64_t item = 0; item < items; ++item) body(item, 0);
    return;
  }
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&](int worker) {
    try {
      for (std::int64_t item = next++; item < items; item = next++) body(item, worker);
    } catch (...) {
      next = items;
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  const int count = static_cast<int>(std::min<std::int64_t>(workers, items));
  for (int worker = 1; worker < count; ++worker) threads.emplace_back(work, worker);
  work(0);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace assay
