#include "properties/world/live_verifier.h"

namespace assay::properties {

LiveVerifier::LiveVerifier(RequestSource& source, const SchedulerOptions& engine, const assay_kernel& kernel,
                           const StepCheckOptions& options, EngineFault fault)
    : named_(source),
      names_([this](std::int64_t request) -> const RequestNames& { return named_.names(request); }),
      check_(make_step_check(kernel, options, engine.blocks, engine.block_tokens)),
      shadow_(engine.blocks, engine.block_tokens),
      fault_(fault, engine.block_tokens) {}

void LiveVerifier::observe(const StepView& view, bool verify) {
  take_live_step(view, live_);
  fault_.strike(live_);
  shadow_.write(live_, names_);
  if (verify) check_->check(live_, shadow_, names_, data_);
  for (const std::int32_t handle : view.record.finished)
    named_.forget(view.scheduler.sequence(handle).request.value());
}

}  // namespace assay::properties
