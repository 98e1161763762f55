// Synthetic traffic: the same bits for a seed, the shape that was asked for, prefixes that are consistent.
#include "traces/generate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "traces/describe.h"
#include "traces/formats.h"
#include "traces/lint.h"
#include "traces/sha256.h"
#include "traces/testing.h"
#include "traces/write.h"

namespace assay {
namespace {

std::string generated_text(const GenerateOptions& options) {
  const auto source = generate_trace(options);
  TraceWriter writer(native_format(), source->header());
  std::string text;
  Request request;
  while (source->next(request)) writer.write(request, text);
  writer.finish(text);
  return text;
}

TraceStatistics generated_statistics(const GenerateOptions& options) {
  const auto source = generate_trace(options);
  TraceStatistics statistics;
  Request request;
  while (source->next(request)) statistics.add(request, source->header().hash_tokens);
  statistics.finish();
  return statistics;
}

std::string digest(const std::string& text) {
  Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.finish();
}

TEST(RandomShapes, TheLogarithmIsTheLogarithm) {
  Draws draws(RandomStream(1, "log"));
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = draws.u64() >> draws.below(60);
    if (bits < 2) continue;
    const double expected = -std::log(std::ldexp(static_cast<double>(bits), -64));
    ASSERT_NEAR(static_cast<double>(exponential_q32(bits)) * 0x1p-32, expected, 1e-6 * expected + 1e-6);
  }
  EXPECT_LT(exponential_q32(~std::uint64_t{0}), 1u << 10);
  EXPECT_EQ(exponential_q32(0), exponential_q32(1));
  // Means of every size keep their proportion.
  for (std::int64_t mean = 1000; mean < (std::int64_t{1} << 56); mean *= 7)
    EXPECT_NEAR(static_cast<double>(exponential(std::uint64_t{1} << 62, mean)) / static_cast<double>(mean),
                2 * 0.6931472, 0.001 + 1.0 / static_cast<double>(mean));
}

TEST(RandomShapes, AQuantileTableIsHitAtItsQuantiles) {
  const QuantileTable table = length_mixes().front().input;
  EXPECT_EQ(table.at(0), table.value.front());
  EXPECT_EQ(table.at(1u << 31), table.value[4]);
  EXPECT_NEAR(static_cast<double>(table.at(~0u)), static_cast<double>(table.value.back()), 1.0);
  for (std::uint32_t u = 0; u < 0xff000000u; u += 0x01000000u)
    EXPECT_LE(table.at(u), table.at(u + 0x01000000u));
}

TEST(Generate, AShareGptLikeTraceHasThePublishedMeans) {
  const LengthMix& mix = length_mixes().front();
  ASSERT_EQ(mix.name, "sharegpt");
  EXPECT_NEAR(static_cast<double>(mix.input.mean_times_1000()) / 1000, 161.31, 0.5);
  EXPECT_NEAR(static_cast<double>(mix.output.mean_times_1000()) / 1000, 337.99, 1.0);
  GenerateOptions options;
  options.requests = 50000;
  options.system_prompts = 0;
  options.turns = 1;
  options.twin_share = 0;
  const TraceStatistics s = generated_statistics(options);
  EXPECT_NEAR(s.input.mean(), 161, 3);
  EXPECT_NEAR(s.output.mean(), 337, 4);
  EXPECT_EQ(s.reuse.any_block_hits, 0) << "nothing shared when nothing was asked to be";
}

TEST(Generate, ASeedMeansTheSameTraceOnEveryMachine) {
  GenerateOptions options;
  options.requests = 2000;
  std::map<std::string, std::string> digests;
  for (const auto kind : arrival_kinds()) {
    options.arrivals = std::string(kind);
    digests[options.arrivals] = digest(generated_text(options)).substr(0, 16);
  }
  const std::map<std::string, std::string> expected = {{"bursts", "c36caf932667242d"},
                                                       {"diurnal", "dadbc164f5ba9590"},
                                                       {"poisson", "9fc737f2ecae570d"},
                                                       {"steady", "b8d734cebbeda9fb"}};
  EXPECT_EQ(digests, expected);
  const std::string one = generated_text(options);
  EXPECT_EQ(one, generated_text(options));
  options.seed = 2;
  EXPECT_NE(one, generated_text(options));
}

TEST(Generate, TheRateIsMetForEveryKindOfArrivals) {
  for (const auto kind : arrival_kinds()) {
    GenerateOptions options;
    options.arrivals = std::string(kind);
    options.rate = 20;
    options.requests = kind == "diurnal" ? 400000 : 120000;  // of a day or of many bursts
    if (kind == "diurnal") options.rate = 4.6296296;         // exactly one day
    options.hash_tokens = 0;
    const TraceStatistics s = generated_statistics(options);
    const double seconds = static_cast<double>(s.last_ns - s.first_ns) * 1e-9;
    EXPECT_NEAR(static_cast<double>(s.requests) / seconds / options.rate, 1.0, kind == "bursts" ? 0.15 : 0.05)
        << kind;
    EXPECT_EQ(s.backwards, 0) << kind;
  }
}

TEST(Generate, BurstsAreBurstierThanPoissonAndADayHasItsCurve) {
  GenerateOptions options;
  options.requests = 60000;
  options.turns = 1;
  options.twin_share = 0;
  options.hash_tokens = 0;
  const double poisson = generated_statistics(options).gap_cv;
  EXPECT_NEAR(poisson, 1.0, 0.03);
  options.arrivals = "bursts";
  EXPECT_GT(generated_statistics(options).gap_cv, 1.2);
  options.arrivals = "steady";
  EXPECT_LT(generated_statistics(options).gap_cv, 1e-6);
  options.arrivals = "diurnal";
  options.requests = 86400;
  options.rate = 1;
  const TraceStatistics day = generated_statistics(options);
  EXPECT_GT(day.over_time[37], 3 * day.over_time[10]) << "three in the afternoon against four in the morning";
}

TEST(Generate, PrefixesAreConsistentAndSharedAndTwinsRepeat) {
  GenerateOptions options;
  options.requests = 3000;
  options.hash_tokens = 16;
  options.twin_share = 0.1;
  Linter linter({});
  linter.run_in_memory(generated_text(options), "t", {});
  EXPECT_EQ(linter.count(Severity::kError) + linter.count(Severity::kWarning), 0)
      << linter.findings().front().message;
  const auto source = generate_trace(options);
  Request request;
  std::map<std::vector<std::int64_t>, int> prompts;
  std::map<std::string, std::vector<std::int64_t>> last;
  std::int64_t twins = 0, grown = 0;
  while (source->next(request)) {
    EXPECT_EQ(static_cast<std::int64_t>(request.hash_ids.size()), (request.input_tokens + 15) / 16);
    if (request.kind == "twin") {
      ++twins;
      EXPECT_EQ(prompts.count(request.hash_ids), 1u) << "a twin of nobody";
    } else {
      // A later turn begins with the full blocks of the turn before.
      auto& before = last[request.session];
      const std::size_t full = before.empty() ? 0 : before.size() - 1;
      ASSERT_GE(request.hash_ids.size(), full);
      for (std::size_t i = 0; i < full; ++i) ASSERT_EQ(request.hash_ids[i], before[i]) << request.session;
      grown += before.empty() ? 0 : 1;
      before = request.hash_ids;
    }
    ++prompts[request.hash_ids];
  }
  EXPECT_NEAR(static_cast<double>(twins), 3000 * 0.1 / 1.1, 45);
  EXPECT_GT(grown, 500);
}

TEST(Generate, OptionsOutOfRangeAreNamed) {
  const auto flag_of = [](auto change) {
    GenerateOptions options;
    change(options);
    try {
      (void)generate_trace(options);
    } catch (const InputError& error) {
      return error.place();
    }
    return std::string();
  };
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.rate = 0; }), "--rate");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.rate = std::nan(""); }), "--rate");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.turns = 0.5; }), "--turns");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.requests = -1; }), "--requests");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.arrivals = "x"; }), "--arrivals");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.lengths = "x"; }), "--lengths");
  EXPECT_EQ(flag_of([](GenerateOptions& o) { o.twin_share = 1.5; }), "--twins");
}

TEST(Generate, TheEdgesOfTheOptionsMakeTraces) {
  for (const std::int32_t g : {0, 1, 7, 512})
    for (const double turns : {1.0, 1.001, 50.0})
      for (const std::int64_t limit : {1, 100, 131072}) {
        GenerateOptions options;
        options.requests = 300;
        options.hash_tokens = g;
        options.turns = turns;
        options.max_prompt_tokens = limit;
        options.system_tokens = 1;
        options.document_tokens = 1;
        options.document_share = 1;
        Linter linter({});
        linter.run_in_memory(generated_text(options), "t", {});
        EXPECT_EQ(linter.count(Severity::kError), 0) << g << " " << turns << " " << limit;
        EXPECT_EQ(linter.requests(), 300);
      }
}

}  // namespace
}  // namespace assay
