#include "tools/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "tools/report/bench_page.h"
#include "tools/report/page_parts.h"
#include "tools/report/svg.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStyle = R"(
:root{--bg:#fff;--fg:#1f2328;--soft:#59636e;--line:#d1d9e0;--card:#f6f8fa;
--c0:#0969da;--c1:#bc4c00;--c2:#8250df;--c3:#7bb7ff;--c4:#59636e;--c5:#e3e8ee;--c6:#1a7f37;--c7:#cf222e}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9198a1;--line:#3d444d;--card:#151b23;
--c0:#4493f8;--c1:#f0883e;--c2:#ab7df8;--c3:#1f5b9e;--c4:#9198a1;--c5:#212830;--c6:#3fb950;--c7:#f85149}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:1320px;margin:0 auto;padding:24px 16px 64px}h1{font-size:1.6rem;margin:0 0 4px}
h2{font-size:1.1rem;margin:0 0 8px}.sub{color:var(--soft);margin:0 0 20px;overflow-wrap:anywhere}
.runs{display:grid;gap:24px;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr))}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px}
.runs>div{display:grid;gap:20px;align-content:start}.plot{width:100%;height:auto;display:block}
.runs>.one{display:block;columns:560px 2;column-gap:20px}.one header,.one section:first-of-type{column-span:all}
.one section{margin-bottom:20px;break-inside:avoid}
.grid{stroke:var(--line);stroke-width:1}.tick,.label{fill:var(--soft);font-size:12px}.label{fill:var(--fg);font-size:13px}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;margin:8px 0 0;font-size:.85rem;color:var(--soft)}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px;vertical-align:-1px}
.facts{display:flex;flex-wrap:wrap;gap:8px 28px;margin:0}.facts div{min-width:92px}.facts dt{color:var(--soft);font-size:.8rem}
.facts dd{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums}
details{margin-top:10px;font-size:.88rem}summary{cursor:pointer;color:var(--soft)}
.scroll{overflow-x:auto;max-height:360px;overflow-y:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:2px 12px 2px 0;text-align:right;border-bottom:1px solid var(--line);font-weight:400}th{color:var(--soft)}
th:first-child,td:first-child{text-align:left}.note{color:var(--soft);font-size:.88rem;margin:8px 0 0}
@media print{body{font-size:11px}section{break-inside:avoid}}
)";

std::string color_rules() {
  std::string css;
  for (int i = 0; i < 8; ++i)
    css += fmt::format(
        ".c{0}{{fill:var(--c{0});background:var(--c{0})}}.s{0}{{fill:none;stroke:var(--c{0});stroke-width:2}}"
        "\n",
        i);
  return css;
}

using Row = PageRow;
constexpr auto table = page_table;
constexpr auto section = page_section;
std::string number(double value) { return fmt::format("{:.6g}", value); }
std::string percent(double share) { return fmt::format("{:.2f} %", share * 100); }

struct Place {
  const char* key;
  const char* meaning;
  int color;
};
constexpr Place kPlaces[] = {{"live", "live: tokens of running sequences", 0},
                             {"tail", "tail: allocated, not written yet", 1},
                             {"reserved", "reserved: promised for later", 2},
                             {"cached_idle", "cached, evictable", 3},
                             {"null", "null block", 4},
                             {"free", "free", 5}};

std::string facts(const Json& run) {
  std::string html = "<dl class=\"facts\">";
  const auto add = [&](const char* name, const std::string& value) {
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, escaped(value));
  };
  const auto count = [&](const char* name, const char* key) {
    if (run.contains(key)) add(name, std::to_string(run.at(key).get<std::int64_t>()));
  };
  add("requests", std::to_string(run.at("trace").at("requests").get<std::int64_t>()));
  count("completed", "completed");
  count("rejected", "rejected");
  count("steps", "steps");
  count("preemptions", "preemptions");
  if (run.contains("utilization"))
    add("schedule-free use",
        fmt::format("{:.4f} %", run.at("utilization").at("schedule_free").get<double>() * 100));
  return section("The run", html + "</dl>");
}

std::string ledger(const Json& run) {
  if (!run.contains("ledger") || !run.at("ledger").contains("mean")) return "";
  const Json& mean = run.at("ledger").at("mean");
  std::vector<Row> rows;
  for (const auto& [key, share] : mean.items())
    rows.push_back({key, fmt::format("{:.6f} %", share.get<double>() * 100)});
  std::string body;
  if (run.contains("series") && run.at("series").at("rows").size() > 1) {
    const Json& columns = run.at("series").at("columns");
    std::vector<double> x;
    std::vector<Layer> layers;
    for (const Place& place : kPlaces) layers.push_back({place.meaning, {}, place.color});
    for (const Json& row : run.at("series").at("rows")) {
      x.push_back(row.at(0).get<double>());
      for (std::size_t i = 0; i < layers.size(); ++i)
        layers[i].values.push_back(row.at(i + 1).get<double>() * 100);
    }
    body = stacked_svg("Where the pool's token slots were over time, percent", x,
                       columns.at(0).get<std::string>(), layers, 100);
  } else {
    std::vector<Bar> bars;
    int color = 0;
    for (const auto& [key, share] : mean.items())
      bars.push_back({key, share.get<double>(), percent(share.get<double>()), color++ % 8});
    body = bars_svg("Mean share of the pool's token slots", bars, 1);
  }
  return section("Where the pool's slots were, % over time", body + table({"place", "mean share"}, rows));
}

std::string hits(const Json& run) {
  if (!run.contains("prefix")) return "";
  const Json& prefix = run.at("prefix");
  std::vector<Bar> bars;
  std::vector<Row> rows;
  const auto add = [&](const char* label, const char* key) {
    if (!prefix.contains(key)) return;
    const double value = prefix.at(key).get<double>();
    bars.push_back({label, value, percent(value), 6});
    rows.push_back({label, percent(value)});
  };
  add("blocks", "block_ratio");
  add("tokens", "token_ratio");
  add("full blocks", "full_block_ratio");
  add("mean per request", "mean_request_ratio");
  if (bars.empty()) return "";
  return section("Prefix hits, by definition", bars_svg("Hit ratios under each definition", bars, 1) +
                                                   table({"definition", "ratio"}, rows));
}

std::string misses(const Json& run) {
  if (!run.contains("prefix") || !run.at("prefix").contains("miss")) return "";
  std::vector<Bar> bars;
  std::vector<Row> rows;
  double top = 0;
  for (const auto& [key, count] : run.at("prefix").at("miss").items()) {
    const auto value = count.get<double>();
    bars.push_back({key, value, std::to_string(count.get<std::int64_t>()), 7});
    rows.push_back({key, std::to_string(count.get<std::int64_t>())});
    top = std::max(top, value);
  }
  return section("Why blocks were missed",
                 bars_svg("Missed blocks by reason", bars, top) + table({"reason", "blocks"}, rows));
}

std::string batch(const Json& run) {
  if (!run.contains("series") || run.at("series").at("rows").size() < 2) return "";
  const Json& columns = run.at("series").at("columns");
  const auto column = [&](const char* name) {
    return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
  };
  std::vector<double> x;
  std::vector<Layer> lines{{"running", {}, 0}, {"waiting", {}, 1}};
  std::vector<Row> rows;
  for (const Json& row : run.at("series").at("rows")) {
    x.push_back(row.at(0).get<double>());
    lines[0].values.push_back(row.at(column("running")).get<double>());
    lines[1].values.push_back(row.at(column("waiting")).get<double>());
    rows.push_back({number(x.back()), number(lines[0].values.back()), number(lines[1].values.back())});
  }
  return section(
      "Sequences running and waiting",
      lines_svg("Sequences running and waiting over time", x, columns.at(0).get<std::string>(), lines) +
          table({columns.at(0).get<std::string>(), "running", "waiting"}, rows));
}

std::string knee(const Json& run) {
  if (!run.contains("knee") || run.at("knee").size() < 2) return "";
  std::vector<double> x;
  std::vector<Layer> preemptions{{"preemptions", {}, 7}}, ratio{{"token hits, %", {}, 6}};
  std::vector<Row> rows;
  for (const Json& point : run.at("knee")) {
    x.push_back(point.at("blocks").get<double>());
    preemptions[0].values.push_back(point.at("preemptions").get<double>());
    ratio[0].values.push_back(point.at("token_ratio").get<double>() * 100);
    rows.push_back({number(x.back()), number(preemptions[0].values.back()),
                    number(point.at("rejected").get<double>()), number(ratio[0].values.back())});
  }
  return section("Over pool size", lines_svg("Preemptions over pool size", x, "blocks", preemptions) +
                                       lines_svg("Token hit ratio over pool size", x, "blocks", ratio) +
                                       table({"blocks", "preemptions", "rejected", "token hits, %"}, rows));
}

std::string balance(const Json& run) {
  if (!run.contains("sm_balance") || run.at("sm_balance").empty()) return "";
  std::vector<Bar> bars;
  std::vector<Row> rows;
  double top = 1;
  for (const auto& [planner, b] : run.at("sm_balance").items())
    top = std::max(top, b.at("compute_over_ideal").at("mean").get<double>());
  for (const auto& [planner, b] : run.at("sm_balance").items()) {
    const Json& compute = b.at("compute_over_ideal");
    bars.push_back({planner, compute.at("mean").get<double>(),
                    fmt::format("{:.2f}", compute.at("mean").get<double>()), 0});
    Row row{planner};
    for (const char* key : {"mean", "p50", "p99", "max"})
      row.push_back(fmt::format("{:.3f}", compute.at(key).get<double>()));
    row.push_back(fmt::format("{:.3f}", b.at("fluid_over_ideal").at("mean").get<double>()));
    row.push_back(b.contains("worst") ? std::to_string(b.at("worst").at("step").get<std::int64_t>()) : "");
    rows.push_back(row);
  }
  return section("SM balance of decode steps",
                 bars_svg("Mean makespan over ideal, per planner", bars, top) +
                     "<p class=\"note\">Makespan over ideal, mean over all decode steps; 1.00 is a perfect "
                     "schedule.</p>" +
                     table({"planner", "mean", "p50", "p99", "max", "shared bandwidth", "worst step"}, rows));
}

std::string fragmentation(const Json& run) {
  if (!run.contains("fragmentation")) return "";
  std::vector<Row> rows;
  std::vector<Bar> bars;
  for (const auto& [key, d] : run.at("fragmentation").items()) {
    if (!d.is_object() || !d.contains("mean")) continue;
    rows.push_back({key, number(d.at("mean").get<double>()), number(d.at("p50").get<double>()),
                    number(d.at("p99").get<double>()), number(d.at("max").get<double>())});
    if (key != "run_blocks") continue;
    const double top = std::max(1.0, d.at("p99").get<double>());
    for (const char* which : {"mean", "p50", "p99"})
      bars.push_back({std::string("blocks per run, ") + which, d.at(which).get<double>() / top,
                      number(d.at(which).get<double>()), 2});
  }
  if (bars.empty()) return "";
  return section("How contiguous block tables are", bars_svg("Blocks per run of consecutive ids", bars, 1) +
                                                        table({"figure", "mean", "p50", "p99", "max"}, rows));
}

std::string schedule(const Json& run) {
  std::string html;
  std::vector<Bar> bars;
  std::vector<Row> rows;
  double top = 1;
  for (const auto& [planner, b] : run.at("planners").items())
    top = std::max(top, b.at("compute_over_ideal").get<double>());
  for (const auto& [planner, b] : run.at("planners").items()) {
    bars.push_back({planner, b.at("compute_over_ideal").get<double>(),
                    fmt::format("{:.2f}", b.at("compute_over_ideal").get<double>()), 0});
    rows.push_back({planner, fmt::format("{:.3f}", b.at("max_over_mean").get<double>()),
                    fmt::format("{:.3f}", b.at("compute_over_ideal").get<double>()),
                    fmt::format("{:.3f}", b.at("fluid_over_ideal").get<double>()),
                    std::to_string(b.at("idle_parts").get<std::int64_t>())});
  }
  return section("SM balance of one batch",
                 bars_svg("Makespan over ideal, per planner", bars, top) +
                     table({"planner", "max/mean", "compute", "shared bandwidth", "idle SMs"}, rows));
}

std::string schema_of(const Json& run) {
  if (!run.is_object() || !run.contains("schema") || !run.at("schema").is_string()) return "no schema";
  return run.at("schema").get<std::string>();
}

}  // namespace

std::string html_report(const std::vector<Json>& runs) {
  std::string body;
  for (const Json& run : runs) {
    const std::string schema = schema_of(run);
    if (schema == "assay.bench/1") {
      body +=
          (runs.size() == 1 ? "<div class=\"one\"><header>" : "<div><header>") + bench_page(run) + "</div>";
      continue;
    }
    if (schema != "assay.replay/1" && schema != "assay.schedule/1")
      throw InputError("report", "JSON of schema assay.replay/1, assay.schedule/1 or assay.bench/1",
                       "'" + schema + "'");
    std::string config;
    for (const auto& [key, value] : run.at("config").items())
      config += (config.empty() ? "" : " · ") + key + " " +
                (value.is_string() ? value.get<std::string>() : value.dump());
    body += runs.size() == 1 ? "<div class=\"one\"><header>" : "<div><header>";
    if (schema == "assay.schedule/1") {
      body += "<h1>One batch</h1><p class=\"sub\">" + escaped(config) + "</p></header>" + schedule(run);
    } else {
      body += "<h1>" + escaped(run.at("trace").at("name").get<std::string>()) + "</h1><p class=\"sub\">" +
              escaped(config) + "<br>digest " + escaped(run.value("digest", "")) +
              (run.value("partial", false) ? " · <strong>partial: interrupted</strong>" : "") +
              "</p></header>" + facts(run) + ledger(run) + hits(run) + misses(run) + balance(run) +
              batch(run) + knee(run) + fragmentation(run);
    }
    body += "</div>";
  }
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\"><title>Assay report</title><style>" +
         std::string(kStyle) + color_rules() + "</style></head><body><main><div class=\"runs\">" + body +
         "</div></main></body></html>\n";
}

}  // namespace assay::tools
