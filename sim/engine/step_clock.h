// How long a step takes. The simulator has no clock of its own; what it assumes is said in one of three ways:
//
//   none                    everything has arrived at the start, in the order of the file; a step weighs one
//   fixed:<ms>              every step takes so many milliseconds
//   roofline:<model>@<gpu>  the larger of two times, plus a fixed overhead per step:
//                             arithmetic  2 * parameters * scheduled tokens + 4 * layers * heads * head_dim
//                                         * sum over sequences of (new tokens * context)   over peak FLOP/s
//                             memory      weights + keys and values of all contexts read   over bandwidth
//                           one GPU per `gpus` of the table; no overlap of steps, no communication
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace assay {

// A public model, as far as a KV cache cares.
struct ModelSpec {
  std::string_view name;
  double parameters;
  std::int32_t layers, q_heads, kv_heads, head_dim;
  std::int32_t kv_bytes;      // per element
  std::int32_t weight_bytes;  // per parameter
  std::int32_t latent_dim;  // multi-head latent attention: elements per token and layer; 0 = K and V per head

  [[nodiscard]] std::int64_t kv_bytes_per_token() const {
    return latent_dim > 0 ? static_cast<std::int64_t>(layers) * latent_dim * kv_bytes
                          : 2LL * layers * kv_heads * head_dim * kv_bytes;
  }
};
struct GpuSpec {
  std::string_view name;
  double flops;      // dense bf16
  double bandwidth;  // bytes a second
};

[[nodiscard]] std::span<const ModelSpec> model_specs();
[[nodiscard]] std::span<const GpuSpec> gpu_specs();
// Throws InputError with all names when there is none of that name.
[[nodiscard]] const ModelSpec& model_named(std::string_view name, const std::string& place);
[[nodiscard]] const GpuSpec& gpu_named(std::string_view name, const std::string& place);

struct StepWork {
  std::int64_t tokens = 0;          // scheduled
  std::int64_t context_tokens = 0;  // sum of the scheduled sequences' contexts
  double attended_pairs = 0;        // sum of new tokens * context
};

class StepClock {
 public:
  enum class Kind { kNone, kFixed, kRoofline };

  // Reads the three spellings above.
  [[nodiscard]] static StepClock parse(const std::string& text, const std::string& place = "--clock");

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  // Nanoseconds; 1 for `none`, so that a step weighs one.
  [[nodiscard]] std::int64_t step_ns(const StepWork& work) const;

 private:
  Kind kind_ = Kind::kNone;
  std::string text_ = "none";
  std::int64_t fixed_ns_ = 1;
  const ModelSpec* model_ = nullptr;
  const GpuSpec* gpu_ = nullptr;
};

}  // namespace assay
