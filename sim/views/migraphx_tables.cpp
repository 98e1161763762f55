#include "sim/views/migraphx_tables.h"

#include <algorithm>
#include <limits>
#include <string>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {

PagedKvCacheManager::PagedKvCacheManager(CountedPool& pool, const PagedKvCacheConfig& config)
    : config_(config),
      tables_(pool, config.block_tokens),
      max_blocks_(ceil_div(config.max_tokens, config.block_tokens)) {
  if (config.max_tokens <= 0) throw InputError("max_tokens", "at least 1", std::to_string(config.max_tokens));
  const std::int64_t slots = static_cast<std::int64_t>(pool.blocks()) * config.block_tokens;
  if (slots > std::numeric_limits<std::int32_t>::max())
    throw InputError("pool", "at most 2^31 - 1 slots, which 32-bit slot mappings can name",
                     std::to_string(slots));
  for (std::size_t i = 0; i < config.batch_size; ++i) rows_.push_back(tables_.create());
}

PagedKvCacheManager::~PagedKvCacheManager() {
  for (const SequenceId sequence : rows_) tables_.free(sequence);
}

SequenceId PagedKvCacheManager::row(std::size_t batch_index) const {
  if (batch_index >= rows_.size())
    throw InputError("batch index", "below " + std::to_string(rows_.size()), std::to_string(batch_index));
  return rows_[batch_index];
}

void PagedKvCacheManager::check_fits(std::size_t batch_index, std::int64_t begin, std::int64_t tokens) const {
  if (tokens < 0 || begin + tokens > config_.max_tokens)
    throw InputError("row " + std::to_string(batch_index),
                     "0 to " + std::to_string(config_.max_tokens - begin) + " more tokens",
                     std::to_string(tokens));
}

bool PagedKvCacheManager::prefill(std::size_t batch_index, std::int64_t prompt_tokens) {
  const SequenceId sequence = row(batch_index);
  check_fits(batch_index, 0, prompt_tokens);
  // Blocks that come back when the row lets go count as free; the others stay with their sharers.
  std::int64_t available = tables_.pool().free_blocks();
  for (const BlockId block : tables_.blocks(sequence))
    if (tables_.pool().owners(block) == 1) ++available;
  if (ceil_div(prompt_tokens, config_.block_tokens) > available) return false;
  clear(batch_index);
  const bool reserved = tables_.reserve(rows_[batch_index], prompt_tokens, copies_);
  ASSAY_CHECK(reserved, "counted blocks were not there");
  tables_.advance(rows_[batch_index], prompt_tokens);
  return true;
}

std::optional<std::vector<std::int32_t>> PagedKvCacheManager::get_slot_mapping(std::size_t batch_index,
                                                                               std::int64_t tokens) {
  const SequenceId sequence = row(batch_index);
  const std::int64_t begin = tables_.tokens(sequence);
  check_fits(batch_index, begin, tokens);
  if (!tables_.reserve(sequence, tokens, copies_)) return std::nullopt;
  std::vector<std::int32_t> slots;
  slots.reserve(static_cast<std::size_t>(tokens));
  for (std::int64_t position = begin; position < begin + tokens; ++position)
    slots.push_back(static_cast<std::int32_t>(tables_.slot(sequence, position)));
  return slots;
}

void PagedKvCacheManager::advance(std::size_t batch_index, std::int64_t tokens) {
  tables_.advance(row(batch_index), tokens);
}

void PagedKvCacheManager::write_row(std::size_t batch_index, std::int32_t* entries) const {
  const std::vector<BlockId>& blocks = tables_.blocks(row(batch_index));
  std::fill(entries, entries + max_blocks_, config_.dead_entry);
  std::transform(blocks.begin(), blocks.end(), entries, [](BlockId block) { return block.value(); });
}

std::vector<std::int32_t> PagedKvCacheManager::get_block_table_flat() const {
  std::vector<std::int32_t> table(rows_.size() * static_cast<std::size_t>(max_blocks_));
  for (std::size_t i = 0; i < rows_.size(); ++i)
    write_row(i, table.data() + i * static_cast<std::size_t>(max_blocks_));
  return table;
}

std::vector<std::int32_t> PagedKvCacheManager::written_slots(std::size_t batch_index) const {
  const SequenceId sequence = row(batch_index);
  std::vector<std::int32_t> slots;
  for (std::int64_t position = 0; position < tables_.tokens(sequence); ++position)
    slots.push_back(static_cast<std::int32_t>(tables_.slot(sequence, position)));
  return slots;
}

std::int64_t PagedKvCacheManager::get_current_position(std::size_t batch_index) const {
  return tables_.tokens(row(batch_index));
}

void PagedKvCacheManager::clear(std::size_t batch_index) {
  tables_.free(row(batch_index));
  rows_[batch_index] = tables_.create();
}

void PagedKvCacheManager::fork(std::size_t from, std::size_t to) {
  const SequenceId parent = row(from);
  (void)row(to);
  if (from == to) return;
  tables_.free(rows_[to]);
  rows_[to] = tables_.fork(parent);
}

PagedKvCacheManagerCombined::PagedKvCacheManagerCombined(CountedPool& keys, CountedPool& values,
                                                         const PagedKvCacheConfig& config)
    : key_pool_(keys), value_pool_(values), config_(config), keys_(keys, config), values_(values, config) {}

std::optional<std::vector<std::int32_t>> PagedKvCacheManagerCombined::get_slot_mapping_prefill(
    std::size_t batch_index, std::int64_t tokens, Part part) {
  const std::int64_t for_keys = keys_.tables_.blocks_needed(keys_.row(batch_index), tokens);
  const std::int64_t for_values = values_.tables_.blocks_needed(values_.row(batch_index), tokens);
  const bool fits = &key_pool_ == &value_pool_
                        ? for_keys + for_values <= key_pool_.free_blocks()
                        : for_keys <= key_pool_.free_blocks() && for_values <= value_pool_.free_blocks();
  if (!fits) {
    keys_.check_fits(batch_index, keys_.get_current_position(batch_index), tokens);
    return std::nullopt;
  }
  auto key_slots = keys_.get_slot_mapping(batch_index, tokens);
  auto value_slots = values_.get_slot_mapping(batch_index, tokens);
  return part == Part::kKeys ? key_slots : value_slots;
}

void PagedKvCacheManagerCombined::advance(std::size_t batch_index, std::int64_t tokens) {
  keys_.advance(batch_index, tokens);
  values_.advance(batch_index, tokens);
}

std::vector<std::int32_t> PagedKvCacheManagerCombined::get_block_table_combined() const {
  const auto width = static_cast<std::size_t>(max_blocks());
  std::vector<std::int32_t> table(config_.batch_size * 2 * width);
  for (std::size_t i = 0; i < config_.batch_size; ++i) {
    keys_.write_row(i, table.data() + (2 * i) * width);
    values_.write_row(i, table.data() + (2 * i + 1) * width);
  }
  return table;
}

void PagedKvCacheManagerCombined::fork(std::size_t from, std::size_t to) {
  keys_.fork(from, to);
  values_.fork(from, to);
}

void PagedKvCacheManagerCombined::clear(std::size_t batch_index) {
  keys_.clear(batch_index);
  values_.clear(batch_index);
}

}  // namespace assay
