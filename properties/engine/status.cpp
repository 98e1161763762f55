#include "properties/engine/status.h"

#include "model/core/check.h"

namespace assay::properties {

Status status_named(const std::string& name, const std::string& place) {
  std::string names;
  for (int i = 0; i < kStatuses; ++i) {
    if (name == name_of(static_cast<Status>(i))) return static_cast<Status>(i);
    names += (names.empty() ? "" : ", ") + std::string(name_of(static_cast<Status>(i)));
  }
  throw InputError(place, "one of " + names, name);
}

}  // namespace assay::properties
