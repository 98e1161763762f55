// BurstGPT. Releases 1 and 2 have six columns, release 3 has eight.
//
//   Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
//   5,ChatGPT,472,18,490,Conversation log
//
//   Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
//   19440110.0,7f0c...,3.2,GPT-4,472,18,490,Conversation log
//
// Timestamps are seconds on a clock whose zero is outside the file (release 3 begins at 19440110.0), so the
// first one is the origin. A row with Response tokens 0 is a request that failed: it is read like any other
// (its prompt was sent), describe and lint count it, convert --drop-failed leaves it out and says how many.
#include "traces/formats.h"

namespace assay {

const FormatSpec& burstgpt_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "burstgpt";
    format.title = "BurstGPT 1 and 2 CSV (six columns, seconds)";
    format.shape = Shape::kCsv;
    format.fields = {{"Timestamp", Field::kTime},       {"Model", Field::kModel},
                     {"Request tokens", Field::kInput}, {"Response tokens", Field::kOutput},
                     {"Total tokens", Field::kTotal},   {"Log Type", Field::kKind}};
    format.required = field_bit(Field::kTime) | field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_unit = 9;
    format.absolute_time = true;
    return format;
  }();
  return spec;
}

const FormatSpec& burstgpt_3_format() {
  static const FormatSpec spec = [] {
    FormatSpec format = burstgpt_format();
    format.name = "burstgpt-3";
    format.title = "BurstGPT 3 CSV (eight columns: sessions and elapsed times)";
    format.fields.insert(format.fields.begin() + 1,
                         {{"Session ID", Field::kSession}, {"Elapsed time", Field::kElapsed}});
    format.required |= field_bit(Field::kSession) | field_bit(Field::kElapsed);
    return format;
  }();
  return spec;
}

}  // namespace assay
