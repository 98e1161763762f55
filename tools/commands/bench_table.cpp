#include "tools/commands/bench_table.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/bench/bench_shape.h"
#include "tools/commands/bench_json.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

double number(const Json& json, const char* key) { return json.at(key).get<double>(); }

// What is not known stays empty.
std::string shown(const Json& json, const char* key, int width, int digits) {
  return json.at(key).is_null() ? std::string(static_cast<std::size_t>(width), ' ')
                                : fmt::format("{:>{}.{}f}", number(json, key), width, digits);
}

void print_times(const Json& t) {
  fmt::print("{:>11.3f} {:>11.3f} {:>6.2f}% {:>11} {} {} ", number(t, "median_us"), number(t, "min_us"),
             100 * number(t, "spread"),
             t.at("live_bytes").is_null() ? "" : grouped(t.at("live_bytes").get<std::int64_t>()),
             shown(t, "gb_s", 9, 2), shown(t, "tflops", 9, 4));
}

void print_floor(const Json& t, const Json& ceilings) {
  const bool memory = t.at("floor") == "memory";
  fmt::print("{:>7.1f}%  {}, {:.4g} {}", number(t, "percent_of_floor"), t.at("floor").get<std::string>(),
             number(ceilings, memory ? "gb_s" : "tflops"), memory ? "GB/s" : "TFLOPS");
}

void print_verified(const Json& entry) {
  const Json &t = entry.at("kernel"), &verified = entry.at("verified");
  fmt::print("            {} results of {} runs judged, {} elements, {} wrong",
             verified.at("results").get<std::int64_t>(), t.at("runs").get<std::int64_t>(),
             grouped(verified.at("elements").get<std::int64_t>()), verified.at("wrong").get<std::int64_t>());
  if (t.contains("tokens_per_s"))
    fmt::print("; avg {:.3f} min {:.3f} max {:.3f} us, {} tokens/s", number(t, "mean_us"),
               number(t, "min_us"), number(t, "max_us"),
               grouped(static_cast<std::int64_t>(number(t, "tokens_per_s"))));
  const Json& clock = entry.at("clock_mhz");
  if (number(clock, "high") > 0)
    fmt::print("; clock {:.0f} to {:.0f} MHz", number(clock, "low"), number(clock, "high"));
  fmt::print("\n");
}

}  // namespace

void print_bench_head(const Json& document) {
  const auto name = document.at("device").at("name").get<std::string>();
  fmt::print("{} on {}, {}{} time, seed {}\n", document.at("kernel").at("name").get<std::string>(),
             name.empty() ? "this machine" : name,
             document.at("cache").is_null() ? "" : document.at("cache").get<std::string>() + " caches, ",
             document.at("clock").get<std::string>(), document.at("seed").get<std::uint64_t>());
  if (!document.at("baseline").is_null())
    fmt::print("against {}, threshold {:g} %\n", document.at("baseline").at("name").get<std::string>(),
               100 * number(document, "threshold"));
  fmt::print("\n{:>11} {:>11} {:>7} {:>11} {:>9} {:>9} {:>8}  {}\n", "median us", "min us", "spread",
             "live bytes", "GB/s", "TFLOPS", "of floor", "floor");
}

void print_bench_entry(const Json& entry) {
  const Terminal terminal = terminal_of(stdout);
  fmt::print("{}\n", toned(entry.at("shape").get<std::string>(), Tone::kStrong, terminal));
  if (const Json& t = entry.at("kernel"); !t.is_null()) {
    print_times(t);
    if (!t.at("floor").is_null()) print_floor(t, entry.at("ceilings"));
    fmt::print("\n");
    if (entry.at("verified").contains("results")) print_verified(entry);
  }
  const std::string verdict = verdict_of(entry);
  const int code = exit_code_of(verdict);
  const Tone tone = code == 0 ? Tone::kGood : code == 4 ? Tone::kWarning : Tone::kBad;
  const Json& c = entry.at("comparison");
  std::string words;
  if (verdict == "UNCHANGED") words = ": the same machine code, not compared";
  if (!c.is_null() && c.at("pairs").get<std::int64_t>() > 0) {
    const auto end = [](const Json& value) {
      return value.is_null() ? std::string("?") : fmt::format("{:.4f}", value.get<double>());
    };
    words = fmt::format(": {:.4f} of the baseline's time [{}, {}], {} pairs; the same kernel twice [{}, {}]",
                        number(c, "ratio"), end(c.at("low")), end(c.at("high")),
                        c.at("pairs").get<std::int64_t>(), end(c.at("same_kernel").at("low")),
                        end(c.at("same_kernel").at("high")));
  }
  const auto text = entry.at("text").get<std::string>();
  if (verdict != "TIMED" || !text.empty())
    fmt::print("            {}{}{}\n", toned(verdict, tone, terminal), words,
               text.empty() ? "" : ": " + text);
  std::fflush(stdout);
}

void print_named_shapes() {
  fmt::print("{:<16} {:<8} {}\n", "--shapes", "default", "shape");
  for (const NamedShape& named : named_shapes())
    fmt::print("{:<16} {:<8} {}\n", named.name, named.for_devices ? "cuda" : "cpu",
               text_of(shape_from_text(named.text, "named shape")));
}

}  // namespace assay::tools
