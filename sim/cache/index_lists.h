// Doubly linked lists over dense indices: the links live in one flat array, a list is two numbers.
//
//   IndexLinks   next/previous of every index; an index is in at most one list at a time
//   IndexList    head and tail; the caller says which list an index is in
//
// All operations are O(1) and allocate nothing after grow(). Not a container of values: what an index
// stands for (a block's content, a block of the pool) is the owner's affair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay {

struct IndexList {
  std::int32_t head = -1;
  std::int32_t tail = -1;
  [[nodiscard]] bool empty() const { return head < 0; }
};

class IndexLinks {
 public:
  // Room for the indices [0, count).
  void grow(std::int32_t count) {
    if (static_cast<std::size_t>(count) > links_.size()) links_.resize(static_cast<std::size_t>(count));
  }
  [[nodiscard]] bool linked(std::int32_t index) const { return at(index).previous != kOutside; }
  [[nodiscard]] std::int32_t next(std::int32_t index) const { return at(index).next; }
  [[nodiscard]] std::int32_t previous(std::int32_t index) const { return at(index).previous; }

  void push_back(IndexList& list, std::int32_t index) {
    at(index) = {list.tail, -1};
    (list.tail < 0 ? list.head : at(list.tail).next) = index;
    list.tail = index;
  }
  void push_front(IndexList& list, std::int32_t index) {
    at(index) = {-1, list.head};
    (list.head < 0 ? list.tail : at(list.head).previous) = index;
    list.head = index;
  }
  void insert_after(IndexList& list, std::int32_t before, std::int32_t index) {
    const std::int32_t next = at(before).next;
    at(index) = {before, next};
    at(before).next = index;
    (next < 0 ? list.tail : at(next).previous) = index;
  }
  void remove(IndexList& list, std::int32_t index) {
    const Link link = at(index);
    (link.previous < 0 ? list.head : at(link.previous).next) = link.next;
    (link.next < 0 ? list.tail : at(link.next).previous) = link.previous;
    at(index) = {};
  }
  // The list must not be empty.
  std::int32_t pop_front(IndexList& list) {
    const std::int32_t index = list.head;
    remove(list, index);
    return index;
  }
  void move_to_back(IndexList& list, std::int32_t index) {
    if (list.tail == index) return;
    remove(list, index);
    push_back(list, index);
  }

 private:
  static constexpr std::int32_t kOutside = -2;
  struct Link {
    std::int32_t previous = kOutside;
    std::int32_t next = kOutside;
  };
  [[nodiscard]] Link& at(std::int32_t index) { return links_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Link& at(std::int32_t index) const { return links_[static_cast<std::size_t>(index)]; }

  std::vector<Link> links_;
};

}  // namespace assay
