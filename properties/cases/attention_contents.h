// Paged attention's operands and bytes; contents.h dispatches here. Private to properties/cases.
#pragma once

#include <memory>

#include "properties/cases/contents.h"

namespace assay::properties {

[[nodiscard]] Operands operands(const PagedAttentionParameters& p);
[[nodiscard]] std::unique_ptr<CaseContents> make_attention_contents(const KernelCase& kernel_case,
                                                                    const Operands& operands);

}  // namespace assay::properties
