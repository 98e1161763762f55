// assay replay --verify N: decode steps of the replay, judged by their data (properties/world).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "properties/world/step_pick.h"
#include "sim/engine/replay.h"
#include "traces/request.h"

namespace assay::tools {

struct VerifyOptions {
  std::int64_t steps = 0;  // 0: nothing is verified
  std::string pick = "even", op = "paged-mqa-logits", kernel = "twin";
  std::string fault = "none";                      // planted, see properties/world/engine_faults.h
  std::int32_t heads = 0, dims = 0, kv_heads = 2;  // 0: 64 and 128 for logits, 8 and 64 for attention
  std::uint64_t seed = 1;
};

// Two passes over one trace: the first scores steps, the second verifies the picked ones.
class ReplayVerifier {
 public:
  // Throws InputError for what cannot be: a kernel that is none, a replay that this does not verify.
  ReplayVerifier(const VerifyOptions& options, const ReplayOptions& replay);
  ~ReplayVerifier();

  // First pass: to be called with every step.
  void observe(const StepView& view) { scores_.observe(view); }
  // Second pass, over the same requests again. Puts `verify` into the document, and prints a paragraph.
  // Returns an exit code.
  [[nodiscard]] int verify(RequestSource& requests, nlohmann::ordered_json& document, bool print);

 private:
  struct Kernel;
  VerifyOptions options_;  // heads and dims filled in
  const ReplayOptions& replay_;
  properties::StepScores scores_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace assay::tools
