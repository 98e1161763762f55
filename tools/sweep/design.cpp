#include "tools/sweep/design.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "model/core/philox.h"

namespace assay::tools {
namespace {

void add_axis(std::vector<Axis>& axes, Axis axis, const std::string& place) {
  if (axis.name.empty()) throw InputError(place, "the name of an option", "none");
  for (const Axis& other : axes)
    if (other.name == axis.name) throw InputError(place, "every option once", "--" + axis.name + " twice");
  if (axis.values.empty()) throw InputError(place, "values of --" + axis.name, "none");
  for (const std::string& value : axis.values)
    if (value.empty()) throw InputError(place, "values of --" + axis.name, "an empty one");
  axes.push_back(std::move(axis));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> values;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(',', begin)) != std::string::npos; begin = end + 1)
    values.push_back(text.substr(begin, end - begin));
  values.push_back(text.substr(begin));
  return values;
}

}  // namespace

std::int64_t SweepDesign::points() const {
  if (random_points > 0) return random_points;
  constexpr std::int64_t kMostPoints = 10'000'000;
  std::int64_t points = 1;
  for (const Axis& axis : axes) {
    points *= static_cast<std::int64_t>(axis.values.size());
    if (points > kMostPoints)
      throw InputError("the grid", "at most 10,000,000 points", "more (take --random N)");
  }
  return points;
}

std::vector<std::size_t> SweepDesign::choices(std::int64_t point) const {
  std::vector<std::size_t> chosen(axes.size());
  if (random_points > 0) {
    const RandomStream stream = RandomStream(seed, "sweep").child(static_cast<std::uint64_t>(point));
    for (std::size_t i = 0; i < axes.size(); ++i) chosen[i] = stream.below(i, axes[i].values.size());
    return chosen;
  }
  auto rest = static_cast<std::size_t>(point);
  for (std::size_t i = axes.size(); i-- > 0;) {
    chosen[i] = rest % axes[i].values.size();
    rest /= axes[i].values.size();
  }
  return chosen;
}

std::vector<Axis> axes_of_arguments(const std::vector<std::string>& arguments) {
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word.rfind("--", 0) != 0)
      throw InputError("assay sweep", "--OPTION VALUE,VALUE,...", "'" + word + "'");
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      add_axis(axes, {word.substr(2, equals - 2), split(word.substr(equals + 1))}, word);
      continue;
    }
    if (i + 1 == arguments.size() || arguments[i + 1].rfind("--", 0) == 0)
      throw InputError(word, "its values (a flag: true,false)", "none");
    add_axis(axes, {word.substr(2), split(arguments[i + 1])}, word);
    ++i;
  }
  return axes;
}

std::vector<Axis> axes_of_json(const nlohmann::ordered_json& spec, const std::string& place) {
  if (!spec.is_object()) throw InputError(place, "an object of options", spec.type_name());
  std::vector<Axis> axes;
  for (const auto& [name, given] : spec.items()) {
    const nlohmann::ordered_json list = given.is_array() ? given : nlohmann::ordered_json::array({given});
    Axis axis{name, {}};
    for (const nlohmann::ordered_json& value : list) {
      if (!value.is_primitive() || value.is_null())
        throw InputError(place + ": " + name, "numbers, texts or true and false", value.type_name());
      axis.values.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    add_axis(axes, std::move(axis), place);
  }
  return axes;
}

}  // namespace assay::tools
