// The other things that assay fuzz can try, besides one kernel (fuzz.cpp): worlds and allocators. Each has its own JSON.
#pragma once

#include <cstdint>
#include <string>

#include "tools/commands/command.h"

namespace assay::tools {

struct WorldFuzzOptions {
  std::int64_t cases = 0;  // 0: until `seconds` have passed
  double seconds = 0;
  int workers = 1;
  bool twice = false;
  std::string kernel = "twin";
  std::string out;  // directory for failing worlds; "" = none
};
// Returns an ExitCode.
int fuzz_worlds(const CommonOptions& common, const WorldFuzzOptions& options);

struct AllocatorFuzzOptions {
  std::string allocator = "pool";
  std::int64_t cases = 0;  // 0: until `seconds` have passed
  double seconds = 0;
  int workers = 1;
  std::int64_t shrink_tries = 500;
  std::string out;
};
int fuzz_allocators(const CommonOptions& common, const AllocatorFuzzOptions& options);
// A failing life as a file, lived again.
int reproduce_allocator(const CommonOptions& common, const std::string& file,
                        const nlohmann::ordered_json& document, const std::string& allocator);

// A failing world as a file, lived again with the kernel; an ExitCode.
int reproduce_world(const CommonOptions& common, const std::string& file,
                    const nlohmann::ordered_json& document, const std::string& kernel);

}  // namespace assay::tools
