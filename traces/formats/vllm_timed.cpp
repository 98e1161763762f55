// vLLM's timed traces (vllm bench serve --dataset-name timed_trace).
//
//   {"timestamp": 0.05, "input_length": 128, "output_length": 32, "hash_ids": [1, 2, 3, 4, 5, 6, 7, 8]}
//
// The same keys as Mooncake; what a timestamp counts and how many tokens an id covers stand on vLLM's
// command line (--timed-trace-sec-multiplier, default seconds; --timed-trace-chunk-hash-size, default 16).
// Ours are --time-unit and --hash-tokens. An id stands for the tokens of its block alone.
#include "traces/formats.h"

namespace assay {

const FormatSpec& vllm_timed_format() {
  static const FormatSpec spec = [] {
    FormatSpec format = mooncake_format();
    format.name = "vllm-timed";
    format.title = "vLLM timed trace JSONL (16-token hashes, seconds)";
    format.time_unit = 9;
    format.whole_time = false;
    format.hash_tokens = 16;
    format.ids_are_prefix_hashes = false;
    return format;
  }();
  return spec;
}

}  // namespace assay
