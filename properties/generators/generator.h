// Draws kernel cases. Case number i of a seed is a function of (options, seed, i) alone: any number of
// workers in any order tries the same cases.
//
// Every 32 cases share a *swarm*: a drawn subset of features with drawn weights. A mix of everything in
// every case would make rare combinations rarer still; a swarm lets some runs have nothing but
// zero-length rows on tight tables.
//
// What a case contains is read back from the case (features.h), never from the draws.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/philox.h"
#include "properties/cases/kernel_case.h"

namespace assay::properties {

struct GeneratorOptions {
  std::vector<Operation> operations{Operation::kPagedMqaLogits, Operation::kMqaLogits,
                                    Operation::kScheduleMetadata};
  // Products per case, about: heads * dims * rows * tokens. Small cases find as much and run sooner.
  std::int64_t products = 400'000;
  std::int64_t odd_shapes_percent = 4;  // heads and dims that most kernels decline
  std::int64_t sparse_percent = 4;      // pools of gigabytes of which few pages exist
};

// Consecutive draws of one case.
class Draws {
 public:
  explicit Draws(const RandomStream& stream) : stream_(stream) {}
  // Uniform in [begin, end), begin < end.
  std::int64_t in(std::int64_t begin, std::int64_t end) {
    return begin + static_cast<std::int64_t>(stream_.below(next_++, static_cast<std::uint64_t>(end - begin)));
  }
  bool percent(std::int64_t chance) { return in(0, 100) < chance; }
  template <typename T>
  T pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(in(0, static_cast<std::int64_t>(from.size())))];
  }
  std::uint64_t word() { return stream_.below(next_++, std::uint64_t{1} << 53); }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

// Which parts of the input space a run leans on. All chances in percent.
struct Swarm {
  std::vector<Lane> lanes, attention_lanes;
  std::vector<Relation> relations;
  std::int64_t boundary_lengths = 50, zero_lengths = 10, all_zero = 3, many_sequences = 5,
               several_queries = 40;
  std::int64_t shared_blocks = 30, tight_tables = 50, strides = 40, odd_strides = 10, guard_in_front = 25;
  std::int64_t windows = 25;
};

[[nodiscard]] Swarm draw_swarm(std::uint64_t seed, std::int64_t group);
inline constexpr std::int64_t kCasesPerSwarm = 32;

// Valid by construction (and validated).
[[nodiscard]] KernelCase generate_case(const GeneratorOptions& options, std::uint64_t seed,
                                       std::int64_t index);

}  // namespace assay::properties
