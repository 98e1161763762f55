// Azure LLM inference traces of 2023 (code, conv).
//
//   TIMESTAMP,ContextTokens,GeneratedTokens
//   2023-11-16 18:17:03.9799600,4808,10
//
// Seven digits of fraction (units of 100 ns), lines end in CR LF, the last line has no end. No prefix
// identities: nothing is shared.
#include "traces/formats.h"

namespace assay {

const FormatSpec& azure_2023_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "azure-2023";
    format.title = "Azure LLM inference 2023 CSV (dates with 100 ns)";
    format.shape = Shape::kCsv;
    format.fields = {
        {"TIMESTAMP", Field::kTime}, {"ContextTokens", Field::kInput}, {"GeneratedTokens", Field::kOutput}};
    format.required = field_bit(Field::kTime) | field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_kind = TimeKind::kDate;
    format.absolute_time = true;
    return format;
  }();
  return spec;
}

}  // namespace assay
