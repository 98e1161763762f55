// Golden schedule metadata: [parts + 1] start points (sequence, unit) that cut a batch's units into
// equal ranges. Contract in model/core/schedule.h; here it is computed another way (one walk along the
// line of units, no prefix sums, no binary search), so that the two can judge each other.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/schedule.h"
#include "model/golden/mqa_logits.h"

namespace assay {

// unit_tokens > 0, parts > 0; lengths >= 0. Zero work is legal.
[[nodiscard]] std::vector<UnitPoint> schedule_metadata(const ContextView& contexts, std::int32_t unit_tokens,
                                                       std::int32_t parts);

}  // namespace assay
