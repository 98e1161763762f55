#include "sim/engine/step_clock.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "model/core/check.h"

namespace assay {
namespace {

//                       name             params  layers  q   kv  dim kvB wB latent
constexpr std::array kModels{
    ModelSpec{"llama-3-8b", 8.03e9, 32, 32, 8, 128, 2, 2, 0},
    ModelSpec{"llama-3-70b", 70.6e9, 80, 64, 8, 128, 2, 2, 0},
    ModelSpec{"llama-2-7b", 6.74e9, 32, 32, 32, 128, 2, 2, 0},
    ModelSpec{"mistral-7b", 7.24e9, 32, 32, 8, 128, 2, 2, 0},
    ModelSpec{"qwen2.5-7b", 7.62e9, 28, 28, 4, 128, 2, 2, 0},
    ModelSpec{"qwen2.5-72b", 72.7e9, 80, 64, 8, 128, 2, 2, 0},
    ModelSpec{"opt-13b", 13.0e9, 40, 40, 40, 128, 2, 2, 0},
    ModelSpec{"deepseek-v3", 671e9, 61, 128, 1, 192, 2, 1, 576},
};
constexpr std::array kGpus{
    GpuSpec{"a100", 312e12, 2.0e12},  GpuSpec{"h100", 989e12, 3.35e12},  GpuSpec{"h200", 989e12, 4.8e12},
    GpuSpec{"b200", 2250e12, 8.0e12}, GpuSpec{"l40s", 362e12, 0.864e12},
};
constexpr double kStepOverheadNs = 2e6;  // launches, sampling, the host's turn

template <typename Table>
const auto& named(const Table& table, std::string_view name, const std::string& place, const char* what) {
  std::string names;
  for (const auto& entry : table) {
    if (entry.name == name) return entry;
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw InputError(place, std::string(what) + " among " + names, "'" + std::string(name) + "'");
}

}  // namespace

std::span<const ModelSpec> model_specs() { return kModels; }
std::span<const GpuSpec> gpu_specs() { return kGpus; }
const ModelSpec& model_named(std::string_view name, const std::string& place) {
  return named(kModels, name, place, "a model");
}
const GpuSpec& gpu_named(std::string_view name, const std::string& place) {
  return named(kGpus, name, place, "a GPU");
}

StepClock StepClock::parse(const std::string& text, const std::string& place) {
  StepClock clock;
  clock.text_ = text;
  if (text == "none") return clock;
  if (text.rfind("fixed:", 0) == 0) {
    const std::string number = text.substr(6);
    char* end = nullptr;
    const double ms = std::strtod(number.c_str(), &end);
    if (!number.empty() && *end == '\0' && ms > 0 && ms <= 1e9) {
      clock.kind_ = Kind::kFixed;
      clock.fixed_ns_ = std::max<std::int64_t>(1, std::llround(ms * 1e6));
      return clock;
    }
    throw InputError(place, "fixed:<milliseconds> above 0 and up to 1e9", "'" + text + "'");
  }
  const std::size_t at = text.find('@');
  if (text.rfind("roofline:", 0) == 0 && at != std::string::npos) {
    clock.kind_ = Kind::kRoofline;
    clock.model_ = &model_named(std::string_view(text).substr(9, at - 9), place);
    clock.gpu_ = &gpu_named(std::string_view(text).substr(at + 1), place);
    return clock;
  }
  throw InputError(place, "none, fixed:<milliseconds> or roofline:<model>@<gpu>", "'" + text + "'");
}

std::int64_t StepClock::step_ns(const StepWork& work) const {
  if (kind_ != Kind::kRoofline) return kind_ == Kind::kFixed ? fixed_ns_ : 1;
  const ModelSpec& m = *model_;
  const double flops = 2 * m.parameters * static_cast<double>(work.tokens) +
                       4.0 * m.layers * m.q_heads * m.head_dim * work.attended_pairs;
  const double bytes = m.parameters * m.weight_bytes +
                       static_cast<double>(work.context_tokens) * static_cast<double>(m.kv_bytes_per_token());
  const double seconds = std::max(flops / gpu_->flops, bytes / gpu_->bandwidth);
  return std::llround(seconds * 1e9 + kStepOverheadNs);
}

}  // namespace assay
