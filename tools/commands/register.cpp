// The command table: one line per command that exists. A command that does not exist is not listed.
#include "tools/commands/command.h"

namespace assay::tools {

void register_all(Registry& registry) { (void)registry; }

}  // namespace assay::tools
