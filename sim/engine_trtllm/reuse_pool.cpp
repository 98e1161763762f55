#include "sim/engine_trtllm/reuse_pool.h"

#include <string>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {

TrtllmReusePool::TrtllmReusePool(const Options& options) : options_(options) {
  if (options.blocks <= 0) throw InputError("blocks", "at least 1", std::to_string(options.blocks));
  if (options.block_tokens <= 0)
    throw InputError("block_tokens", "at least 1", std::to_string(options.block_tokens));
  nodes_.resize(static_cast<std::size_t>(options.blocks) + 1);
  links_.grow(options.blocks + 1);
  for (std::int32_t index = 1; index <= options.blocks; ++index) {
    links_.push_back(queues_[kDefaultPriority], index);
    node(index).queue = kDefaultPriority;
  }
  free_blocks_ = options.blocks;
}

TrtllmReusePool::Found TrtllmReusePool::find(std::int32_t below, const TrtllmBlockKey& key,
                                             bool partial) const {
  const Node& parent = nodes_[static_cast<std::size_t>(below)];
  if (key.runs.empty()) return {};
  if (const auto exact = parent.children.find(key); exact != parent.children.end())
    return {exact->second, key.tokens(), !nodes_[static_cast<std::size_t>(exact->second)].full};
  Found best;
  if (!partial) return best;
  // Something in common means the same first run, and children are in order of it.
  const std::int64_t first = key.runs.front().name;
  for (auto at = parent.children.lower_bound({{{first, 0}}});
       at != parent.children.end() && at->first.runs.front().name == first; ++at) {
    const Node& candidate = nodes_[static_cast<std::size_t>(at->second)];
    if (!options_.copy_on_partial_reuse && (candidate.owners > 0 || !candidate.children.empty())) continue;
    const std::int64_t tokens = at->first.common(key);
    if (tokens > best.tokens) best = {at->second, tokens, true};
  }
  return best;
}

void TrtllmReusePool::claim(std::int32_t index, std::optional<int> priority) {
  Node& block = node(index);
  if (block.queue >= 0) {
    links_.remove(queues_[static_cast<std::size_t>(block.queue)], index);
    block.queue = -1;
    --free_blocks_;
    if (block.parent != kNobody) --cached_free_blocks_;
  }
  if (priority) block.priority = *priority;
}

void TrtllmReusePool::unlink(std::int32_t index) {
  Node& block = node(index);
  if (block.parent == kNobody) return;
  node(block.parent).children.erase(block.key);
  block.parent = kNobody;
  if (block.queue >= 0) --cached_free_blocks_;
}

void TrtllmReusePool::forget_descendants(std::int32_t index) {
  while (!node(index).children.empty()) {
    const std::int32_t child = node(index).children.begin()->second;
    forget_descendants(child);
    unlink(child);
  }
}

std::int32_t TrtllmReusePool::take_free(int priority) {
  for (const IndexList& queue : queues_) {
    if (queue.empty()) continue;
    const std::int32_t index = queue.head;
    forget_descendants(index);
    claim(index, priority);
    unlink(index);
    return index;
  }
  ASSAY_CHECK(false, "trtllm: a block was promised that is not there");
  return kNobody;
}

TrtllmReusePool::Added TrtllmReusePool::add_sequence(const std::vector<TrtllmBlockKey>& keys,
                                                     std::int64_t prompt_tokens,
                                                     const std::vector<std::optional<int>>& priorities) {
  const auto count = static_cast<std::size_t>(ceil_div(prompt_tokens, options_.block_tokens));
  ASSAY_CHECK_EQ(priorities.size(), count);
  Added added;
  std::int32_t below = options_.reuse ? kRoot : kNobody;  // kNobody: no more matching
  for (std::size_t i = 0; i < count; ++i) {
    const Found found =
        below != kNobody && i < keys.size() ? find(below, keys[i], options_.partial_reuse) : Found{};
    std::int32_t index = found.node;
    if (index == kNobody) {
      index = take_free(priorities[i].value_or(kDefaultPriority));
      below = kNobody;
    } else if (!found.partial) {
      claim(index, priorities[i]);
      below = index;
    } else {
      if (node(index).owners > 0 || !node(index).children.empty()) {
        index = take_free(node(index).priority);
        added.copied_tokens += found.tokens;
      } else {
        claim(index, priorities[i]);
        unlink(index);
      }
      below = kNobody;
    }
    added.reused_tokens += found.tokens;
    ++node(index).owners;
    added.blocks.emplace_back(index - 1);
  }
  return added;
}

BlockId TrtllmReusePool::allocate(int priority) {
  const std::int32_t index = take_free(priority);
  ++node(index).owners;
  return BlockId(index - 1);
}

void TrtllmReusePool::store(const std::vector<TrtllmBlockKey>& keys, const std::vector<BlockId>& blocks) {
  if (!options_.reuse) return;
  std::int32_t below = kRoot;
  bool matching = true;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Found found = matching ? find(below, keys[i], false) : Found{};
    if (found.node != kNobody) {
      below = found.node;
      continue;
    }
    matching = false;
    const std::int32_t index = blocks[i].value() + 1;
    Node& block = node(index);
    ASSAY_CHECK_GE(block.owners, 1);
    // Whatever is in the tree is found by its path, so this block is not: it hangs nowhere.
    ASSAY_CHECK_EQ(block.parent, kNobody);
    block.key = keys[i];
    block.full = keys[i].tokens() == options_.block_tokens;
    block.parent = below;
    node(below).children.emplace(keys[i], index);
    below = index;
  }
}

void TrtllmReusePool::release(const std::vector<BlockId>& blocks) {
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    const std::int32_t index = block->value() + 1;
    Node& own = node(index);
    ASSAY_CHECK_GE(own.owners, 1);
    if (--own.owners > 0) continue;
    own.queue = own.priority;
    links_.push_back(queues_[static_cast<std::size_t>(own.queue)], index);
    ++free_blocks_;
    if (own.parent != kNobody) ++cached_free_blocks_;
  }
}

std::size_t TrtllmReusePool::stored_prefix(const std::vector<TrtllmBlockKey>& keys) const {
  std::int32_t below = kRoot;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    below = find(below, keys[i], false).node;
    if (below == kNobody) return i;
  }
  return keys.size();
}

std::vector<BlockId> TrtllmReusePool::free_queue() const {
  std::vector<BlockId> queue;
  for (const IndexList& list : queues_)
    for (std::int32_t index = list.head; index >= 0; index = links_.next(index))
      queue.emplace_back(index - 1);
  return queue;
}

void TrtllmReusePool::check_invariants() const {
  std::int32_t free = 0, cached = 0;
  for (std::int32_t block = 0; block < options_.blocks; ++block) {
    const Node& own = at(block);
    const std::int32_t index = block + 1;
    ASSAY_CHECK_EQ(own.queue >= 0, own.owners == 0);
    ASSAY_CHECK_EQ(own.queue >= 0, links_.linked(index));
    if (own.queue >= 0) {
      ++free;
      if (own.parent != kNobody) ++cached;
    }
    if (own.parent != kNobody) {
      const auto& siblings = nodes_[static_cast<std::size_t>(own.parent)].children;
      const auto self = siblings.find(own.key);
      ASSAY_CHECK(self != siblings.end() && self->second == index, "a block that its parent does not know");
      // Who hangs below something that is not in the tree could never be found.
      if (own.parent != kRoot)
        ASSAY_CHECK(nodes_[static_cast<std::size_t>(own.parent)].parent != kNobody,
                    "a branch without a tree");
    }
  }
  ASSAY_CHECK_EQ(free, free_blocks_);
  ASSAY_CHECK_EQ(cached, cached_free_blocks_);
  ASSAY_CHECK_EQ(static_cast<std::int32_t>(free_queue().size()), free_blocks_);
}

}  // namespace assay
