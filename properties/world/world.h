// One world: traffic, an engine's policy and its pool, the shape of the kernel's call and a schedule, all drawn
// from one seed. Its life is replayed, and steps of it are judged by their data (live_verifier.h).
//
//   traffic    up to 24 requests that arrive over some tens of steps; prompts branch inside and between blocks,
//              end at block borders, repeat; some can never fit, some want no output
//   pool       4 to 40 blocks of 1 to 16 tokens: overload, preemption and eviction are the rule
//   policy     every option of the scheduler; a sliding window only under attention
//   call       paged MQA logits or, in a quarter of the worlds, paged attention; heads, dims, type, -inf or untouched
//              outside, gaps between blocks; which steps are judged
//   schedule   one planner and a number of SMs: each judged step's work must be covered exactly once
//
// What it does not do: other engines than vLLM-v1; a kernel of its own (the caller gives one).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "properties/kernels/registry.h"
#include "properties/world/live_verifier.h"

namespace assay::properties {

struct WorldRequest {
  std::int64_t step = 0;  // of its arrival
  std::int64_t prompt_tokens = 1, output_tokens = 1;
  std::vector<std::int64_t> hash_ids;  // [ceil(prompt / hash_tokens)]
  friend bool operator==(const WorldRequest&, const WorldRequest&) = default;
};

struct World {
  std::uint64_t seed = 0;  // of the tokens' contents
  SchedulerOptions engine;
  std::int32_t hash_tokens = 4;
  std::vector<WorldRequest> requests;  // by step
  bool attention = false;
  std::int32_t heads = 8, dims = 32, kv_heads = 1;
  ElementType output = ElementType::kFp32;
  bool clean = false;
  std::int64_t gap_bytes = 0;
  std::int64_t judge_every = 1;  // decode steps
  std::string planner = "assay";
  std::int32_t parts = kH200SmCount;
};

// Case `index` of campaign `seed`.
[[nodiscard]] World world_of(std::uint64_t seed, std::int64_t index);

[[nodiscard]] nlohmann::ordered_json world_as_json(const World& world);
// Throws InputError naming the key that is wrong.
[[nodiscard]] World world_from_json(const nlohmann::ordered_json& json);

enum class WorldFailure {
  kNone,
  kWrongData,        // a logit outside its bound, a mask, an unwritten element
  kTwinBits,         // right within its bound, but not what the kernel claims
  kMisplacedUnseen,  // a live slot holds another token, and no output was wrong: the judges are blind, or the
                     // operation is (attention does not see an order)
  kDoubleWrite,      // one step wrote one slot twice
  kSchedule,         // a planner left work out or did it twice
  kKernel,           // the kernel failed, or changed its inputs
  kLostRequest,      // a request neither ended nor was rejected
  kNondeterministic,
};
[[nodiscard]] const char* name_of(WorldFailure failure);

struct WorldOutcome {
  WorldFailure failure = WorldFailure::kNone;
  std::string text;  // the first finding in words
  std::int64_t steps = 0, decode_steps = 0, preemptions = 0, rejected = 0, hit_tokens = 0;
  std::int64_t judged_steps = 0, elements = 0, fault_strikes = 0;
  double worst_headroom = 0;
  std::uint64_t digest = 0;  // of everything that was counted and every judged logit
};

// What a kernel's name stands for in this world; nullptr when it does not do the operation.
[[nodiscard]] const assay_kernel* kernel_for(const World& world, const KernelSet& kernels,
                                             const std::string& name);

// InputError when the kernel's operation is not the world's.
[[nodiscard]] WorldOutcome live(const World& world, const assay_kernel& kernel,
                                EngineFault fault = EngineFault::kNone);

}  // namespace assay::properties
