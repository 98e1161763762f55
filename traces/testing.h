// For the tests of this room: a trace read whole, and requests compared field by field.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "traces/open.h"

namespace assay {

struct ReadTrace {
  TraceHeader header;
  std::vector<Request> requests;
  std::int64_t bad = 0;
};

inline ReadTrace read_whole(TraceReader& trace) {
  ReadTrace out;
  Request request;
  while (trace.next(request)) out.requests.push_back(request);
  out.header = trace.header();
  out.bad = trace.bad_count();
  return out;
}

inline ReadTrace read_text(std::string text, const OpenOptions& options = {}) {
  return read_whole(*open_trace_in_memory(std::move(text), "t", options));
}

// The place of the InputError that reading `text` ends in; "" when it does not.
inline std::string place_of_fault(std::string text, const OpenOptions& options = {}) {
  try {
    (void)read_text(std::move(text), options);
  } catch (const InputError& error) {
    return error.place();
  }
  return "";
}

inline std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string sample_path(const std::string& name) {
  return std::string(ASSAY_SOURCE_DIR) + "/traces/samples/" + name;
}

// A folder of recorded traces, "" when the tester has none (then those tests skip).
inline std::string recorded_path(const char* file) {
  const char* directory = std::getenv("ASSAY_TRACES");
  return directory == nullptr ? "" : std::string(directory) + "/" + file;
}

// Names the first field in which two requests differ; "" when none does. Line numbers are not compared.
inline std::string difference(const Request& a, const Request& b) {
  if (a.has_arrival != b.has_arrival) return "has_arrival";
  if (a.arrival_ns != b.arrival_ns) return "arrival_ns";
  if (a.input_tokens != b.input_tokens) return "input_tokens";
  if (a.output_tokens != b.output_tokens) return "output_tokens";
  if (a.hash_ids != b.hash_ids) return "hash_ids";
  if (a.session != b.session) return "session";
  if (a.kind != b.kind) return "kind";
  if (a.model != b.model) return "model";
  if (a.chat != b.chat) return "chat";
  if (a.parent_chat != b.parent_chat) return "parent_chat";
  if (a.turn != b.turn) return "turn";
  if (a.images != b.images) return "images";
  if (a.elapsed_ns != b.elapsed_ns) return "elapsed_ns";
  if (a.delay_ns != b.delay_ns) return "delay_ns";
  if (a.tool_wait_ns != b.tool_wait_ns) return "tool_wait_ns";
  if (a.request_id != b.request_id) return "request_id";
  if (a.wait_for != b.wait_for) return "wait_for";
  if (a.branches != b.branches) return "branches";
  if (a.prefix_reset != b.prefix_reset) return "prefix_reset";
  return "";
}

}  // namespace assay
