// Traces that a test writes down or draws: a RequestSource over a vector, and prompts with shared
// prefixes from a few small integers (so that a property's counterexample shrinks to something readable).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/core/philox.h"
#include "traces/request.h"

namespace assay {

class TraceInMemory final : public RequestSource {
 public:
  TraceInMemory(std::int32_t hash_tokens, std::vector<Request> requests) : requests_(std::move(requests)) {
    header_.format = "in memory";
    header_.hash_tokens = hash_tokens;
  }
  [[nodiscard]] const TraceHeader& header() const override { return header_; }
  [[nodiscard]] bool next(Request& request) override {
    if (at_ == requests_.size()) return false;
    request = requests_[at_++];
    return true;
  }
  void rewind() { at_ = 0; }
  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }

 private:
  TraceHeader header_;
  std::vector<Request> requests_;
  std::size_t at_ = 0;
};

inline Request prompt_of(std::int64_t input_tokens, std::vector<std::int64_t> hash_ids,
                         std::int64_t output_tokens = 1) {
  Request request;
  request.input_tokens = input_tokens;
  request.output_tokens = output_tokens;
  request.hash_ids = std::move(hash_ids);
  return request;
}

// How one drawn prompt comes about: the first `kept` hash ids of an earlier prompt, then `added` of its
// own, the last one `missing` tokens short of full.
struct PromptSeed {
  std::uint8_t parent = 0, kept = 0, added = 0, missing = 0;
};

// Half of the prompts grow from one of the first three and more than a third add nothing, so that some
// blocks are asked for often; one in eight uses an old id in a new place, which is another block although the id is the same.
inline std::vector<Request> grow_prompts(const std::vector<PromptSeed>& seeds, std::int64_t hash_tokens) {
  std::vector<Request> requests;
  std::int64_t next_id = 0;
  for (const PromptSeed& seed : seeds) {
    std::vector<std::int64_t> ids;
    if (!requests.empty()) {
      const std::size_t choices =
          seed.parent % 2 == 0 ? requests.size() : std::min<std::size_t>(3, requests.size());
      const auto& parent = requests[seed.parent / 2 % choices].hash_ids;
      const std::size_t kept = std::min<std::size_t>(seed.kept % 7, parent.size());
      ids.assign(parent.begin(), parent.begin() + static_cast<std::ptrdiff_t>(kept));
    }
    const int added = seed.added % 8 < 3 ? 0 : seed.added % 4;
    for (int i = 0; i < added; ++i) ids.push_back(seed.missing % 8 == 7 ? i : next_id++);
    const std::int64_t full = static_cast<std::int64_t>(ids.size()) * hash_tokens;
    requests.push_back(prompt_of(full == 0 ? 0 : full - seed.missing % hash_tokens, std::move(ids)));
  }
  return requests;
}

inline std::vector<PromptSeed> draw_prompts(const RandomStream& stream, std::size_t count) {
  std::vector<PromptSeed> seeds(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t word = stream.u32(i);
    seeds[i] = {static_cast<std::uint8_t>(word), static_cast<std::uint8_t>(word >> 8),
                static_cast<std::uint8_t>(word >> 16), static_cast<std::uint8_t>(word >> 24)};
  }
  return seeds;
}

}  // namespace assay
