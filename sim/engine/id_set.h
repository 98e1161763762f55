// A set of 64-bit ids that only grows: which hash ids of a trace have been seen. Open addressing in one array
// of 8 bytes a slot, at most three quarters full, so that millions of ids cost little more than themselves.
//
// What it does not do: forget an id, iterate.
#pragma once

#include <cstdint>
#include <vector>

namespace assay {

class IdSet {
 public:
  // True when the id was not there before.
  bool insert(std::int64_t id) {
    if (id == kEmpty) {
      const bool is_new = !has_empty_id_;
      has_empty_id_ = true;
      return is_new;
    }
    if (slots_.empty() || (count_ + 1) * 4 > slots_.size() * 3) grow();
    std::int64_t& slot = slots_[slot_of(id)];
    if (slot == id) return false;
    slot = id;
    ++count_;
    return true;
  }
  [[nodiscard]] bool contains(std::int64_t id) const {
    if (id == kEmpty) return has_empty_id_;
    return !slots_.empty() && slots_[slot_of(id)] == id;
  }
  [[nodiscard]] std::size_t size() const { return count_ + (has_empty_id_ ? 1 : 0); }

 private:
  static constexpr std::int64_t kEmpty = INT64_MIN;  // a slot without an id; this id itself is kept apart

  [[nodiscard]] std::size_t slot_of(std::int64_t id) const {
    auto x = static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 32;
    std::size_t slot = x & (slots_.size() - 1);
    while (slots_[slot] != kEmpty && slots_[slot] != id) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }
  void grow() {
    std::vector<std::int64_t> old(slots_.empty() ? 1024 : slots_.size() * 2, kEmpty);
    old.swap(slots_);
    for (const std::int64_t id : old)
      if (id != kEmpty) slots_[slot_of(id)] = id;
  }

  std::vector<std::int64_t> slots_;  // a power of two
  std::size_t count_ = 0;
  bool has_empty_id_ = false;
};

}  // namespace assay
