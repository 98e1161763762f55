// The table of trace formats, and how one is recognised. Each entry is built by its own file in formats/.
#pragma once

#include <string_view>
#include <vector>

#include "traces/record.h"

namespace assay {

[[nodiscard]] const FormatSpec& mooncake_format();
[[nodiscard]] const FormatSpec& bailian_format();
[[nodiscard]] const FormatSpec& azure_2023_format();
[[nodiscard]] const FormatSpec& azure_2024_format();
[[nodiscard]] const FormatSpec& azure_multimodal_format();
[[nodiscard]] const FormatSpec& burstgpt_format();
[[nodiscard]] const FormatSpec& burstgpt_3_format();
[[nodiscard]] const FormatSpec& vidur_format();
[[nodiscard]] const FormatSpec& dynamo_format();
[[nodiscard]] const FormatSpec& vllm_timed_format();
[[nodiscard]] const FormatSpec& native_format();

// The first line of a native trace.
[[nodiscard]] bool parse_native_header(const Line& line, TraceHeader& header, Fault& fault);

// Every format, in the order in which they are listed to users.
[[nodiscard]] const std::vector<const FormatSpec*>& trace_formats();

// By the name of --format; nullptr if there is none.
[[nodiscard]] const FormatSpec* find_trace_format(std::string_view name);

// "mooncake, azure-2023, ...", for messages.
[[nodiscard]] std::string trace_format_names();

// Looks at the first bytes of a trace (a byte order mark removed, kLinePadding bytes readable behind).
// Throws InputError when nothing fits; `name` is the file for the message. Mooncake and vLLM's timed traces
// have the same keys: the granularity that the hash ids fit decides, unless `hash_tokens` (nonzero) gives it.
[[nodiscard]] const FormatSpec& recognise_trace_format(std::string_view start, const std::string& name,
                                                       std::int32_t hash_tokens);

}  // namespace assay
