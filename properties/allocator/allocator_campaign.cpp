#include "properties/allocator/allocator_campaign.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "model/golden/parallel.h"
#include "properties/allocator/allocator_mutants.h"
#include "properties/cases/kernel_case.h"

namespace assay::properties {
namespace {

constexpr std::int64_t kChunk = 64;  // lives that a thread takes at once

AllocatorLife live(const AllocatorHistory& history, const std::string& allocator) {
  const std::unique_ptr<Allocator> tested = make_allocator(allocator, history.shape);
  return live_history(history, *tested);
}

}  // namespace

ShrunkHistory shrink_history(const AllocatorHistory& history, const std::string& allocator,
                             const std::string& oracle, std::int64_t tries) {
  ShrunkHistory best{history, live(history, allocator), 0};
  const auto try_it = [&](AllocatorHistory smaller) {
    if (best.tries >= tries) return false;
    ++best.tries;
    AllocatorLife life = live(smaller, allocator);
    if (life.breach.oracle != oracle) return false;
    smaller.events.resize(static_cast<std::size_t>(life.breach.event) +
                          1);  // nothing after the breach matters
    best.history = std::move(smaller);
    best.life = std::move(life);
    return true;
  };
  (void)try_it(history);
  for (bool found = true; found && best.tries < tries;) {
    found = false;
    for (std::size_t size = best.history.events.size() / 2; size >= 1 && !found; size /= 2)
      for (std::size_t begin = 0; begin + size <= best.history.events.size() && !found; begin += size) {
        AllocatorHistory smaller = best.history;
        const auto at = smaller.events.begin() + static_cast<std::ptrdiff_t>(begin);
        smaller.events.erase(at, at + static_cast<std::ptrdiff_t>(size));
        found = try_it(std::move(smaller));
      }
    for (std::size_t i = 0; i < best.history.events.size() && !found; ++i)
      for (std::size_t length :
           {best.history.events[i].tokens.size() / 2, best.history.events[i].tokens.size() - 1}) {
        if (found || best.history.events[i].kind != EventKind::kAdmit || length == 0 ||
            length >= best.history.events[i].tokens.size())
          continue;
        AllocatorHistory smaller = best.history;
        smaller.events[i].tokens.resize(length);
        found = try_it(std::move(smaller));
      }
    for (const std::int32_t blocks : {best.history.shape.blocks / 2, best.history.shape.blocks - 1}) {
      if (found || blocks < 1 || blocks >= best.history.shape.blocks) continue;
      AllocatorHistory smaller = best.history;
      smaller.shape.blocks = blocks;
      found = try_it(std::move(smaller));
    }
    if (!found && best.history.shape.block_tokens > 1) {
      AllocatorHistory smaller = best.history;
      --smaller.shape.block_tokens;
      found = try_it(std::move(smaller));
    }
  }
  return best;
}

AllocatorCampaign run_allocator_campaign(const AllocatorCampaignOptions& options,
                                         const std::function<bool(std::int64_t)>& progress) {
  (void)make_allocator(options.allocator, {1, 1});  // a wrong name ends it here
  AllocatorCampaign result;
  struct First {
    std::int64_t index = 0, count = 0;
  };
  std::map<std::string, First> firsts;
  std::mutex mutex;  // result, firsts, progress
  std::atomic<bool> stop{false};
  const std::int64_t chunks = (options.cases + kChunk - 1) / kChunk;
  parallel_for(chunks, std::max(1, options.threads), [&](std::int64_t chunk, int) {
    if (stop) return;
    AllocatorCampaign part;
    std::map<std::string, First> seen;
    const std::int64_t end = std::min(options.cases, (chunk + 1) * kChunk);
    for (std::int64_t i = chunk * kChunk; i < end; ++i) {
      const std::int64_t index = options.first_case + i;
      const AllocatorLife life = live(generate_history(options.seed, index), options.allocator);
      ++part.cases;
      part.events += life.events;
      const std::uint64_t words[3] = {static_cast<std::uint64_t>(index), life.digest,
                                      fnv1a(life.breach.oracle.data(), life.breach.oracle.size())};
      part.digest += fnv1a(words, sizeof words);
      if (!life.breach.broken()) continue;
      ++part.failures;
      First& first = seen.try_emplace(life.breach.oracle, First{index, 0}).first->second;
      ++first.count;
    }
    const std::lock_guard lock(mutex);
    result.cases += part.cases;
    result.events += part.events;
    result.failures += part.failures;
    result.digest += part.digest;
    for (const auto& [oracle, first] : seen) {
      First& all = firsts.try_emplace(oracle, First{first.index, 0}).first->second;
      all.index = std::min(all.index, first.index);
      all.count += first.count;
    }
    if (progress && !progress(result.cases)) stop = true;
  });
  for (const auto& [oracle, first] : firsts) {
    ShrunkHistory shrunk = shrink_history(generate_history(options.seed, first.index), options.allocator,
                                          oracle, options.shrink_tries);
    result.findings[oracle] = {first.index, first.count, std::move(shrunk.history), shrunk.life.breach,
                               shrunk.tries};
  }
  return result;
}

}  // namespace assay::properties
