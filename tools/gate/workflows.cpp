#include "tools/gate/workflows.h"

#include "model/core/check.h"

namespace assay::tools::gate {

const Workflow& workflow_named(const std::string& name) {
  std::string names;
  for (int i = 0; i < kWorkflowCount; ++i) {
    if (name == kWorkflows[i].name) return kWorkflows[i];
    names += (i == 0 ? "one of " : ", ") + std::string(kWorkflows[i].name);
  }
  throw InputError("--workflow", names, name);
}

std::string workflow_path(const Workflow& workflow) {
  const std::string name = workflow.name, github = "github-";
  if (name.rfind(github, 0) == 0) return ".github/workflows/assay-" + name.substr(github.size()) + ".yml";
  return ".gitlab/assay.yml";
}

}  // namespace assay::tools::gate
