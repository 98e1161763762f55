// Where every token slot of the pool is after a step. The six places are integers and sum to the pool.
//
//   live         holds a token of a running sequence; a shared block counts once
//   tail         allocated to a running sequence and not written (yet)
//   reserved     promised to a sequence for later (engines that reserve; none here)
//   cached_idle  in a block without owner whose content can still be hit
//   null         the null block
//   free         nobody's
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "model/core/check.h"
#include "sim/engine/distribution.h"

namespace assay {

struct Ledger {
  std::int64_t live = 0, tail = 0, reserved = 0, cached_idle = 0, null = 0, free = 0;
  [[nodiscard]] std::int64_t sum() const { return live + tail + reserved + cached_idle + null + free; }
};

inline constexpr std::array<std::string_view, 6> kLedgerPlaces{"live",        "tail", "reserved",
                                                               "cached_idle", "null", "free"};

[[nodiscard]] inline std::array<std::int64_t, 6> places_of(const Ledger& ledger) {
  return {ledger.live, ledger.tail, ledger.reserved, ledger.cached_idle, ledger.null, ledger.free};
}

// Integrates ledgers over time (or over steps, when every step weighs one) in 128-bit integers, so that the
// means sum to exactly the whole.
class LedgerMeter {
 public:
  explicit LedgerMeter(std::int64_t pool_slots) : pool_slots_(pool_slots) {}

  void add(const Ledger& ledger, std::int64_t weight) {
    ASSAY_CHECK_EQ(ledger.sum(), pool_slots_);
    const auto places = places_of(ledger);
    for (std::size_t i = 0; i < places.size(); ++i) sums_[i] += static_cast<Wide>(places[i]) * weight;
    weight_ += weight;
    if (ledger.live > peak_live_) peak_live_ = ledger.live;
    if (weight > 0) live_.add(static_cast<double>(ledger.live), static_cast<double>(weight));
  }
  // Share of the pool, averaged; place as in kLedgerPlaces.
  [[nodiscard]] double mean(std::size_t place) const {
    const Wide whole = static_cast<Wide>(pool_slots_) * weight_;
    return whole == 0 ? 0 : static_cast<double>(sums_[place]) / static_cast<double>(whole);
  }
  [[nodiscard]] std::int64_t peak_live() const { return peak_live_; }
  [[nodiscard]] const Distribution& live() const { return live_; }
  [[nodiscard]] std::int64_t pool_slots() const { return pool_slots_; }
  [[nodiscard]] bool empty() const { return weight_ == 0; }

 private:
  __extension__ using Wide = __int128;
  std::int64_t pool_slots_;
  std::array<Wide, 6> sums_{};
  std::int64_t weight_ = 0;
  std::int64_t peak_live_ = 0;
  Distribution live_;
};

}  // namespace assay
