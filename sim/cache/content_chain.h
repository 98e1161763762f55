// Which blocks of a trace hold the same tokens: every prompt becomes a list of content ids, one per
// block, and two blocks get the same id exactly when their tokens and everything before them agree.
//
//   hash ids (g = 512)   [   7        |   9        ]        token j is (hash_ids[j / g], j mod g)
//   blocks   (B = 256)   [ 0 ][ 1 ]   [ 2 ][ 3 ]            each block: its parent and the hash ids it touches
//   content              c(7) c(7,7) c(7,7,9) ...           a trie, numbered in order of first appearance
//
// No hashing of content: the trie is exact, so an equal id never lies. A partial last block is the
// same content as the full block over the same hash ids (that is how traces of whole-block hashes
// count); the first block that reaches past the hash ids is the request's own, and so is all after it.
//
// What it does not do: cache anything. It remembers every block of the trace once (16 bytes each,
// plus the table), because whether a miss is cold is a question about the whole past.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/ids.h"
#include "traces/request.h"

namespace assay {

// What a block holds. Dense, from 0, in order of first appearance.
using ContentId = Id<struct ContentTag, std::int32_t>;

class ContentChain {
 public:
  // hash_tokens: granularity of the trace's hash ids, 0 when it has none. block_tokens > 0.
  ContentChain(std::int64_t hash_tokens, std::int64_t block_tokens);

  // Appends the contents of `request`'s prompt to `contents`: ceil(input_tokens / block_tokens) ids.
  // An id that was not there before the call is >= the content_count() before the call.
  void append(const Request& request, std::vector<ContentId>& contents);

  [[nodiscard]] std::int32_t content_count() const { return content_count_; }
  [[nodiscard]] std::int64_t block_tokens() const { return block_tokens_; }

 private:
  struct Node {
    std::int64_t hash_id;
    std::int32_t parent;   // node index, -1 = root
    std::int32_t content;  // -1 until a block ends here
  };

  [[nodiscard]] std::int32_t child(std::int32_t parent, std::int64_t hash_id);
  [[nodiscard]] ContentId fresh_content();
  void rehash(std::size_t slots);

  std::int64_t hash_tokens_;
  std::int64_t block_tokens_;
  std::int32_t content_count_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::int32_t> slots_;  // open addressing, power of two; node index or -1
};

}  // namespace assay
