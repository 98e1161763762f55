// Which token is which: a 64-bit name per token, equal exactly for tokens that a cache may share.
//
//   prompt token j, within the trace's hash ids   (chain of the ids up to j / g, j mod g)
//   any other token                               (the request, its position)
//
// So two requests share names as far as their hash ids agree from the start on (contracts, section 6), and
// every byte of a verified pool is a function of a name (token_values.h): data that is not a token's own, stale
// or foreign, is other data. Chains are hashes; two of them collide with a chance of 2^-64 a pair.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "traces/request.h"

namespace assay::properties {

using TokenName = std::uint64_t;
inline constexpr TokenName kNoToken = 0;

class RequestNames {
 public:
  // `request`: its index in the trace. hash_tokens: the trace's granularity, 0 when it has no hash ids.
  RequestNames(std::int64_t request, std::int64_t prompt_tokens, const std::vector<std::int64_t>& hash_ids,
               std::int64_t hash_tokens);

  [[nodiscard]] TokenName at(std::int64_t position) const;

 private:
  std::int64_t hash_tokens_, shared_tokens_;
  std::vector<std::uint64_t> chains_;  // per hash id: of all ids up to it
  std::uint64_t own_;
};

// Who knows a request's names while it runs.
using NamesOf = std::function<const RequestNames&(std::int64_t request)>;

// A source that names its requests as they pass: request n is the n-th that next() gave.
class NamingSource : public RequestSource {
 public:
  explicit NamingSource(RequestSource& source) : source_(source) {}
  [[nodiscard]] const TraceHeader& header() const override { return source_.header(); }
  [[nodiscard]] bool next(Request& request) override;

  [[nodiscard]] const RequestNames& names(std::int64_t request) const;
  void forget(std::int64_t request) { names_.erase(request); }

 private:
  RequestSource& source_;
  std::int64_t count_ = 0;
  std::unordered_map<std::int64_t, RequestNames> names_;
};

}  // namespace assay::properties
