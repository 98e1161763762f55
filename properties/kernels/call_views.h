// A kernel call (gpu/api/assay_kernel.h) as the views that the golden model and the twin take. The
// built-in kernels read their operands through these; a plug-in written in C++ may, too.
#pragma once

#include "gpu/api/assay_kernel.h"
#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"
#include "model/twin/mqa_logits_twin.h"

namespace assay::properties {

// All throw InputError when the call does not have the tensors that its operation has.
[[nodiscard]] PagedMqaLogitsCase paged_mqa_view(const assay_call& call);
[[nodiscard]] MqaLogitsCase mqa_view(const assay_call& call);
[[nodiscard]] PagedAttentionCase paged_attention_view(const assay_call& call);
[[nodiscard]] ContextView schedule_contexts_view(const assay_call& call);
// Output 0 of either logits operation.
[[nodiscard]] twin::LogitsTarget logits_target(const assay_call& call);
[[nodiscard]] LogitsOptions logits_options(const assay_call& call);

}  // namespace assay::properties
