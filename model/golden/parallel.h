// Spreads independent items over threads: worker w takes the next item that nobody has taken. Plain
// std::thread, because the thread sanitizer understands it (it does not see OpenMP's barriers).
#pragma once

#include <cstdint>
#include <functional>

namespace assay {

// The threads that may run so that threads * bytes_per_worker stays within kScratchBytes; at least 1.
[[nodiscard]] int workers_within_scratch(int threads, std::int64_t bytes_per_worker);

// Calls body(item, worker) once for every item in [0, items). The first exception is rethrown here
// after all workers have stopped.
void parallel_for(std::int64_t items, int workers, const std::function<void(std::int64_t, int)>& body);

}  // namespace assay
