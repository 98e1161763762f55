#include "properties/allocator/pool_allocator.h"

namespace assay::properties {

BlockContent PoolAllocator::name_of(const Tokens& tokens, std::int64_t end) {
  const auto next = static_cast<BlockContent>(names_.size());
  return names_.try_emplace(Tokens(tokens.begin(), tokens.begin() + end), next).first->second;
}

std::int64_t PoolAllocator::admit(std::int32_t sequence, const Tokens& prompt) {
  Held held;
  const std::int64_t tokens = static_cast<std::int64_t>(prompt.size());
  std::int32_t idle = 0;
  for (std::int64_t end = shape_.block_tokens; end <= tokens - 1; end += shape_.block_tokens) {
    const std::int32_t block = pool_.find(name_of(prompt, end));
    if (block < 0) break;
    held.blocks.push_back(block);
    idle += pool_.owners(block) == 0;
  }
  const auto hits = static_cast<std::int64_t>(held.blocks.size());
  const std::int64_t need = (tokens + shape_.block_tokens - 1) / shape_.block_tokens - hits;
  if (need + idle > pool_.free_blocks()) return kRefused;
  for (const std::int32_t block : held.blocks) pool_.touch(block);
  for (std::int64_t i = 0; i < need; ++i) held.blocks.push_back(pool_.take());
  held.tokens = prompt;
  held.age = next_age_++;
  held.published = static_cast<std::size_t>(hits);
  held_[sequence] = std::move(held);
  return hits * shape_.block_tokens;
}

void PoolAllocator::computed(std::int32_t sequence) {
  held_.at(sequence).is_computed = true;
  publish(held_.at(sequence));
}

void PoolAllocator::publish(Held& held) {
  if (!held.is_computed) return;
  while (static_cast<std::int64_t>(held.published + 1) * shape_.block_tokens <=
         static_cast<std::int64_t>(held.tokens.size())) {
    pool_.publish(held.blocks[held.published],
                  name_of(held.tokens, static_cast<std::int64_t>(held.published + 1) * shape_.block_tokens));
    ++held.published;
  }
}

bool PoolAllocator::append(std::int32_t sequence, std::int64_t token) {
  Held& held = held_.at(sequence);
  if (static_cast<std::int64_t>(held.tokens.size()) ==
      static_cast<std::int64_t>(held.blocks.size()) * shape_.block_tokens) {
    if (pool_.free_blocks() == 0) return false;
    held.blocks.push_back(pool_.take());
  }
  held.tokens.push_back(token);
  publish(held);
  return true;
}

void PoolAllocator::release(std::int32_t sequence) {
  Held held = std::move(held_.at(sequence));
  held_.erase(sequence);
  if (in_flight_)
    pending_.push_back(std::move(held));
  else
    give_back(held);
}

void PoolAllocator::give_back(const Held& held) {
  for (std::size_t i = held.blocks.size(); i-- > 0;) pool_.release(held.blocks[i]);
}

std::vector<std::int32_t> PoolAllocator::make_room(std::int32_t blocks) {
  std::vector<std::int32_t> victims;
  while (!in_flight_ && pool_.free_blocks() < blocks && !held_.empty()) {
    auto newest = held_.begin();
    for (auto at = held_.begin(); at != held_.end(); ++at)
      if (at->second.age > newest->second.age) newest = at;
    victims.push_back(newest->first);
    release(newest->first);
  }
  return victims;
}

void PoolAllocator::end_step() {
  in_flight_ = false;
  for (const Held& held : pending_) give_back(held);
  pending_.clear();
}

std::vector<std::int32_t> PoolAllocator::table(std::int32_t sequence) const {
  std::vector<std::int32_t> blocks = held_.at(sequence).blocks;
  for (std::int32_t& block : blocks) --block;
  return blocks;
}

}  // namespace assay::properties
