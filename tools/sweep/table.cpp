#include "tools/sweep/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Metric {
  const char* column;
  const char* pointer;  // into the document of assay replay
};
constexpr Metric kMetrics[] = {{"requests", "/trace/requests"},
                               {"completed", "/completed"},
                               {"rejected", "/rejected"},
                               {"token_hit_ratio", "/prefix/token_ratio"},
                               {"block_hit_ratio", "/prefix/block_ratio"},
                               {"preemptions", "/preemptions"},
                               {"evictions", "/evictions"},
                               {"steps", "/steps"},
                               {"pool_slots", "/ledger/pool_slots"},
                               {"live", "/ledger/mean/live"},
                               {"tail", "/ledger/mean/tail"},
                               {"cached_idle", "/ledger/mean/cached_idle"},
                               {"first_token_p99_s", "/first_token_seconds/p99"},
                               {"imbalance_assay", "/sm_balance/assay/compute_over_ideal/mean"},
                               {"digest", "/digest"}};

std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string out = "\"";
  for (const char c : field) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

double number_at(const Json& result, const char* pointer) {
  const Json::json_pointer at(pointer);
  return result.contains(at) && result[at].is_number() ? result[at].get<double>() : 0;
}

}  // namespace

SweepTable::SweepTable(const std::vector<Axis>& axes, const std::map<std::int64_t, std::string>& lines) {
  for (const Axis& axis : axes) axes_.push_back(axis.name);
  for (const auto& [point, line] : lines) {
    const Json document = Json::parse(line, nullptr, false);
    if (document.is_discarded() || !document.contains("options") || !document.contains("result"))
      throw InputError(fmt::format("results.jsonl: point {}", point), "a result of a sweep",
                       line.substr(0, 80));
    const Json& result = document["result"];
    SweepRow row;
    row.point = point;
    for (const std::string& axis : axes_) row.values.push_back(document["options"].value(axis, ""));
    for (const Metric& metric : kMetrics) {
      const Json::json_pointer at(metric.pointer);
      if (!result.contains(at))
        row.metrics.emplace_back();
      else
        row.metrics.push_back(result[at].is_string() ? result[at].get<std::string>() : result[at].dump());
    }
    row.trace = document["options"].value("trace", "");
    row.pool_slots = number_at(result, "/ledger/pool_slots");
    if (row.pool_slots == 0)
      row.pool_slots = number_at(result, "/config/blocks") * number_at(result, "/config/block_tokens");
    row.hit_ratio = number_at(result, "/prefix/token_ratio");
    row.preemptions = number_at(result, "/preemptions");
    rows_.push_back(std::move(row));
  }
}

std::string SweepTable::csv() const {
  std::string text = "point";
  for (const std::string& axis : axes_) text += "," + quoted(axis);
  for (const Metric& metric : kMetrics) text += std::string(",") + metric.column;
  text += "\n";
  for (const SweepRow& row : rows_) {
    text += std::to_string(row.point);
    for (const std::string& value : row.values) text += "," + quoted(value);
    for (const std::string& value : row.metrics) text += "," + quoted(value);
    text += "\n";
  }
  return text;
}

bool SweepTable::on_front(const SweepRow& row) const {
  const auto slots = [](const SweepRow& r) {
    return r.pool_slots == 0 ? std::numeric_limits<double>::infinity() : r.pool_slots;
  };
  return std::none_of(rows_.begin(), rows_.end(), [&](const SweepRow& other) {
    if (other.trace != row.trace) return false;
    const bool as_good = slots(other) <= slots(row) && other.hit_ratio >= row.hit_ratio &&
                         other.preemptions <= row.preemptions;
    const bool better =
        slots(other) < slots(row) || other.hit_ratio > row.hit_ratio || other.preemptions < row.preemptions;
    return as_good && better;
  });
}

Json SweepTable::fronts() const {
  Json fronts = Json::object();
  for (const SweepRow& row : rows_)
    if (on_front(row)) fronts[row.trace].push_back(row.point);
  return fronts;
}

std::string SweepTable::text() const {
  std::string text = "no other point has a smaller pool, more hits and fewer preemptions:\n";
  for (const SweepRow& row : rows_) {
    if (!on_front(row)) continue;
    text += fmt::format("  {:>6}  {:>12.0f} slots  {:>8.4f} % of tokens hit  {:>8.0f} preemptions ",
                        row.point, row.pool_slots, row.hit_ratio * 100, row.preemptions);
    for (std::size_t i = 0; i < axes_.size(); ++i) text += " " + axes_[i] + "=" + row.values[i];
    text += "\n";
  }
  return text;
}

}  // namespace assay::tools
