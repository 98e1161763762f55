// Dynamo's session and agentic traces: Mooncake records with who comes after whom.
//
//   {"session_id": "a", "timestamp": 0, "input_length": 1024, "output_length": 64, "hash_ids": [0, 1]}
//   {"session_id": "a", "delay": 1500, "input_length": 1536, "output_length": 64, "hash_ids": [0, 1, 7]}
//
// All times are milliseconds. A later turn of a session has no time but a delay after the end of the turn
// before (a closed loop): it is read with has_arrival false. created_time, input_tokens, output_tokens and
// delay_ms are other spellings of the same. 512 tokens per id unless --hash-tokens says otherwise.
#include "traces/formats.h"

namespace assay {

const FormatSpec& dynamo_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "dynamo";
    format.title = "Dynamo sessions JSONL (Mooncake records with sessions and delays)";
    format.fields = {{"session_id", Field::kSession},    {"timestamp", Field::kTime},
                     {"delay", Field::kDelay},           {"input_length", Field::kInput},
                     {"output_length", Field::kOutput},  {"hash_ids", Field::kHashIds},
                     {"request_id", Field::kRequestId},  {"wait_for", Field::kWaitFor},
                     {"branches", Field::kBranches},     {"prefix_reset", Field::kPrefixReset},
                     {"tool_wait_ms", Field::kToolWait}, {"hash_id_scope", Field::kIdScope},
                     {"created_time", Field::kTime},     {"delay_ms", Field::kDelay},
                     {"input_tokens", Field::kInput},    {"output_tokens", Field::kOutput}};
    format.required = field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_unit = 6;
    format.hash_tokens = 512;
    format.ids_are_prefix_hashes = true;
    return format;
  }();
  return spec;
}

}  // namespace assay
