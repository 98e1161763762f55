// What a sweep tries: axes of values, and the points made of them.
//
//   grid    every combination; the last axis turns fastest:  a1 b1, a1 b2, a2 b1, a2 b2
//   random  point n takes for axis a the value number philox(seed; n, a) mod |values|: the n-th point is the
//           same however many are drawn. A combination may come twice.
//
// Which axes mean anything is not known here: an axis is an option of `assay replay`, or "trace".
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace assay::tools {

struct Axis {
  std::string name;  // without dashes
  std::vector<std::string> values;
  bool operator==(const Axis&) const = default;
};

struct SweepDesign {
  std::vector<Axis> axes;
  std::int64_t random_points = 0;  // 0: the grid
  std::uint64_t seed = 1;

  [[nodiscard]] std::int64_t points() const;
  // For every axis which of its values point n takes.
  [[nodiscard]] std::vector<std::size_t> choices(std::int64_t point) const;
};

// {"--block-tokens", "16,64", "--evict=lru,fifo"} -> two axes. InputError for anything else, for an axis
// that comes twice and for an empty value.
[[nodiscard]] std::vector<Axis> axes_of_arguments(const std::vector<std::string>& arguments);

// {"trace": ["a.jsonl"], "block-tokens": [16, 64], "clock": "none"}: a list or a single value each.
[[nodiscard]] std::vector<Axis> axes_of_json(const nlohmann::ordered_json& spec, const std::string& place);

}  // namespace assay::tools
