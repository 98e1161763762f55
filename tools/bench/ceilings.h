// What this machine could do at best while a kernel was timed: the two ceilings that a floor is made of.
//
//   floor time   max(live bytes / memory ceiling, operations / arithmetic ceiling)
//
// Of a CPU both are measured in the session, with every hardware thread, best of several slices:
//
//   memory       reading buffers of `working_bytes` in all, again and again; a kernel whose data stays in a
//                cache is held against that cache, a cold one against the memory behind the last cache
//   arithmetic   fp32 multiply-adds in registers, two operations each
//
// A busy machine gives a low ceiling to kernel and probe alike: the percentage is of what was to be had then.
#pragma once

#include <cstdint>
#include <string>

namespace assay::tools {

struct Ceilings {
  double bytes_per_second = 0, operations_per_second = 0;  // 0: not known
  std::string memory_from, arithmetic_from;                // how they were had, for people
};

[[nodiscard]] Ceilings cpu_ceilings(std::int64_t working_bytes, bool cold, double slice_seconds = 4e-3);

// What to go through so that nothing else is left in the caches: twice the last one, 64 to 256 MiB (a virtual
// machine reports the whole chip's cache and has a slice of it).
[[nodiscard]] std::int64_t flush_bytes();

// "AMD EPYC ...", and its clock in MHz as the system tells it now; "" and 0 when it does not.
[[nodiscard]] std::string cpu_name();
[[nodiscard]] double cpu_clock_mhz();

}  // namespace assay::tools
