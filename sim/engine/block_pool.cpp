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
  owners_.assign(count, 0);
  content_.assign(count, kNoContent);
  same_content_.assign(count, {});
  queue_.assign(count + 1, {});
  queue_[count] = {blocks, blocks};
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
  const Links links = queue_[index(block)];
  ASSAY_CHECK_GE(links.next, 0);
  queue_[index(links.previous)].next = links.next;
  queue_[index(links.next)].previous = links.previous;
  queue_[index(block)] = {};
  --free_blocks_;
  if (content_[index(block)] != kNoContent) --cached_idle_blocks_;
}

void BlockPool::join_free(std::int32_t block, QueueEnd end) {
  const std::int32_t sentinel = blocks();
  const std::int32_t before = end == QueueEnd::kBack ? queue_[index(sentinel)].previous : sentinel;
  const std::int32_t after = queue_[index(before)].next;
  ASSAY_CHECK_EQ(queue_[index(block)].next, -1);
  queue_[index(block)] = {before, after};
  queue_[index(before)].next = block;
  queue_[index(after)].previous = block;
  ++free_blocks_;
  if (content_[index(block)] != kNoContent) ++cached_idle_blocks_;
}

void BlockPool::forget(std::int32_t block) {
  const BlockContent content = content_[index(block)];
  if (content == kNoContent) return;
  const std::size_t slot = slot_of(content);
  ASSAY_CHECK_EQ(slots_[slot].content, content);
  const Links links = same_content_[index(block)];
  if (links.previous >= 0) same_content_[index(links.previous)].next = links.next;
  if (links.next >= 0) same_content_[index(links.next)].previous = links.previous;
  if (slots_[slot].first == block) slots_[slot].first = links.next;
  if (slots_[slot].last == block) slots_[slot].last = links.previous;
  if (slots_[slot].first < 0) erase_slot(slot);
  same_content_[index(block)] = {};
  content_[index(block)] = kNoContent;
  ++evictions_;
}

std::int32_t BlockPool::take() {
  const std::int32_t block = queue_[index(blocks())].next;
  ASSAY_CHECK(block != blocks(), "take() from an empty free queue");
  unlink_free(block);
  forget(block);
  ASSAY_CHECK_EQ(owners_[index(block)], 0);
  owners_[index(block)] = 1;
  return block;
}

void BlockPool::touch(std::int32_t block) {
  ASSAY_CHECK(block != kNullBlock);
  if (owners_[index(block)]++ == 0) unlink_free(block);
}

void BlockPool::release(std::int32_t block, QueueEnd end) {
  if (block == kNullBlock) return;
  ASSAY_CHECK_GE(owners_[index(block)], 1);
  if (--owners_[index(block)] == 0) join_free(block, end);
}

void BlockPool::publish(std::int32_t block, BlockContent content) {
  ASSAY_CHECK_GE(owners_[index(block)], 1);
  ASSAY_CHECK_EQ(content_[index(block)], kNoContent);
  ASSAY_CHECK_GE(content, 0);
  Slot& slot = slots_[slot_of(content)];
  content_[index(block)] = content;
  same_content_[index(block)] = {slot.content == kNoContent ? -1 : slot.last, -1};
  if (slot.content == kNoContent) {
    slot = {content, block, block};
  } else {
    same_content_[index(slot.last)].next = block;
    slot.last = block;
  }
}

std::vector<std::int32_t> BlockPool::free_queue() const {
  std::vector<std::int32_t> queue;
  for (std::int32_t block = queue_[index(blocks())].next; block != blocks();
       block = queue_[index(block)].next)
    queue.push_back(block);
  return queue;
}

std::int32_t BlockPool::largest_free_run() const {
  std::int32_t longest = 0, run = 0;
  for (std::int32_t block = 1; block < blocks(); ++block) {
    run = owners_[index(block)] == 0 ? run + 1 : 0;
    longest = run > longest ? run : longest;
  }
  return longest;
}

void BlockPool::check_invariants() const {
  ASSAY_CHECK_EQ(owners_[0], 0);
  std::int32_t unowned = 0, cached_idle = 0;
  for (std::int32_t block = 1; block < blocks(); ++block) {
    ASSAY_CHECK_GE(owners_[index(block)], 0);
    const bool queued = queue_[index(block)].next >= 0;
    ASSAY_CHECK_EQ(queued, owners_[index(block)] == 0);
    unowned += queued;
    const BlockContent content = content_[index(block)];
    cached_idle += queued && content != kNoContent;
    if (content == kNoContent) continue;
    const Slot& slot = slots_[slot_of(content)];
    ASSAY_CHECK_EQ(slot.content, content);
    const Links links = same_content_[index(block)];
    ASSAY_CHECK_EQ(links.previous < 0, slot.first == block);
    ASSAY_CHECK_EQ(links.next < 0, slot.last == block);
  }
  ASSAY_CHECK_EQ(unowned, free_blocks_);
  ASSAY_CHECK_EQ(cached_idle, cached_idle_blocks_);
  ASSAY_CHECK_EQ(static_cast<std::int32_t>(free_queue().size()), free_blocks_);
}

}  // namespace assay
