// The corpus: one minimal case for every fault that real kernels have had, built into the program. It runs
// before anything generated; each case passes on a correct kernel.
#pragma once

#include <string>
#include <vector>

#include "properties/cases/kernel_case.h"

namespace assay::properties {

struct CorpusCase {
  std::string name;     // the file's, without .json
  std::string comment;  // what it is about, and where it was seen
  KernelCase kernel_case;
};

// In the order of names; those of the given operations.
[[nodiscard]] std::vector<CorpusCase> corpus(const std::vector<Operation>& operations);

namespace detail {
struct EmbeddedFile {
  const char* name;
  const char* text;
};
extern const EmbeddedFile kCorpusFiles[];
extern const int kCorpusFileCount;
}  // namespace detail

}  // namespace assay::properties
