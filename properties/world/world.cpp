#include "properties/world/world.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "properties/world/attention_kernels.h"
#include "properties/world/schedule_coverage.h"

namespace assay::properties {
namespace {

constexpr std::int64_t kStepNs = 1'000'000;

// The requests of a world as a trace.
class WorldTraffic : public RequestSource {
 public:
  explicit WorldTraffic(const World& world) : world_(world) { header_.hash_tokens = world.hash_tokens; }
  [[nodiscard]] const TraceHeader& header() const override { return header_; }
  [[nodiscard]] bool next(Request& request) override {
    if (at_ == world_.requests.size()) return false;
    const WorldRequest& r = world_.requests[at_++];
    request = {};
    request.arrival_ns = r.step * kStepNs;
    request.input_tokens = r.prompt_tokens;
    request.output_tokens = r.output_tokens;
    request.hash_ids = r.hash_ids;
    return true;
  }

 private:
  const World& world_;
  TraceHeader header_;
  std::size_t at_ = 0;
};

constexpr const char* kFailures[] = {
    "none",     "wrong-data", "twin-bits",    "misplaced-unseen", "double-write",
    "schedule", "kernel",     "lost-request", "nondeterministic"};

WorldFailure failure_of(const Verification& v) {
  if (v.wrong > 0) return WorldFailure::kWrongData;
  if (v.misplaced_slots > 0) return WorldFailure::kMisplacedUnseen;
  if (v.twin_mismatches > 0) return WorldFailure::kTwinBits;
  if (v.failed > 0 || v.inputs_modified > 0) return WorldFailure::kKernel;
  return WorldFailure::kNone;
}

}  // namespace

const char* name_of(WorldFailure failure) { return kFailures[static_cast<int>(failure)]; }

World world_of(std::uint64_t seed, std::int64_t index) {
  const RandomStream r = RandomStream(seed, "world").child(static_cast<std::uint64_t>(index));
  std::uint64_t drawn = 0;
  const auto below = [&](std::int64_t bound) {
    return static_cast<std::int32_t>(r.below(drawn++, static_cast<std::uint64_t>(bound)));
  };
  const auto one_of = [&](std::initializer_list<std::int32_t> list) {
    return *(list.begin() + below(static_cast<std::int64_t>(list.size())));
  };
  World w;
  w.seed = r.u64(std::uint64_t{1} << 40);
  SchedulerOptions& o = w.engine;
  o.block_tokens = one_of({1, 2, 4, 8, 16});
  o.blocks = 4 + below(o.block_tokens >= 8 ? 12 : 36);
  o.token_budget = 1 + below(3 * o.block_tokens + 30);
  o.max_sequences = 1 + below(7);
  o.long_prefill_tokens = below(3) == 0 ? 1 + below(12) : 0;
  o.watermark = below(3) == 0 ? 0.2 : 0.0;
  o.whole_prompt_admission = below(2) == 0;
  o.prefix_caching = below(6) != 0;
  o.free_order = below(2) == 0 ? FreeOrder::kUnpublishedFirst : FreeOrder::kAppend;
  w.hash_tokens = one_of({1, 2, 3, 4, 8, 16});

  const std::int32_t pool_tokens = (o.blocks - 1) * o.block_tokens;
  const std::int32_t longest =
      below(8) == 0 ? pool_tokens + pool_tokens / 4 : std::max(1, pool_tokens * 2 / 3);
  const std::int32_t count = 1 + below(24), rush = 1 + below(9);
  std::int64_t step = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    step += below(3) == 0 ? below(rush) : 0;
    WorldRequest request;
    request.step = step;
    if (!w.requests.empty() && below(8) == 0) {  // a twin
      const auto& other = w.requests[static_cast<std::size_t>(below(i))];
      request.prompt_tokens = other.prompt_tokens;
      request.hash_ids = other.hash_ids;
    } else {
      std::int32_t prompt = 1 + below(longest);
      if (below(3) == 0) prompt = std::max(1, prompt / o.block_tokens * o.block_tokens);  // at a border
      request.prompt_tokens = prompt;
      // A small tree of prefixes; odd granules are the same in every branch: equal ids behind other prefixes.
      const std::int32_t branch = below(3), depth = below(8);
      for (std::int32_t g = 0; g * w.hash_tokens < prompt; ++g)
        request.hash_ids.push_back(g > depth ? 100'000 + i * 1000 + g : g % 2 == 1 ? 555 : branch * 1000 + g);
    }
    request.output_tokens = below(2 * o.block_tokens + 12);
    w.requests.push_back(std::move(request));
  }

  w.heads = one_of({8, 8, 16, 24, 32, 64});
  w.dims = one_of({32, 32, 64, 96, 128});
  w.output = below(3) == 0 ? ElementType::kBf16 : ElementType::kFp32;
  w.clean = below(3) == 0;
  w.gap_bytes = one_of({0, 0, 4, 128, 4096});
  w.judge_every = 1 + below(16);
  const auto planners = assay::planners();
  w.planner = planners[static_cast<std::size_t>(below(static_cast<std::int64_t>(planners.size())))].name;
  w.parts = one_of({1, 2, 7, 66, kH200SmCount, 264});
  w.attention = below(4) == 0;
  if (w.attention) {
    w.kv_heads = one_of({1, 1, 2, 3});
    w.heads = w.kv_heads * (below(8) == 0 ? 9 : one_of({1, 2, 3}));  // 9: more than one tile of heads
    w.dims = one_of({16, 16, 32, 64});
    w.output = ElementType::kBf16;
    w.clean = false;
    o.window_tokens = below(3) == 0 ? 1 + below(3 * o.block_tokens) : 0;
  }
  return w;
}

const assay_kernel* kernel_for(const World& world, const KernelSet& kernels, const std::string& name) {
  const assay_kernel* found =
      kernels.find(world.attention ? ASSAY_OP_PAGED_ATTENTION : ASSAY_OP_PAGED_MQA_LOGITS);
  return found == nullptr && world.attention ? built_in_attention_kernel(name) : found;
}

WorldOutcome live(const World& world, const assay_kernel& kernel, EngineFault fault) {
  const char* operation = world.attention ? "paged-attention" : "paged-mqa-logits";
  if (kernel.op != (world.attention ? ASSAY_OP_PAGED_ATTENTION : ASSAY_OP_PAGED_MQA_LOGITS))
    throw InputError("--kernel", std::string("a kernel of ") + operation, kernel.name);
  WorldTraffic traffic(world);
  StepCheckOptions check;
  check.kv_heads = world.kv_heads;
  check.window_tokens = world.engine.window_tokens;
  check.heads = world.heads;
  check.dims = world.dims;
  check.output = world.output;
  check.clean = world.clean;
  check.gap_bytes = world.gap_bytes;
  check.seed = world.seed;
  LiveVerifier verifier(traffic, world.engine, kernel, check, fault);
  ReplayOptions replay;
  replay.scheduler = world.engine;
  replay.clock = StepClock::parse("fixed:1");
  replay.series_points = 0;
  replay.parts = world.parts;
  replay.check_every_step = true;
  ScheduleCoverage coverage(planner_named(world.planner), world.parts);

  std::int64_t decode_steps = 0;
  const auto observe = [&](const StepView& view) {
    const auto& scheduled = view.record.scheduled;
    const bool decodes =
        std::any_of(scheduled.begin(), scheduled.end(), [](const ScheduledSequence& s) { return s.decode; });
    const bool judge = decodes && decode_steps++ % world.judge_every == 0;
    verifier.observe(view, judge);
    if (judge) coverage.check(view);
  };
  const ReplayResult r = replay_serving(verifier.requests(), replay, observe);

  const Verification& v = verifier.data();
  WorldOutcome out;
  out.failure = failure_of(v);
  if (out.failure != WorldFailure::kNone) {
    out.text = v.listed.empty() ? std::to_string(v.misplaced_slots) + " live slots hold another token"
                                : describe(v.listed.front());
  } else if (verifier.shadow().double_writes() > 0) {
    out.failure = WorldFailure::kDoubleWrite;
    const DoubleWrite& twice = *verifier.shadow().first_double_write();
    out.text = "step " + std::to_string(twice.step) + ", block " + std::to_string(twice.block) + ", slot " +
               std::to_string(twice.slot) + ": " + describe(twice.first) + ", then " + describe(twice.second);
  } else if (!coverage.fault().empty()) {
    out.failure = WorldFailure::kSchedule;
    out.text = coverage.fault();
  } else if (r.completed + r.rejected() != static_cast<std::int64_t>(world.requests.size())) {
    out.failure = WorldFailure::kLostRequest;
    out.text = std::to_string(r.completed) + " ended and " + std::to_string(r.rejected()) +
               " were rejected, of " + std::to_string(world.requests.size());
  }
  out.steps = r.steps;
  out.decode_steps = r.decode_steps;
  out.preemptions = r.preemptions;
  out.rejected = r.rejected();
  out.hit_tokens = r.all_admissions.token_hits;
  out.judged_steps = v.steps;
  out.elements = v.elements;
  out.worst_headroom = v.worst_headroom;
  out.fault_strikes = verifier.fault_strikes();
  const std::int64_t facts[] = {r.steps,
                                r.decode_steps,
                                r.scheduled_tokens,
                                r.preemptions,
                                r.evictions,
                                r.completed,
                                r.rejected(),
                                out.hit_tokens,
                                r.live_slot_steps,
                                v.steps,
                                v.elements,
                                v.wrong,
                                coverage.pieces(),
                                static_cast<std::int64_t>(out.failure),
                                static_cast<std::int64_t>(r.trace_digest),
                                static_cast<std::int64_t>(v.digest)};
  out.digest = XXH3_64bits(facts, sizeof facts);
  return out;
}

}  // namespace assay::properties
