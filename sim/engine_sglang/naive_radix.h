// The slow twin of the radix cache, for tests: a flat list of nodes, each with the whole path from the
// root written out; parents, children and leaves are found by comparing paths. And broken copies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <utility>
#include <vector>

#include "sim/engine_sglang/radix_cache.h"

namespace assay {

enum class RadixFault {
  kNone,
  kEvictsInnerNodes,    // a parent before its children
  kEvictsNewest,        // most recently used first
  kMatchDoesNotTouch,   // a match leaves the time alone
  kSplitDropsLock,      // the upper half of a split is not held
  kReplacesDuplicates,  // insert keeps the newer pages
  kParentNotRequeued,   // a parent that became a leaf waits for the next eviction
};

class NaiveRadix {
 public:
  struct Node {
    std::vector<PageContent> path;  // from the root to the end of this node
    std::vector<BlockId> pages;     // of its own run: the last pages.size() letters of the path
    std::int64_t time = 0;
    std::int32_t locks = 0;
    [[nodiscard]] std::size_t begin() const { return path.size() - pages.size(); }
  };
  using Handle = Node*;

  NaiveRadix(std::int64_t page_tokens, RadixFault fault) : page_tokens_(page_tokens), fault_(fault) {
    ++clock_;
  }

  std::vector<BlockId> match(const std::vector<PageContent>& key, Handle* end) {
    *end = nullptr;
    if (key.empty()) return {};
    std::vector<BlockId> pages;
    descend(key, fault_ != RadixFault::kMatchDoesNotTouch, end, &pages);
    return pages;
  }

  std::size_t insert(const std::vector<PageContent>& key, const std::vector<BlockId>& pages) {
    if (key.empty()) return 0;
    Handle end = nullptr;
    std::vector<BlockId> had;
    descend(key, true, &end, &had);
    if (fault_ == RadixFault::kReplacesDuplicates)
      for (Node& node : nodes_)
        if (node.path.size() <= had.size() && std::equal(node.path.begin(), node.path.end(), key.begin()))
          std::copy(pages.begin() + static_cast<std::ptrdiff_t>(node.begin()),
                    pages.begin() + static_cast<std::ptrdiff_t>(node.path.size()), node.pages.begin());
    if (had.size() < key.size())
      nodes_.push_back(
          {key, {pages.begin() + static_cast<std::ptrdiff_t>(had.size()), pages.end()}, ++clock_, 0});
    return had.size();
  }

  void lock(Handle node, std::int32_t by) {
    if (node == nullptr) return;
    for (Node& other : nodes_)
      if (other.path.size() <= node->path.size() &&
          std::equal(other.path.begin(), other.path.end(), node->path.begin()))
        other.locks += by;
  }

  std::vector<std::vector<BlockId>> evict(std::int64_t tokens) {
    std::vector<std::vector<BlockId>> evicted;
    std::vector<Node*> barred;
    if (fault_ == RadixFault::kParentNotRequeued)
      for (Node& node : nodes_)
        if (!is_leaf(node)) barred.push_back(&node);
    for (std::int64_t freed = 0; freed < tokens;) {
      auto victim = nodes_.end();
      for (auto node = nodes_.begin(); node != nodes_.end(); ++node) {
        if (node->locks > 0) continue;
        if (!is_leaf(*node) && fault_ != RadixFault::kEvictsInnerNodes) continue;
        if (std::find(barred.begin(), barred.end(), &*node) != barred.end()) continue;
        const bool better = fault_ == RadixFault::kEvictsNewest
                                ? victim != nodes_.end() && node->time > victim->time
                                : victim != nodes_.end() && node->time < victim->time;
        if (victim == nodes_.end() || better) victim = node;
      }
      if (victim == nodes_.end()) break;
      freed += static_cast<std::int64_t>(victim->pages.size()) * page_tokens_;
      evicted.push_back(victim->pages);
      nodes_.erase(victim);
    }
    return evicted;
  }

  [[nodiscard]] std::int64_t tokens(bool locked) const {
    std::int64_t pages = 0;
    for (const Node& node : nodes_)
      if ((node.locks > 0) == locked) pages += static_cast<std::int64_t>(node.pages.size());
    return pages * page_tokens_;
  }

 private:
  // Nobody's path goes on from its end.
  [[nodiscard]] bool is_leaf(const Node& node) const {
    return std::none_of(nodes_.begin(), nodes_.end(), [&](const Node& other) {
      return other.path.size() > node.path.size() &&
             std::equal(node.path.begin(), node.path.end(), other.path.begin());
    });
  }

  void descend(const std::vector<PageContent>& key, bool touch, Handle* end, std::vector<BlockId>* pages) {
    const std::int64_t now = ++clock_;
    for (;;) {
      const std::size_t done = pages->size();
      auto next = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) {
        return done < key.size() && node.begin() == done && node.path[done] == key[done] &&
               std::equal(node.path.begin(), node.path.begin() + static_cast<std::ptrdiff_t>(done),
                          key.begin());
      });
      if (next == nodes_.end()) return;
      if (touch) next->time = now;
      std::size_t same = done;
      while (same < next->path.size() && same < key.size() && next->path[same] == key[same]) ++same;
      if (same < next->path.size()) {
        const auto run = static_cast<std::ptrdiff_t>(same - done);
        Node upper{{next->path.begin(), next->path.begin() + static_cast<std::ptrdiff_t>(same)},
                   {next->pages.begin(), next->pages.begin() + run},
                   ++clock_,
                   fault_ == RadixFault::kSplitDropsLock ? 0 : next->locks};
        next->pages.erase(next->pages.begin(), next->pages.begin() + run);
        nodes_.push_back(upper);
        next = std::prev(nodes_.end());
      }
      pages->insert(pages->end(), next->pages.begin(), next->pages.end());
      *end = &*next;
    }
  }

  std::int64_t page_tokens_;
  RadixFault fault_;
  std::int64_t clock_ = 0;
  std::list<Node> nodes_;
};

}  // namespace assay
