#include "tools/commands/replay_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "model/core/check.h"
#include "model/twin/mqa_logits_twin.h"
#include "properties/kernels/registry.h"
#include "properties/world/replay_verification.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::ReplayVerificationResult;
using properties::Verification;
using properties::WrongElement;

// JSON has no infinities.
nlohmann::ordered_json number(double value) {
  if (value - value == 0) return value;
  return fmt::format("{}", value);
}

nlohmann::ordered_json as_json(const WrongElement& wrong) {
  return {{"step", wrong.step},
          {"request", wrong.request},
          {"token", wrong.token},
          {"block", wrong.block},
          {"slot", wrong.slot},
          {"what", wrong.what},
          {"expected", number(wrong.expected)},
          {"got", number(wrong.got)},
          {"slot_is_right", wrong.slot_is_right},
          {"text", describe(wrong)}};
}

void print_result(const VerifyOptions& options, const ReplayVerificationResult& r) {
  const Terminal terminal = terminal_of(stdout);
  const Verification& v = r.data;
  fmt::print("{}  {} decode steps ({}), {} sequences, {} logits by kernel {}: {}\n",
             toned("verified", Tone::kStrong, terminal), grouped(v.steps), options.pick, grouped(v.sequences),
             grouped(v.elements), options.kernel,
             v.passed() ? toned("0 wrong", Tone::kGood, terminal)
                        : toned(fmt::format("{} wrong", grouped(v.wrong)), Tone::kBad, terminal));
  fmt::print(
      "  {} compared with the twin bit by bit, {} differ; largest error {:.3f} of its bound; digest "
      "{:016x}\n",
      grouped(v.twin_elements), grouped(v.twin_mismatches), v.worst_headroom, v.digest);
  if (options.fault != "none")
    fmt::print("  the planted fault {} struck {} times\n", options.fault, grouped(r.fault_strikes));
  if (v.misplaced_slots > 0 || r.double_writes > 0)
    fmt::print("  {} live slots hold another token; {} slots were written twice in one step\n",
               grouped(v.misplaced_slots), grouped(r.double_writes));
  if (v.unsupported > 0) fmt::print("  {} steps were declined by the kernel\n", grouped(v.unsupported));
  if (v.failed > 0) fmt::print("  the kernel failed in {} steps\n", grouped(v.failed));
  if (v.inputs_modified > 0)
    fmt::print("  the kernel changed its inputs in {} steps\n", grouped(v.inputs_modified));
  for (const WrongElement& wrong : v.listed) fmt::print("  {}\n", describe(wrong));
}

}  // namespace

struct ReplayVerifier::Kernel {
  explicit Kernel(const std::string& name) : set(name) {}
  properties::KernelSet set;
};

ReplayVerifier::ReplayVerifier(const VerifyOptions& options, const ReplayOptions& replay)
    : options_(options),
      replay_(replay),
      scores_(properties::step_pick_named(options.pick, "--verify-pick"), replay.parts,
              replay.planners.empty() ? "assay" : replay.planners.front()),
      kernel_(std::make_unique<Kernel>(options.kernel)) {
  if (options.op != "paged-mqa-logits") throw InputError("--op", "paged-mqa-logits", "'" + options.op + "'");
  (void)properties::engine_fault_named(options.fault, "--verify-fault");
  if (kernel_->set.find(ASSAY_OP_PAGED_MQA_LOGITS) == nullptr)
    throw InputError("--kernel", "a kernel of paged-mqa-logits", options.kernel + ", which has none");
  if (replay.scheduler.window_tokens > 0)
    throw InputError("--verify", "no --window: logits look at every token",
                     "--window " + std::to_string(replay.scheduler.window_tokens));
  twin::mqa_logits_twin_preconditions().check("heads", options.heads);
  twin::mqa_logits_twin_preconditions().check("dims", options.dims);
}

ReplayVerifier::~ReplayVerifier() = default;

int ReplayVerifier::verify(RequestSource& requests, nlohmann::ordered_json& document, bool print) {
  properties::StepCheckOptions check;
  check.heads = options_.heads;
  check.dims = options_.dims;
  check.seed = options_.seed;
  check.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const ReplayVerificationResult r = properties::verify_replay(
      requests, replay_, scores_.pick(options_.steps), *kernel_->set.find(ASSAY_OP_PAGED_MQA_LOGITS), check,
      properties::engine_fault_named(options_.fault, "--verify-fault"));
  const Verification& v = r.data;
  auto& out = document["verify"] = {{"op", options_.op},
                                    {"kernel", options_.kernel},
                                    {"heads", options_.heads},
                                    {"dims", options_.dims},
                                    {"pick", options_.pick},
                                    {"partial", r.partial},
                                    {"steps", v.steps},
                                    {"sequences", v.sequences},
                                    {"elements", v.elements},
                                    {"wrong", v.wrong},
                                    {"misplaced_slots", v.misplaced_slots},
                                    {"double_writes", r.double_writes},
                                    {"twin_elements", v.twin_elements},
                                    {"twin_mismatches", v.twin_mismatches},
                                    {"worst_headroom", number(v.worst_headroom)},
                                    {"unsupported", v.unsupported},
                                    {"failed", v.failed},
                                    {"inputs_modified", v.inputs_modified},
                                    {"digest", fmt::format("{:016x}", v.digest)},
                                    {"picked", r.steps}};
  if (options_.fault != "none") out["fault"] = {{"name", options_.fault}, {"strikes", r.fault_strikes}};
  out["listed"] = nlohmann::ordered_json::array();
  for (const WrongElement& wrong : v.listed) out["listed"].push_back(as_json(wrong));
  if (print) print_result(options_, r);
  if (!v.passed()) return kWrongResult;
  return v.steps == 0 ? kInconclusive : kPass;
}

}  // namespace assay::tools
