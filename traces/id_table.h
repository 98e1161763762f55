// A table keyed by int64 ids, made for hash ids: traces renumber them 0, 1, 2, ... in order of appearance,
// so small ids index pages directly; any other id (large, negative, sparse) goes to an open-addressing map.
//
//   id < dense_limit:  pages_[id / 4096][id % 4096]        grows page by page, nothing is ever moved
//   else:              map of (id, value), linear probing  doubles at 5/8 full
//
// dense_limit follows the number of ids seen, so a stray large id cannot make it allocate. Value must have
// a member `bool used() const` that is false when default-made and true once stored.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace assay {

template <typename Value>
class IdTable {
 public:
  // The value of `id`, default-made the first time; the caller must make it used(). The reference holds
  // until the next call.
  Value& operator[](std::int64_t id) {
    if (static_cast<std::uint64_t>(id) < dense_limit_) {
      Value& value = dense(static_cast<std::uint64_t>(id));
      if (value.used() || sparse_count_ == 0) return note_new(value);
      Value* old = find_sparse(id);  // stored before the limit reached it
      return old != nullptr ? *old : note_new(value);
    }
    Value* old = find_sparse(id);
    return old != nullptr ? *old : insert_sparse(id);
  }

  // nullptr when the id was never stored.
  [[nodiscard]] Value* find(std::int64_t id) {
    if (static_cast<std::uint64_t>(id) < dense_limit_) {
      const std::uint64_t page = static_cast<std::uint64_t>(id) / kPage;
      if (page < pages_.size() && pages_[page] != nullptr) {
        Value& value = (*pages_[page])[static_cast<std::uint64_t>(id) % kPage];
        if (value.used()) return &value;
      }
    }
    return find_sparse(id);
  }

  // Every stored (id, value); dense ids ascending, then the others in an order that depends on the ids and
  // their history only.
  template <typename Visit>
  void for_each(Visit visit) {
    for (std::size_t page = 0; page < pages_.size(); ++page) {
      if (pages_[page] == nullptr) continue;
      for (std::size_t i = 0; i < kPage; ++i)
        if ((*pages_[page])[i].used()) visit(static_cast<std::int64_t>(page * kPage + i), (*pages_[page])[i]);
    }
    for (std::size_t i = 0; i < values_.size(); ++i)
      if (values_[i].used()) visit(keys_[i], values_[i]);
  }

  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t total = static_cast<std::int64_t>(values_.size() * (sizeof(Value) + sizeof(std::int64_t)));
    for (const auto& page : pages_) total += page != nullptr ? static_cast<std::int64_t>(sizeof(Page)) : 0;
    return total;
  }

 private:
  static constexpr std::uint64_t kPage = 4096;
  using Page = std::array<Value, kPage>;

  Value& dense(std::uint64_t id) {
    const std::uint64_t page = id / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (pages_[page] == nullptr) pages_[page] = std::make_unique<Page>();
    return (*pages_[page])[id % kPage];
  }
  Value& note_new(Value& value) {
    if (!value.used()) {
      ++dense_count_;
      const std::uint64_t limit = 4 * dense_count_ + 16 * kPage;
      if (limit > dense_limit_) dense_limit_ = limit;
    }
    return value;
  }
  [[nodiscard]] static std::uint64_t hash(std::int64_t id) {
    std::uint64_t x = static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15ull;
    return x ^ x >> 32;
  }
  [[nodiscard]] Value* find_sparse(std::int64_t id) {
    if (sparse_count_ == 0) return nullptr;
    const std::uint64_t mask = values_.size() - 1;
    for (std::uint64_t at = hash(id) & mask; values_[at].used(); at = (at + 1) & mask)
      if (keys_[at] == id) return &values_[at];
    return nullptr;
  }
  Value& insert_sparse(std::int64_t id) {
    if (8 * (sparse_count_ + 1) > 5 * values_.size()) grow();
    ++sparse_count_;
    const std::uint64_t mask = values_.size() - 1;
    std::uint64_t at = hash(id) & mask;
    while (values_[at].used()) at = (at + 1) & mask;
    keys_[at] = id;
    return values_[at];
  }
  void grow() {
    std::vector<std::int64_t> keys(values_.empty() ? 1024 : values_.size() * 2);
    std::vector<Value> values(keys.size());
    const std::uint64_t mask = values.size() - 1;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!values_[i].used()) continue;
      std::uint64_t at = hash(keys_[i]) & mask;
      while (values[at].used()) at = (at + 1) & mask;
      keys[at] = keys_[i];
      values[at] = values_[i];
    }
    keys_.swap(keys);
    values_.swap(values);
  }

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t dense_limit_ = 16 * kPage, dense_count_ = 0;
  std::vector<std::int64_t> keys_;
  std::vector<Value> values_;
  std::uint64_t sparse_count_ = 0;
};

}  // namespace assay
