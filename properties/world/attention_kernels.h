// Paged decode attention on the CPU, behind the plug-in header:
//
//   twin            the bit-exact twin of the CUDA kernel (docs/kernels/paged_attention.md), launched on
//                   kDecodeTwinParts CTAs: the order of its sums depends on them
//   golden-rounded  the golden model, rounded once
//   naive           plain fp32 loops, written from the contract
//
// One query token per sequence; bf16 queries and caches, both orders of axes, sliding windows.
#pragma once

#include <string>

#include "gpu/api/assay_kernel.h"
#include "model/golden/paged_attention.h"

namespace assay::properties {

inline constexpr std::int32_t kDecodeTwinParts = 132;
inline constexpr const char* kDecodeTwinName = "hopper-paged-decode-132";

// nullptr when there is none of that name.
[[nodiscard]] const assay_kernel* built_in_attention_kernel(const std::string& name);

// The call as the golden model takes it. Throws InputError when the call is none.
[[nodiscard]] PagedAttentionCase attention_view(const assay_call& call);

}  // namespace assay::properties
