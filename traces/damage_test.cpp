// Files damaged at random: reading, describing, linting and rewriting them ends in an answer or an
// InputError, never in anything else. Under the sanitizers this is the room's fuzz test.
#include <gtest/gtest.h>

#include <filesystem>

#include "traces/describe.h"
#include "traces/formats.h"
#include "traces/lint.h"
#include "traces/random_shapes.h"
#include "traces/testing.h"
#include "traces/write.h"

namespace assay {
namespace {

void damage(std::string& bytes, Draws& draws) {
  constexpr const char* kPieces[] = {"99999999999999999999",
                                     "-",
                                     "e999999999",
                                     "\"",
                                     "\n",
                                     "\r",
                                     ",,,",
                                     "null",
                                     "[[[[",
                                     "\xef\xbb\xbf",
                                     "\xff",
                                     "0",
                                     "9223372036854775807",
                                     "-9223372036854775808",
                                     "{}",
                                     ":"};
  for (std::uint64_t edits = 1 + draws.below(6); edits > 0 && !bytes.empty(); --edits) {
    const auto at = draws.below(bytes.size());
    switch (draws.below(5)) {
      case 0: bytes[at] = static_cast<char>(draws.below(256)); break;
      case 1: bytes.insert(at, kPieces[draws.below(16)]); break;
      case 2: bytes.erase(at, 1 + draws.below(40)); break;
      case 3: bytes.insert(at, bytes.substr(draws.below(bytes.size()), draws.below(300))); break;
      default: bytes.resize(at); break;
    }
  }
}

void use_in_every_way(const std::string& bytes, const OpenOptions& options) {
  Linter linter({});
  linter.run_in_memory(bytes, "t", options);
  try {
    auto trace = open_trace_in_memory(bytes, "t", options);
    TraceStatistics statistics;
    TraceWriter native(native_format(), trace->header()), csv(azure_2023_format(), trace->header());
    std::string text;
    Request request;
    while (trace->next(request)) {
      EXPECT_GE(request.input_tokens, 0);
      EXPECT_GE(request.output_tokens, 0);
      if (!request.hash_ids.empty()) {
        // The promise of request.h, also of a broken file.
        const std::int64_t g = trace->header().hash_tokens;
        EXPECT_EQ(static_cast<std::int64_t>(request.hash_ids.size()),
                  request.input_tokens / g + (request.input_tokens % g != 0));
      }
      statistics.add(request, trace->header().hash_tokens);
      native.write(request, text);
      csv.write(request, text);
      text.clear();
    }
    statistics.finish();
  } catch (const InputError&) {
  }
}

TEST(Damage, NoDamagedFileDoesMoreThanFail) {
  Draws draws(RandomStream(1, "damage"));
  OpenOptions strict, lenient;
  lenient.skip_bad = true;
  for (const auto& entry : std::filesystem::directory_iterator(sample_path(""))) {
    const std::string name = entry.path().filename().string();
    if (name == "README.md") continue;
    std::string whole = file_text(entry.path().string());
    if (name == "sample.jsonl") whole.resize(4000);
    for (int i = 0; i < 150; ++i) {
      std::string bytes = whole;
      damage(bytes, draws);
      use_in_every_way(bytes, i % 2 == 0 ? strict : lenient);
      OpenOptions named = lenient;
      named.format = trace_formats()[draws.below(trace_formats().size())]->name;
      use_in_every_way(bytes, named);
    }
  }
}

TEST(Damage, RubbishIsRefused) {
  Draws draws(RandomStream(2, "damage"));
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    for (std::uint64_t n = draws.below(400); n > 0; --n) bytes += static_cast<char>(draws.below(256));
    if (i % 4 == 0) bytes = "\x1f\x8b\x08" + bytes;
    if (i % 4 == 1) bytes = "\x28\xb5\x2f\xfd" + bytes;
    use_in_every_way(bytes, {});
    EXPECT_NE(place_of_fault(bytes), "");
  }
}

}  // namespace
}  // namespace assay
