#include "properties/engine/judge.h"

#include "model/core/check.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {

std::unique_ptr<CaseJudge> make_judge(const KernelCase& kernel_case, const Operands& operands) {
  switch (kernel_case.operation()) {
    case Operation::kPagedMqaLogits: return make_paged_mqa_judge(kernel_case, operands);
    case Operation::kMqaLogits: return make_mqa_judge(kernel_case, operands);
    case Operation::kScheduleMetadata: return make_schedule_judge(kernel_case, operands);
    case Operation::kPagedAttention: return make_attention_judge(kernel_case, operands);
    case Operation::kMerge: return make_merge_judge(kernel_case, operands);
    case Operation::kCacheWrite: return make_cache_write_judge(kernel_case, operands);
  }
  ASSAY_CHECK(false);
  return nullptr;
}

bool is_known_twin(const std::string& name) { return name == kMqaTwinName; }

}  // namespace assay::properties
