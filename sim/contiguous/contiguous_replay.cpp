#include "sim/contiguous/contiguous_replay.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>

#include "model/core/check.h"
#include "sim/contiguous/buddy_allocator.h"

namespace assay {
namespace {

constexpr std::array<std::pair<Reservation, std::string_view>, 3> kReservations{{
    {Reservation::kMax, "max"},
    {Reservation::kPowerOfTwo, "power-of-two"},
    {Reservation::kOracle, "oracle"},
}};

struct Running {
  Extent extent;
  std::int64_t asked = 0;   // slots asked for, <= extent.slots
  std::int64_t prompt = 0;  // slots its first iteration writes; every later one writes one
  std::int64_t last = 0;    // slots written at its end
  std::int64_t live = 0;    // slots written so far
  bool started = false;
};

// The requests in order of arrival, one at a time.
class Arrivals {
 public:
  Arrivals(RequestSource& requests, const ContiguousReplayOptions& options)
      : requests_(requests), has_clock_(options.step_ns > 0) {
    advance();
  }
  // The first request that has not been taken; null at the end.
  [[nodiscard]] const Request* first() const { return more_ ? &request_ : nullptr; }
  [[nodiscard]] bool has_arrived(std::int64_t now_ns) const {
    return !has_clock_ || request_.arrival_ns <= now_ns;
  }
  void advance() { more_ = requests_.next(request_); }

 private:
  RequestSource& requests_;
  bool has_clock_;
  bool more_ = false;
  Request request_;
};

class Replay {
 public:
  Replay(RequestSource& requests, const ContiguousReplayOptions& options, ContiguousObserver* observer)
      : options_(options),
        observer_(observer),
        buddy_(options.pool_slots),
        arrivals_(requests, options),
        steps_with_live_(static_cast<std::size_t>(options.pool_slots) + 1, 0) {}

  ContiguousReplayResult run() {
    for (;;) {
      if (options_.interrupted && options_.interrupted->load(std::memory_order_relaxed)) {
        result_.partial = true;
        break;
      }
      const bool waiting = admit();
      if (running_.empty()) {
        // Nobody runs and nobody waits for room (an empty pool has room for every admissible request):
        // go to the next arrival, or end.
        if (arrivals_.first() == nullptr) break;
        now_ns_ = std::max(now_ns_, arrivals_.first()->arrival_ns);
        continue;
      }
      step(waiting);
    }
    result_.end_ns = now_ns_;
    set_percentiles();
    return result_;
  }

 private:
  // Starts what can start; true when an arrived request is left waiting for room in the pool.
  bool admit() {
    while (const Request* request = arrivals_.first()) {
      if (!arrivals_.has_arrived(now_ns_)) return false;
      if (options_.max_sequences > 0 && static_cast<std::int64_t>(running_.size()) >= options_.max_sequences)
        return false;
      const std::int64_t last = written_slots(request->input_tokens, request->output_tokens);
      const bool fits =
          request->input_tokens >= 0 && request->output_tokens >= 0 && last <= options_.max_tokens;
      const std::int64_t asked =
          fits ? std::max<std::int64_t>(1, slots_to_reserve(options_.reservation, request->input_tokens,
                                                            request->output_tokens, options_.max_tokens))
               : 0;
      if (!fits || BuddyAllocator::allocated_slots(asked) > buddy_.largest_root()) {
        count(*request);
        ++result_.rejected;
        arrivals_.advance();
        continue;
      }
      const std::optional<Extent> extent = buddy_.allocate(asked);
      if (!extent) return true;
      running_.push_back({*extent, asked, request->input_tokens, last, 0, false});
      asked_ += asked;
      allocated_ += extent->slots;
      last_ += last;
      count(*request);
      arrivals_.advance();
    }
    return false;
  }

  void count(const Request& request) {
    ++result_.requests;
    result_.input_tokens += request.input_tokens;
    result_.output_tokens += request.output_tokens;
  }

  // One iteration of everybody, then the ledger, then those that are done leave.
  void step(bool waiting) {
    for (Running& sequence : running_) {
      const std::int64_t added = sequence.started ? 1 : sequence.prompt;
      sequence.started = true;
      sequence.live += added;
      live_ += added;
    }
    account(waiting);
    now_ns_ += options_.step_ns;
    ++result_.steps;
    leave();
  }

  void account(bool waiting) {
    ContiguousLedger now;
    now.live = live_;
    now.reserved = last_ - live_;
    now.internal = asked_ - last_;
    now.rounding = allocated_ - asked_;
    (waiting ? now.external : now.free) = buddy_.free_slots();
    ASSAY_CHECK_EQ(now.sum(), options_.pool_slots);
    const auto running = static_cast<std::int64_t>(running_.size());
    result_.ledger += now;
    result_.running += running;
    result_.largest_free += buddy_.largest_free_extent();
    result_.peak_live = std::max(result_.peak_live, live_);
    result_.peak_running = std::max(result_.peak_running, running);
    ++steps_with_live_[static_cast<std::size_t>(live_)];
    if (waiting) {
      result_.ledger_waiting += now;
      result_.running_waiting += running;
      ++result_.steps_waiting;
    }
    if (observer_ != nullptr) observer_->after_step(result_.steps, now);
  }

  void leave() {
    std::size_t kept = 0;
    for (const Running& sequence : running_) {
      if (sequence.live < sequence.last) {
        running_[kept++] = sequence;
        continue;
      }
      buddy_.free(sequence.extent);
      asked_ -= sequence.asked;
      allocated_ -= sequence.extent.slots;
      last_ -= sequence.last;
      live_ -= sequence.live;
      ++result_.completed;
    }
    running_.resize(kept);
  }

  void set_percentiles() {
    const auto at = [&](std::int64_t percent) -> std::int64_t {
      std::int64_t seen = 0;
      for (std::size_t live = 0; live < steps_with_live_.size(); ++live) {
        seen += steps_with_live_[live];
        if (result_.steps > 0 && seen * 100 >= result_.steps * percent)
          return static_cast<std::int64_t>(live);
      }
      return 0;
    };
    result_.p50_live = at(50);
    result_.p99_live = at(99);
  }

  ContiguousReplayOptions options_;
  ContiguousObserver* observer_;
  BuddyAllocator buddy_;
  Arrivals arrivals_;
  std::vector<Running> running_;
  std::int64_t live_ = 0, last_ = 0, asked_ = 0, allocated_ = 0;  // sums over running_
  std::int64_t now_ns_ = 0;
  std::vector<std::int64_t> steps_with_live_;  // [pool_slots + 1]
  ContiguousReplayResult result_;
};

}  // namespace

std::vector<std::string> reservation_names() {
  std::vector<std::string> names;
  for (const auto& [reservation, name] : kReservations) names.emplace_back(name);
  return names;
}

std::string reservation_name(Reservation reservation) {
  for (const auto& [listed, name] : kReservations)
    if (listed == reservation) return std::string(name);
  ASSAY_CHECK(false, "a reservation without a name");
  return {};
}

Reservation reservation_of(std::string_view name, const std::string& place) {
  std::string expected;
  for (const auto& [reservation, listed] : kReservations) {
    if (listed == name) return reservation;
    expected += (expected.empty() ? "one of " : ", ") + std::string(listed);
  }
  throw InputError(place, expected, "'" + std::string(name) + "'");
}

std::int64_t slots_to_reserve(Reservation reservation, std::int64_t input_tokens, std::int64_t output_tokens,
                              std::int64_t max_tokens) {
  const auto guessed = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(output_tokens)));
  switch (reservation) {
    case Reservation::kMax: return max_tokens;
    case Reservation::kPowerOfTwo: return std::min(max_tokens, input_tokens + guessed);
    case Reservation::kOracle: return written_slots(input_tokens, output_tokens);
  }
  ASSAY_CHECK(false, "a reservation without a rule");
  return 0;
}

ContiguousReplayResult replay_contiguous(RequestSource& requests, const ContiguousReplayOptions& options,
                                         ContiguousObserver* observer) {
  const auto want = [](bool holds, const char* place, const char* expected, std::int64_t got) {
    if (!holds) throw InputError(place, expected, std::to_string(got));
  };
  want(options.pool_slots > 0, "pool_slots", "at least 1", options.pool_slots);
  want(options.max_tokens > 0, "max_tokens", "at least 1", options.max_tokens);
  want(options.max_sequences >= 0, "max_sequences", "at least 0 (0 = as many as fit)", options.max_sequences);
  want(options.step_ns >= 0, "step_ns", "at least 0 (0 = no clock)", options.step_ns);
  return Replay(requests, options, observer).run();
}

}  // namespace assay
