// The main sample (traces/samples/sample.jsonl, Mooncake format), compiled in: something to replay where no
// file is given.
#pragma once

#include <string_view>

namespace assay {

// Its name for messages and reports.
inline constexpr std::string_view kSampleTraceName = "built-in sample.jsonl";

// The bytes of the file. open_trace_in_memory(std::string(sample_trace()), ...) reads them.
[[nodiscard]] std::string_view sample_trace();

}  // namespace assay
