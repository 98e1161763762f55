#include "model/golden/schedule_metadata.h"

#include "model/core/check.h"

namespace assay {

std::vector<UnitPoint> schedule_metadata(const ContextView& contexts, std::int32_t unit_tokens,
                                         std::int32_t parts) {
  static const Preconditions table{
      "schedule_metadata", {{"unit_tokens", 1, 1 << 30, 1}, {"parts", 1, 1 << 20, 1}}, {}};
  table.check("unit_tokens", unit_tokens);
  table.check("parts", parts);
  std::int64_t total = 0;
  for (std::int64_t b = 0; b < contexts.batch; ++b) {
    require(contexts.length(b) >= 0, table, "contexts[" + std::to_string(b) + "]", "0 or more",
            std::to_string(contexts.length(b)));
    total += (static_cast<std::int64_t>(contexts.length(b)) + unit_tokens - 1) / unit_tokens;
  }
  // Walk: part p starts where floor(total * p / parts) units lie behind. `behind` and the fraction
  // `rest` / parts grow by total / parts with every part, so nothing is multiplied.
  std::vector<UnitPoint> starts;
  std::int64_t sequence = 0, unit = 0, walked = 0, behind = 0, rest = 0;
  const auto units_of = [&](std::int64_t b) {
    return (static_cast<std::int64_t>(contexts.length(b)) + unit_tokens - 1) / unit_tokens;
  };
  for (std::int32_t part = 0; part <= parts; ++part) {
    while (sequence < contexts.batch) {
      const std::int64_t step = units_of(sequence) - unit;
      if (walked + step > behind) {
        unit += behind - walked;
        walked = behind;
        break;
      }
      walked += step;
      unit = 0;
      ++sequence;
    }
    starts.push_back({static_cast<std::int32_t>(sequence), static_cast<std::int32_t>(unit)});
    behind += total / parts;
    rest += total % parts;
    if (rest >= parts) {
      rest -= parts;
      ++behind;
    }
  }
  return starts;
}

}  // namespace assay
