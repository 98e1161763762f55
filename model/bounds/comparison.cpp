#include "model/bounds/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/core/check.h"
#include "model/golden/tensor.h"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double largest_finite(ElementType type) {
  switch (type) {
    case ElementType::kFp32: return static_cast<double>(std::numeric_limits<float>::max());
    case ElementType::kBf16: return Bf16::decode(Bf16::kMax);
    case ElementType::kFp16: return Fp16::decode(Fp16::kMax);
    case ElementType::kE4M3: return E4M3::decode(E4M3::kMax);
    case ElementType::kE5M2: return E5M2::decode(E5M2::kMax);
  }
  return 0;
}

// The next value of the format above a finite magnitude >= 0; above the largest one, the value that the
// grid would have there.
template <typename Format>
double next_above(double magnitude) {
  const typename Format::Code code = Format::encode(magnitude);
  if (code == Format::kMax)
    return 2 * magnitude - Format::decode(static_cast<typename Format::Code>(code - 1));
  return Format::decode(static_cast<typename Format::Code>(code + 1));
}
template <typename Format>
double next_below(double magnitude) {  // magnitude > 0
  return Format::decode(static_cast<typename Format::Code>(Format::encode(magnitude) - 1));
}

double next_above(double magnitude, ElementType type) {
  switch (type) {
    case ElementType::kFp32: {
      const float value = static_cast<float>(magnitude);
      if (value == std::numeric_limits<float>::max()) return 0x1p128;
      return static_cast<double>(bit_cast<float>(bit_cast<std::uint32_t>(value) + 1));
    }
    case ElementType::kBf16: return next_above<Bf16>(magnitude);
    case ElementType::kFp16: return next_above<Fp16>(magnitude);
    case ElementType::kE4M3: return next_above<E4M3>(magnitude);
    case ElementType::kE5M2: return next_above<E5M2>(magnitude);
  }
  return 0;
}

double next_below(double magnitude, ElementType type) {
  switch (type) {
    case ElementType::kFp32:
      return static_cast<double>(bit_cast<float>(bit_cast<std::uint32_t>(static_cast<float>(magnitude)) - 1));
    case ElementType::kBf16: return next_below<Bf16>(magnitude);
    case ElementType::kFp16: return next_below<Fp16>(magnitude);
    case ElementType::kE4M3: return next_below<E4M3>(magnitude);
    case ElementType::kE5M2: return next_below<E5M2>(magnitude);
  }
  return 0;
}

// Rounding at the edge of the format: kernels overflow to infinity or saturate, both are roundings. The
// interval is the wider of the two.
double round_down_end(double value, ElementType type) {
  const double rounded = round_to(type, value);
  return rounded == kInfinity ? largest_finite(type) : rounded;
}
double round_up_end(double value, ElementType type) {
  const double rounded = round_to(type, value);
  return rounded == -kInfinity ? -largest_finite(type) : rounded;
}

}  // namespace

const char* name_of(ElementClass element) {
  switch (element) {
    case ElementClass::kPass: return "pass";
    case ElementClass::kOutOfBound: return "out of bound";
    case ElementClass::kNotANumber: return "NaN where a number belongs";
    case ElementClass::kNotNan: return "a number where NaN belongs";
    case ElementClass::kInfinite: return "finite and infinite confused";
    case ElementClass::kMaskBroken: return "not -inf under the mask";
    case ElementClass::kStrayWrite: return "written where nothing may be written";
  }
  return "?";
}

Preimage rounding_preimage(double value, ElementType type) {
  const double magnitude = std::fabs(value);
  const double high = magnitude + (next_above(magnitude, type) - magnitude) / 2;
  if (magnitude == 0) return {-high, high};
  const double low = magnitude - (magnitude - next_below(magnitude, type)) / 2;
  return value > 0 ? Preimage{low, high} : Preimage{-high, -low};
}

Verdict judge_element(double golden, double bound, double got, ElementType type) {
  const auto wrong = [](ElementClass element) { return Verdict{element, kInfinity}; };
  if (std::isnan(golden)) return std::isnan(got) ? Verdict{} : wrong(ElementClass::kNotNan);
  if (std::isnan(got)) return wrong(ElementClass::kNotANumber);
  if (std::isinf(golden)) return got == golden ? Verdict{} : wrong(ElementClass::kInfinite);
  // The formula could not bound this element (an exponential overflowed): nothing is said about it.
  if (std::isnan(bound) || std::isinf(bound)) return {};
  const bool pass = round_down_end(golden - bound, type) <= got && got <= round_up_end(golden + bound, type);
  if (std::isinf(got) && !pass) return wrong(ElementClass::kInfinite);
  Preimage preimage;
  if (std::isinf(got)) {
    const double edge =
        largest_finite(type) + (next_above(largest_finite(type), type) - largest_finite(type)) / 2;
    preimage = got > 0 ? Preimage{edge, kInfinity} : Preimage{-kInfinity, -edge};
  } else {
    preimage = rounding_preimage(got, type);
  }
  const double distance = std::max({0.0, preimage.low - golden, golden - preimage.high});
  double headroom = distance == 0 ? 0.0 : bound > 0 ? distance / bound : kInfinity;
  // Ties to even make the preimage open at one end; the rounding test decides there.
  if (pass) return {ElementClass::kPass, std::min(headroom, 1.0)};
  headroom = std::max(headroom, std::nextafter(1.0, 2.0));
  return {ElementClass::kOutOfBound, headroom};
}

void ComparisonReport::add(const Coordinates& at, double golden, double bound, double got, ElementType type) {
  const Verdict verdict = judge_element(golden, bound, got, type);
  if (verdict.element == ElementClass::kPass && worst_ && verdict.headroom < worst_->headroom) {
    count_right(1);  // the common case: right, and not the worst
    return;
  }
  add_finding({at, golden, got, bound, verdict.headroom, verdict.element});
}

void ComparisonReport::add_finding(const ElementFinding& finding) {
  ++count_;
  ++by_class_[static_cast<std::size_t>(finding.element)];
  if (finding.element != ElementClass::kPass) ++wrong_;
  if (!worst_ || finding.headroom > worst_->headroom ||
      (finding.headroom == worst_->headroom && finding.at < worst_->at))
    worst_ = finding;
}

void ComparisonReport::merge(const ComparisonReport& other) {
  count_ += other.count_;
  wrong_ += other.wrong_;
  for (std::size_t i = 0; i < by_class_.size(); ++i) by_class_[i] += other.by_class_[i];
  if (!other.worst_) return;
  if (!worst_ || other.worst_->headroom > worst_->headroom ||
      (other.worst_->headroom == worst_->headroom && other.worst_->at < worst_->at))
    worst_ = other.worst_;
}

std::string ComparisonReport::summary() const {
  if (!worst_)
    return count_ == 0 ? "nothing compared" : fmt::format("0 of {} wrong, all compared exactly", count_);
  std::string place;
  for (std::size_t axis = 0; axis < axes_.size(); ++axis)
    if (axes_[axis][0] != '\0')
      place += fmt::format("{}{} {}", place.empty() ? "" : ", ", axes_[axis], worst_->at[axis]);
  return fmt::format("{} of {} wrong; worst at {}: expected {:.9g} +- {:.3g}, got {:.9g} (r {:.3g}, {})",
                     wrong_, count_, place, worst_->golden, worst_->bound, worst_->got, worst_->headroom,
                     name_of(worst_->element));
}

}  // namespace assay
