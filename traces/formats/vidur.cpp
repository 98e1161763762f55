// Vidur's processed traces (splitwise_code, splitwise_conv are Azure 2023 with lengths clipped).
//
//   arrived_at,num_prefill_tokens,num_decode_tokens
//   0.052,3180,8
//
// Seconds since the start of the trace. Other columns (ratios that pandas left) are skipped.
#include "traces/formats.h"

namespace assay {

const FormatSpec& vidur_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "vidur";
    format.title = "Vidur CSV (seconds)";
    format.shape = Shape::kCsv;
    format.fields = {{"arrived_at", Field::kTime},
                     {"num_prefill_tokens", Field::kInput},
                     {"num_decode_tokens", Field::kOutput}};
    format.required = field_bit(Field::kTime) | field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_unit = 9;
    return format;
  }();
  return spec;
}

}  // namespace assay
