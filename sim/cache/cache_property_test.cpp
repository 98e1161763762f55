// Every eviction rule against its slow twin, on drawn traces; and the proof that the comparison sees.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <optional>
#include <sstream>

#include "sim/cache/cache_replay.h"
#include "sim/cache/miss_ratio_curve.h"
#include "sim/cache/naive_cache.h"
#include "sim/cache/trace_in_memory.h"

namespace rc {
template <>
struct Arbitrary<assay::PromptSeed> {
  static Gen<assay::PromptSeed> arbitrary() {
    return gen::build<assay::PromptSeed>(
        gen::set(&assay::PromptSeed::parent), gen::set(&assay::PromptSeed::kept),
        gen::set(&assay::PromptSeed::added), gen::set(&assay::PromptSeed::missing));
  }
};
}  // namespace rc

namespace assay {
std::ostream& operator<<(std::ostream& out, const PromptSeed& seed) {
  return out << "{" << int{seed.parent} << "," << int{seed.kept} << "," << int{seed.added} << ","
             << int{seed.missing} << "}";
}

namespace {

constexpr std::int32_t kHashTokens = 4;
constexpr std::array<std::int64_t, 6> kBlockTokens{1, 2, 3, 4, 6, 9};

// The first counter in which the two differ, with both values.
std::optional<std::string> difference(const CacheReplayResult& fast, const CacheReplayResult& slow) {
  const auto differ = [](const char* name, std::int64_t a, std::int64_t b) -> std::optional<std::string> {
    if (a == b) return std::nullopt;
    std::ostringstream text;
    text << name << ": " << a << " and in the twin " << b;
    return text.str();
  };
  std::optional<std::string> found;
#define ASSAY_COMPARE(field) \
  if (!found) found = differ(#field, fast.field, slow.field)
  ASSAY_COMPARE(requests);
  ASSAY_COMPARE(input_tokens);
  ASSAY_COMPARE(output_tokens);
  ASSAY_COMPARE(block_references);
  ASSAY_COMPARE(unique_blocks);
  ASSAY_COMPARE(any_block_hits);
  ASSAY_COMPARE(block_hits);
  ASSAY_COMPARE(token_references);
  ASSAY_COMPARE(token_hits);
  ASSAY_COMPARE(full_block_references);
  ASSAY_COMPARE(full_block_hits);
  ASSAY_COMPARE(miss_cold);
  ASSAY_COMPARE(miss_evicted);
  ASSAY_COMPARE(miss_behind);
  ASSAY_COMPARE(evictions);
  ASSAY_COMPARE(peak_blocks);
#undef ASSAY_COMPARE
  return found;
}

std::optional<std::string> compare(const std::vector<Request>& requests, const CacheReplayOptions& options,
                                   CacheFault fault = CacheFault::kNone) {
  TraceInMemory trace(kHashTokens, requests);
  return difference(replay_cache(trace, options), NaiveCache(requests, kHashTokens, options, fault).result());
}

RC_GTEST_PROP(CacheProperty, EveryPolicyCountsWhatItsSlowTwinCounts, (const std::vector<PromptSeed>& seeds)) {
  const auto requests = grow_prompts(seeds, kHashTokens);
  CacheReplayOptions options;
  options.block_tokens = kBlockTokens[*rc::gen::inRange<std::size_t>(0, kBlockTokens.size())];
  options.capacity_blocks = *rc::gen::inRange<std::int64_t>(0, 40);
  for (const std::string& name : cache_policy_names()) {
    options.policy = cache_policy_of(name);
    const auto found = compare(requests, options);
    if (found) RC_FAIL(name + ": " + *found);
  }
}

RC_GTEST_PROP(CacheProperty, HitsAndMissesSumToReferencesAndBeladyIsNeverBeaten,
              (const std::vector<PromptSeed>& seeds)) {
  const auto requests = grow_prompts(seeds, kHashTokens);
  CacheReplayOptions options{kHashTokens, *rc::gen::inRange<std::int64_t>(1, 30), CachePolicy::kBelady};
  TraceInMemory trace(kHashTokens, requests);
  const std::int64_t most = replay_cache(trace, options).any_block_hits;
  for (const std::string& name : cache_policy_names()) {
    options.policy = cache_policy_of(name);
    trace.rewind();
    const CacheReplayResult result = replay_cache(trace, options);
    RC_ASSERT(result.block_hits + result.miss_cold + result.miss_evicted + result.miss_behind ==
              result.block_references);
    RC_ASSERT(result.peak_blocks <= options.capacity_blocks);
    // The optimum is over rules that look up and insert block by block and always insert.
    if (name != "lru" && name != "lru-prompt-order" && name != "belady-pinned")
      RC_ASSERT(result.any_block_hits <= most);
  }
}

// Each broken copy must differ from the real thing somewhere in a few hundred drawn traces.
struct Canary {
  CacheFault fault;
  CachePolicy policy;
};

class CacheCanary : public testing::TestWithParam<Canary> {};

TEST_P(CacheCanary, IsCaught) {
  const RandomStream stream(1, "cache canary");
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto requests = grow_prompts(draw_prompts(stream.child(i), 5 + i % 40), kHashTokens);
    const CacheReplayOptions options{kBlockTokens[i % kBlockTokens.size()],
                                     static_cast<std::int64_t>(1 + stream.below(i, 30)), GetParam().policy};
    if (compare(requests, options, GetParam().fault)) return;
  }
  FAIL() << "a broken copy of " << cache_policy_name(GetParam().policy) << " survived 400 traces";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, CacheCanary,
    testing::Values(Canary{CacheFault::kOneBlockMore, CachePolicy::kLru},
                    Canary{CacheFault::kOneBlockMore, CachePolicy::kS3Fifo},
                    Canary{CacheFault::kOneBlockMore, CachePolicy::kBelady},
                    Canary{CacheFault::kTouchesInOtherOrder, CachePolicy::kLru},
                    Canary{CacheFault::kTouchesInOtherOrder, CachePolicy::kLruPromptOrder},
                    Canary{CacheFault::kLooksUpWhileInserting, CachePolicy::kLru},
                    Canary{CacheFault::kLooksUpWhileInserting, CachePolicy::kLruPromptOrder},
                    Canary{CacheFault::kTouchesOnHit, CachePolicy::kFifo},
                    Canary{CacheFault::kRemembersCounts, CachePolicy::kLfu},
                    Canary{CacheFault::kBreaksTiesByInsertion, CachePolicy::kLfu},
                    Canary{CacheFault::kBreaksTiesByInsertion, CachePolicy::kLengthAware},
                    Canary{CacheFault::kEvictsTheNewcomer, CachePolicy::kLfu},
                    Canary{CacheFault::kEvictsTheNewcomer, CachePolicy::kLengthAware},
                    Canary{CacheFault::kEvictsNearestUse, CachePolicy::kBelady},
                    Canary{CacheFault::kIgnoresPins, CachePolicy::kBeladyPinned},
                    Canary{CacheFault::kPromotesAtOne, CachePolicy::kS3Fifo},
                    Canary{CacheFault::kForgetsGhosts, CachePolicy::kS3Fifo},
                    Canary{CacheFault::kCountsPastTheMiss, CachePolicy::kLruPromptOrder},
                    Canary{CacheFault::kPartialBlockIsFull, CachePolicy::kLru},
                    Canary{CacheFault::kSharesWithoutParents, CachePolicy::kFifo}));

// The curve says for every capacity at once what a replay says for one.
std::optional<std::string> compare_curve(const std::vector<Request>& requests, std::int64_t block_tokens,
                                         CachePolicy policy, CacheFault fault = CacheFault::kNone) {
  TraceInMemory trace(kHashTokens, requests);
  const MissRatioCurve curve = miss_ratio_curve(trace, {block_tokens, policy, nullptr});
  for (const std::int64_t capacity : {0, 1, 2, 3, 5, 8, 13, 21, 34}) {
    const CacheReplayResult twin =
        NaiveCache(requests, kHashTokens, {block_tokens, capacity, policy}, fault).result();
    CacheReplayResult from_curve = twin;  // what a curve does not speak of agrees by construction
    const CurvePoint point = curve.at(capacity);
    from_curve.block_references = curve.block_references;
    from_curve.unique_blocks = curve.unique_blocks;
    from_curve.block_hits = point.block_hits;
    from_curve.any_block_hits = point.any_block_hits;
    from_curve.token_hits = point.token_hits;
    from_curve.full_block_hits = point.full_block_hits;
    if (const auto found = difference(from_curve, twin))
      return "capacity " + std::to_string(capacity) + ": " + *found;
  }
  return std::nullopt;
}

RC_GTEST_PROP(MissRatioCurveProperty, EqualsAReplayAtEveryCapacity, (const std::vector<PromptSeed>& seeds)) {
  const auto requests = grow_prompts(seeds, kHashTokens);
  const auto block_tokens = kBlockTokens[*rc::gen::inRange<std::size_t>(0, kBlockTokens.size())];
  for (const CachePolicy policy : {CachePolicy::kLru, CachePolicy::kLruPromptOrder}) {
    const auto found = compare_curve(requests, block_tokens, policy);
    if (found) RC_FAIL(cache_policy_name(policy) + ": " + *found);
  }
}

class CurveCanary : public testing::TestWithParam<CacheFault> {};

TEST_P(CurveCanary, IsCaught) {
  const RandomStream stream(1, "curve canary");
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto requests = grow_prompts(draw_prompts(stream.child(i), 5 + i % 40), kHashTokens);
    if (compare_curve(requests, kBlockTokens[i % kBlockTokens.size()], CachePolicy::kLruPromptOrder,
                      GetParam()))
      return;
  }
  FAIL() << "a broken replay agreed with the curve on 200 traces";
}

INSTANTIATE_TEST_SUITE_P(Faults, CurveCanary,
                         testing::Values(CacheFault::kCountsPastTheMiss, CacheFault::kOneBlockMore,
                                         CacheFault::kLooksUpWhileInserting, CacheFault::kTouchesInOtherOrder,
                                         CacheFault::kPartialBlockIsFull));

}  // namespace
}  // namespace assay
