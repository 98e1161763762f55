// Refusals of a case, with their place. Private to properties/cases.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "properties/cases/kernel_case.h"

namespace assay::properties {

inline constexpr std::int64_t kMany = std::int64_t{1} << 24;

// Collects refusals with their place.
struct Checks {
  const std::string& place;
  void range(const std::string& field, std::int64_t value, std::int64_t low, std::int64_t high) const {
    if (value < low || value > high)
      throw InputError(place + "." + field, fmt::format("{} to {}", low, high), std::to_string(value));
  }
  void count(const std::string& field, std::size_t got, std::int64_t want) const {
    if (static_cast<std::int64_t>(got) != want)
      throw InputError(place + "." + field, fmt::format("{} entries", want), std::to_string(got));
  }
  void wide_float(const std::string& field, ElementType type) const {
    if (bytes_of(type) < 2) throw InputError(place + "." + field, "fp32, bf16 or fp16", name_of(type));
  }
  void output(ElementType type) const {
    if (type != ElementType::kFp32 && type != ElementType::kBf16)
      throw InputError(place + ".output", "fp32 or bf16", name_of(type));
  }
};

// Places and tables for sequences of these lengths; block_bytes: what one block's elements span.
void check_pool(const Checks& checks, const Pool& pool, std::int64_t block_bytes,
                const std::vector<std::int64_t>& lengths);

}  // namespace assay::properties
