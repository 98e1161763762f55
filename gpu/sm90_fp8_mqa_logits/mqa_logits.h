// FP8 MQA logits of a prefill, on Hopper.
//
//   logits[m, n] = scale_n * sum_h weight[m, h] * max(0, q[m, h] . k_n)      starts[m] <= n < ends[m]
//
// Order of arithmetic: model/core/logits_reduction.h. Starts and ends may differ from row to row in any way;
// they are cut to [0, tokens); end <= start is an empty row.
//   compressed   column n - starts[m] instead of n
//   clean        the other columns below `columns` become -inf, in the same launch
// A column at or past `columns` is never written.
//
// Supported (refused otherwise, before any launch): heads 32, 64; dims 32, 64, 128; q and keys e4m3, weights and
// scales fp32; logits fp32 or bf16; rows and tokens 0 and more. No CUDA type appears here.
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"

namespace assay {

struct MqaLogits {
  std::int32_t rows = 0, tokens = 0, heads = 0, dims = 0;
  const std::uint8_t* q = nullptr;       // [rows, heads, dims], heads of a row compact
  std::int64_t q_row_stride = 0;         // bytes, a multiple of 16
  const float* weights = nullptr;        // [rows, heads]
  std::int64_t weights_stride = 0;       // elements
  const std::uint8_t* keys = nullptr;    // [tokens, dims]
  std::int64_t key_stride = 0;           // bytes, a multiple of 16
  const float* scales = nullptr;         // [tokens]
  const std::int32_t* starts = nullptr;  // [rows]
  const std::int32_t* ends = nullptr;
  void* logits = nullptr;  // [rows, columns]
  ElementType type = ElementType::kFp32;
  std::int64_t logits_stride = 0;  // elements
  std::int64_t columns = 0;
  bool clean = false;
  bool compressed = false;
  std::int32_t parts = 0;  // CTAs that share the work; 0 = what fits the device
};

void validate(const MqaLogits& call);
// Asynchronous on `stream` (a cudaStream_t). InputError before, EnvironmentError for what CUDA refuses.
void launch_mqa_logits(const MqaLogits& call, void* stream);

// The readable one: a thread per logit, plain fp32. At most 65535 rows.
void launch_naive_mqa_logits(const MqaLogits& call, void* stream);

}  // namespace assay
