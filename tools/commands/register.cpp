// The command table: one declaration and one line per command that exists. A command that does not
// exist is not listed. The order is the order of --help.
#include "tools/commands/command.h"

namespace assay::tools {

void register_calibrate(Registry& registry);
void register_replay(Registry& registry);
void register_report(Registry& registry);
void register_schedule(Registry& registry);
void register_trace(Registry& registry);

void register_all(Registry& registry) {
  register_replay(registry);
  register_report(registry);
  register_schedule(registry);
  register_trace(registry);
  register_calibrate(registry);
}

}  // namespace assay::tools
