// A short life of an allocator, event by event with every parameter: what a failing campaign leaves behind.
// The file (assay.allocator-case/1) does not depend on the generator.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "properties/allocator/allocator.h"

namespace assay::properties {

enum class EventKind : std::uint8_t { kAdmit, kComputed, kAppend, kRelease, kMakeRoom, kBeginStep, kEndStep };
[[nodiscard]] const char* name_of(EventKind kind);

struct AllocatorEvent {
  EventKind kind = EventKind::kAdmit;
  std::int32_t sequence = 0;  // or the number of blocks to make room for
  Tokens tokens;              // the prompt; or the one token
  friend bool operator==(const AllocatorEvent&, const AllocatorEvent&) = default;
};

struct AllocatorHistory {
  AllocatorShape shape;
  std::vector<AllocatorEvent> events;
};

[[nodiscard]] AllocatorHistory generate_history(std::uint64_t seed, std::int64_t index);
[[nodiscard]] nlohmann::ordered_json to_json(const AllocatorHistory& history);
// InputError with the place; unknown keys are refused.
[[nodiscard]] AllocatorHistory history_from_json(const nlohmann::ordered_json& json,
                                                 const std::string& place);

// Which rule was broken, and where. The empty name: none.
struct AllocatorBreach {
  std::string oracle;  // INV, CONT, LOCK, ATOM, CAPX, KEY, QUIES, PROG
  std::string text;
  std::int64_t event = -1;
  [[nodiscard]] bool broken() const { return !oracle.empty(); }
};

// Lives the history on the allocator and on the plain reference beside it; stops at the first breach. Events
// that make no sense (a sequence that is not there) are passed over, so that any part of a history is one.
struct AllocatorLife {
  AllocatorBreach breach;
  std::int64_t events = 0;   // that made sense
  std::uint64_t digest = 0;  // of every answer and table
};
[[nodiscard]] AllocatorLife live_history(const AllocatorHistory& history, Allocator& allocator);

}  // namespace assay::properties
