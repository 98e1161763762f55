// What every trace format is read into: one request, in file order.
//
// Token identity (contracts, section 6): with hash_ids of granularity g, prompt token j of a request is
// (hash_ids[j / g], j mod g), also in a partial last block. Two requests share a prefix as far as
// their identities agree. Without hash_ids a request shares nothing with anybody.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

struct Request {
  std::int64_t arrival_ns = 0;         // relative to the trace's own origin; may be equal, may go backwards
  bool has_arrival = true;             // some formats carry no time
  std::int64_t input_tokens = 0;       // prompt length
  std::int64_t output_tokens = 0;      // generated tokens the trace recorded
  std::vector<std::int64_t> hash_ids;  // [ceil(input_tokens / hash_tokens)] or empty
  std::int64_t line = 0;               // 1-based line of the file it came from
  // What only some formats carry; empty or -1 when absent. Kept by the native format.
  std::string session;
  std::string kind;
  std::string model;
  std::int64_t chat = -1, parent_chat = -1, turn = -1;
  std::int64_t images = -1;           // images in the prompt
  std::int64_t elapsed_ns = -1;       // measured duration of the request
  std::int64_t delay_ns = -1;         // closed loop: wait after the previous turn of the session ended
  std::int64_t tool_wait_ns = -1;     // closed loop: part of the wait spent in a tool
  std::string request_id;             // the trace's own name of the request
  std::vector<std::string> wait_for;  // request_ids that must end first
  std::vector<std::string> branches;  // names of the branches this request opens
  std::int8_t prefix_reset = -1;      // 0, 1: the session starts a new prefix here

  // Without a time of its own (has_arrival false) arrival_ns repeats the last time the file gave.
};

// What a trace says once, about all its requests.
struct TraceHeader {
  std::string format;            // as named on the command line
  std::int32_t hash_tokens = 0;  // granularity g of hash_ids; 0 = the format has none
  std::int64_t origin_ns = 0;    // add to arrival_ns for the file's own clock (for dates: since 1970, UTC);
                                 // known once the first request was read
  std::string source;            // the native format: what the trace was converted from
  bool prefix_ids = true;        // an id stands for its block and all before it (else for its block alone)
};

// A source of requests. Memory does not grow with the length of the trace.
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  [[nodiscard]] virtual const TraceHeader& header() const = 0;
  // Reads the next request into `request` (its vectors are reused); false at the end. Throws
  // InputError with file:line:column for a malformed record.
  [[nodiscard]] virtual bool next(Request& request) = 0;
};

}  // namespace assay
