#include "model/golden/preconditions.h"

#include <cstring>

namespace assay {

void Preconditions::check(const char* name, std::int64_t value) const {
  for (const ShapeRule& rule : shapes) {
    if (std::strcmp(rule.name, name) != 0) continue;
    if (value >= rule.low && value <= rule.high && value % rule.multiple == 0) return;
    std::string expected = std::to_string(rule.low) + " to " + std::to_string(rule.high);
    if (rule.multiple != 1) expected += ", a multiple of " + std::to_string(rule.multiple);
    throw InputError(std::string(operation) + "." + name, expected, std::to_string(value));
  }
  ASSAY_CHECK(false, "no shape rule of that name");
}

void Preconditions::check_type(const char* name, ElementType type) const {
  for (const TypeRule& rule : this->types) {
    if (std::strcmp(rule.name, name) != 0) continue;
    std::string expected;
    for (const ElementType allowed : rule.types) {
      if (allowed == type) return;
      expected += (expected.empty() ? "" : " or ") + std::string(name_of(allowed));
    }
    throw InputError(std::string(operation) + "." + name, expected, name_of(type));
  }
  ASSAY_CHECK(false, "no type rule of that name");
}

std::string Preconditions::describe() const {
  std::string text = std::string(operation) + "\n";
  for (const ShapeRule& rule : shapes) {
    text +=
        "  " + std::string(rule.name) + ": " + std::to_string(rule.low) + " to " + std::to_string(rule.high);
    if (rule.multiple != 1) text += ", a multiple of " + std::to_string(rule.multiple);
    text += "\n";
  }
  for (const TypeRule& rule : types) {
    text += "  " + std::string(rule.name) + ":";
    for (const ElementType type : rule.types) text += std::string(" ") + name_of(type);
    text += "\n";
  }
  return text;
}

void require(bool holds, const Preconditions& table, const std::string& what, const std::string& expected,
             const std::string& got) {
  if (!holds) throw InputError(std::string(table.operation) + "." + what, expected, got);
}

}  // namespace assay
