// The calls of MIGraphX's paged-attention examples, as thin views over tables of a pool: one row of the
// batch is one sequence. The names are theirs; what differs is that blocks come from the pool when they
// are needed instead of being dealt out in advance, so a call that needs blocks can find none.
//
//   PagedKvCacheManager           block table {batch, max_blocks}           K and V in the same block
//   PagedKvCacheManagerCombined   block table {batch, 2, max_blocks}        [row][0 = K, 1 = V][block],
//                                 K and V ids independent of each other
//
//   slot = table[position / block_tokens] * block_tokens + position % block_tokens
//
// A shared row (fork) copies its tail before it is written: take_copies() after asking for slots, and
// perform them before writing. Table entries past a row's last block are dead and hold `dead_entry`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sim/views/forked_tables.h"

namespace assay {

struct PagedKvCacheConfig {
  std::size_t batch_size = 1;
  std::int64_t max_tokens = 0;  // longest row; max_blocks = ceil(max_tokens / block_tokens)
  std::int32_t block_tokens = 16;
  std::int32_t dead_entry = -1;
};

class PagedKvCacheManager {
 public:
  // The pool must outlive the view. Slots are 32-bit here, as in MIGraphX: InputError for a pool of more
  // than 2^31 - 1 slots.
  PagedKvCacheManager(CountedPool& pool, const PagedKvCacheConfig& config);
  ~PagedKvCacheManager();
  PagedKvCacheManager(const PagedKvCacheManager&) = delete;
  PagedKvCacheManager& operator=(const PagedKvCacheManager&) = delete;

  // The row holds `prompt_tokens` tokens from now on, whatever it held before. False, and no change,
  // when the pool has too few free blocks.
  [[nodiscard]] bool prefill(std::size_t batch_index, std::int64_t prompt_tokens);
  // Slots of the row's next `tokens` tokens; the same again until advance(). None when the pool has too
  // few free blocks.
  [[nodiscard]] std::optional<std::vector<std::int32_t>> get_slot_mapping(std::size_t batch_index,
                                                                          std::int64_t tokens = 1);
  // They have been written.
  void advance(std::size_t batch_index, std::int64_t tokens = 1);
  // {batch * max_blocks}
  [[nodiscard]] std::vector<std::int32_t> get_block_table_flat() const;

  // Slots of the row's written tokens [0, count): where prefill() put the prompt.
  [[nodiscard]] std::vector<std::int32_t> written_slots(std::size_t batch_index) const;
  [[nodiscard]] std::int64_t get_current_position(std::size_t batch_index) const;
  [[nodiscard]] std::int64_t max_blocks() const { return max_blocks_; }
  // Row `to` becomes a copy of row `from` that shares its blocks.
  void fork(std::size_t from, std::size_t to);
  // The row holds nothing from now on.
  void clear(std::size_t batch_index);
  // Copies that the last calls asked for; each is given once.
  [[nodiscard]] std::vector<BlockCopy> take_copies() { return std::exchange(copies_, {}); }
  [[nodiscard]] const ForkedTables& tables() const { return tables_; }

 private:
  friend class PagedKvCacheManagerCombined;
  [[nodiscard]] SequenceId row(std::size_t batch_index) const;
  void check_fits(std::size_t batch_index, std::int64_t begin, std::int64_t tokens) const;
  // The row's entries, dead ones included, to `entries` [max_blocks].
  void write_row(std::size_t batch_index, std::int32_t* entries) const;

  PagedKvCacheConfig config_;
  ForkedTables tables_;
  std::int64_t max_blocks_;
  std::vector<SequenceId> rows_;  // [batch]
  std::vector<BlockCopy> copies_;
};

class PagedKvCacheManagerCombined {
 public:
  enum class Part { kKeys = 0, kValues = 1 };

  // Keys and values from two pools, or from one (the same object twice).
  PagedKvCacheManagerCombined(CountedPool& keys, CountedPool& values, const PagedKvCacheConfig& config);

  // Slots of the row's next tokens in K's blocks or V's. None, and no change to either, when a pool has
  // too few free blocks.
  [[nodiscard]] std::optional<std::vector<std::int32_t>> get_slot_mapping_prefill(std::size_t batch_index,
                                                                                  std::int64_t tokens,
                                                                                  Part part = Part::kKeys);
  void advance(std::size_t batch_index, std::int64_t tokens = 1);
  // {batch, 2, max_blocks}
  [[nodiscard]] std::vector<std::int32_t> get_block_table_combined() const;

  void fork(std::size_t from, std::size_t to);
  void clear(std::size_t batch_index);
  [[nodiscard]] std::int64_t get_current_position(std::size_t batch_index) const {
    return keys_.get_current_position(batch_index);
  }
  [[nodiscard]] std::vector<BlockCopy> take_copies(Part part) {
    return part == Part::kKeys ? keys_.take_copies() : values_.take_copies();
  }
  [[nodiscard]] std::int64_t max_blocks() const { return keys_.max_blocks(); }

 private:
  CountedPool &key_pool_, &value_pool_;
  PagedKvCacheConfig config_;
  PagedKvCacheManager keys_, values_;
};

}  // namespace assay
