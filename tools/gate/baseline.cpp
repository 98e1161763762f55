#include "tools/gate/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

// Figures of an entry, and the allowance of each.
struct Figure {
  const char* name;
  std::int64_t EntryResources::*value;
  std::int64_t ResourceLimits::*more;
};
constexpr Figure kFigures[] = {
    {"registers", &EntryResources::registers, &ResourceLimits::more_registers},
    {"stack_bytes", &EntryResources::stack_bytes, &ResourceLimits::more_stack_bytes},
    {"spill_store_bytes", &EntryResources::spill_store_bytes, &ResourceLimits::more_spill_bytes},
    {"spill_load_bytes", &EntryResources::spill_load_bytes, &ResourceLimits::more_spill_bytes},
    {"shared_bytes", &EntryResources::shared_bytes, &ResourceLimits::more_shared_bytes}};

std::int64_t sum_of(const std::map<std::string, std::int64_t>& instructions) {
  std::int64_t sum = 0;
  for (const auto& [name, count] : instructions) sum += count;
  return sum;
}

double ratio_of(double measured, double allowed) {
  return allowed > 0 ? measured / allowed : measured > 0 ? 1e6 : 1;
}

std::int64_t count_in(const std::map<std::string, std::int64_t>& instructions, const std::string& name) {
  const auto at = instructions.find(name);
  return at == instructions.end() ? 0 : at->second;
}

void instruction_excesses(const std::string& entry, const EntryResources& now, const EntryResources& was,
                          double growth, std::vector<Excess>& list) {
  if (now.instructions.empty() || was.instructions.empty()) return;
  const std::int64_t total = std::max(sum_of(now.instructions), sum_of(was.instructions));
  for (const auto& [name, count] : now.instructions) {
    const std::int64_t before = count_in(was.instructions, name);
    // A class of less than a hundredth of the code may come and go.
    if (count * 100 < total || static_cast<double>(count) <= static_cast<double>(before) * (1 + growth))
      continue;
    list.push_back({fmt::format("{}: {} {} instructions, baseline {} (+{:.0f} % allowed)", entry, count, name,
                                before, growth * 100),
                    ratio_of(static_cast<double>(count), static_cast<double>(before) * (1 + growth))});
  }
}

std::int64_t whole_number(const Json& json, const std::string& place) {
  if (!json.is_number_integer() || json.get<std::int64_t>() < 0)
    throw InputError(place, "a whole number, 0 or more", json.dump());
  return json.get<std::int64_t>();
}

std::map<std::string, double> numbers_of(const Json& json, const std::string& place) {
  if (!json.is_object()) throw InputError(place, "an object {...}", json.type_name());
  std::map<std::string, double> numbers;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0)
      throw InputError(place + "." + key, "a number, 0 or more", value.dump());
    numbers[key] = value.get<double>();
  }
  return numbers;
}

EntryResources entry_of(const Json& json, const std::string& place) {
  if (!json.is_object()) throw InputError(place, "an object {...}", json.type_name());
  EntryResources entry;
  std::set<std::string> missing;
  for (const Figure& figure : kFigures) missing.insert(figure.name);
  for (const auto& [key, value] : json.items()) {
    if (key == "instructions") {
      if (!value.is_object()) throw InputError(place + "." + key, "an object {...}", value.type_name());
      for (const auto& [name, count] : value.items())
        entry.instructions[name] = whole_number(count, place + ".instructions." + name);
      continue;
    }
    const Figure* figure = std::begin(kFigures);
    while (figure != std::end(kFigures) && key != figure->name) ++figure;
    if (figure == std::end(kFigures))
      throw InputError(place, "a figure of an entry function", "\"" + key + "\"");
    entry.*(figure->value) = whole_number(value, place + "." + key);
    missing.erase(key);
  }
  if (!missing.empty()) throw InputError(place, "\"" + *missing.begin() + "\"", "none");
  return entry;
}

}  // namespace

double rounded_up(double value) {
  if (!(value > 0)) return 0;
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(value)));
  const double rounded = std::ceil(value * scale * (1 - 1e-12)) / scale;
  // To the shortest decimal that reads back as itself.
  return std::stod(fmt::format("{:.6g}", rounded));
}

std::string baseline_text(const std::string& name, const Baseline& baseline) {
  // One line per figure or entry function: what a diff can show.
  std::string text =
      fmt::format("{{\n  \"schema\": {},\n  \"name\": {}", Json(kBaselineSchema).dump(), Json(name).dump());
  const auto section = [&](const char* key, const auto& values, const auto& json_of) {
    if (values.empty()) return;
    text += fmt::format(",\n  \"{}\": {{", key);
    const char* separator = "\n";
    for (const auto& [line, value] : values) {
      text += fmt::format("{}    {}: {}", separator, Json(line).dump(), json_of(value).dump());
      separator = ",\n";
    }
    text += "\n  }";
  };
  const auto number = [](double value) { return Json(value); };
  section("headroom", baseline.headroom, number);
  section("resources", baseline.resources, [](const EntryResources& entry) {
    Json one = Json::object();
    for (const Figure& figure : kFigures) one[figure.name] = entry.*(figure.value);
    if (!entry.instructions.empty()) one["instructions"] = entry.instructions;
    return one;
  });
  section("balance", baseline.balance, number);
  return text + "\n}\n";
}

Baseline parse_baseline(const std::string& text, const std::string& place) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    throw InputError(place, "JSON of a baseline", error.what());
  }
  if (!json.is_object() || json.value("schema", "") != kBaselineSchema)
    throw InputError(place + ".schema", "\"" + std::string(kBaselineSchema) + "\"", "another file");
  Baseline baseline;
  for (const auto& [key, value] : json.items()) {
    const std::string where = place + "." + key;
    if (key == "headroom") {
      baseline.headroom = numbers_of(value, where);
    } else if (key == "balance") {
      baseline.balance = numbers_of(value, where);
    } else if (key == "resources") {
      if (!value.is_object()) throw InputError(where, "an object {...}", value.type_name());
      for (const auto& [entry, figures] : value.items())
        baseline.resources[entry] = entry_of(figures, where + "." + entry);
    } else if (key != "schema" && key != "name") {
      throw InputError(place, "one of schema, name, headroom, resources, balance", "\"" + key + "\"");
    }
  }
  return baseline;
}

std::vector<Excess> headroom_excesses(const Headroom& measured, const Headroom& baseline,
                                      const HeadroomLimits& limits) {
  std::vector<Excess> list;
  for (const auto& [key, r] : measured) {
    if (!(r <= limits.most)) {
      list.push_back(
          {fmt::format("{}: r {:.3g}, most {:.3g}", key, r, limits.most), ratio_of(r, limits.most)});
      continue;
    }
    const auto before = baseline.find(key);
    if (before == baseline.end()) {
      list.push_back({fmt::format("{}: r {:.3g}, and the baseline does not know it", key, r), 1});
      continue;
    }
    const double allowed = std::max(before->second * limits.times_baseline, limits.floor);
    if (!(r <= allowed))
      list.push_back(
          {fmt::format("{}: r {:.3g}, baseline {:.3g}, allowed {:.3g}", key, r, before->second, allowed),
           ratio_of(r, allowed)});
  }
  return list;
}

std::vector<Excess> resource_excesses(const Resources& measured, const Resources& baseline,
                                      const ResourceLimits& limits) {
  std::vector<Excess> list;
  for (const auto& [name, was] : baseline)
    if (measured.find(name) == measured.end())
      list.push_back({fmt::format("{}: in the baseline, and compiled no more", name), 1});
  for (const auto& [name, now] : measured) {
    const auto before = baseline.find(name);
    if (before == baseline.end()) {
      list.push_back({fmt::format("{}: compiled, and the baseline does not know it", name), 1});
      continue;
    }
    for (const Figure& figure : kFigures) {
      const std::int64_t allowed = before->second.*(figure.value) + limits.*(figure.more);
      if (now.*(figure.value) > allowed)
        list.push_back({fmt::format("{}: {} {}, baseline {}, allowed {}", name, now.*(figure.value),
                                    figure.name, before->second.*(figure.value), allowed),
                        ratio_of(static_cast<double>(now.*(figure.value)), static_cast<double>(allowed))});
    }
    instruction_excesses(name, now, before->second, limits.instruction_growth, list);
  }
  return list;
}

namespace {

std::string changed(const std::string& what, double was, double now) {
  const std::string ratio = was > 0 ? fmt::format("x {:.2f}, ", now / was) : "";
  return fmt::format("{}: {} was {} ({}{})", what, now, was, ratio, now > was ? "worse" : "better");
}

void number_differences(const std::string& kind, const std::map<std::string, double>& was,
                        const std::map<std::string, double>& now, std::vector<std::string>& list) {
  for (const auto& [key, value] : was)
    if (now.find(key) == now.end()) list.push_back(fmt::format("{} {}: gone, was {}", kind, key, value));
  for (const auto& [key, value] : now) {
    const auto before = was.find(key);
    if (before == was.end())
      list.push_back(fmt::format("{} {}: {}, new", kind, key, value));
    else if (before->second != value)
      list.push_back(changed(kind + " " + key, before->second, value));
  }
}

}  // namespace

std::vector<std::string> differences(const std::optional<Baseline>& before, const Baseline& after) {
  const Baseline was = before.value_or(Baseline{});
  std::vector<std::string> list;
  number_differences("headroom", was.headroom, after.headroom, list);
  number_differences("balance", was.balance, after.balance, list);
  for (const auto& [name, entry] : was.resources)
    if (after.resources.find(name) == after.resources.end())
      list.push_back(fmt::format("resources {}: gone", name));
  for (const auto& [name, now] : after.resources) {
    const auto old = was.resources.find(name);
    if (old == was.resources.end()) {
      list.push_back(fmt::format("resources {}: new, {} registers, {} bytes spilt, {} bytes of shared memory",
                                 name, now.registers, now.spill_store_bytes + now.spill_load_bytes,
                                 now.shared_bytes));
      continue;
    }
    for (const Figure& figure : kFigures)
      if (now.*(figure.value) != old->second.*(figure.value))
        list.push_back(changed(fmt::format("resources {} {}", name, figure.name),
                               static_cast<double>(old->second.*(figure.value)),
                               static_cast<double>(now.*(figure.value))));
    std::map<std::string, double> mix_was, mix_now;
    for (const auto& [opcode, count] : old->second.instructions) mix_was[opcode] = static_cast<double>(count);
    for (const auto& [opcode, count] : now.instructions) mix_now[opcode] = static_cast<double>(count);
    number_differences("resources " + name + " instructions", mix_was, mix_now, list);
  }
  return list;
}

}  // namespace assay::tools::gate
