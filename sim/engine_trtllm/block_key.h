// What a block of TensorRT-LLM's reuse tree is named by: its tokens, without those before it. Tokens of a
// trace have no values, only identities (which hash id, which place in it), so a key is a list of runs.
//
//   hash ids (g = 8)    [ 5             ][ 9             ]      prompt of 14 tokens, blocks of 6
//   blocks              [5 5 5 5 5 5][5 5 9 9 9 9][9 9]
//   keys                 5 x 6        5 x 2, 9 x 4  9 x 2       all at places that their depth decides
//
// Two keys are compared only below the same parent, so equal runs are equal tokens. A request's own
// tokens (generated, or past its hash ids) are a run with a negative name that nobody else has.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "traces/request.h"

namespace assay {

struct TrtllmBlockKey {
  struct Run {
    std::int64_t name = 0;
    std::int64_t tokens = 0;
    friend bool operator==(const Run& a, const Run& b) { return a.name == b.name && a.tokens == b.tokens; }
    friend bool operator<(const Run& a, const Run& b) {
      return a.name != b.name ? a.name < b.name : a.tokens < b.tokens;
    }
  };
  std::vector<Run> runs;

  [[nodiscard]] std::int64_t tokens() const {
    std::int64_t sum = 0;
    for (const Run& run : runs) sum += run.tokens;
    return sum;
  }
  // Leading tokens that both have.
  [[nodiscard]] std::int64_t common(const TrtllmBlockKey& other) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < std::min(runs.size(), other.runs.size()); ++i) {
      if (runs[i].name != other.runs[i].name) break;
      sum += std::min(runs[i].tokens, other.runs[i].tokens);
      if (runs[i].tokens != other.runs[i].tokens) break;
    }
    return sum;
  }
  friend bool operator==(const TrtllmBlockKey& a, const TrtllmBlockKey& b) { return a.runs == b.runs; }
  friend bool operator<(const TrtllmBlockKey& a, const TrtllmBlockKey& b) { return a.runs < b.runs; }
};

// The token identities of one request, as long as it grows.
class TrtllmTokens {
 public:
  // own_name < 0: what this request's own tokens are called.
  TrtllmTokens() = default;
  TrtllmTokens(const Request& request, std::int64_t hash_tokens, std::int64_t own_name)
      : hash_ids_(request.hash_ids), hash_tokens_(hash_tokens), own_name_(own_name) {
    if (hash_tokens_ > 0)
      shared_tokens_ =
          std::min(request.input_tokens, static_cast<std::int64_t>(hash_ids_.size()) * hash_tokens_);
  }

  // Keys of the tokens [0, tokens) in blocks; a last block that is not full only when asked for.
  [[nodiscard]] std::vector<TrtllmBlockKey> keys(std::int64_t tokens, std::int64_t block_tokens,
                                                 bool partial) const {
    std::vector<TrtllmBlockKey> keys;
    for (std::int64_t begin = 0; begin < tokens; begin += block_tokens) {
      const std::int64_t end = std::min(begin + block_tokens, tokens);
      if (end - begin < block_tokens && !partial) break;
      keys.emplace_back();
      for (std::int64_t at = begin; at < end;) {
        const bool own = at >= shared_tokens_;
        const std::int64_t run_end =
            own ? end : std::min({end, shared_tokens_, (at / hash_tokens_ + 1) * hash_tokens_});
        keys.back().runs.push_back(
            {own ? own_name_ : hash_ids_[static_cast<std::size_t>(at / hash_tokens_)], run_end - at});
        at = run_end;
      }
    }
    return keys;
  }

 private:
  std::vector<std::int64_t> hash_ids_;
  std::int64_t hash_tokens_ = 0;
  std::int64_t own_name_ = -1;
  std::int64_t shared_tokens_ = 0;  // tokens whose identity is a hash id's
};

}  // namespace assay
