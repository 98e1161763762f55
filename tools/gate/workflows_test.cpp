#include "tools/gate/workflows.h"

#include <gtest/gtest.h>

#include <set>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

TEST(GateWorkflows, EachGoesToAPlaceOfItsOwnAndCallsTheGate) {
  std::set<std::string> paths;
  for (int i = 0; i < kWorkflowCount; ++i) {
    EXPECT_NE(std::string(kWorkflows[i].text).find("assay gate "), std::string::npos) << kWorkflows[i].name;
    EXPECT_EQ(&workflow_named(kWorkflows[i].name), &kWorkflows[i]);
    paths.insert(workflow_path(kWorkflows[i]));
  }
  const std::set<std::string> expected{".github/workflows/assay-cpu.yml", ".github/workflows/assay-gpu.yml",
                                       ".gitlab/assay.yml"};
  EXPECT_EQ(paths, expected);
}

TEST(GateWorkflows, AnUnknownNameIsRefusedWithTheList) {
  try {
    (void)workflow_named("jenkins");
    FAIL() << "not refused";
  } catch (const InputError& error) {
    EXPECT_EQ(error.expected(), "one of github-cpu, github-gpu, gitlab");
  }
}

}  // namespace
}  // namespace assay::tools::gate
