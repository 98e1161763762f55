#include "traces/regroup.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay {

Regrouper::Regrouper(std::int32_t from_tokens, std::int32_t to_tokens, bool prefix_ids)
    : from_tokens_(from_tokens), to_tokens_(to_tokens), prefix_ids_(prefix_ids) {
  if (from_tokens <= 0) throw InputError("--regroup", "a trace with hash ids", "one without");
  if (to_tokens <= 0 || (to_tokens % from_tokens != 0 && from_tokens % to_tokens != 0))
    throw InputError("--regroup", "a multiple or a divisor of " + std::to_string(from_tokens) + " tokens",
                     std::to_string(to_tokens));
}

void Regrouper::apply(Request& request) {
  if (request.hash_ids.empty() || from_tokens_ == to_tokens_) return;
  const std::vector<std::int64_t>& ids = request.hash_ids;
  made_.clear();
  if (to_tokens_ < from_tokens_) {
    const std::int64_t k = from_tokens_ / to_tokens_;
    const std::int64_t count =
        request.input_tokens / to_tokens_ + (request.input_tokens % to_tokens_ != 0 ? 1 : 0);
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t id = 0;
      if (__builtin_mul_overflow(ids[static_cast<std::size_t>(i / k)], k, &id) ||
          __builtin_add_overflow(id, i % k, &id))
        throw InputError("line " + std::to_string(request.line), "ids below 2^63 / " + std::to_string(k),
                         std::to_string(ids[static_cast<std::size_t>(i / k)]));
      made_.push_back(id);
    }
  } else {
    const auto k = static_cast<std::size_t>(to_tokens_ / from_tokens_);
    for (std::size_t begin = 0; begin < ids.size(); begin += k) {
      const std::size_t end = std::min(begin + k, ids.size());
      if (prefix_ids_) {
        key_ = {ids[end - 1], static_cast<std::int64_t>(end - begin)};
      } else {
        key_.assign(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                    ids.begin() + static_cast<std::ptrdiff_t>(end));
      }
      made_.push_back(groups_.emplace(key_, static_cast<std::int64_t>(groups_.size())).first->second);
    }
  }
  request.hash_ids = made_;
}

}  // namespace assay
