// What the compiler gave a kernel: read from text that the CUDA tools print.
//
//   nvcc -Xptxas -v                    registers, stack, spills, static shared memory of each entry function
//   cuobjdump --dump-resource-usage    registers, stack, shared memory (with the system's own share); no spills
//   cuobjdump -sass                    the instructions, counted by class
//
// Names are demangled, so that a person can read them and an anonymous namespace's hash does not change
// them. An entry that is compiled for several architectures counts with its largest figures.
#pragma once

#include <string>

#include "tools/gate/baseline.h"

namespace assay::tools::gate {

// Either of the two reports, told by its words. InputError(place) when it holds no entry function.
[[nodiscard]] Resources parse_resources(const std::string& text, const std::string& place);

// Adds the instruction mix of every function in `cuobjdump -sass` output. Functions that `resources` does not
// know are added when it is empty, left out otherwise (device functions are no entries).
void add_instructions(const std::string& sass, Resources& resources);

// "assay::(anonymous namespace)::kernel<64>(...)" without its parameter list; unmangled names stay.
[[nodiscard]] std::string readable_name(const std::string& symbol);

}  // namespace assay::tools::gate
