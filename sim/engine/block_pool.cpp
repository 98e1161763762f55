#include "sim/engine/block_pool.h"

#include <string>

namespace assay {
namespace {

std::uint64_t mixed(BlockContent content) {
  auto x = static_cast<std::uint64_t>(content) * 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

}  // namespace

BlockPool::BlockPool(std::int32_t blocks) {
  if (blocks < 1) throw InputError("--blocks", "at least 1 (the null block)", std::to_string(blocks));
  const auto count = static_cast<std::size_t>(blocks);
  records_.assign(count + 1, {});
  records_[count].queue = {blocks, blocks};
  for (std::int32_t block = 1; block < blocks; ++block) join_free(block, QueueEnd::kBack);
  std::size_t slots = 16;
  while (slots < count * 2) slots *= 2;
  slots_.assign(slots, {});
  mask_ = slots - 1;
}

std::size_t BlockPool::slot_of(BlockContent content) const {
  std::size_t slot = mixed(content) >> 20 & mask_;
  while (slots_[slot].content != kNoContent && slots_[slot].content != content) slot = (slot + 1) & mask_;
  return slot;
}

// Closes the gap, so that no lookup ever meets a tombstone.
void BlockPool::erase_slot(std::size_t slot) {
  std::size_t hole = slot;
  for (std::size_t at = (slot + 1) & mask_; slots_[at].content != kNoContent; at = (at + 1) & mask_) {
    const std::size_t home = mixed(slots_[at].content) >> 20 & mask_;
    if (((at - home) & mask_) >= ((at - hole) & mask_)) {
      slots_[hole] = slots_[at];
      hole = at;
    }
  }
  slots_[hole] = {};
}

std::int32_t BlockPool::find(BlockContent content) const {
  return content == kNoContent ? -1 : slots_[slot_of(content)].first;
}

void BlockPool::unlink_free(std::int32_t block) {
  const Links links = records_[index(block)].queue;
  ASSAY_CHECK_GE(links.next, 0);
  records_[index(links.previous)].queue.next = links.next;
  records_[index(links.next)].queue.previous = links.previous;
  records_[index(block)].queue = {};
  --free_blocks_;
  if (records_[index(block)].content != kNoContent) --cached_idle_blocks_;
}

void BlockPool::join_free(std::int32_t block, QueueEnd end) {
  const std::int32_t sentinel = blocks();
  const std::int32_t before = end == QueueEnd::kBack ? records_[index(sentinel)].queue.previous : sentinel;
  const std::int32_t after = records_[index(before)].queue.next;
  ASSAY_CHECK_EQ(records_[index(block)].queue.next, -1);
  records_[index(block)].queue = {before, after};
  records_[index(before)].queue.next = block;
  records_[index(after)].queue.previous = block;
  ++free_blocks_;
  if (records_[index(block)].content != kNoContent) ++cached_idle_blocks_;
}

void BlockPool::forget(std::int32_t block) {
  const BlockContent content = records_[index(block)].content;
  if (content == kNoContent) return;
  const std::size_t slot = slot_of(content);
  ASSAY_CHECK_EQ(slots_[slot].content, content);
  const Links links = records_[index(block)].same_content;
  if (links.previous >= 0) records_[index(links.previous)].same_content.next = links.next;
  if (links.next >= 0) records_[index(links.next)].same_content.previous = links.previous;
  if (slots_[slot].first == block) slots_[slot].first = links.next;
  if (slots_[slot].last == block) slots_[slot].last = links.previous;
  if (slots_[slot].first < 0) erase_slot(slot);
  records_[index(block)].same_content = {};
  records_[index(block)].content = kNoContent;
  ++evictions_;
}

std::int32_t BlockPool::take() {
  const std::int32_t block = records_[index(blocks())].queue.next;
  ASSAY_CHECK(block != blocks(), "take() from an empty free queue");
  unlink_free(block);
  forget(block);
  ASSAY_CHECK_EQ(records_[index(block)].owners, 0);
  records_[index(block)].owners = 1;
  return block;
}

void BlockPool::touch(std::int32_t block) {
  ASSAY_CHECK(block != kNullBlock);
  if (records_[index(block)].owners++ == 0) unlink_free(block);
}

void BlockPool::release(std::int32_t block, QueueEnd end) {
  if (block == kNullBlock) return;
  ASSAY_CHECK_GE(records_[index(block)].owners, 1);
  if (--records_[index(block)].owners == 0) join_free(block, end);
}

void BlockPool::publish(std::int32_t block, BlockContent content) {
  ASSAY_CHECK_GE(records_[index(block)].owners, 1);
  ASSAY_CHECK_EQ(records_[index(block)].content, kNoContent);
  ASSAY_CHECK_GE(content, 0);
  Slot& slot = slots_[slot_of(content)];
  records_[index(block)].content = content;
  records_[index(block)].same_content = {slot.content == kNoContent ? -1 : slot.last, -1};
  if (slot.content == kNoContent) {
    slot = {content, block, block};
  } else {
    records_[index(slot.last)].same_content.next = block;
    slot.last = block;
  }
}

std::vector<std::int32_t> BlockPool::free_queue() const {
  std::vector<std::int32_t> queue;
  for (std::int32_t block = records_[index(blocks())].queue.next; block != blocks();
       block = records_[index(block)].queue.next)
    queue.push_back(block);
  return queue;
}

std::int32_t BlockPool::largest_free_run() const {
  std::int32_t longest = 0, run = 0;
  for (std::int32_t block = 1; block < blocks(); ++block) {
    run = records_[index(block)].owners == 0 ? run + 1 : 0;
    longest = run > longest ? run : longest;
  }
  return longest;
}

void BlockPool::check_invariants() const {
  ASSAY_CHECK_EQ(records_[0].owners, 0);
  std::int32_t unowned = 0, cached_idle = 0;
  for (std::int32_t block = 1; block < blocks(); ++block) {
    ASSAY_CHECK_GE(records_[index(block)].owners, 0);
    const bool queued = records_[index(block)].queue.next >= 0;
    ASSAY_CHECK_EQ(queued, records_[index(block)].owners == 0);
    unowned += queued;
    const BlockContent content = records_[index(block)].content;
    cached_idle += queued && content != kNoContent;
    if (content == kNoContent) continue;
    const Slot& slot = slots_[slot_of(content)];
    ASSAY_CHECK_EQ(slot.content, content);
    const Links links = records_[index(block)].same_content;
    ASSAY_CHECK_EQ(links.previous < 0, slot.first == block);
    ASSAY_CHECK_EQ(links.next < 0, slot.last == block);
  }
  ASSAY_CHECK_EQ(unowned, free_blocks_);
  ASSAY_CHECK_EQ(cached_idle, cached_idle_blocks_);
  ASSAY_CHECK_EQ(static_cast<std::int32_t>(free_queue().size()), free_blocks_);
}

}  // namespace assay
