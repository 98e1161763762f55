// Azure LLM inference traces: 2023 (code, conv), 2024 (code, conv, one week) and multimodal 2025.
//
//   2023   TIMESTAMP,ContextTokens,GeneratedTokens            2023-11-16 18:17:03.9799600,4808,10
//   2024   the same columns                                   2024-05-12 00:00:00.001163+00:00,2162,5
//   2025   TIMESTAMP,NumImages,ContextTokens,GeneratedTokens  2024-10-15 12:00:00.123456,1,1034,36
//
// 2023 has seven digits of fraction (units of 100 ns), lines that end in CR LF and a last line without an
// end. 2024 has an offset, and no fraction when it is zero. Either style is read under either name. There
// are no prefix identities: nothing is shared.
#include "traces/formats.h"

namespace assay {
namespace {

[[nodiscard]] FormatSpec azure(std::string_view name, std::string_view title, DateStyle style) {
  FormatSpec format;
  format.name = name;
  format.title = title;
  format.shape = Shape::kCsv;
  format.fields = {
      {"TIMESTAMP", Field::kTime}, {"ContextTokens", Field::kInput}, {"GeneratedTokens", Field::kOutput}};
  format.required = field_bit(Field::kTime) | field_bit(Field::kInput) | field_bit(Field::kOutput);
  format.time_kind = TimeKind::kDate;
  format.date_style = style;
  format.absolute_time = true;
  return format;
}

}  // namespace

const FormatSpec& azure_2023_format() {
  static const FormatSpec spec =
      azure("azure-2023", "Azure LLM inference 2023 CSV (dates with 100 ns)", DateStyle::kSevenDigits);
  return spec;
}

const FormatSpec& azure_2024_format() {
  static const FormatSpec spec =
      azure("azure-2024", "Azure LLM inference 2024 CSV (dates with offset)", DateStyle::kOffset);
  return spec;
}

const FormatSpec& azure_multimodal_format() {
  static const FormatSpec spec = [] {
    FormatSpec format = azure("azure-multimodal", "Azure multimodal inference 2025 CSV (with image counts)",
                              DateStyle::kSevenDigits);
    format.fields.insert(format.fields.begin() + 1, {"NumImages", Field::kImages});
    format.required |= field_bit(Field::kImages);
    return format;
  }();
  return spec;
}

}  // namespace assay
