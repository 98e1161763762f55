// A decode step's work, handed to parts (SMs), as every public planner would do it.
//
// A planner is a pure function: lengths in, pieces out. A piece is a run of units of one sequence and
// one KV head that one part works on: units unit_begin, unit_begin + unit_step, ... (unit_count of
// them). All pieces of a schedule together cover every unit of every (sequence, head) exactly once;
// schedule_test.cpp holds every planner to that.
//
// Costs are in tokens. A planner whose kernel runs dead slots of its last unit at full price says so
// (charges_full_units); the others are charged for live tokens only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace assay {

inline constexpr std::int32_t kH200SmCount = 132;

struct DecodeBatch {
  std::span<const std::int64_t> lengths;  // context tokens per sequence; 0 is legal
  std::int32_t parts = kH200SmCount;      // SMs
  std::int32_t kv_heads = 1;
  std::int32_t group = 1;  // query heads per KV head

  [[nodiscard]] std::int64_t useful_tokens() const {
    std::int64_t sum = 0;
    for (const std::int64_t length : lengths) sum += length;
    return sum * kv_heads;
  }
};

struct Piece {
  std::int32_t part = 0;
  std::int32_t sequence = 0;
  std::int32_t head = 0;
  std::int64_t unit_begin = 0;
  std::int64_t unit_count = 0;
  std::int64_t unit_step = 1;
};

struct Schedule {
  std::int32_t parts = 0;  // as many as the planner uses: clusters of two count once
  std::int32_t unit_tokens = 1;
  bool charges_full_units = false;
  std::vector<Piece> pieces;  // in the order in which each part works on them

  void reset(std::int32_t part_count, std::int32_t tokens_per_unit, bool full_units) {
    parts = part_count;
    unit_tokens = tokens_per_unit;
    charges_full_units = full_units;
    pieces.clear();
  }
};

// What a piece costs its part, in tokens.
[[nodiscard]] std::int64_t cost_of(const Piece& piece, const Schedule& schedule, const DecodeBatch& batch);

// Tokens of work per part.
void loads_of(const Schedule& schedule, const DecodeBatch& batch, std::vector<std::int64_t>& loads);

struct Planner {
  std::string_view name;  // as on the command line and in JSON
  std::string_view rule;  // one line for people
  bool multi_query_only;  // plans one KV head only (the logits kernels)
  void (*plan)(const DecodeBatch&, Schedule&);
};

// All planners, in the order in which reports show them.
[[nodiscard]] std::span<const Planner> planners();
// Throws InputError naming all planners when there is none of that name.
[[nodiscard]] const Planner& planner_named(std::string_view name);

// The plans themselves, one file each. kUnit... constants and limits are those of the public sources.
void plan_assay(const DecodeBatch&, Schedule&);     // model/core/schedule.h at 64 tokens
void plan_deepgemm(const DecodeBatch&, Schedule&);  // 256-token segments, equal counts
void plan_stream_k(const DecodeBatch&, Schedule&, std::int32_t unit_tokens);
void plan_one_cta_per_sequence(const DecodeBatch&, Schedule&);
void plan_longest_first(const DecodeBatch&, Schedule&);        // LPT, no splitting
void plan_flashmla(const DecodeBatch&, Schedule&);             // greedy with a priced switch
void plan_flashinfer_decode(const DecodeBatch&, Schedule&);    // uniform chunk by binary search
void plan_flashinfer_mla(const DecodeBatch&, Schedule&);       // min-heap in request order
void plan_flashinfer_holistic(const DecodeBatch&, Schedule&);  // min-heap over two CTAs per SM
void plan_fa3_static(const DecodeBatch&, Schedule&);           // one split count for all
void plan_fa3_dynamic(const DecodeBatch&, Schedule&);          // per-sequence splits, sorted, atomic queue
void plan_xqa(const DecodeBatch&, Schedule&);                  // interleaved tiles

// The hardware's CTA dispatch: the next CTA goes to the slot that is free first (ties: lowest slot).
class SlotQueue {
 public:
  explicit SlotQueue(std::int32_t slots) : heap_(static_cast<std::size_t>(slots)) {
    for (std::size_t i = 0; i < heap_.size(); ++i) heap_[i] = {0, static_cast<std::int32_t>(i)};
  }
  // The slot that takes work of this cost next.
  std::int32_t take(std::int64_t cost);

 private:
  struct Entry {
    std::int64_t load;
    std::int32_t slot;
    friend bool operator>(const Entry& a, const Entry& b) {
      return a.load != b.load ? a.load > b.load : a.slot > b.slot;
    }
  };
  std::vector<Entry> heap_;  // min-heap by (load, slot)
};

}  // namespace assay
