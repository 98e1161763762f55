#include "sim/engine_sglang/radix_cache.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay {

SglangRadixCache::SglangRadixCache(std::int32_t page_tokens) : page_tokens_(page_tokens) {
  const Node root = make_node();
  ASSAY_CHECK_EQ(root, kRoot);
  at(root).locks = 1;  // never evicted
}

SglangRadixCache::Node SglangRadixCache::make_node() {
  Node node = static_cast<Node>(nodes_.size());
  if (spare_.empty()) {
    nodes_.emplace_back();
  } else {
    node = spare_.back();
    spare_.pop_back();
    at(node) = {};
  }
  at(node).alive = true;
  at(node).time = ++clock_;
  return node;
}

void SglangRadixCache::set_time(Node node, std::int64_t time) {
  const bool listed = evictable_leaves_.erase({at(node).time, node}) > 0;
  at(node).time = time;
  if (listed) evictable_leaves_.insert({time, node});
}

void SglangRadixCache::update_leaf(Node node) {
  if (node == kRoot) return;
  if (at(node).locks == 0 && at(node).children.empty())
    evictable_leaves_.insert({at(node).time, node});
  else
    evictable_leaves_.erase({at(node).time, node});
}

// The first `count` pages become a new node between `node` and its parent.
SglangRadixCache::Node SglangRadixCache::split(Node node, std::size_t count) {
  const Node upper = make_node();
  Run& lower = at(node);
  Run& head = at(upper);
  const auto cut = static_cast<std::ptrdiff_t>(count);
  head.contents.assign(lower.contents.begin(), lower.contents.begin() + cut);
  head.pages.assign(lower.pages.begin(), lower.pages.begin() + cut);
  head.parent = lower.parent;
  head.locks = lower.locks;
  lower.contents.erase(lower.contents.begin(), lower.contents.begin() + cut);
  lower.pages.erase(lower.pages.begin(), lower.pages.begin() + cut);
  head.children[lower.contents.front()] = node;
  lower.parent = upper;
  at(head.parent).children[head.contents.front()] = upper;
  return upper;
}

std::pair<SglangRadixCache::Node, std::size_t> SglangRadixCache::descend(const PageContent* contents,
                                                                         std::size_t count,
                                                                         std::vector<BlockId>* pages) {
  const std::int64_t now = ++clock_;
  Node node = kRoot;
  std::size_t done = 0;
  while (done < count) {
    const auto child = at(node).children.find(contents[done]);
    if (child == at(node).children.end()) break;
    node = child->second;
    set_time(node, now);
    const std::vector<PageContent>& run = at(node).contents;
    std::size_t same = 1;
    while (same < run.size() && done + same < count && run[same] == contents[done + same]) ++same;
    if (same < run.size()) node = split(node, same);
    if (pages != nullptr) pages->insert(pages->end(), at(node).pages.begin(), at(node).pages.end());
    done += same;
    // A split leaves a child with another next page, so the search ends by itself.
  }
  return {node, done};
}

SglangRadixCache::Match SglangRadixCache::match(const PageContent* contents, std::size_t count) {
  Match match;
  if (count > 0) match.node = descend(contents, count, &match.pages).first;
  return match;
}

std::size_t SglangRadixCache::insert(const PageContent* contents, const BlockId* pages, std::size_t count) {
  if (count == 0) return 0;
  const auto [node, done] = descend(contents, count, nullptr);
  if (done == count) return done;
  const Node added = make_node();
  Run& run = at(added);
  run.contents.assign(contents + done, contents + count);
  run.pages.assign(pages + done, pages + count);
  run.parent = node;
  at(node).children[contents[done]] = added;
  evictable_pages_ += static_cast<std::int64_t>(count - done);
  update_leaf(node);
  update_leaf(added);
  return done;
}

void SglangRadixCache::lock(Node node) {
  for (; node != kRoot; node = at(node).parent) {
    const auto pages = static_cast<std::int64_t>(at(node).pages.size());
    if (at(node).locks++ == 0) {
      evictable_pages_ -= pages;
      protected_pages_ += pages;
    }
    update_leaf(node);
  }
}

void SglangRadixCache::unlock(Node node) {
  for (; node != kRoot; node = at(node).parent) {
    ASSAY_CHECK_GE(at(node).locks, 1);
    const auto pages = static_cast<std::int64_t>(at(node).pages.size());
    if (--at(node).locks == 0) {
      evictable_pages_ += pages;
      protected_pages_ -= pages;
    }
    update_leaf(node);
  }
}

std::vector<std::vector<BlockId>> SglangRadixCache::evict(std::int64_t tokens) {
  std::vector<std::vector<BlockId>> evicted;
  std::int64_t freed = 0;
  while (freed < tokens && !evictable_leaves_.empty()) {
    const Node node = evictable_leaves_.begin()->second;
    evictable_leaves_.erase(evictable_leaves_.begin());
    Run& run = at(node);
    const Node parent = run.parent;
    freed += static_cast<std::int64_t>(run.pages.size()) * page_tokens_;
    evictable_pages_ -= static_cast<std::int64_t>(run.pages.size());
    at(parent).children.erase(run.contents.front());
    evicted.push_back(std::move(run.pages));
    run = {};
    spare_.push_back(node);
    update_leaf(parent);
  }
  return evicted;
}

std::vector<BlockId> SglangRadixCache::pages() const {
  std::vector<BlockId> pages;
  for (const Run& run : nodes_) pages.insert(pages.end(), run.pages.begin(), run.pages.end());
  return pages;
}

void SglangRadixCache::check_invariants() const {
  std::int64_t evictable = 0, held = 0;
  std::size_t leaves = 0;
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    const Run& run = nodes_[i];
    if (!run.alive) continue;
    const auto node = static_cast<Node>(i);
    ASSAY_CHECK(!run.pages.empty(), "a node without pages");
    ASSAY_CHECK_EQ(run.pages.size(), run.contents.size());
    const auto child = at(run.parent).children.find(run.contents.front());
    ASSAY_CHECK(child != at(run.parent).children.end() && child->second == node, "an orphan");
    (run.locks > 0 ? held : evictable) += static_cast<std::int64_t>(run.pages.size());
    if (run.parent != kRoot) ASSAY_CHECK_GE(at(run.parent).locks, run.locks);
    const bool leaf = run.locks == 0 && run.children.empty();
    leaves += leaf ? 1 : 0;
    ASSAY_CHECK_EQ(evictable_leaves_.count({run.time, node}), leaf ? 1u : 0u);
  }
  ASSAY_CHECK_EQ(evictable_leaves_.size(), leaves);
  ASSAY_CHECK_EQ(evictable_pages_, evictable);
  ASSAY_CHECK_EQ(protected_pages_, held);
}

}  // namespace assay
