#include "properties/world/token_names.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay::properties {
namespace {

// Finaliser of splitmix64: a bijection in which every input bit reaches every output bit.
constexpr std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}
constexpr std::uint64_t linked(std::uint64_t chain, std::uint64_t id) {
  return mixed(mixed(chain + 0x9E3779B97F4A7C15ull) ^ id);
}

constexpr std::uint64_t kSharedRoot = 0x5348415245440000ull, kOwnRoot = 0x4F574E0000000000ull;

}  // namespace

RequestNames::RequestNames(std::int64_t request, std::int64_t prompt_tokens,
                           const std::vector<std::int64_t>& hash_ids, std::int64_t hash_tokens)
    : hash_tokens_(hash_tokens),
      shared_tokens_(std::min(prompt_tokens, static_cast<std::int64_t>(hash_ids.size()) * hash_tokens)),
      own_(linked(kOwnRoot, static_cast<std::uint64_t>(request))) {
  if (hash_tokens <= 0) return;
  std::uint64_t chain = kSharedRoot;
  for (const std::int64_t id : hash_ids)
    chains_.push_back(chain = linked(chain, static_cast<std::uint64_t>(id)));
}

TokenName RequestNames::at(std::int64_t position) const {
  const bool shared = position < shared_tokens_;
  const std::uint64_t key = shared ? chains_[static_cast<std::size_t>(position / hash_tokens_)] : own_;
  const std::int64_t offset = shared ? position % hash_tokens_ : position;
  const TokenName name = mixed(key + static_cast<std::uint64_t>(offset) * 0x9E3779B97F4A7C15ull);
  return name == kNoToken ? 1 : name;
}

bool NamingSource::next(Request& request) {
  if (!source_.next(request)) return false;
  names_.emplace(count_, RequestNames(count_, request.input_tokens, request.hash_ids, header().hash_tokens));
  ++count_;
  return true;
}

const RequestNames& NamingSource::names(std::int64_t request) const {
  const auto found = names_.find(request);
  ASSAY_CHECK(found != names_.end(), "a request whose names were forgotten");
  return found->second;
}

}  // namespace assay::properties
