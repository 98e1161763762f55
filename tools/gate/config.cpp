// Reading gate.json. Every object is read through ObjectReader, which remembers the keys that were asked for
// and refuses the rest: the list of known keys is the list of what is read.
#include "tools/gate/config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string place) : object_(object), place_(std::move(place)) {
    if (!object.is_object()) throw InputError(place_, "an object {...}", object.type_name());
  }

  [[nodiscard]] const Json* find(const char* key) {
    asked_.emplace_back(key);
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
  }
  [[nodiscard]] std::string place_of(const char* key) const { return place_ + "." + key; }

  void read(const char* key, std::string& value) {
    if (const Json* json = find(key)) value = text_of(*json, place_of(key));
  }
  void read(const char* key, double& value, double low, double high) {
    const Json* json = find(key);
    if (json == nullptr) return;
    if (!json->is_number() || !(json->get<double>() >= low && json->get<double>() <= high))
      throw InputError(place_of(key), "a number from " + Json(low).dump() + " to " + Json(high).dump(),
                       json->dump());
    value = json->get<double>();
  }
  void read(const char* key, std::int64_t& value, std::int64_t low, std::int64_t high) {
    const Json* json = find(key);
    if (json == nullptr) return;
    const bool holds =
        json->is_number_integer() && !(json->is_number_unsigned() && json->get<double>() > 9e18);
    if (!holds || json->get<std::int64_t>() < low || json->get<std::int64_t>() > high)
      throw InputError(place_of(key),
                       "a whole number from " + std::to_string(low) + " to " + std::to_string(high),
                       json->dump());
    value = json->get<std::int64_t>();
  }
  void read(const char* key, std::vector<std::string>& value) {
    const Json* json = find(key);
    if (json == nullptr) return;
    value.clear();
    for (const auto& [item, place] : items_of(*json, place_of(key))) value.push_back(text_of(*item, place));
  }
  void read(const char* key, std::vector<std::uint64_t>& value) {
    const Json* json = find(key);
    if (json == nullptr) return;
    value.clear();
    for (const auto& [item, place] : items_of(*json, place_of(key))) {
      if (!item->is_number_unsigned()) throw InputError(place, "a whole number, 0 or more", item->dump());
      value.push_back(item->get<std::uint64_t>());
    }
    if (value.empty()) throw InputError(place_of(key), "at least one", "none");
  }

  // After everything was read: what is left was never asked for.
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      bool known = false;
      std::string expected;
      for (const std::string& asked : asked_) {
        known = known || asked == key;
        expected += (expected.empty() ? "one of " : ", ") + asked;
      }
      if (!known) throw InputError(place_, expected, "\"" + key + "\"");
    }
  }

  [[nodiscard]] static std::vector<std::pair<const Json*, std::string>> items_of(const Json& json,
                                                                                 const std::string& place) {
    if (!json.is_array()) throw InputError(place, "a list [...]", json.type_name());
    std::vector<std::pair<const Json*, std::string>> items;
    for (const Json& item : json) items.emplace_back(&item, place + "[" + std::to_string(items.size()) + "]");
    return items;
  }

 private:
  [[nodiscard]] static std::string text_of(const Json& json, const std::string& place) {
    if (!json.is_string()) throw InputError(place, "a text in quotes", json.dump());
    return json.get<std::string>();
  }

  const Json& object_;
  std::string place_;
  std::vector<std::string> asked_;
};

constexpr std::int64_t kMany = 1'000'000'000;

void read_headroom(const Json& json, const std::string& place, HeadroomLimits& limits) {
  ObjectReader reader(json, place);
  reader.read("most", limits.most, 0, 1);
  reader.read("times_baseline", limits.times_baseline, 1, 1000);
  reader.read("floor", limits.floor, 0, 1);
  reader.finish();
}

void read_resources(const Json& json, const std::string& place, ResourceLimits& limits) {
  ObjectReader reader(json, place);
  reader.read("report", limits.report);
  reader.read("binary", limits.binary);
  reader.read("more_registers", limits.more_registers, 0, kMany);
  reader.read("more_spill_bytes", limits.more_spill_bytes, 0, kMany);
  reader.read("more_stack_bytes", limits.more_stack_bytes, 0, kMany);
  reader.read("more_shared_bytes", limits.more_shared_bytes, 0, kMany);
  reader.read("instruction_growth", limits.instruction_growth, 0, 1000);
  reader.finish();
  if (limits.report.empty() && limits.binary.empty())
    throw InputError(place, "a \"report\" or a \"binary\" to read resources from", "neither");
}

void read_speed(const Json& json, const std::string& place, SpeedLimits& limits) {
  ObjectReader reader(json, place);
  reader.read("baseline_kernel", limits.baseline_kernel);
  reader.read("threshold", limits.threshold, 0.0001, 10);
  reader.read("seconds", limits.seconds, 0.1, 86400);
  reader.read("shapes", limits.shapes);
  reader.read("clock", limits.clock);
  reader.finish();
  if (!limits.clock.empty() && limits.clock != "wall" && limits.clock != "cpu")
    throw InputError(place + ".clock", "\"wall\" or \"cpu\"", "\"" + limits.clock + "\"");
  if (limits.baseline_kernel.empty())
    throw InputError(place + ".baseline_kernel", "the kernel to be compared with", "none");
}

GatedKernel read_kernel(const Json& json, const std::string& place) {
  GatedKernel kernel;
  ObjectReader reader(json, place);
  reader.read("name", kernel.name);
  reader.read("kernel", kernel.kernel);
  std::string device = "cpu";
  reader.read("device", device);
  if (device != "cpu" && device != "cuda")
    throw InputError(place + ".device", "\"cpu\" or \"cuda\"", "\"" + device + "\"");
  kernel.on_device = device == "cuda";
  reader.read("operations", kernel.operations);
  reader.read("sources", kernel.sources);
  reader.read("include_paths", kernel.include_paths);
  reader.read("flags", kernel.flags);
  reader.read("cases", kernel.cases, 1, kMany);
  reader.read("seeds", kernel.seeds);
  reader.read("products", kernel.products, 1000, 4'000'000'000);
  reader.read("timeout_seconds", kernel.timeout_seconds, 0.01, 86400);
  reader.read("least_accepted", kernel.least_accepted, 0, 1);
  if (const Json* limits = reader.find("headroom"))
    read_headroom(*limits, place + ".headroom", kernel.headroom);
  if (const Json* limits = reader.find("resources"))
    read_resources(*limits, place + ".resources", kernel.resources);
  if (const Json* limits = reader.find("performance"))
    read_speed(*limits, place + ".performance", kernel.speed);
  reader.finish();
  const bool named = !kernel.name.empty() && kernel.name.find_first_not_of(
                                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "0123456789-_") == std::string::npos;
  if (!named)
    throw InputError(place + ".name", "letters, digits, - and _ (it names the baseline's file)",
                     "\"" + kernel.name + "\"");
  if (kernel.kernel.empty()) throw InputError(place + ".kernel", "a kernel, as --kernel takes it", "none");
  if (kernel.on_device && kernel.sources.empty())
    throw InputError(place + ".sources", "the files that shape a kernel whose device may be elsewhere",
                     "none");
  return kernel;
}

void read_selftest(const Json& json, const std::string& place, SelftestPlan& plan) {
  ObjectReader reader(json, place);
  reader.read("mutants", plan.mutants);
  reader.read("cases", plan.cases, 1, kMany);
  reader.read("seconds", plan.seconds, 0.1, 86400);
  reader.finish();
}

void read_schedules(const Json& json, const std::string& place, SchedulePlan& plan) {
  ObjectReader reader(json, place);
  reader.read("planners", plan.planners);
  reader.read("batches", plan.batches, 1, 1'000'000);
  reader.read("worse_balance", plan.worse_balance, 0, 1000);
  reader.finish();
}

// nlohmann keeps the last of two equal keys; a limit that is overwritten unseen would be a trap.
Json parse_strictly(const std::string& text, const std::string& place) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw InputError(place, "every key once in its object", "\"" + parsed.get<std::string>() + "\" twice");
    return true;
  };
  try {
    return Json::parse(text, watch, true, /*ignore_comments=*/true);
  } catch (const Json::exception& error) {
    throw InputError(place, "JSON (with // comments)", error.what());
  }
}

}  // namespace

GateConfig parse_config(const std::string& text, const std::string& place) {
  const Json json = parse_strictly(text, place);
  GateConfig config;
  ObjectReader reader(json, place);
  std::string schema;
  reader.read("schema", schema);
  if (schema != kConfigSchema)
    throw InputError(place + ".schema", "\"" + std::string(kConfigSchema) + "\"", "\"" + schema + "\"");
  reader.read("root", config.root);
  reader.read("baselines", config.baselines);
  if (config.baselines.empty()) throw InputError(place + ".baselines", "a folder", "\"\"");
  reader.read("receipt", config.receipt);
  reader.read("known_failures", config.known_failures);
  if (const Json* plan = reader.find("selftest")) read_selftest(*plan, place + ".selftest", config.selftest);
  if (const Json* plan = reader.find("schedules"))
    read_schedules(*plan, place + ".schedules", config.schedules);
  if (const Json* kernels = reader.find("kernels"))
    for (const auto& [item, where] : ObjectReader::items_of(*kernels, place + ".kernels"))
      config.kernels.push_back(read_kernel(*item, where));
  reader.finish();
  if (config.kernels.empty()) throw InputError(place + ".kernels", "at least one kernel", "none");
  std::set<std::string> names;
  for (const GatedKernel& kernel : config.kernels)
    if (!names.insert(kernel.name).second)
      throw InputError(place + ".kernels", "names that differ", "\"" + kernel.name + "\" twice");
  return config;
}

Json strictness_of(const GatedKernel& kernel) {
  Json json{{"kernel", kernel.kernel},
            {"operations", kernel.operations},
            {"cases", kernel.cases},
            {"seeds", kernel.seeds},
            {"products", kernel.products},
            {"least_accepted", kernel.least_accepted},
            {"headroom",
             {{"most", kernel.headroom.most},
              {"times_baseline", kernel.headroom.times_baseline},
              {"floor", kernel.headroom.floor}}}};
  if (!kernel.speed.baseline_kernel.empty())
    json["performance"] = {{"baseline_kernel", kernel.speed.baseline_kernel},
                           {"threshold", kernel.speed.threshold},
                           {"clock", kernel.speed.clock},
                           {"shapes", kernel.speed.shapes}};
  return json;
}

}  // namespace assay::tools::gate
