// One row of comma-separated values -> one request. The header line says which column holds what (any
// order; columns that no field of the format is named after are skipped, and lint says which); every row
// must have as many columns as the header. Quoted cells ("a ""b""") are read; a quote may not run over the
// end of the line.
#pragma once

#include <string>
#include <vector>

#include "traces/dates.h"
#include "traces/fault.h"
#include "traces/record.h"

namespace assay {

class CsvReader {
 public:
  explicit CsvReader(const FormatSpec& spec) : spec_(spec) {}

  [[nodiscard]] bool has_header() const { return !columns_.empty(); }
  // Learns the columns. Fails when a required one is missing or one is named twice.
  [[nodiscard]] bool parse_header(const Line& line, Fault& fault);
  [[nodiscard]] bool parse_row(const Line& line, Request& request, RecordFacts& facts, Fault& fault);

  [[nodiscard]] const std::vector<std::string>& unknown_columns() const { return unknown_; }

 private:
  [[nodiscard]] bool parse_cell(Field field, const char* p, const char* end, const Line& line,
                                Request& request, RecordFacts& facts, Fault& fault);

  const FormatSpec& spec_;
  std::vector<Field> columns_;  // kCount = not ours
  std::vector<std::string> unknown_;
  std::string unquoted_;
  DateCache dates_;
};

// Splits a line at commas, quotes respected. For headers.
[[nodiscard]] bool split_csv(const Line& line, std::vector<std::string>& cells, Fault& fault);

}  // namespace assay
