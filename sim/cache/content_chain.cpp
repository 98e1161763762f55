#include "sim/cache/content_chain.h"

#include <algorithm>
#include <limits>
#include <string>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {
namespace {

// Finaliser of splitmix64: every input bit reaches every output bit.
std::uint64_t mix(std::int64_t hash_id, std::int32_t parent) {
  std::uint64_t x = static_cast<std::uint64_t>(hash_id) * 0x9E3779B97F4A7C15ull +
                    static_cast<std::uint32_t>(parent) * 0xD1B54A32D192ED03ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

constexpr std::size_t kFirstSlots = 1024;

}  // namespace

ContentChain::ContentChain(std::int64_t hash_tokens, std::int64_t block_tokens)
    : hash_tokens_(hash_tokens), block_tokens_(block_tokens), slots_(kFirstSlots, -1) {
  if (block_tokens <= 0) throw InputError("block_tokens", "at least 1", std::to_string(block_tokens));
  if (hash_tokens < 0) throw InputError("hash_tokens", "at least 0", std::to_string(hash_tokens));
}

ContentId ContentChain::fresh_content() {
  if (content_count_ == std::numeric_limits<std::int32_t>::max())
    throw InputError("trace", "at most 2^31 - 1 different blocks", "more");
  return ContentId(content_count_++);
}

void ContentChain::rehash(std::size_t slots) {
  slots_.assign(slots, -1);
  const std::size_t mask = slots - 1;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    std::size_t at = mix(nodes_[node].hash_id, nodes_[node].parent) & mask;
    while (slots_[at] >= 0) at = (at + 1) & mask;
    slots_[at] = static_cast<std::int32_t>(node);
  }
}

std::int32_t ContentChain::child(std::int32_t parent, std::int64_t hash_id) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = mix(hash_id, parent) & mask;
  for (; slots_[at] >= 0; at = (at + 1) & mask) {
    const Node& node = nodes_[static_cast<std::size_t>(slots_[at])];
    if (node.hash_id == hash_id && node.parent == parent) return slots_[at];
  }
  if (nodes_.size() >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw InputError("trace", "at most 2^31 - 1 different prefixes", "more");
  const auto added = static_cast<std::int32_t>(nodes_.size());
  slots_[at] = added;
  nodes_.push_back({hash_id, parent, -1});
  if (nodes_.size() * 2 > slots_.size()) rehash(slots_.size() * 2);
  return added;
}

void ContentChain::append(const Request& request, std::vector<ContentId>& contents) {
  const std::int64_t blocks = ceil_div(request.input_tokens, block_tokens_);
  const auto hashed_tokens =
      hash_tokens_ == 0
          ? 0
          : std::min(request.input_tokens, static_cast<std::int64_t>(request.hash_ids.size()) * hash_tokens_);
  std::int32_t node = -1;
  std::int64_t block = 0;
  for (; block < blocks; ++block) {
    const std::int64_t begin = block * block_tokens_;
    const std::int64_t end = std::min(begin + block_tokens_, request.input_tokens);
    if (end > hashed_tokens) break;
    const std::int64_t first = begin / hash_tokens_, last = (end - 1) / hash_tokens_;
    for (std::int64_t i = first; i <= last; ++i)
      node = child(node, request.hash_ids[static_cast<std::size_t>(i)]);
    std::int32_t& content = nodes_[static_cast<std::size_t>(node)].content;
    if (content < 0) content = fresh_content().value();
    contents.push_back(ContentId(content));
  }
  for (; block < blocks; ++block) contents.push_back(fresh_content());  // nobody else's
}

}  // namespace assay
