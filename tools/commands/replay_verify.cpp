#include "tools/commands/replay_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "model/core/check.h"
#include "model/twin/mqa_logits_twin.h"
#include "properties/kernels/registry.h"
#include "properties/world/attention_kernels.h"
#include "properties/world/replay_verification.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::ReplayVerificationResult;
using properties::Verification;
using properties::WrongElement;

constexpr const char *kLogits = "paged-mqa-logits", *kAttention = "paged-attention";

// JSON has no infinities.
nlohmann::ordered_json number(double value) {
  if (value - value == 0) return value;
  return fmt::format("{}", value);
}

nlohmann::ordered_json as_json(const WrongElement& wrong) {
  return {{"step", wrong.step},
          {"request", wrong.request},
          {"token", wrong.token},
          {"head", wrong.head},
          {"dim", wrong.dim},
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
  fmt::print("{}  {} decode steps ({}), {} sequences, {} {} by kernel {}: {}\n",
             toned("verified", Tone::kStrong, terminal), grouped(v.steps), options.pick, grouped(v.sequences),
             grouped(v.elements), options.op == kLogits ? "logits" : "outputs", options.kernel,
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
  Kernel(const std::string& name, const std::string& op) : set(name) {
    const bool attention = op == kAttention;
    if (!attention && op != kLogits)
      throw InputError("--op", std::string(kLogits) + " or " + kAttention, "'" + op + "'");
    kernel = set.find(attention ? ASSAY_OP_PAGED_ATTENTION : ASSAY_OP_PAGED_MQA_LOGITS);
    if (kernel == nullptr && attention) kernel = properties::built_in_attention_kernel(name);
    if (kernel == nullptr) throw InputError("--kernel", "a kernel of " + op, name + ", which has none");
  }
  properties::KernelSet set;
  const assay_kernel* kernel = nullptr;
};

ReplayVerifier::ReplayVerifier(const VerifyOptions& options, const ReplayOptions& replay)
    : options_(options),
      replay_(replay),
      scores_(properties::step_pick_named(options.pick, "--verify-pick"), replay.parts,
              replay.planners.empty() ? "assay" : replay.planners.front()),
      kernel_(std::make_unique<Kernel>(options.kernel, options.op)) {
  (void)properties::engine_fault_named(options.fault, "--verify-fault");
  const bool attention = options.op == kAttention;
  if (options_.heads == 0) options_.heads = attention ? 8 : 64;
  if (options_.dims == 0) options_.dims = attention ? 64 : 128;
  if (!attention) {
    twin::mqa_logits_twin_preconditions().check("heads", options_.heads);
    twin::mqa_logits_twin_preconditions().check("dims", options_.dims);
  } else if (options_.dims % 16 != 0 || options_.dims < 16 || options_.dims > 256) {
    throw InputError("--verify-dims", "a multiple of 16 up to 256", std::to_string(options_.dims));
  } else if (options_.heads < 1 || options_.heads > 128 || options_.kv_heads < 1 ||
             options_.heads % options_.kv_heads != 0) {
    throw InputError("--verify-heads", "1 to 128, a multiple of --verify-kv-heads",
                     fmt::format("{} over {}", options_.heads, options_.kv_heads));
  }
  if (!attention && replay.scheduler.window_tokens > 0)
    throw InputError("--verify", "no --window: logits look at every token",
                     "--window " + std::to_string(replay.scheduler.window_tokens));
}

ReplayVerifier::~ReplayVerifier() = default;

int ReplayVerifier::verify(RequestSource& requests, nlohmann::ordered_json& document, bool print) {
  properties::StepCheckOptions check;
  check.heads = options_.heads;
  check.dims = options_.dims;
  check.kv_heads = options_.op == kAttention ? options_.kv_heads : 1;
  check.seed = options_.seed;
  check.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const ReplayVerificationResult r =
      properties::verify_replay(requests, replay_, scores_.pick(options_.steps), *kernel_->kernel, check,
                                properties::engine_fault_named(options_.fault, "--verify-fault"));
  const Verification& v = r.data;
  auto& out = document["verify"] = {{"op", options_.op},
                                    {"kernel", options_.kernel},
                                    {"heads", options_.heads},
                                    {"dims", options_.dims},
                                    {"kv_heads", check.kv_heads},
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
  if (!v.passed() || r.double_writes > 0) return kWrongResult;
  return v.steps == 0 ? kInconclusive : kPass;
}

}  // namespace assay::tools
