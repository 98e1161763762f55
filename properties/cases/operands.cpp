#include "properties/cases/operands.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay::properties {

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::kPagedMqaLogits: return "paged-mqa-logits";
    case Operation::kMqaLogits: return "mqa-logits";
    case Operation::kScheduleMetadata: return "schedule-metadata";
    case Operation::kPagedAttention: return "paged-attention";
    case Operation::kMerge: return "merge";
    case Operation::kCacheWrite: return "cache-write";
  }
  return "?";
}

Operation operation_named(const std::string& name, const std::string& place) {
  std::string names;
  for (const Operation operation : kOperations) {
    if (name == name_of(operation)) return operation;
    names += (names.empty() ? "" : ", ") + std::string(name_of(operation));
  }
  throw InputError(place, "one of " + names, name);
}

DataType data_type_of(ElementType type) {
  switch (type) {
    case ElementType::kFp32: return kFloat32;
    case ElementType::kBf16: return {ASSAY_TYPE_BFLOAT, 16};
    case ElementType::kFp16: return {ASSAY_TYPE_FLOAT, 16};
    case ElementType::kE4M3: return kFloat8;
    case ElementType::kE5M2: return {ASSAY_TYPE_FLOAT8_E5M2, 8};
  }
  return kFloat32;
}

ElementType element_type_of(DataType type, const std::string& place) {
  for (const ElementType element :
       {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16, ElementType::kE4M3, ElementType::kE5M2})
    if (data_type_of(element) == type) return element;
  throw InputError(place, "a float type of this project",
                   "code " + std::to_string(type.code) + ", " + std::to_string(type.bits) + " bits");
}

std::int64_t Operand::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

Operand make_operand(std::string name, bool is_output, DataType type, std::vector<std::int64_t> shape,
                     std::vector<std::int64_t> strides) {
  ASSAY_CHECK_EQ(shape.size(), strides.size());
  Operand operand{std::move(name), is_output, type, std::move(shape), std::move(strides), 0, {}};
  if (operand.elements() == 0) return operand;
  std::int64_t last = 0;
  for (std::size_t axis = 0; axis < operand.shape.size(); ++axis)
    last += (operand.shape[axis] - 1) * operand.strides[axis];
  operand.span_bytes = (last + 1) * type.bytes();
  return operand;
}

std::size_t Operands::inputs() const {
  return static_cast<std::size_t>(
      std::count_if(tensors.begin(), tensors.end(), [](const Operand& o) { return !o.is_output; }));
}

}  // namespace assay::properties
