// assay worker: the inside of a worker process. Not for people; `assay fuzz` and its kin start it.
#include <memory>

#include "properties/workers/worker_loop.h"
#include "tools/commands/command.h"

namespace assay::tools {

void register_worker(Registry& registry) {
  auto kernel = std::make_shared<std::string>();
  CLI::App* command = registry.app.add_subcommand("worker", "Serves one kernel (started by other commands)");
  command->group("");  // not in --help
  command->add_option("kernel", *kernel)->required();
  command->callback(
      [&registry, kernel] { registry.chosen = [kernel] { return properties::serve_kernel(*kernel); }; });
}

}  // namespace assay::tools
