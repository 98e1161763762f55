// What an operation accepts, as data: one table per operation, which does the check and prints itself.
// A refusal names the place, what was expected and what came (InputError).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "model/core/float_formats.h"
#include "model/golden/tensor.h"

namespace assay {

// value in [low, high], a multiple of `multiple`.
struct ShapeRule {
  const char* name;
  std::int64_t low, high, multiple;
};

struct TypeRule {
  const char* name;
  std::vector<ElementType> types;
};

struct Preconditions {
  const char* operation;
  std::vector<ShapeRule> shapes;
  std::vector<TypeRule> types;

  // Throws InputError(operation + "." + name, rule, value). A name without a rule is a bug of ours.
  void check(const char* name, std::int64_t value) const;
  void check_type(const char* name, ElementType type) const;
  // The table, one rule per line, for help texts and documents.
  [[nodiscard]] std::string describe() const;
};

// A free-form precondition: `holds` or InputError(operation + "." + what, expected, got).
void require(bool holds, const Preconditions& table, const std::string& what, const std::string& expected,
             const std::string& got);

// shape == expected, axis by axis; every extent non-negative; data present when there are elements.
template <int kRank>
void check_view(const Preconditions& table, const char* name, const void* data, const Extents<kRank>& shape,
                const Extents<kRank>& expected) {
  bool any = true;
  for (int axis = 0; axis < kRank; ++axis) {
    require(shape[axis] == expected[axis], table, std::string(name) + ".shape[" + std::to_string(axis) + "]",
            std::to_string(expected[axis]), std::to_string(shape[axis]));
    any = any && shape[axis] > 0;
  }
  require(!any || data != nullptr, table, std::string(name) + ".data", "memory", "a null pointer");
}

}  // namespace assay
