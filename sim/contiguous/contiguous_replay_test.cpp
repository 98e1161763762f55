// The contiguous baselines: a batch by hand, the ledger against a walk over every slot, refusals.
#include "sim/contiguous/contiguous_replay.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <deque>
#include <map>

#include "model/core/check.h"
#include "model/core/philox.h"
#include "sim/cache/trace_in_memory.h"
#include "sim/contiguous/buddy_allocator.h"

namespace assay {
namespace {

ContiguousReplayResult replay(std::vector<Request> requests, const ContiguousReplayOptions& options,
                              ContiguousObserver* observer = nullptr) {
  TraceInMemory trace(0, std::move(requests));
  return replay_contiguous(trace, options, observer);
}

class Ledgers final : public ContiguousObserver {
 public:
  void after_step(std::int64_t, const ContiguousLedger& ledger) override { all.push_back(ledger); }
  std::vector<ContiguousLedger> all;
};

// Pool 64, longest context 32: two extents of 32. Prompts of 5 with 3, 2 and 3 output tokens; the third
// waits until the second is done.
//   step 1: 5 + 5 live; they will write 7 and 6; 64 asked for; nothing is free, the third waits
//   step 2: 6 + 6; the second is done and leaves
//   step 3: 7 + 5; the first is done
TEST(ContiguousReplay, MaxReservesTheLongestContextForEverybody) {
  Ledgers ledgers;
  const auto result =
      replay({prompt_of(5, {}, 3), prompt_of(5, {}, 2), prompt_of(5, {}, 3)},
             {.pool_slots = 64, .reservation = Reservation::kMax, .max_tokens = 32}, &ledgers);
  ASSERT_EQ(ledgers.all.size(), 5u);
  EXPECT_EQ(ledgers.all[0], (ContiguousLedger{10, 3, 51, 0, 0, 0}));
  EXPECT_EQ(ledgers.all[1], (ContiguousLedger{12, 1, 51, 0, 0, 0}));
  EXPECT_EQ(ledgers.all[2], (ContiguousLedger{12, 2, 50, 0, 0, 0}));
  EXPECT_EQ(ledgers.all[3], (ContiguousLedger{6, 1, 25, 0, 0, 32}));
  EXPECT_EQ(ledgers.all[4], (ContiguousLedger{7, 0, 25, 0, 0, 32}));
  EXPECT_EQ(result.steps, 5);
  EXPECT_EQ(result.steps_waiting, 2);
  EXPECT_EQ(result.completed, 3);
  EXPECT_EQ(result.running, 2 + 2 + 2 + 1 + 1);
  EXPECT_EQ(result.peak_live, 12);
  EXPECT_EQ(result.p50_live, 10);
  EXPECT_EQ(result.p99_live, 12);
}

// The paper's example: 25 output tokens reserve 32. 5 + 32 = 37 are asked for, 64 are taken.
TEST(ContiguousReplay, PowerOfTwoReservesWithinTwiceTheOutput) {
  EXPECT_EQ(slots_to_reserve(Reservation::kPowerOfTwo, 5, 25, 2048), 37);
  EXPECT_EQ(slots_to_reserve(Reservation::kPowerOfTwo, 2000, 33, 2048), 2048);
  Ledgers ledgers;
  (void)replay({prompt_of(5, {}, 25)}, {.pool_slots = 64, .reservation = Reservation::kPowerOfTwo}, &ledgers);
  EXPECT_EQ(ledgers.all.front(), (ContiguousLedger{5, 24, 8, 27, 0, 0}));
}

TEST(ContiguousReplay, TheOracleHasNoInternalFragmentation) {
  Ledgers ledgers;
  const auto result =
      replay({prompt_of(10, {}, 7), prompt_of(30, {}, 3), prompt_of(40, {}, 1)},
             {.pool_slots = 100, .reservation = Reservation::kOracle, .max_tokens = 60}, &ledgers);
  EXPECT_EQ(result.ledger.internal, 0);
  EXPECT_EQ(ledgers.all.front(), (ContiguousLedger{40, 8, 0, 0, 52, 0}));  // 16 and 32 taken; 40 waits for 64
  EXPECT_EQ(result.completed, 3);
}

TEST(ContiguousReplay, WhatCanNeverFitIsRejectedAndCountedBeforeItStarts) {
  const auto result = replay({prompt_of(70, {}, 1), prompt_of(40, {}, 30), prompt_of(4, {}, 4)},
                             {.pool_slots = 96, .reservation = Reservation::kOracle, .max_tokens = 69});
  EXPECT_EQ(result.rejected, 2);  // longer than the context; 69 slots need an extent of 128, the root has 64
  EXPECT_EQ(result.completed, 1);
  EXPECT_EQ(result.requests, 3);
}

TEST(ContiguousReplay, ZeroLengthPromptsAndOutputsEnd) {
  const auto result =
      replay({prompt_of(0, {}, 0), prompt_of(0, {}, 1), prompt_of(0, {}, 5), prompt_of(5, {}, 0)},
             {.pool_slots = 8, .reservation = Reservation::kOracle, .max_tokens = 8});
  EXPECT_EQ(result.completed, 4);
  EXPECT_EQ(replay({}, {.pool_slots = 1}).steps, 0);
}

// Ten milliseconds a step: the second request arrives while the first runs, the third after a pause.
TEST(ContiguousReplay, WithAClockRequestsStartWhenTheyHaveArrived) {
  std::vector<Request> requests = {prompt_of(4, {}, 4), prompt_of(4, {}, 1), prompt_of(4, {}, 2)};
  requests[1].arrival_ns = 15'000'000;
  requests[2].arrival_ns = 1'000'000'000;
  Ledgers ledgers;
  const auto result = replay(
      requests, {.pool_slots = 64, .reservation = Reservation::kOracle, .step_ns = 10'000'000}, &ledgers);
  EXPECT_EQ(result.steps, 6);
  EXPECT_EQ(ledgers.all[2].live, 6 + 4);
  EXPECT_EQ(result.end_ns, 1'020'000'000);
  EXPECT_EQ(result.steps_waiting, 0);
}

TEST(ContiguousReplay, MaxSequencesLimitsTheBatchAndIsNoWantOfRoom) {
  const auto result = replay({prompt_of(4, {}, 4), prompt_of(4, {}, 4)},
                             {.pool_slots = 64, .reservation = Reservation::kOracle, .max_sequences = 1});
  EXPECT_EQ(result.peak_running, 1);
  EXPECT_EQ(result.steps, 8);
  EXPECT_EQ(result.steps_waiting, 0);
}

TEST(ContiguousReplay, ImpossibleOptionsAreRefusedByName) {
  EXPECT_THROW((void)replay({}, {.pool_slots = 0}), InputError);
  EXPECT_THROW((void)replay({}, {.pool_slots = 1, .max_tokens = 0}), InputError);
  EXPECT_THROW((void)replay({}, {.pool_slots = 1, .max_sequences = -1}), InputError);
  EXPECT_THROW((void)replay({}, {.pool_slots = 1, .step_ns = -1}), InputError);
  EXPECT_THROW((void)reservation_of("orca"), InputError);
  for (const std::string& name : reservation_names()) EXPECT_EQ(reservation_name(reservation_of(name)), name);
}

TEST(ContiguousReplay, AnInterruptedReplaySaysSo) {
  const std::atomic<bool> interrupted{true};
  EXPECT_TRUE(replay({prompt_of(4, {}, 4)}, {.pool_slots = 64, .interrupted = &interrupted}).partial);
}

enum class LoopFault {
  kNone,
  kOvertakes,              // a smaller request starts before the first one that waits
  kCountsTheLastToken,     // the last token takes a slot too
  kStaysOneStepLonger,     // room comes back a step late
  kCallsEveryHoleExternal  // also when nobody waits
};

// The same rules with every slot's state spelled out, one character per slot, and counted anew each step.
std::vector<ContiguousLedger> naive(const std::vector<Request>& requests,
                                    const ContiguousReplayOptions& options, LoopFault fault) {
  struct Sequence {
    Request request;
    Extent extent;
    std::int64_t asked = 0, iterations = 0;
  };
  BuddyAllocator buddy(options.pool_slots);
  std::deque<Request> queue(requests.begin(), requests.end());
  std::vector<Sequence> running;
  std::vector<ContiguousLedger> ledgers;
  for (int step = 0; step < 100'000; ++step) {
    bool waiting = false;
    for (std::size_t i = 0; i < queue.size() && !(waiting && fault != LoopFault::kOvertakes);) {
      const Request request = queue[i];
      const std::int64_t most = request.input_tokens + std::max<std::int64_t>(0, request.output_tokens - 1);
      std::int64_t asked = most;
      if (options.reservation == Reservation::kMax) asked = options.max_tokens;
      if (options.reservation == Reservation::kPowerOfTwo) {
        std::int64_t guess = 1;
        while (guess < request.output_tokens) guess *= 2;
        asked = std::min(options.max_tokens, request.input_tokens + guess);
      }
      asked = std::max<std::int64_t>(asked, 1);
      if (most > options.max_tokens || BuddyAllocator::allocated_slots(asked) > buddy.largest_root()) {
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
      } else if (const auto extent = buddy.allocate(asked)) {
        running.push_back({request, *extent, asked, 0});
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        waiting = true;
        ++i;
      }
    }
    if (running.empty()) break;
    const bool external = waiting || fault == LoopFault::kCallsEveryHoleExternal;
    std::string slots(static_cast<std::size_t>(options.pool_slots), external ? 'e' : 'f');
    for (Sequence& sequence : running) {
      const std::int64_t live = sequence.request.input_tokens + sequence.iterations;
      const std::int64_t most =
          sequence.request.input_tokens +
          std::max<std::int64_t>(
              0, sequence.request.output_tokens - (fault == LoopFault::kCountsTheLastToken ? 0 : 1));
      ++sequence.iterations;
      for (std::int64_t i = 0; i < sequence.extent.slots; ++i)
        slots[static_cast<std::size_t>(sequence.extent.offset + i)] = i < live             ? 'L'
                                                                      : i < most           ? 'R'
                                                                      : i < sequence.asked ? 'I'
                                                                                           : 'o';
    }
    std::map<char, std::int64_t> count;
    for (const char slot : slots) ++count[slot];
    ledgers.push_back({count['L'], count['R'], count['I'], count['o'], count['e'], count['f']});
    for (std::size_t i = running.size(); i-- > 0;) {
      const std::int64_t late = fault == LoopFault::kStaysOneStepLonger ? 1 : 0;
      if (running[i].iterations < std::max<std::int64_t>(1, running[i].request.output_tokens) + late)
        continue;
      buddy.free(running[i].extent);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return ledgers;
}

// What was written and how the batch ended; the offsets may differ (order of freeing), the counts not.
std::optional<std::string> differs(const std::vector<std::uint16_t>& lengths, std::int64_t pool,
                                   Reservation reservation, LoopFault fault = LoopFault::kNone) {
  std::vector<Request> requests;
  for (const std::uint16_t length : lengths) requests.push_back(prompt_of(length % 23, {}, length / 23 % 17));
  const ContiguousReplayOptions options{.pool_slots = pool, .reservation = reservation, .max_tokens = 36};
  Ledgers ledgers;
  const ContiguousReplayResult result = replay(requests, options, &ledgers);
  if (result.completed + result.rejected != static_cast<std::int64_t>(requests.size()))
    return "a request got lost";
  const auto expected = naive(requests, options, fault);
  if (ledgers.all.size() != expected.size())
    return std::to_string(ledgers.all.size()) + " steps, the twin took " + std::to_string(expected.size());
  ContiguousLedger sum;
  for (std::size_t step = 0; step < expected.size(); ++step) {
    if (!(ledgers.all[step] == expected[step])) return "the ledger of step " + std::to_string(step);
    sum += expected[step];
  }
  if (!(sum == result.ledger) || sum.sum() != result.steps * pool) return "the sums";
  return std::nullopt;
}

RC_GTEST_PROP(ContiguousProperty, TheLedgerOfEveryStepIsWhatAWalkOverTheSlotsCounts,
              (const std::vector<std::uint16_t>& lengths)) {
  const auto pool = *rc::gen::inRange<std::int64_t>(1, 200);
  for (const std::string& name : reservation_names())
    if (const auto wrong = differs(lengths, pool, reservation_of(name))) RC_FAIL(name + ": " + *wrong);
}

class LoopCanary : public testing::TestWithParam<LoopFault> {};

TEST_P(LoopCanary, IsCaught) {
  for (std::uint64_t run = 0; run < 50; ++run) {
    const RandomStream stream = RandomStream(1, "contiguous canary").child(run);
    std::vector<std::uint16_t> lengths(30);
    for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = static_cast<std::uint16_t>(stream.u32(i));
    const auto pool = static_cast<std::int64_t>(40 + stream.below(100, 160));
    if (differs(lengths, pool, Reservation::kPowerOfTwo, GetParam())) return;
  }
  FAIL() << "a broken copy survived 50 runs";
}

INSTANTIATE_TEST_SUITE_P(Faults, LoopCanary,
                         testing::Values(LoopFault::kOvertakes, LoopFault::kCountsTheLastToken,
                                         LoopFault::kStaysOneStepLonger, LoopFault::kCallsEveryHoleExternal));

}  // namespace
}  // namespace assay
