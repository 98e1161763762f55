// One of the two forms behind launch_paged_logits; few_tokens.cu says when it is the better one.
#pragma once

#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"

namespace assay {

// `call` is valid, its batch not empty, its blocks are 64 tokens or a multiple.
void launch_few_tokens(const PagedLogits& call, void* stream);

}  // namespace assay
