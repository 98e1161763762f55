// Opens a trace: finds out its compression and format, and reads it request by request.
//
//   auto trace = open_trace("conversation.jsonl.gz", {});
//   Request request;
//   while (trace->next(request)) ...
//
// Memory is one line buffer (and a decompressor's window), whatever the length of the file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "traces/fault.h"
#include "traces/record.h"
#include "traces/request.h"

namespace assay {

// How many hash ids a prompt of n tokens has at granularity g: ceil(n / g), with the last id standing for
// a partial block (every trace we know), or floor(n / g): then the reader adds an id of its own for the
// tail, -line - 1, which nobody shares.
enum class HashRounding : std::uint8_t { kCeil, kFloor };

// A line that was skipped under skip_bad.
struct BadLine {
  std::int64_t line = 0;
  Fault fault;
};

struct OpenOptions {
  std::string format;            // "" = recognise it
  bool skip_bad = false;         // count and list malformed lines instead of throwing at the first
  std::int32_t hash_tokens = 0;  // granularity of hash_ids; 0 = the format's own
  HashRounding hash_rounding = HashRounding::kCeil;
  std::int32_t time_unit = -1;         // numbers as times count 10^time_unit ns; -1 = the format's own
  std::size_t listed_bad_lines = 100;  // how many skipped lines are kept; all are counted
  std::function<void(const BadLine&)> on_bad;  // called for every skipped line, if set
};

// What next() gives beyond a plain source of requests.
class TraceReader : public RequestSource {
 public:
  [[nodiscard]] virtual const FormatSpec& format() const = 0;
  [[nodiscard]] virtual std::int64_t bad_count() const = 0;
  [[nodiscard]] virtual const std::vector<BadLine>& bad_lines() const = 0;  // the first listed_bad_lines
  [[nodiscard]] virtual std::int64_t blank_lines() const = 0;
  [[nodiscard]] virtual std::int64_t first_blank_line() const = 0;  // 0: none
  [[nodiscard]] virtual std::int64_t header_line() const = 0;       // where the header was; 0: none
  [[nodiscard]] virtual std::int64_t bytes_read() const = 0;        // decoded
  [[nodiscard]] virtual const char* compression() const = 0;
  // About the request that next() gave last; pointers into the line buffer.
  [[nodiscard]] virtual const Line& line() const = 0;
  [[nodiscard]] virtual const RecordFacts& facts() const = 0;
  [[nodiscard]] virtual bool had_byte_order_mark() const = 0;
  [[nodiscard]] virtual const std::vector<std::string>& unknown_columns() const = 0;
};

// path "-" is standard input. InputError for a path that cannot be opened, a format that is not known or
// not recognised, and (from next() too) a malformed line.
[[nodiscard]] std::unique_ptr<TraceReader> open_trace(const std::string& path,
                                                      const OpenOptions& options = {});

// The same from bytes in memory; `name` stands for the path in messages.
[[nodiscard]] std::unique_ptr<TraceReader> open_trace_in_memory(std::string bytes, const std::string& name,
                                                                const OpenOptions& options = {});

}  // namespace assay
