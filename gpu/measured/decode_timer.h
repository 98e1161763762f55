// The time of one decode step's kernel on this device: real lengths, real block tables, contents of noise.
//
//   event interval around one launch, L2 flushed before it, median of `repeats`
//
// It does not look at results: the checks of gpu/tests and assay verify do. No CUDA type appears here.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace assay {

enum class DecodeKernel : std::uint8_t {
  kPagedMqaLogits,  // e4m3 index cache, fp32 logits
  kPagedAttention,  // bf16 keys and values
};

struct DecodeShape {
  DecodeKernel kernel = DecodeKernel::kPagedMqaLogits;
  std::int32_t q_heads = 64, kv_heads = 1, dims = 128;  // logits: kv_heads is 1
  std::int32_t block_tokens = 64;
};

// table[s * columns + i]: block i of sequence s; entries past a sequence's blocks may hold anything.
struct DecodeCall {
  std::vector<std::int32_t> lengths, table;
  std::int32_t columns = 0;
};

struct DecodeTime {
  double median_us = 0, least_us = 0;
  double bytes = 0;  // that the step must read and write
};

class DecodeTimer {
 public:
  // EnvironmentError without a device or memory; InputError for what the kernel does not support.
  DecodeTimer(const DecodeShape& shape, std::int64_t pool_blocks);
  ~DecodeTimer();
  DecodeTimer(const DecodeTimer&) = delete;
  DecodeTimer& operator=(const DecodeTimer&) = delete;

  [[nodiscard]] DecodeTime time(const DecodeCall& call, int repeats);

 private:
  struct Device;
  DecodeShape shape_;
  std::int64_t pool_blocks_;
  std::unique_ptr<Device> device_;
};

// "NVIDIA H200", or why there is none as EnvironmentError.
[[nodiscard]] const char* device_name();

}  // namespace assay
