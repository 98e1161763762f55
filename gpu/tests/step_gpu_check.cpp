// Asks the tensor core of this machine's GPU every question of model/twin/probes.h, and random steps beside
// them, through both instructions, and prints one line each.
//
//   step_gpu_check [random steps per operand pair, default 200000]
//
// Exit: 0 everything as docs/twin.md says, 1 something differs, 77 no device (reported as skipped).
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gpu/tensor_core_step/step_runner.h"
#include "model/core/check.h"
#include "model/twin/probes.h"

namespace assay::twin {
namespace {

std::vector<std::uint32_t> ask(StepInstruction instruction, StepOperands operands,
                               const std::vector<StepProbe>& probes) {
  std::vector<std::uint8_t> a, b;
  std::vector<std::uint32_t> accumulators, answers(probes.size());
  for (const StepProbe& probe : probes) {
    a.insert(a.end(), probe.a.begin(), probe.a.end());
    b.insert(b.end(), probe.b.begin(), probe.b.end());
    accumulators.push_back(probe.accumulator);
  }
  run_tensor_core_steps(instruction, operands.a, operands.b, a.data(), b.data(), accumulators.data(),
                        answers.data(), static_cast<std::int64_t>(probes.size()));
  return answers;
}

bool check(std::int64_t random_steps) {
  bool right = true;
  for (const StepOperands operands : kStepOperands) {
    const bool fp8 = bytes_of(operands.a) == 1;
    const auto by_hand = step_probes(operands);
    const auto random = random_step_probes(operands, 77, random_steps);
    for (const StepInstruction instruction : {StepInstruction::kWgmma, StepInstruction::kMmaSync}) {
      const bool wgmma = instruction == StepInstruction::kWgmma;
      const std::string name =
          fmt::format("{:8} {} x {}", wgmma ? "wgmma" : "mma.sync", name_of(operands.a), name_of(operands.b));
      const auto answers = ask(instruction, operands, random);
      fmt::print("{:24} by hand: {}\n", name, explain(by_hand, ask(instruction, operands, by_hand)));
      fmt::print("{:24} random:  {}\n", "", explain(random, answers));
      // fp8 through mma.sync is another step on Hopper: it must differ, or docs/twin.md is wrong.
      const std::int64_t differing =
          judge(by_hand, ask(instruction, operands, by_hand)).mismatches + judge(random, answers).mismatches;
      const bool expected = fp8 && !wgmma ? differing > 0 : differing == 0;
      if (!expected) fmt::print("{:24} NOT as docs/twin.md says\n", "");
      right = right && expected;
    }
  }
  return right;
}

}  // namespace
}  // namespace assay::twin

int main(int argc, char** argv) {
  try {
    const std::string device = assay::step_device_name();
    if (device.empty()) {
      fmt::print("no device: skipped\n");
      return 77;
    }
    fmt::print("{}\n", device);
    return assay::twin::check(argc > 1 ? std::atoll(argv[1]) : 200000) ? 0 : 1;
  } catch (const assay::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 5;
  }
}
