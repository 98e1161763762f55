// Shrinking: try simpler worlds in a fixed order, keep the first that fails in the same way, begin again.
#include <algorithm>
#include <functional>

#include "model/core/paged_layout.h"
#include "properties/world/world_campaign.h"

namespace assay::properties {
namespace {

using Change = std::function<bool(World&)>;  // false: nothing to change

template <typename T>
Change set_to(T World::*member, T value) {
  return [=](World& w) {
    if (w.*member == value) return false;
    w.*member = value;
    return true;
  };
}
template <typename T>
Change engine_to(T SchedulerOptions::*member, T value) {
  return [=](World& w) {
    if (w.engine.*member == value) return false;
    w.engine.*member = value;
    return true;
  };
}

// Without requests [begin, begin + count).
Change without(std::size_t begin, std::size_t count) {
  return [=](World& w) {
    if (begin >= w.requests.size() || w.requests.size() == 1) return false;
    const auto from = w.requests.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto left = static_cast<std::ptrdiff_t>(std::min(count, w.requests.size() - begin));
    w.requests.erase(from, from + left);
    return true;
  };
}

void shorten(WorldRequest& r, std::int64_t prompt, std::int32_t hash_tokens) {
  r.prompt_tokens = prompt;
  if (!r.hash_ids.empty()) r.hash_ids.resize(static_cast<std::size_t>(ceil_div(prompt, hash_tokens)));
}

std::vector<Change> changes_of(const World& world) {
  std::vector<Change> changes;
  const std::size_t requests = world.requests.size();
  for (std::size_t count = requests / 2; count >= 1; count /= 2)
    for (std::size_t begin = 0; begin < requests; begin += count) changes.push_back(without(begin, count));
  for (std::size_t i = 0; i < requests; ++i) {
    for (const std::int64_t divisor : {std::int64_t{0}, std::int64_t{2}})
      changes.push_back([=](World& w) {
        auto& r = w.requests[i];
        const std::int64_t output = divisor == 0 ? std::min<std::int64_t>(r.output_tokens, 2)
                                                 : std::max<std::int64_t>(r.output_tokens - 1, 1);
        if (output >= r.output_tokens) return false;
        r.output_tokens = output;
        return true;
      });
    for (const bool half : {true, false})
      changes.push_back([=](World& w) {
        auto& r = w.requests[i];
        if (r.prompt_tokens <= 1) return false;
        shorten(r, half ? r.prompt_tokens / 2 : r.prompt_tokens - 1, w.hash_tokens);
        return true;
      });
    changes.push_back([=](World& w) {
      auto& r = w.requests[i];
      if (r.hash_ids.empty()) return false;
      r.hash_ids.clear();
      return true;
    });
    changes.push_back([=](World& w) {
      auto& r = w.requests[i];
      const std::int64_t before = i == 0 ? 0 : w.requests[i - 1].step;
      if (r.step == before) return false;
      r.step = before;
      return true;
    });
  }
  if (world.attention) {
    changes.push_back([](World& w) {
      if (w.heads == 1) return false;
      w.heads = w.kv_heads = 1;
      return true;
    });
    changes.push_back(set_to(&World::dims, 16));
    changes.push_back(engine_to(&SchedulerOptions::window_tokens, 0));
  } else {
    changes.push_back(set_to(&World::heads, 8));
    changes.push_back(set_to(&World::dims, 32));
    changes.push_back(set_to(&World::output, ElementType::kFp32));
  }
  changes.push_back(set_to(&World::clean, false));
  changes.push_back(set_to<std::int64_t>(&World::gap_bytes, 0));
  changes.push_back(set_to<std::int64_t>(&World::judge_every, 1));
  changes.push_back(set_to(&World::parts, kH200SmCount));
  changes.push_back(engine_to<std::int64_t>(&SchedulerOptions::token_budget, 8192));
  changes.push_back(engine_to(&SchedulerOptions::max_sequences, 256));
  changes.push_back(engine_to<std::int64_t>(&SchedulerOptions::long_prefill_tokens, 0));
  changes.push_back(engine_to(&SchedulerOptions::watermark, 0.0));
  changes.push_back(engine_to(&SchedulerOptions::whole_prompt_admission, true));
  changes.push_back(engine_to(&SchedulerOptions::prefix_caching, false));
  changes.push_back(engine_to(&SchedulerOptions::free_order, FreeOrder::kAppend));
  for (const std::int32_t block_tokens : {1, 2, 4})
    if (block_tokens < world.engine.block_tokens)
      changes.push_back(engine_to(&SchedulerOptions::block_tokens, block_tokens));
  for (const std::int32_t fewer : {4, 1})
    changes.push_back([=](World& w) {
      if (w.engine.blocks - fewer < 2) return false;
      w.engine.blocks -= fewer;
      return true;
    });
  return changes;
}

}  // namespace

ShrunkWorld shrink_world(const World& world, const WorldOutcome& outcome, const assay_kernel& kernel,
                         EngineFault fault, std::int64_t lives) {
  ShrunkWorld best{world, outcome, 0};
  for (bool progress = true; progress;) {
    progress = false;
    // A change that worked may make others possible; those before it are tried again in the next round.
    const std::vector<Change> changes = changes_of(best.world);
    const std::size_t requests = best.world.requests.size();
    for (const Change& change : changes) {
      if (best.lives == lives) return best;
      if (best.world.requests.size() != requests) break;  // the list was made for another number of requests
      World simpler = best.world;
      if (!change(simpler)) continue;
      ++best.lives;
      WorldOutcome found = live(simpler, kernel, fault);
      if (found.failure != outcome.failure) continue;
      best.world = std::move(simpler);
      best.outcome = std::move(found);
      progress = true;
    }
  }
  return best;
}

}  // namespace assay::properties
