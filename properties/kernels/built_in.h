// The kernels that come with the program, behind the same C descriptor as any plug-in:
//
//   twin            the bit-exact twin of the CUDA kernels (docs/twin.md)
//   golden-rounded  the golden model, rounded once to the output's type
//   naive           plain fp32 loops, written from the contract
//
// All of them run on the CPU.
#pragma once

#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"

namespace assay::properties {

// Every built-in kernel of that name, one per operation; empty when there is none.
[[nodiscard]] std::vector<const assay_kernel*> built_in_kernels(const std::string& name);
[[nodiscard]] std::vector<std::string> built_in_names();

// naive.cpp
int run_naive_paged_mqa_logits(const assay_call* call);
int run_naive_mqa_logits(const assay_call* call);
int run_naive_schedule_metadata(const assay_call* call);

// attention_kernels.cpp
int run_naive_paged_attention(const assay_call* call);
int run_golden_paged_attention(const assay_call* call);
int run_decode_twin(const assay_call* call);

// merge_kernels.cpp, cache_write_kernels.cpp
int run_naive_merge(const assay_call* call);
int run_golden_merge(const assay_call* call);
int run_naive_cache_write(const assay_call* call);
int run_golden_cache_write(const assay_call* call);

}  // namespace assay::properties
