// assay kernels: what can be put under test, with what it claims.
#include <fmt/format.h>

#include <memory>

#include "model/core/check.h"
#include "properties/kernels/built_in.h"
#include "properties/kernels/registry.h"
#include "tools/commands/kernel_options.h"

namespace assay::tools {
namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> files;
};

const char* operation_word(std::int32_t operation) {
  switch (operation) {
    case ASSAY_OP_PAGED_MQA_LOGITS: return "paged-mqa-logits";
    case ASSAY_OP_MQA_LOGITS: return "mqa-logits";
    case ASSAY_OP_SCHEDULE_METADATA: return "schedule-metadata";
    case ASSAY_OP_PAGED_ATTENTION: return "paged-attention";
    case ASSAY_OP_MERGE: return "merge";
    case ASSAY_OP_CACHE_WRITE: return "cache-write";
    default: return "?";
  }
}

int run(const Options& options) {
  std::vector<std::string> names = properties::built_in_names();
  for (const char* name : {"sm90", "sm90-naive"})
    if (properties::is_built_in(name)) names.emplace_back(name);
  names.insert(names.end(), options.files.begin(), options.files.end());
  nlohmann::ordered_json document{{"schema", "assay.kernels/1"}};
  auto& list = document["kernels"] = nlohmann::ordered_json::array();
  const bool print = !options.common.quiet && options.common.json_path != "-";
  if (print) fmt::print("{:<16} {:<18} {:<5} {:<5} {}\n", "--kernel", "operation", "on", "plan", "claims");
  for (const std::string& name : names) {
    KernelOptions kernel;
    kernel.kernel = name;
    properties::WorkerProcess worker(worker_command(kernel));
    for (const properties::KernelDescription& description : worker.kernels()) {
      const char* device = description.device == ASSAY_DEVICE_CPU    ? "cpu"
                           : description.device == ASSAY_DEVICE_CUDA ? "cuda"
                                                                     : "?";
      if (print)
        fmt::print("{:<16} {:<18} {:<5} {:<5} {}\n", name, operation_word(description.operation), device,
                   description.has_plan ? "yes" : "no", description.claims);
      list.push_back({{"kernel", name},
                      {"name", description.name},
                      {"operation", operation_word(description.operation)},
                      {"device", device},
                      {"plan", description.has_plan},
                      {"claims", description.claims}});
    }
  }
  if (print)
    fmt::print(
        "\nAlso ./my.so and my.py:function (docs/plugin.md), and mutant:NAME (assay selftest lists them).\n");
  write_json(options.common, document);
  return kPass;
}

}  // namespace

void register_kernels(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      registry.app.add_subcommand("kernels", "Lists the kernels that can be tested, with their claims");
  command->add_option("files", options->files, "Plug-ins to look at: ./my.so, my.py:function");
  add_common_options(*command, options->common);
  command->footer("\nExample:\n  assay kernels ./my.so");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
