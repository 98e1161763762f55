// The JSON of `assay bench`, schema assay.bench/1 (docs/measuring.md lists the keys): one entry per shape, made
// where the kernel was timed; and what all entries together mean.
//
//   floor time          max(live bytes / memory ceiling, operations / arithmetic ceiling)
//   percent_of_floor    100 * floor time / median: 100 is as fast as this machine allows
//   ratios              time of the kernel / time of the baseline; above 1 is slower
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/bench/bench_run.h"
#include "tools/bench/ceilings.h"

namespace assay::tools {

// What lay around the timed runs of one shape.
struct BenchSurroundings {
  Ceilings ceilings;
  double lowest_mhz = 0, highest_mhz = 0;  // 0: the machine does not say
};

enum class BenchBaseline : std::uint8_t {
  kNone,
  kTimed,      // result.a is the baseline, result.b the kernel; in all other cases result.a is the kernel
  kIdentical,  // the same machine code, not timed
  kDeclines,   // the shape
};
[[nodiscard]] nlohmann::ordered_json bench_entry(const BenchResult& result, BenchBaseline baseline,
                                                 const BenchSurroundings& surroundings);

// The entry's "comparison"; the verdict may be another one than the times alone give.
[[nodiscard]] nlohmann::ordered_json comparison_json(const Comparison& comparison, SpeedVerdict verdict);
[[nodiscard]] nlohmann::ordered_json unchanged_json();  // identical machine code

// Of a shape whose kernel ended its process or never came back.
[[nodiscard]] nlohmann::ordered_json lost_entry(const BenchShape& shape, const std::string& why);

// WRONG > SLOWER > UNSTABLE > INCONCLUSIVE > LOST > EQUAL > FASTER > UNCHANGED > TIMED > DECLINED.
// TIMED: right, and compared with nothing. LOST: the kernel declines what its baseline does. DECLINED: nobody
// does this shape; a run of nothing else has found nothing out.
[[nodiscard]] std::string verdict_of(const nlohmann::ordered_json& entry);
// The worst of the entries' verdicts; DECLINED when there are none.
[[nodiscard]] std::string worst_verdict(const nlohmann::ordered_json& entries);
// 0, 1, 3 or 4 (tools/commands/command.h).
[[nodiscard]] int exit_code_of(const std::string& verdict);

}  // namespace assay::tools
