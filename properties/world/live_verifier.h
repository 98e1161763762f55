// Follows an engine step by step: names of its requests, shadow of its pool, and on demand the judgement of a
// step. What a verified replay and a world of the campaign have in common.
#pragma once

#include <memory>

#include "properties/world/engine_faults.h"
#include "properties/world/step_check.h"

namespace assay::properties {

class LiveVerifier {
 public:
  // `source`: the requests of the replay, which must be read through requests().
  LiveVerifier(RequestSource& source, const SchedulerOptions& engine, const assay_kernel& kernel,
               const StepCheckOptions& options, EngineFault fault = EngineFault::kNone);

  [[nodiscard]] RequestSource& requests() { return named_; }
  // Every step, in order; `verify`: judge its data.
  void observe(const StepView& view, bool verify);

  [[nodiscard]] const Verification& data() const { return data_; }
  [[nodiscard]] const PoolShadow& shadow() const { return shadow_; }
  [[nodiscard]] std::int64_t fault_strikes() const { return fault_.strikes(); }

 private:
  NamingSource named_;
  NamesOf names_;
  std::unique_ptr<StepCheck> check_;
  PoolShadow shadow_;
  FaultyEngine fault_;
  LiveStep live_;
  Verification data_;
};

}  // namespace assay::properties
