// An allocator of KV blocks under test: what every engine's pool does, whatever it calls it.
//
//   admit      finds which leading full blocks of a prompt are cached, takes blocks for the rest
//   computed   the prompt's tokens are in the pool now: its full blocks can be hit from here on
//   append     one more token of a sequence, with a new block when the last one is full
//   release    finished, aborted or preempted: the blocks go back, tail first, and stay hittable until handed out
//
// A refused admit or append changes nothing. While a step is in flight (begin_step .. end_step) released
// blocks are still being written: they come back at its end.
//
// Tokens are identities: two prompts share content exactly where their leading tokens are equal.
#pragma once

#include <cstdint>
#include <vector>

namespace assay::properties {

using Tokens = std::vector<std::int64_t>;

class Allocator {
 public:
  virtual ~Allocator() = default;
  Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Tokens of the prompt that were found, or kRefused. At least one token is always left to compute.
  static constexpr std::int64_t kRefused = -1;
  virtual std::int64_t admit(std::int32_t sequence, const Tokens& prompt) = 0;
  virtual void computed(std::int32_t sequence) = 0;
  virtual bool append(std::int32_t sequence, std::int64_t token) = 0;
  virtual void release(std::int32_t sequence) = 0;
  // Releases the newest sequences until `blocks` blocks are free; those released, in order.
  // During a step nothing can be won, and nobody is released.
  virtual std::vector<std::int32_t> make_room(std::int32_t blocks) = 0;
  virtual void begin_step() = 0;
  virtual void end_step() = 0;

  [[nodiscard]] virtual std::vector<std::int32_t> table(std::int32_t sequence) const = 0;
  [[nodiscard]] virtual std::int32_t free_blocks() const = 0;
  [[nodiscard]] virtual std::int32_t owners(std::int32_t block) const = 0;
};

struct AllocatorShape {
  std::int32_t blocks = 8, block_tokens = 4;
};

}  // namespace assay::properties
