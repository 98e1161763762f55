// The command table: one declaration and one line per command that exists. A command that does not
// exist is not listed. The order is the order of --help.
#include "tools/commands/command.h"

namespace assay::tools {

void register_bench(Registry& registry);
void register_calibrate(Registry& registry);
void register_fuzz(Registry& registry);
void register_gate(Registry& registry);
void register_kernels(Registry& registry);
void register_replay(Registry& registry);
void register_report(Registry& registry);
void register_reproduce(Registry& registry);
void register_schedule(Registry& registry);
void register_selftest(Registry& registry);
void register_shrink(Registry& registry);
void register_sweep(Registry& registry);
void register_trace(Registry& registry);
void register_verify(Registry& registry);
void register_worker(Registry& registry);

void register_all(Registry& registry) {
  register_replay(registry);
  register_verify(registry);
  register_fuzz(registry);
  register_reproduce(registry);
  register_shrink(registry);
  register_selftest(registry);
  register_gate(registry);
  register_bench(registry);
  register_kernels(registry);
  register_report(registry);
  register_schedule(registry);
  register_sweep(registry);
  register_trace(registry);
  register_calibrate(registry);
  register_worker(registry);
}

}  // namespace assay::tools
