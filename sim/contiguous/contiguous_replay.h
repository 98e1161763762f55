// Serving without pages: every request gets one contiguous extent before it starts and keeps it until it
// ends. The baselines of the vLLM paper (its Orca variants), over a real buddy allocator.
//
//   reserve max            the model's longest context, whatever the request
//   reserve power-of-two   prompt + smallest power of two >= output (a system that guesses within 2x)
//   reserve oracle         exactly what the request will write (a system that knows the future)
//
// One extent, and the six places its slots and the pool's can be in after a step:
//
//   |<----------------- extent, a power of two ------------------->|
//   |<------------ what was asked for ------------->|   rounding   |   ... extents nobody has ...
//   |   live   |   reserved   |      internal       |                 external while a request waits that
//    written     will be used   never used by this one                fits in none of them, else free
//
// The six sum to the pool after every step, in integers. Steps: waiting requests start in order of
// arrival while the first of them finds an extent (iteration-level batching, nobody overtakes); then every
// running request does one iteration: its whole prompt and the first token, or one token. A request
// with `in` and `out` tokens writes in + s slots by its s-th iteration, s = 0 .. out - 1: the last token
// is never read back. Nothing is preempted and nothing is shared. No token budget, no chunking.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/request.h"

namespace assay {

enum class Reservation { kMax, kPowerOfTwo, kOracle };

[[nodiscard]] std::vector<std::string> reservation_names();
[[nodiscard]] std::string reservation_name(Reservation reservation);
// Throws InputError naming `place` and the reservations there are.
[[nodiscard]] Reservation reservation_of(std::string_view name, const std::string& place = "--reserve");

// Slots a request writes at most.
[[nodiscard]] constexpr std::int64_t written_slots(std::int64_t input_tokens, std::int64_t output_tokens) {
  return input_tokens + (output_tokens > 0 ? output_tokens - 1 : 0);
}
// Slots asked for; at most max_tokens, at least written_slots() of a request that fits in max_tokens.
[[nodiscard]] std::int64_t slots_to_reserve(Reservation reservation, std::int64_t input_tokens,
                                            std::int64_t output_tokens, std::int64_t max_tokens);

struct ContiguousReplayOptions {
  std::int64_t pool_slots = 0;
  Reservation reservation = Reservation::kMax;
  std::int64_t max_tokens = 2048;  // the model's longest context; longer requests are rejected
  std::int64_t max_sequences = 0;  // running at once; 0 = as many as fit
  std::int64_t step_ns = 0;        // duration of a step; 0 = no clock, everything has arrived at the start
  const std::atomic<bool>* interrupted = nullptr;
};

// Slots of the pool by what they are doing.
struct ContiguousLedger {
  std::int64_t live = 0, reserved = 0, internal = 0, rounding = 0, external = 0, free = 0;
  [[nodiscard]] std::int64_t sum() const { return live + reserved + internal + rounding + external + free; }
  ContiguousLedger& operator+=(const ContiguousLedger& other) {
    live += other.live;
    reserved += other.reserved;
    internal += other.internal;
    rounding += other.rounding;
    external += other.external;
    free += other.free;
    return *this;
  }
  friend bool operator==(const ContiguousLedger& a, const ContiguousLedger& b) {
    return a.live == b.live && a.reserved == b.reserved && a.internal == b.internal &&
           a.rounding == b.rounding && a.external == b.external && a.free == b.free;
  }
};

struct ContiguousReplayResult {
  std::int64_t requests = 0, completed = 0, rejected = 0;
  std::int64_t input_tokens = 0, output_tokens = 0;
  std::int64_t steps = 0;  // steps in which something ran; idle time has none
  // Sums over steps, slot-steps: divide by steps * pool_slots for shares. _waiting: only steps in which
  // a request waited for room, the state the paper's figure is about.
  ContiguousLedger ledger;
  ContiguousLedger ledger_waiting;
  std::int64_t steps_waiting = 0;
  std::int64_t running = 0;          // sum over steps
  std::int64_t running_waiting = 0;  // the same, while a request waited
  std::int64_t peak_live = 0, p50_live = 0, p99_live = 0;
  std::int64_t peak_running = 0;
  std::int64_t largest_free = 0;  // sum over steps of the largest free extent
  std::int64_t end_ns = 0;        // with a clock: when the last step ended
  bool partial = false;           // interrupted
};

// What the pool looks like after a step; tests compare it with a walk over every slot.
class ContiguousObserver {
 public:
  virtual ~ContiguousObserver() = default;
  virtual void after_step(std::int64_t step, const ContiguousLedger& ledger) = 0;
};

[[nodiscard]] ContiguousReplayResult replay_contiguous(RequestSource& requests,
                                                       const ContiguousReplayOptions& options,
                                                       ContiguousObserver* observer = nullptr);

}  // namespace assay
