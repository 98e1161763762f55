// The vector paths against the slow reference, on every lane: all 256 x 256 pairs of codes, random
// tiles of every family, specials anywhere. Canary: a path that is wrong in one lane must be caught.
#include "model/twin/fp8_scores.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "model/core/philox.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {
namespace {

constexpr ScorePath kPaths[] = {ScorePath::kPortable, ScorePath::kAvx2, ScorePath::kAvx512};

struct Problem {
  int heads, dims;
  std::vector<std::uint8_t> queries;  // [heads, dims]
  std::vector<std::uint8_t> keys;     // [kTileTokens, dims]
};

template <typename Format>
std::vector<float> fast(const Problem& problem, ScorePath path) {
  auto tile = std::make_unique<KeyTile>();
  std::array<const std::uint8_t*, kTileTokens> keys;
  for (int t = 0; t < kTileTokens; ++t) {
    keys[static_cast<std::size_t>(t)] = problem.keys.data() + static_cast<std::ptrdiff_t>(t) * problem.dims;
  }
  load_keys<Format>(keys, problem.dims, *tile);
  QueryHeads queries;
  queries.load<Format>(problem.queries.data(), problem.heads, problem.dims, problem.dims);
  std::vector<float> scores(static_cast<std::size_t>(problem.heads) * kTileTokens);
  score_tile<Format>(queries, *tile, path, scores.data());
  return scores;
}

template <typename Format>
std::vector<float> slow(const Problem& problem) {
  std::vector<float> scores;
  for (int head = 0; head < problem.heads; ++head) {
    for (int t = 0; t < kTileTokens; ++t) {
      scores.push_back(tensor_core_dot<Format>(
          problem.queries.data() + static_cast<std::ptrdiff_t>(head) * problem.dims,
          problem.keys.data() + static_cast<std::ptrdiff_t>(t) * problem.dims, problem.dims));
    }
  }
  return scores;
}

int first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (bit_cast<std::uint32_t>(a[i]) != bit_cast<std::uint32_t>(b[i])) return static_cast<int>(i);
  }
  return -1;
}

template <typename Format>
void expect_equal(const Problem& problem, const char* what) {
  const std::vector<float> expected = slow<Format>(problem);
  for (const ScorePath path : kPaths) {
    if (!is_supported(path)) continue;
    const std::vector<float> got = fast<Format>(problem, path);
    const int at = first_difference(got, expected);
    ASSERT_EQ(at, -1) << what << ", " << name_of(path) << ", head " << at / kTileTokens << ", token "
                      << at % kTileTokens << ": got " << got[static_cast<std::size_t>(at)] << ", expected "
                      << expected[static_cast<std::size_t>(at)];
  }
}

// How a code is drawn. Full: any code, specials with it. Finite: no NaN and no infinity.
enum class Draw { kFull, kFinite, kNarrow, kTiny, kSparse, kExtremes };
constexpr Draw kDraws[] = {Draw::kFull, Draw::kFinite, Draw::kNarrow,
                           Draw::kTiny, Draw::kSparse, Draw::kExtremes};

template <typename Format>
std::uint8_t draw_code(const RandomStream& random, std::uint64_t index, Draw draw) {
  const auto drawn = random.u32(index);
  std::uint8_t code = static_cast<std::uint8_t>(drawn);
  const std::uint8_t sign = code & Format::kSignBit;
  switch (draw) {
    case Draw::kFull: return drawn >> 8 & 63 ? static_cast<std::uint8_t>(code & 0xdf) : code;
    case Draw::kFinite: break;
    case Draw::kNarrow: code = static_cast<std::uint8_t>(sign | 0x30 | (code & 0x0f)); break;
    case Draw::kTiny: code = static_cast<std::uint8_t>(sign | (code & 0x0f)); break;
    case Draw::kSparse: code = drawn >> 8 & 7 ? sign : code; break;
    case Draw::kExtremes: code = static_cast<std::uint8_t>(sign | (drawn >> 8 & 1 ? Format::kMax : 1)); break;
  }
  if (Format::is_nan(code) || Format::is_infinity(code))
    code = static_cast<std::uint8_t>(sign | Format::kMax);
  return code;
}

template <typename Format>
Problem random_problem(std::uint64_t seed, Draw queries, Draw keys) {
  const RandomStream random(seed, "twin tiles");
  const int dims = 32 << random.below(0, 3);
  Problem problem{static_cast<int>(1 + random.below(1, 4)), dims, {}, {}};
  const RandomStream of_queries = random.child(1), of_keys = random.child(2);
  for (int i = 0; i < problem.heads * dims; ++i) {
    problem.queries.push_back(draw_code<Format>(of_queries, static_cast<std::uint64_t>(i), queries));
  }
  for (int i = 0; i < kTileTokens * dims; ++i) {
    problem.keys.push_back(draw_code<Format>(of_keys, static_cast<std::uint64_t>(i), keys));
  }
  return problem;
}

template <typename Format>
class Fp8Scores : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2>;
TYPED_TEST_SUITE(Fp8Scores, Formats);

// Pair (i, j) alone in a step, and beside a large and a small product that cut it.
TYPED_TEST(Fp8Scores, EveryPairOfCodesIsRightInEveryPath) {
  for (unsigned i = 0; i < 256; ++i) {
    for (unsigned first = 0; first < 256; first += kTileTokens) {
      Problem problem{3, 64, {}, {}};
      problem.queries.assign(problem.heads * problem.dims, 0);
      problem.keys.assign(kTileTokens * problem.dims, 0);
      for (int head = 0; head < 3; ++head) {
        std::uint8_t* query = problem.queries.data() + head * problem.dims;
        query[5] = static_cast<std::uint8_t>(i);
        query[40] = head > 0 ? TypeParam::encode(1.5) : std::uint8_t{0};
        query[6] = head > 1 ? TypeParam::encode(-1.75) : std::uint8_t{0};
      }
      for (int t = 0; t < kTileTokens; ++t) {
        std::uint8_t* key = problem.keys.data() + t * problem.dims;
        key[5] = static_cast<std::uint8_t>(first + static_cast<unsigned>(t));
        key[40] = TypeParam::encode(0.0625 * (t % 9 - 4));
        key[6] = TypeParam::encode(t % 2 ? 0.0078125 : 1.25);
      }
      expect_equal<TypeParam>(problem, "pair");
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(Fp8Scores, RandomTilesAreRightInEveryPath) {
  std::uint64_t seed = 0;
  for (int round = 0; round < 4; ++round) {
    for (const Draw queries : kDraws) {
      for (const Draw keys : kDraws) {
        expect_equal<TypeParam>(random_problem<TypeParam>(++seed, queries, keys), "random tile");
        if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed;
      }
    }
  }
}

TYPED_TEST(Fp8Scores, ALaneWithoutATokenScoresZero) {
  auto tile = std::make_unique<KeyTile>();
  const std::vector<std::uint8_t> key(32, TypeParam::encode(3));
  std::array<const std::uint8_t*, kTileTokens> keys{};
  keys[17] = key.data();
  load_keys<TypeParam>(keys, 32, *tile);
  QueryHeads queries;
  queries.load<TypeParam>(key.data(), 1, 32, 32);
  for (const ScorePath path : kPaths) {
    if (!is_supported(path)) continue;
    float scores[kTileTokens];
    score_tile<TypeParam>(queries, *tile, path, scores);
    for (int t = 0; t < kTileTokens; ++t) EXPECT_EQ(scores[t], t == 17 ? 288.0f : 0.0f) << t;
  }
}

TEST(Fp8ScoresCanary, APathThatKeepsOneMoreBitIsCaught) {
  int caught = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Problem problem = random_problem<E4M3>(seed, Draw::kFinite, Draw::kFinite);
    std::vector<float> wrong;
    for (int head = 0; head < problem.heads; ++head) {
      for (int t = 0; t < kTileTokens; ++t) {
        wrong.push_back(tensor_core_dot<E4M3>(problem.queries.data() + head * problem.dims,
                                              problem.keys.data() + t * problem.dims, problem.dims, 0.0f,
                                              StepRule{14, 13}));
      }
    }
    caught += first_difference(wrong, slow<E4M3>(problem)) >= 0;
  }
  EXPECT_EQ(caught, 20);
}

}  // namespace
}  // namespace assay::twin
