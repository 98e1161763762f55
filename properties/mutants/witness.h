// The reachability witness: a planted fault counts how often its line ran with a state in which the
// fault changes something. A mutant that survives without a witness was never reached; one that survives
// with a witness is a hole in the suite.
#pragma once

#include <cstdint>

namespace assay::properties {

namespace detail {
inline std::int64_t witness_count = 0;
}

inline void reset_witness() { detail::witness_count = 0; }
[[nodiscard]] inline std::int64_t witness() { return detail::witness_count; }
// Returns `differs`, and counts it.
inline bool witnessed(bool differs) {
  detail::witness_count += differs ? 1 : 0;
  return differs;
}

}  // namespace assay::properties
