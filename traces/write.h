// Writes requests in any of the formats, from the same tables that read them, and keeps account of what the
// format could not hold: conversion loses nothing unseen.
//
//   TraceWriter writer(format, source header);
//   writer.write(request, text);      // appends; the first call also writes the header
//
// Numbers are written exactly: a time on the clock of the format, with as many decimals as it needs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/record.h"
#include "traces/request.h"

namespace assay {

// One kind of thing that did not survive, and in how many requests.
struct Loss {
  std::string what;
  std::int64_t requests = 0;
};

class TraceWriter {
 public:
  // `source` must outlive the writer; its origin_ns is read at the first write().
  TraceWriter(const FormatSpec& format, const TraceHeader& source) : format_(format), source_(source) {}

  void write(const Request& request, std::string& out);
  // For a trace without requests: the header alone.
  void finish(std::string& out);

  // What was lost so far, in a fixed order; empty when the output says all that the source said.
  [[nodiscard]] std::vector<Loss> losses() const;
  // Ids are written as they are; a reader must be told their granularity when the format's own differs.
  [[nodiscard]] bool needs_hash_tokens() const;

 private:
  void begin(std::string& out);
  void write_json(const Request& request, std::string& out);
  void write_csv(const Request& request, std::string& out);
  void count_losses(const Request& request);
  void write_time(std::int64_t arrival_ns, std::string& out);

  const FormatSpec& format_;
  const TraceHeader& source_;
  bool begun_ = false;
  std::uint32_t held_ = 0;  // field_bit()s the format has
  std::array<std::int64_t, kFieldCount> lost_{};
  std::int64_t invented_time_ = 0, cut_time_ = 0, cut_text_ = 0, written_ids_ = 0;
};

// Appends ns / 10^unit as the shortest exact decimal: 52 with unit 6 of 52000000.
void append_scaled(std::int64_t ns, std::int32_t unit, std::string& out);

// Appends `text` as a JSON string / as a CSV cell, quoted when it must be. A line break cannot stay in a
// cell: it becomes a space and the result is false.
void append_json_string(std::string_view text, std::string& out);
[[nodiscard]] bool append_csv_cell(std::string_view text, std::string& out);

}  // namespace assay
