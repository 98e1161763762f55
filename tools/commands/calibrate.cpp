// assay calibrate: what the tensor cores of this machine's GPU compute, established anew: every question of
// model/twin/probes.h and random steps beside them, through the instructions that kernels are written with.
// A chip that answers otherwise than docs/twin.md says fails (exit 1), with the reading that explains it.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "model/twin/probes.h"
#include "tools/commands/command.h"
#include "tools/terminal/bars.h"

#if defined(ASSAY_HAS_CUDA)
#include "gpu/tensor_core_step/step_runner.h"
#endif

namespace assay::tools {
namespace {

struct Options {
  CommonOptions common;
  std::int64_t random_steps = 100000;
};

#if defined(ASSAY_HAS_CUDA)

using twin::StepOperands;
using twin::StepProbe;

// The claims of docs/twin.md. fp8 through mma.sync is another step, which nobody has explained yet.
struct Claim {
  StepInstruction instruction;
  const char* name;
  StepOperands operands;
};
std::vector<Claim> claims() {
  std::vector<Claim> all;
  for (const StepOperands operands : twin::kStepOperands) {
    all.push_back({StepInstruction::kWgmma, "wgmma", operands});
    if (bytes_of(operands.a) == 2) all.push_back({StepInstruction::kMmaSync, "mma.sync", operands});
  }
  return all;
}

std::vector<std::uint32_t> ask(const Claim& claim, const std::vector<StepProbe>& probes) {
  std::vector<std::uint8_t> a, b;
  std::vector<std::uint32_t> accumulators, answers(probes.size());
  for (const StepProbe& probe : probes) {
    a.insert(a.end(), probe.a.begin(), probe.a.end());
    b.insert(b.end(), probe.b.begin(), probe.b.end());
    accumulators.push_back(probe.accumulator);
  }
  run_tensor_core_steps(claim.instruction, claim.operands.a, claim.operands.b, a.data(), b.data(),
                        accumulators.data(), answers.data(), static_cast<std::int64_t>(probes.size()));
  return answers;
}

int run(const Options& options) {
  if (options.random_steps < 0 || options.random_steps > 100'000'000)
    throw InputError("--random", "0 to 100000000 steps", std::to_string(options.random_steps));
  const std::string device = step_device_name();
  if (device.empty()) throw EnvironmentError("calibrate", "a CUDA device", "none");

  const Terminal terminal = terminal_of(stdout);
  const bool print = !options.common.quiet && options.common.json_path != "-";
  nlohmann::ordered_json document;
  document["schema"] = "assay.calibrate/1";
  document["device"] = device;
  document["seed"] = options.common.seed;
  auto& steps = document["steps"] = nlohmann::ordered_json::array();
  if (print)
    fmt::print("{}, seed {}\n\n{:<9} {:<12} {:>5} {:>6}  answers\n", device, options.common.seed, "step",
               "operands", "align", "result");
  bool right = true;
  for (const Claim& claim : claims()) {
    if (interrupted) break;
    std::vector<StepProbe> probes = twin::step_probes(claim.operands);
    const std::size_t by_hand = probes.size();
    for (StepProbe& probe :
         twin::random_step_probes(claim.operands, options.common.seed, options.random_steps))
      probes.push_back(probe);
    const auto answers = ask(claim, probes);
    const twin::ProbeVerdict verdict = twin::judge(probes, answers);
    const std::string reading = twin::explain(probes, answers);
    const StepRule rule = twin::rule_of(claim.operands);
    right = right && verdict.mismatches == 0;
    steps.push_back({{"instruction", claim.name},
                     {"a", name_of(claim.operands.a)},
                     {"b", name_of(claim.operands.b)},
                     {"align_bits", rule.align_bits},
                     {"result_bits", rule.result_bits},
                     {"by_hand", by_hand},
                     {"answers", verdict.answers},
                     {"mismatches", verdict.mismatches},
                     {"reading", reading}});
    if (!print) continue;
    const std::string operands = fmt::format("{} x {}", name_of(claim.operands.a), name_of(claim.operands.b));
    fmt::print("{:<9} {:<12} {:>5} {:>6}  {}\n", claim.name, operands, rule.align_bits, rule.result_bits,
               toned(reading, verdict.mismatches == 0 ? Tone::kGood : Tone::kBad, terminal));
  }
  const bool complete = !interrupted;
  document["complete"] = complete;
  document["pass"] = right && complete;
  if (print) {
    fmt::print("\n{}\n", !right      ? "this chip does not compute what the twin predicts"
                         : !complete ? "interrupted: the lines above are complete, the others were not asked"
                                     : "the twin predicts this chip's tensor cores in every bit");
  }
  write_json(options.common, document);
  return !right ? kWrongResult : complete ? kPass : kInconclusive;
}

#else

int run(const Options&) {
  throw EnvironmentError("calibrate", "a program built with CUDA (nvcc)", "a CPU-only build");
}

#endif

}  // namespace

void register_calibrate(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      registry.app.add_subcommand("calibrate", "What this GPU's tensor cores compute, against the twin");
  command->add_option("--random", options->random_steps, "Random steps per instruction and operand pair")
      ->capture_default_str();
  add_common_options(*command, options->common);
  command->footer("\nExample:\n  assay calibrate --json h200.json");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
