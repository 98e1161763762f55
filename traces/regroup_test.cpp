// Another granularity keeps what prompts share: exactly when finer, up to a whole new block when coarser.
#include "traces/regroup.h"

#include <gtest/gtest.h>

#include "model/core/check.h"
#include "traces/generate.h"

namespace assay {
namespace {

std::vector<Request> prompts(std::int32_t hash_tokens) {
  GenerateOptions options;
  options.requests = 120;
  options.hash_tokens = hash_tokens;
  options.lengths = "chat";
  options.twin_share = 0.1;
  const auto source = generate_trace(options);
  std::vector<Request> out;
  Request request;
  while (source->next(request)) out.push_back(request);
  return out;
}

// Leading tokens with equal identities (id, offset).
std::int64_t shared_tokens(const Request& a, const Request& b, std::int64_t g) {
  const std::int64_t most = std::min(a.input_tokens, b.input_tokens);
  std::int64_t block = 0;
  while (block * g < most &&
         a.hash_ids[static_cast<std::size_t>(block)] == b.hash_ids[static_cast<std::size_t>(block)])
    ++block;
  return std::min(block * g, most);
}

// "" when every pair shares after `change` what it should.
std::string wrong_sharing(std::int32_t from, std::int32_t to, bool prefix_ids, void (*change)(Request&)) {
  const std::vector<Request> before = prompts(from);
  std::vector<Request> after = before;
  Regrouper regrouper(from, to, prefix_ids);
  for (Request& request : after) {
    regrouper.apply(request);
    change(request);
    if (static_cast<std::int64_t>(request.hash_ids.size()) != (request.input_tokens + to - 1) / to)
      return "id count";
  }
  for (std::size_t i = 0; i < before.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const std::int64_t was = shared_tokens(before[i], before[j], from),
                         is = shared_tokens(after[i], after[j], to);
      // A whole prompt may be shared to its last, partial block.
      const bool whole = was == before[i].input_tokens && was == before[j].input_tokens;
      const std::int64_t expected = to <= from || whole ? was : was / to * to;
      if (is != expected) return std::to_string(was) + " shared tokens became " + std::to_string(is);
    }
  return "";
}

TEST(Regroup, SharedPrefixesStayAndWrongNumberingIsFound) {
  const auto nothing = [](Request&) {};
  for (const bool prefix_ids : {true, false}) {
    EXPECT_EQ(wrong_sharing(16, 512, prefix_ids, nothing), "");
    EXPECT_EQ(wrong_sharing(16, 32, prefix_ids, nothing), "");
    EXPECT_EQ(wrong_sharing(512, 16, prefix_ids, nothing), "");
    EXPECT_EQ(wrong_sharing(64, 64, prefix_ids, nothing), "");
  }
  EXPECT_NE(wrong_sharing(16, 512, true, [](Request& r) { r.hash_ids[0] = 0; }), "");
  EXPECT_NE(wrong_sharing(512, 16, true, [](Request& r) { r.hash_ids.back() = r.line; }), "");
}

TEST(Regroup, GranularitiesThatDoNotDivideAndIdsThatOverflowAreRefused) {
  EXPECT_THROW(Regrouper(16, 24, true), InputError);
  EXPECT_THROW(Regrouper(16, 0, true), InputError);
  EXPECT_THROW(Regrouper(0, 16, true), InputError);
  Regrouper finer(512, 16, true);
  Request request;
  request.input_tokens = 512;
  request.hash_ids = {INT64_MAX / 16};
  EXPECT_THROW(finer.apply(request), InputError);
}

}  // namespace
}  // namespace assay
