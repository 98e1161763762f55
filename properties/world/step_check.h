// A decode step, judged by its data: the pool as the engine's writes left it, the kernel on the engine's own
// tables and lengths, and the answer that the sequences logically have.
//
//   pool      every live slot gets the bytes of the token that was last written there (pool_shadow.h), through
//             the cache-write contract; dead slots and blocks of nobody in this batch hold NaN
//   kernel    paged MQA logits, or paged attention, over all decoding sequences at once, output poisoned
//   golden    each sequence from its own tokens, one after another, never through table or pool; the bound of
//             the kernel's claims; the twin's bits where the kernel claims them
//
// A wrong element is named: request, token, block, slot, and what that slot holds. If it holds the right token,
// the kernel is at fault; if not, the engine is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/float_formats.h"
#include "properties/engine/claims.h"
#include "properties/world/live_step.h"
#include "properties/world/pool_shadow.h"
#include "properties/world/token_values.h"

namespace assay::properties {

struct WrongElement {
  std::int64_t step = 0, request = 0;
  std::int64_t token = 0;            // position in the sequence; -1: the element depends on all of them
  std::int64_t head = -1, dim = -1;  // attention; dim -1: the lse
  std::int64_t block = -1;  // where the kernel's table says that it lies; -1: beyond the sequence's end
  std::int64_t slot = -1;
  double expected = 0, got = 0, bound = 0;
  std::string what;  // "out of bound", "stray write", "not the twin's bits", ...
  SlotContent holds;
  bool slot_is_right = false;  // the slot holds the token that belongs there
  bool unseen = false;         // no element is wrong, only the slot (attention does not see an order)
};
[[nodiscard]] std::string describe(const WrongElement& wrong);

// Sums over verified steps. Independent of the number of threads.
struct Verification {
  static constexpr std::size_t kListed = 8;

  std::int64_t steps = 0, sequences = 0, elements = 0;
  std::int64_t wrong = 0;            // elements, masks and unwritten ones included
  std::int64_t misplaced_slots = 0;  // live slots that do not hold their token
  std::int64_t twin_elements = 0, twin_mismatches = 0;
  std::int64_t unsupported = 0;      // steps whose shape the kernel declined
  std::int64_t failed = 0;           // steps in which the kernel reported a failure
  std::int64_t inputs_modified = 0;  // steps after which an input was another one
  double worst_headroom = 0;
  std::vector<WrongElement> listed;  // the first ones
  std::uint64_t digest = 0;          // of lengths, tables and the must-write logits

  [[nodiscard]] bool passed() const {
    return wrong == 0 && misplaced_slots == 0 && twin_mismatches == 0 && failed == 0 && inputs_modified == 0;
  }
};

struct StepCheckOptions {
  std::int32_t heads = 64, dims = 128;
  std::int32_t kv_heads = 1, window_tokens = 0;  // attention
  ElementType output = ElementType::kFp32;       // logits
  bool clean = false;                            // logits
  std::int64_t gap_bytes = 0;                    // between blocks of the pool, a multiple of 4
  std::uint64_t seed = 1;
  int threads = 1;
};

// Judges the decode rows of steps; one operation, one kernel, one pool.
class StepCheck {
 public:
  virtual ~StepCheck() = default;
  // Nothing happens when the step has no decode rows.
  virtual void check(const LiveStep& live, const PoolShadow& shadow, const NamesOf& names,
                     Verification& total) = 0;

  static constexpr std::int64_t kMostPoolBytes = std::int64_t{4} << 30;
};

// By the kernel's operation: paged MQA logits (logits_check.cpp) or paged attention (attention_check.cpp), on the
// CPU. InputError for another operation, for a shape that cannot be, and when the pool's bytes would pass
// kMostPoolBytes. `kernel` must outlive the check.
[[nodiscard]] std::unique_ptr<StepCheck> make_step_check(const assay_kernel& kernel,
                                                         const StepCheckOptions& options, std::int32_t blocks,
                                                         std::int32_t block_tokens);

}  // namespace assay::properties
