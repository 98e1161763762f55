// Ready-made workflow files (tools/gate/workflows/*.yml), built into the program: `assay gate --init --workflow
// github-cpu` writes one to where its CI looks for it.
#pragma once

#include <string>

namespace assay::tools::gate {

struct Workflow {
  const char* name;  // github-cpu, github-gpu, gitlab
  const char* text;
};
extern const Workflow kWorkflows[];
extern const int kWorkflowCount;

// InputError that lists the names when there is none of that name.
[[nodiscard]] const Workflow& workflow_named(const std::string& name);
// ".github/workflows/assay-cpu.yml", ".gitlab/assay.yml": from the repository's root.
[[nodiscard]] std::string workflow_path(const Workflow& workflow);

}  // namespace assay::tools::gate
