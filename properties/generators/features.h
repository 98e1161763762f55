// What a case contains, read from the case itself: the cells of the coverage grid.
//
//   cell = operation x lane x feature
//
// A campaign that never hit a cell says so; a generator that stopped making a feature is found by the
// grid, not believed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "properties/cases/kernel_case.h"

namespace assay::properties {

inline constexpr int kFeatures = 43;
[[nodiscard]] const char* feature_name(int feature);
// Bit f is set when the case has feature f.
[[nodiscard]] std::uint64_t features_of(const KernelCase& kernel_case);
// Bit f is set when the operation can have feature f at all.
[[nodiscard]] std::uint64_t possible_features(Operation operation);

// Counts which cells were hit. Adding in any order gives the same grid.
// Index of a cell, and how often it was hit.
using CellCount = std::pair<std::int64_t, std::int64_t>;

class Coverage {
 public:
  Coverage();
  void add(const KernelCase& kernel_case);
  void add(const Coverage& other);
  void add(const std::vector<CellCount>& cells);
  [[nodiscard]] std::vector<CellCount> cells() const;  // those that were hit
  [[nodiscard]] std::int64_t hit() const;
  // Cells that the given operations can have.
  [[nodiscard]] static std::int64_t possible(const std::vector<Operation>& operations);
  [[nodiscard]] std::int64_t count(Operation operation, Lane lane, int feature) const;
  // "paged-mqa-logits x nan x sparse-pool" of cells never hit, in order.
  [[nodiscard]] std::vector<std::string> missing(const std::vector<Operation>& operations) const;

 private:
  std::vector<std::int64_t> cells_;
};

}  // namespace assay::properties
