// Is there a CUDA device here, and which? Asked of the driver's library, so that a build without CUDA knows too.
#pragma once

#include <string>

namespace assay::tools::gate {

struct Device {
  bool present = false;
  std::string name;    // "NVIDIA H200"; "" without one
  std::string driver;  // the CUDA version that the driver offers, "13.0"
  std::string why;     // why there is none
};

[[nodiscard]] Device find_device();

}  // namespace assay::tools::gate
