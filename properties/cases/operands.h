// What a kernel call is made of, before there is any memory: every tensor with its type, shape and
// strides, how many bytes it spans, and which of those bytes exist.
//
//   span     bytes from the first element to the end of the last one; behind it lies a page of nobody
//   islands  the byte ranges that exist, when the tensor is a sparse view of a huge pool (block strides
//            of a megabyte, offsets beyond 2^32): everything between them is a page of nobody, too
//
// Nothing here allocates, draws or judges.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/float_formats.h"

namespace assay::properties {

enum class Operation : std::int32_t {
  kPagedMqaLogits = ASSAY_OP_PAGED_MQA_LOGITS,
  kMqaLogits = ASSAY_OP_MQA_LOGITS,
  kScheduleMetadata = ASSAY_OP_SCHEDULE_METADATA,
  kPagedAttention = ASSAY_OP_PAGED_ATTENTION,
  kMerge = ASSAY_OP_MERGE,
  kCacheWrite = ASSAY_OP_CACHE_WRITE,
};
inline constexpr Operation kOperations[] = {
    Operation::kPagedMqaLogits, Operation::kMqaLogits, Operation::kScheduleMetadata,
    Operation::kPagedAttention, Operation::kMerge,     Operation::kCacheWrite};
[[nodiscard]] const char* name_of(Operation operation);
// Throws InputError with the list of names.
[[nodiscard]] Operation operation_named(const std::string& name, const std::string& place);

// DLPack's code and bits.
struct DataType {
  std::uint8_t code = ASSAY_TYPE_FLOAT;
  std::uint8_t bits = 32;
  [[nodiscard]] int bytes() const { return bits / 8; }
  friend constexpr bool operator==(const DataType&, const DataType&) = default;
};
inline constexpr DataType kFloat32{ASSAY_TYPE_FLOAT, 32}, kInt32{ASSAY_TYPE_INT, 32},
    kBytes{ASSAY_TYPE_UINT, 8}, kFloat8{ASSAY_TYPE_FLOAT8_E4M3FN, 8}, kInt64{ASSAY_TYPE_INT, 64};
[[nodiscard]] DataType data_type_of(ElementType type);
// Throws InputError for what is not a float format of this project.
[[nodiscard]] ElementType element_type_of(DataType type, const std::string& place);

struct ByteRange {
  std::int64_t begin = 0, end = 0;
  friend constexpr bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct Operand {
  std::string name;
  bool is_output = false;
  DataType type;
  std::vector<std::int64_t> shape, strides;  // strides in elements
  std::int64_t span_bytes = 0;
  std::vector<ByteRange> islands;  // empty: all of the span

  [[nodiscard]] std::int64_t elements() const;
};

// The span follows from shape and strides: every element lies inside, and the last byte belongs to one.
[[nodiscard]] Operand make_operand(std::string name, bool is_output, DataType type,
                                   std::vector<std::int64_t> shape, std::vector<std::int64_t> strides);

// Inputs first, then outputs, in the order of gpu/api/assay_kernel.h.
struct Operands {
  Operation operation = Operation::kPagedMqaLogits;
  std::vector<Operand> tensors;
  std::vector<std::int64_t> ints;
  std::vector<double> reals;

  [[nodiscard]] std::size_t inputs() const;
};

}  // namespace assay::properties
