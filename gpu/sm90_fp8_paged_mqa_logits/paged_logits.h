// FP8 MQA logits over a paged index cache, on Hopper.
//
//   logits[b * next_n + i, t] = scale_t * sum_h weight[b * next_n + i, h] * max(0, q[b, i, h] . k_t)
//
// for t < limit(b, i): the context [b, i] itself when contexts are [batch, next_n], else
// context[b] - next_n + i + 1. Order of arithmetic: model/core/logits_reduction.h.
//
// Supported (refused otherwise, before any launch):
//   heads 32, 64     dims 32, 64, 128     next_n * heads up to 256
//   block tokens 64, 128 or any multiple of 64; 32 is not built
//   q, keys e4m3; weights, scales fp32; logits fp32 or bf16
//   block stride a multiple of 16 bytes; any table, q, weight and logits strides; batch 0 and more; contexts 0 and more
//
// One launch: every CTA cuts its own range of 64-token units out of the batch (model/core/schedule.h). With
// `clean` the columns from the limit to `columns` become -inf in the same launch. No CUDA type appears here.
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"
#include "model/core/paged_layout.h"

namespace assay {

struct PagedLogits {
  std::int32_t batch = 0, next_n = 1, heads = 0, dims = 0;
  const std::uint8_t* q = nullptr;  // [batch, next_n, heads, dims], rows of heads compact
  std::int64_t q_row_stride = 0;    // bytes from one (b, i) to the next
  const float* weights = nullptr;   // [batch * next_n, heads]
  std::int64_t weights_stride = 0;  // elements
  const std::uint8_t* cache = nullptr;
  FusedIndexLayout layout;
  BlockTableView table;                    // device pointer
  const std::int32_t* contexts = nullptr;  // [batch] or [batch, next_n], the last column the largest
  std::int32_t context_columns = 0;        // 0: one-dimensional
  std::int64_t context_stride = 1;         // elements from one sequence to the next
  void* logits = nullptr;                  // [batch * next_n, columns]
  ElementType type = ElementType::kFp32;   // or bf16
  std::int64_t logits_stride = 0;          // elements
  std::int64_t columns = 0;                // cleaned up to here
  bool clean = false;
  std::int32_t parts = 0;  // CTAs that share the work; 0 = what fits the device
};

void validate(const PagedLogits& call);
// Asynchronous on `stream` (a cudaStream_t). InputError before, EnvironmentError for what CUDA refuses.
void launch_paged_logits(const PagedLogits& call, void* stream);

// The readable one: a thread per logit, plain fp32. At most 65535 rows.
void launch_naive_paged_logits(const PagedLogits& call, void* stream);

}  // namespace assay
