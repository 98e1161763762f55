// The results of a sweep in columns: CSV, a table for people, and the fronts.
//
// A point is on the front of its trace when no other point of that trace is as good in pool slots (fewer),
// token hit ratio (more) and preemptions (fewer) and better in one. Points equal in all three are all on it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/sweep/design.h"

namespace assay::tools {

struct SweepRow {
  std::int64_t point = 0;
  std::vector<std::string> values;   // by axis
  std::vector<std::string> metrics;  // by column; "" where this mode or engine has none
  std::string trace;
  double pool_slots = 0, hit_ratio = 0, preemptions = 0;  // pool_slots 0: unlimited
};

class SweepTable {
 public:
  // lines: by point, as results.jsonl holds them. InputError for a line that is none of a sweep.
  SweepTable(const std::vector<Axis>& axes, const std::map<std::int64_t, std::string>& lines);
  [[nodiscard]] const std::vector<SweepRow>& rows() const { return rows_; }
  [[nodiscard]] std::string csv() const;
  [[nodiscard]] nlohmann::ordered_json fronts() const;  // trace -> points
  [[nodiscard]] std::string text() const;               // the fronts' points, one line each

 private:
  [[nodiscard]] bool on_front(const SweepRow& row) const;
  std::vector<std::string> axes_;
  std::vector<SweepRow> rows_;
};

}  // namespace assay::tools
