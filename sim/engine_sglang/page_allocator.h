// SGLang's free pages (srt/mem_cache/allocator.py): two orders, by page size.
//
//   page of one token    taken from the front, returned to the back           first in, first out
//   larger pages         taken from the front, returned to the front, the     last in, first out
//                        pages of one call in order of id
//
// Page 0 is where padded tokens write; it is never handed out and not part of the pool: ids are
// 1 .. pages. So block tables look different for page sizes 1 and 16 for no reason in the workload.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "model/core/check.h"
#include "model/core/ids.h"

namespace assay {

class SglangPageAllocator {
 public:
  SglangPageAllocator(std::int32_t pages, std::int32_t page_tokens)
      : page_tokens_(page_tokens), free_(static_cast<std::size_t>(pages) + 1, false), pages_(pages) {
    for (std::int32_t id = 1; id <= pages; ++id) {
      queue_.emplace_back(id);
      free_[static_cast<std::size_t>(id)] = true;
    }
  }

  [[nodiscard]] std::int64_t available_tokens() const {
    return static_cast<std::int64_t>(queue_.size()) * page_tokens_;
  }
  [[nodiscard]] std::int64_t pool_tokens() const { return static_cast<std::int64_t>(pages_) * page_tokens_; }

  // The caller has looked at available_tokens().
  BlockId take() {
    ASSAY_CHECK(!queue_.empty(), "a page was promised that is not there");
    const BlockId page = queue_.front();
    queue_.pop_front();
    free_[static_cast<std::size_t>(page.value())] = false;
    return page;
  }

  // One call, however many pages: its pages return together.
  void give_back(std::vector<BlockId> pages) {
    for (const BlockId page : pages) {
      const auto id = static_cast<std::size_t>(page.value());
      ASSAY_CHECK(id > 0 && id < free_.size(), "a page outside the pool");
      ASSAY_CHECK(!free_[id], "a page returned twice");
      free_[id] = true;
    }
    if (page_tokens_ == 1) {
      queue_.insert(queue_.end(), pages.begin(), pages.end());
    } else {
      std::sort(pages.begin(), pages.end());
      queue_.insert(queue_.begin(), pages.begin(), pages.end());
    }
  }

  [[nodiscard]] std::vector<BlockId> free_queue() const { return {queue_.begin(), queue_.end()}; }

 private:
  std::int32_t page_tokens_;
  std::vector<bool> free_;  // [pages + 1]
  std::int32_t pages_;
  std::deque<BlockId> queue_;  // front = taken next
};

}  // namespace assay
