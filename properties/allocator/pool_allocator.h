// The simulator's BlockPool behind the interface under test: sequences and tables are kept here, everything
// about blocks is the pool's. Contents are named exactly (a map from token chains to numbers).
#pragma once

#include <map>
#include <vector>

#include "properties/allocator/allocator.h"
#include "sim/engine/block_pool.h"

namespace assay::properties {

class PoolAllocator final : public Allocator {
 public:
  explicit PoolAllocator(const AllocatorShape& shape)
      : shape_(shape), pool_(shape.blocks + 1) {}  // one is the null block

  std::int64_t admit(std::int32_t sequence, const Tokens& prompt) override;
  void computed(std::int32_t sequence) override;
  bool append(std::int32_t sequence, std::int64_t token) override;
  void release(std::int32_t sequence) override;
  std::vector<std::int32_t> make_room(std::int32_t blocks) override;
  void begin_step() override { in_flight_ = true; }
  void end_step() override;
  // Numbered from 0, without the null block.
  [[nodiscard]] std::vector<std::int32_t> table(std::int32_t sequence) const override;
  [[nodiscard]] std::int32_t free_blocks() const override { return pool_.free_blocks(); }
  [[nodiscard]] std::int32_t owners(std::int32_t block) const override { return pool_.owners(block + 1); }
  void check_invariants() const { pool_.check_invariants(); }

 private:
  struct Held {
    std::vector<std::int32_t> blocks;
    Tokens tokens;
    std::int64_t age = 0;
    bool is_computed = false;
    std::size_t published = 0;  // leading blocks that have their content
  };
  [[nodiscard]] BlockContent name_of(const Tokens& tokens, std::int64_t end);
  void publish(Held& held);
  void give_back(const Held& held);

  AllocatorShape shape_;
  BlockPool pool_;
  std::map<Tokens, BlockContent> names_;
  std::map<std::int32_t, Held> held_;
  std::vector<Held> pending_;
  std::int64_t next_age_ = 0;
  bool in_flight_ = false;
};

}  // namespace assay::properties
