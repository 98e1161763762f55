// Mooncake, both releases: the arXiv trace (mooncake_trace.jsonl) and the FAST'25 traces (conversation,
// toolagent, synthetic).
//
//   {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48, ...]}
//
// timestamp     milliseconds since the start of the trace; many requests share one, their order is the file's
// hash_ids      one id per 512 tokens, also for a partial last block: ceil(input_length / 512). An id stands
//               for its block and everything before it, renumbered in order of appearance, so ids of two
//               files have nothing to do with each other.
// Some writers leave hash_ids out; such a request shares nothing.
#include "traces/formats.h"

namespace assay {

const FormatSpec& mooncake_format() {
  static const FormatSpec spec = [] {
    FormatSpec format;
    format.name = "mooncake";
    format.title = "Mooncake JSONL, arXiv and FAST'25 (512-token prefix hashes, milliseconds)";
    format.shape = Shape::kJsonl;
    format.fields = {{"timestamp", Field::kTime},
                     {"input_length", Field::kInput},
                     {"output_length", Field::kOutput},
                     {"hash_ids", Field::kHashIds},
                     {"hash_id_scope", Field::kIdScope}};
    format.required = field_bit(Field::kTime) | field_bit(Field::kInput) | field_bit(Field::kOutput);
    format.time_unit = 6;
    format.whole_time = true;
    format.hash_tokens = 512;
    format.ids_are_prefix_hashes = true;
    return format;
  }();
  return spec;
}

}  // namespace assay
