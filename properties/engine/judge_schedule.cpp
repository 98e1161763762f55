// Schedule metadata, decoded with the consumer's rule: part p works from point p up to point p + 1.
//
//   every point is (sequence, unit) with a unit that exists, or the end (batch, 0)
//   the parts tile all units exactly once, in order, and differ in size by at most one
//
// Any metadata that says so is right: it need not equal ours byte for byte.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/core/paged_layout.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {
namespace {

class ScheduleJudge final : public CaseJudge {
 public:
  ScheduleJudge(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<ScheduleParameters>(kernel_case.parameters)) {
    must_write_.push_back({1, 0, operands.tensors[1].span_bytes});
  }

  [[nodiscard]] Judgement judge(const TensorPointers& data, const Claims&, Poison) const override {
    Judgement judgement;
    const auto batch = static_cast<std::int64_t>(p_.contexts.size());
    std::vector<std::int64_t> begins{0};
    for (const std::int32_t context : p_.contexts)
      begins.push_back(begins.back() + ceil_div(context, p_.unit_tokens));
    const std::int64_t total = begins.back();
    std::int64_t smallest = total, largest = 0, previous = 0;
    for (std::int64_t part = 0; part <= p_.parts; ++part) {
      std::int32_t point[2];
      std::memcpy(point, data[1] + part * 8, sizeof point);
      ++judgement.elements;
      const bool inside = point[0] >= 0 && point[0] < batch && point[1] >= 0 &&
                          point[1] < begins[static_cast<std::size_t>(point[0]) + 1] -
                                         begins[static_cast<std::size_t>(point[0])];
      const bool at_end = point[0] == batch && point[1] == 0;
      if (!inside && !at_end)
        return wrong(judgement, part, fmt::format("({}, {})", point[0], point[1]),
                     "a unit that exists, or the end");
      const std::int64_t unit = at_end ? total : begins[static_cast<std::size_t>(point[0])] + point[1];
      const std::int64_t must = part == 0 ? 0 : part == p_.parts ? total : unit;
      if (unit != must || unit < previous)
        return wrong(judgement, part, fmt::format("unit {}", unit),
                     fmt::format("unit {} or later, {} in all", std::max(previous, must), total));
      if (part > 0) {
        smallest = std::min(smallest, unit - previous);
        largest = std::max(largest, unit - previous);
      }
      previous = unit;
    }
    if (largest - smallest > 1)
      return wrong(judgement, p_.parts, fmt::format("parts of {} to {} units", smallest, largest),
                   "sizes that differ by at most one");
    return judgement;
  }

  [[nodiscard]] std::string place_of(std::int64_t, std::int64_t byte) const override {
    return fmt::format("start of part {}", byte / 8);
  }

 private:
  static Judgement wrong(Judgement judgement, std::int64_t part, const std::string& got,
                         const std::string& expected) {
    judgement.status = Status::kIncorrectNumerical;
    judgement.text = fmt::format("start of part {}: expected {}, got {}", part, expected, got);
    return judgement;
  }

  const ScheduleParameters& p_;
};

}  // namespace

std::unique_ptr<CaseJudge> make_schedule_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<ScheduleJudge>(kernel_case, operands);
}

}  // namespace assay::properties
