// Hash ids of another granularity: 16 tokens an id to 512, or 512 to 16.
//
//   finer     id i becomes i * k, i * k + 1, ... : exactly the same token identities
//   coarser   k ids become one new id, numbered by first appearance. Ids that stand for their block and all
//             before it (prefix ids) are told apart by the last of the k and how many there are, content ids
//             by all of them. Prompts that part inside a new block no longer share its first tokens.
//
// Memory: nothing when finer; when coarser the distinct groups, 3 words each (prefix ids) or k + 3.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "traces/request.h"

namespace assay {

class Regrouper {
 public:
  // InputError unless one of the two granularities divides the other.
  Regrouper(std::int32_t from_tokens, std::int32_t to_tokens, bool prefix_ids);
  // Replaces hash_ids; afterwards there are ceil(input_tokens / to_tokens) of them. InputError when a finer
  // id does not fit 64 bits.
  void apply(Request& request);

 private:
  std::int32_t from_tokens_, to_tokens_;
  bool prefix_ids_;
  std::map<std::vector<std::int64_t>, std::int64_t> groups_;
  std::vector<std::int64_t> made_, key_;
};

}  // namespace assay
