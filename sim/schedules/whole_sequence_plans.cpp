// Planners that never split a sequence: one CTA per (sequence, head), dispatched by the hardware.
#include <algorithm>
#include <vector>

#include "sim/schedules/schedule.h"

namespace assay {
namespace {

struct Item {
  std::int32_t sequence, head;
  std::int64_t tokens;
};

void dispatch(const std::vector<Item>& items, const DecodeBatch& batch, Schedule& schedule) {
  schedule.reset(batch.parts, 1, false);
  SlotQueue queue(batch.parts);
  for (const Item& item : items) {
    const std::int32_t part = queue.take(item.tokens);
    if (item.tokens > 0) schedule.pieces.push_back({part, item.sequence, item.head, 0, item.tokens, 1});
  }
}

std::vector<Item> items_of(const DecodeBatch& batch) {
  std::vector<Item> items;
  items.reserve(batch.lengths.size() * static_cast<std::size_t>(batch.kv_heads));
  for (std::size_t s = 0; s < batch.lengths.size(); ++s)
    for (std::int32_t head = 0; head < batch.kv_heads; ++head)
      items.push_back({static_cast<std::int32_t>(s), head, batch.lengths[s]});
  return items;
}

}  // namespace

void plan_one_cta_per_sequence(const DecodeBatch& batch, Schedule& schedule) {
  dispatch(items_of(batch), batch, schedule);
}

// Longest processing time first: at most 4/3 of the best plan without splitting.
void plan_longest_first(const DecodeBatch& batch, Schedule& schedule) {
  std::vector<Item> items = items_of(batch);
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.tokens > b.tokens; });
  dispatch(items, batch, schedule);
}

}  // namespace assay
