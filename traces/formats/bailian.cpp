// Qwen-Bailian usage traces (to-C A, to-B B, coder, thinking; files named ..._blksz_16).
//
//   {"chat_id": 159, "parent_chat_id": 55, "timestamp": 61.114, "input_length": 521, "output_length": 132,
//    "type": "text", "turn": 2, "hash_ids": [1089, 1090, ...]}
//
// timestamp   seconds since the start, with a fraction
// hash_ids    one id per 16 tokens, a partial last block included. The publisher describes a hash of the
//             block alone, renumbered: so lint only warns when an id is seen behind two parents.
// parent_chat_id -1 is the first turn of a chat.
#include "traces/formats.h"

namespace assay {

const FormatSpec& bailian_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "bailian";
    format.title = "Qwen-Bailian JSONL (16-token hashes, chats and turns, seconds)";
    format.fields = {
        {"chat_id", Field::kChat},       {"parent_chat_id", Field::kParentChat}, {"timestamp", Field::kTime},
        {"input_length", Field::kInput}, {"output_length", Field::kOutput},      {"type", Field::kKind},
        {"turn", Field::kTurn},          {"hash_ids", Field::kHashIds}};
    format.required = field_bit(Field::kChat) | field_bit(Field::kTime) | field_bit(Field::kInput) |
                      field_bit(Field::kOutput);
    format.time_unit = 9;
    format.hash_tokens = 16;
    return format;
  }();
  return spec;
}

}  // namespace assay
