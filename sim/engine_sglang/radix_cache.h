// SGLang's radix cache (srt/mem_cache/radix_cache.py) over pages: a compressed trie whose nodes hold runs
// of pages. A page is one letter here: what it holds is a number, equal exactly when its tokens are, given
// that everything before it is equal too.
//
//   match    the longest cached prefix; a run that is matched in part is split, so that a node ends there
//   insert   adds what is missing; says how long the prefix was that the tree had already
//   lock     a request holds the path from its node to the root; a held node is not evicted
//   evict    whole leaves, least recently used first, until enough tokens came free; a parent that became
//            a leaf joins in
//
// Time is logical: every match and insert is one tick for all nodes on its path, every new node (also
// the upper half of a split) gets the next tick. SGLang reads a monotonic clock in the same places; its
// order is ours whenever its clock tells two moments apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "model/core/ids.h"

namespace assay {

// Which tokens a page holds.
using PageContent = std::int64_t;

class SglangRadixCache {
 public:
  using Node = std::int32_t;
  static constexpr Node kRoot = 0;

  explicit SglangRadixCache(std::int32_t page_tokens);

  struct Match {
    std::vector<BlockId> pages;
    Node node = kRoot;  // where the match ends
  };
  // Longest cached prefix of contents[0, count).
  [[nodiscard]] Match match(const PageContent* contents, std::size_t count);

  // Makes contents[0, count) cached; pages[i] holds contents[i]. Returns how many leading pages the tree
  // had already: of those it keeps its own copies, and the caller's are duplicates.
  [[nodiscard]] std::size_t insert(const PageContent* contents, const BlockId* pages, std::size_t count);

  void lock(Node node);
  void unlock(Node node);

  // Pages of evicted leaves, one entry per leaf in order of eviction: at least `tokens`, or all there are.
  [[nodiscard]] std::vector<std::vector<BlockId>> evict(std::int64_t tokens);

  [[nodiscard]] std::int64_t evictable_tokens() const { return evictable_pages_ * page_tokens_; }
  [[nodiscard]] std::int64_t protected_tokens() const { return protected_pages_ * page_tokens_; }
  [[nodiscard]] std::vector<BlockId> pages() const;  // all, in no order that means anything
  [[nodiscard]] std::size_t leaf_count() const { return evictable_leaves_.size(); }

  // Aborts unless sizes, locks and leaves agree with a walk over the tree.
  void check_invariants() const;

 private:
  struct Run {
    std::vector<PageContent> contents;
    std::vector<BlockId> pages;
    std::map<PageContent, Node> children;  // by the first page of the child
    Node parent = -1;
    std::int32_t locks = 0;
    std::int64_t time = 0;
    bool alive = false;
  };
  [[nodiscard]] Run& at(Node node) { return nodes_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] const Run& at(Node node) const { return nodes_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] Node make_node();
  void set_time(Node node, std::int64_t time);
  void update_leaf(Node node);
  [[nodiscard]] Node split(Node node, std::size_t count);
  // Follows contents[0, count) as far as it goes, splitting at its end; touches what it passes.
  [[nodiscard]] std::pair<Node, std::size_t> descend(const PageContent* contents, std::size_t count,
                                                     std::vector<BlockId>* pages);

  std::int64_t page_tokens_;
  std::int64_t clock_ = 0;
  std::int64_t evictable_pages_ = 0, protected_pages_ = 0;
  std::vector<Run> nodes_;
  std::vector<Node> spare_;
  std::set<std::pair<std::int64_t, Node>> evictable_leaves_;  // by time of last use
};

}  // namespace assay
