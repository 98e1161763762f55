// What the steps of all operations are made of. Private to properties/engine.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/core/check.h"
#include "properties/engine/shrink.h"

namespace assay::properties {

template <typename T>
void cut(std::vector<T>& from, std::int64_t begin, std::int64_t end) {
  from.erase(from.begin() + begin, from.begin() + end);
}

// Overrides of rows [begin, end) go, later ones move up.
void cut_rows(KernelCase& c, std::int64_t begin, std::int64_t end);
// Logical blocks that no table names go. [old number] -> new one, or -1.
std::vector<std::int32_t> prune_blocks(KernelCase& c, Pool& pool);
void tighten_tables(Pool& pool);
// Every table its own blocks: copies of shared ones come behind the others, in places behind the pool's.
void own_blocks(Pool& pool);

// Collects candidates; a step that leads to an invalid case is dropped here, not checked everywhere.
class Steps {
 public:
  explicit Steps(const KernelCase& from) : from_(from) {}
  template <typename P, typename Change>
  void add(const Change& change) {
    KernelCase c = from_;
    change(c, std::get<P>(c.parameters));
    accept(std::move(c));
  }
  template <typename Change>
  void add_case(const Change& change) {
    KernelCase c = from_;
    change(c);
    accept(std::move(c));
  }
  std::vector<KernelCase> take() { return std::move(cases_); }

 private:
  void accept(KernelCase c) {
    if (to_json_digest(c) == to_json_digest(from_)) return;
    try {
      validate(c, "simpler");
    } catch (const InputError&) {
      return;
    }
    cases_.push_back(std::move(c));
  }
  static std::uint64_t to_json_digest(const KernelCase& c) { return digest_of(c); }

  const KernelCase& from_;
  std::vector<KernelCase> cases_;
};

void attention_steps(Steps& steps, const PagedAttentionParameters& from);
void merge_steps(Steps& steps, const MergeParameters& from);
void cache_write_steps(Steps& steps, const CacheWriteParameters& from);

}  // namespace assay::properties
