// What a line of any format may say about a request, and how a format is described: as data. A JSONL
// format is a table "key -> field", a CSV format a table "column -> field"; the scanners of json_record.h
// and csv_record.h do the rest. Each format has its own file in traces/formats/.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/fault.h"
#include "traces/request.h"

namespace assay {

enum class Field : std::uint8_t {
  kTime,
  kInput,
  kOutput,
  kTotal,  // input + output as the file adds them up; lint compares
  kHashIds,
  kSession,
  kKind,
  kModel,
  kChat,
  kParentChat,
  kTurn,
  kImages,
  kElapsed,
  kDelay,
  kToolWait,
  kRequestId,
  kWaitFor,
  kBranches,
  kPrefixReset,
  kIdScope,  // "local": hash ids mean something inside this trace only
  kCount
};
inline constexpr auto kFieldCount = static_cast<std::size_t>(Field::kCount);

[[nodiscard]] constexpr std::uint32_t field_bit(Field field) { return 1u << static_cast<unsigned>(field); }

// Where each field's value began on the line, and what belongs to the line but not to the request.
struct RecordFacts {
  std::array<std::int32_t, kFieldCount> column{};  // 1-based; 0 = absent
  std::int64_t total_tokens = -1;                  // as written
  bool time_rounded = false;                       // more digits than nanoseconds hold
  bool ids_local = false;                          // the record says so itself

  [[nodiscard]] std::int32_t at(Field field) const { return column[static_cast<std::size_t>(field)]; }
  [[nodiscard]] std::uint32_t seen() const {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kFieldCount; ++i) bits |= static_cast<std::uint32_t>(column[i] != 0) << i;
    return bits;
  }
};

struct FieldName {
  std::string_view name;
  Field field;
};

enum class Shape : std::uint8_t { kJsonl, kCsv };
enum class TimeKind : std::uint8_t { kNumber, kDate };
enum class DateStyle : std::uint8_t { kSevenDigits, kOffset };  // how the writer spells dates

// One trace format. `fields` lists the spellings; for a field with several, the first is what we write.
struct FormatSpec {
  std::string_view name;   // as in --format
  std::string_view title;  // one line for humans
  Shape shape = Shape::kJsonl;
  std::vector<FieldName> fields;
  std::uint32_t required = 0;  // field_bit()s
  TimeKind time_kind = TimeKind::kNumber;
  std::int32_t time_unit = 0;  // a number counts 10^time_unit nanoseconds: 9 seconds, 6 milliseconds
  bool whole_time = false;     // we write whole numbers only, as the format's publishers do; any are read
  DateStyle date_style = DateStyle::kSevenDigits;
  bool absolute_time = false;          // the first request's time is the origin and is subtracted
  std::int32_t hash_tokens = 0;        // granularity of hash_ids; 0 = none
  bool header_line = false;            // the native format's first line; CSV always has one
  bool ids_are_prefix_hashes = false;  // an id stands for its block and everything before it: one parent
};

// Makes `request` as if new; the capacity of its strings and vectors stays.
void clear(Request& request);

}  // namespace assay
