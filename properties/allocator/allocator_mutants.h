// Planted faults of allocators, S1 to S10: one overridden step of the plain allocator each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "properties/allocator/allocator.h"

namespace assay::properties {

struct AllocatorMutant {
  const char* name;     // "S1a"
  const char* fault;    // what is wrong, in words
  const char* oracles;  // space separated: the rules that count as having seen it
  std::unique_ptr<Allocator> (*make)(const AllocatorShape&);
};

[[nodiscard]] const std::vector<AllocatorMutant>& allocator_mutants();

// "pool" (the simulator's), "plain" (the reference itself), or a mutant's name; InputError for others.
[[nodiscard]] std::unique_ptr<Allocator> make_allocator(const std::string& name, const AllocatorShape& shape);

}  // namespace assay::properties
