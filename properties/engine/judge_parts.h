// The judges behind make_judge, one per operation. Private to properties/engine.
#pragma once

#include "properties/engine/judge.h"

namespace assay::properties {

[[nodiscard]] std::unique_ptr<CaseJudge> make_paged_mqa_judge(const KernelCase& kernel_case,
                                                              const Operands& operands);
[[nodiscard]] std::unique_ptr<CaseJudge> make_mqa_judge(const KernelCase& kernel_case,
                                                        const Operands& operands);
[[nodiscard]] std::unique_ptr<CaseJudge> make_schedule_judge(const KernelCase& kernel_case,
                                                             const Operands& operands);
[[nodiscard]] std::unique_ptr<CaseJudge> make_merge_judge(const KernelCase& kernel_case,
                                                          const Operands& operands);
[[nodiscard]] std::unique_ptr<CaseJudge> make_cache_write_judge(const KernelCase& kernel_case,
                                                                const Operands& operands);
[[nodiscard]] std::unique_ptr<CaseJudge> make_attention_judge(const KernelCase& kernel_case,
                                                              const Operands& operands);

}  // namespace assay::properties
