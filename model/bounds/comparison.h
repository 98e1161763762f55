// One element against its bound, and the report over many.
//
//   pass  <=>  RN(golden - B) <= got <= RN(golden + B)      RN: rounding to the output's type
//
// RN is monotone, so this is exact: the rounding of the output costs no slack at all. The headroom
//   r = distance(golden, preimage of got under RN) / B
// says how much of the bound an element used: pass <=> r <= 1. NaN, infinities, masks and untouched
// bytes are compared by class and by bits, never by tolerance.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "model/core/float_formats.h"

namespace assay {

// What became of one element. Anything but kPass is wrong.
enum class ElementClass {
  kPass,
  kOutOfBound,  // finite, but farther than the bound allows
  kNotANumber,  // NaN where a number belongs
  kNotNan,      // a number where NaN belongs
  kInfinite,    // an infinity where a finite number belongs, or the wrong sign of it
  kMaskBroken,  // a masked element that is not exactly -inf
  kStrayWrite,  // a byte that had to stay untouched was written
};

[[nodiscard]] const char* name_of(ElementClass element);

struct Verdict {
  ElementClass element = ElementClass::kPass;
  double headroom = 0;  // infinite when the classes differ
};

// golden and bound (>= 0) in double, got a value of `type`.
[[nodiscard]] Verdict judge_element(double golden, double bound, double got, ElementType type);

// The preimage of a finite `value` of `type` under round-to-nearest: closed interval.
struct Preimage {
  double low = 0, high = 0;
};
[[nodiscard]] Preimage rounding_preimage(double value, ElementType type);

// Where an element lies. Meaning of the axes: the operation's own names, e.g. {"row", "position"}.
using Coordinates = std::array<std::int64_t, 3>;

struct ElementFinding {
  Coordinates at{};
  double golden = 0, got = 0, bound = 0, headroom = 0;
  ElementClass element = ElementClass::kPass;
};

// Collects verdicts. Merging reports of disjoint parts gives the same report in any order.
class ComparisonReport {
 public:
  ComparisonReport() = default;
  explicit ComparisonReport(std::array<const char*, 3> axes) : axes_(axes) {}

  void add(const Coordinates& at, double golden, double bound, double got, ElementType type);
  void add_finding(const ElementFinding& finding);  // masks and stray writes
  // Elements that are right and use none of their bound worth reporting: masks found intact.
  void count_right(std::int64_t elements) {
    count_ += elements;
    by_class_[static_cast<std::size_t>(ElementClass::kPass)] += elements;
  }
  void merge(const ComparisonReport& other);

  [[nodiscard]] bool passed() const { return wrong_ == 0; }
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t wrong() const { return wrong_; }
  [[nodiscard]] std::int64_t wrong(ElementClass element) const {
    return by_class_[static_cast<std::size_t>(element)];
  }
  // The element with the largest headroom; among equals the first in coordinate order.
  [[nodiscard]] const std::optional<ElementFinding>& worst() const { return worst_; }
  [[nodiscard]] double worst_headroom() const { return worst_ ? worst_->headroom : 0.0; }
  [[nodiscard]] const std::array<const char*, 3>& axes() const { return axes_; }
  // "3 of 4096 wrong; worst at row 2, position 17: expected 0.25 +- 1e-5, got 0.5 (r 2.5e4, out of bound)"
  [[nodiscard]] std::string summary() const;

 private:
  std::array<const char*, 3> axes_{"", "", ""};  // "" = axis not used
  std::int64_t count_ = 0, wrong_ = 0;
  std::array<std::int64_t, 7> by_class_{};
  std::optional<ElementFinding> worst_;
};

}  // namespace assay
