// Looks for what makes a trace lie, line by line, in one pass.
//
//   errors    the trace cannot be replayed as it stands: a malformed line, a missing time or field, a wrong
//             column count, ceil/floor disagreement of length and hash ids, a number that overflows, a prefix
//             hash with two parents
//   warnings  it replays, but perhaps not what was meant: time that goes backwards, requests that failed (no
//             output) or have no prompt, duplicated lines, a total that is not the sum, ids local to a trace,
//             a content hash behind two parents, requests without ids among others with
//   notes     how the file is written: byte order mark, CR LF, unterminated last line, blank lines, columns
//             that are not kept, times finer than nanoseconds
//
// Every finding has line and column. Memory: about 24 bytes per distinct id and 24 per line (duplicates are
// found by 64-bit hash; the chance of a false one in 30 million lines is below 1 in 40,000).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/core/check.h"
#include "traces/id_table.h"
#include "traces/open.h"

namespace assay {

enum class Severity : std::uint8_t { kNote, kWarning, kError };

struct Finding {
  Severity severity = Severity::kNote;
  std::string_view code;
  std::string file;
  std::int64_t line = 0, column = 0;
  std::string message;
};

struct LintOptions {
  std::size_t listed_per_code = 10;  // all are counted
  bool duplicates = true;
  // Called after every request with the requests and bytes so far; false ends the run early.
  std::function<bool(std::int64_t, std::int64_t)> go_on;
};

class Linter {
 public:
  explicit Linter(const LintOptions& options) : options_(options) {}

  // Reads the whole trace. Several traces may be linted in a row: ids that occur in two of them are
  // findings, for ids are local to a trace. Never throws for what is in the file.
  void run(const std::string& path, const OpenOptions& open);
  void run_in_memory(std::string bytes, const std::string& name, const OpenOptions& open);

  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
  [[nodiscard]] std::int64_t count(std::string_view code) const;
  [[nodiscard]] std::int64_t count(Severity severity) const { return totals_[static_cast<int>(severity)]; }
  [[nodiscard]] const std::map<std::string, std::int64_t>& counts() const { return counts_; }
  [[nodiscard]] std::int64_t requests() const { return requests_; }
  [[nodiscard]] bool complete() const { return complete_; }  // go_on never said no
  [[nodiscard]] const std::vector<std::string>& formats() const { return formats_; }

 private:
  struct Parent {
    std::int64_t id = 0;
    std::int32_t line = 0, file = 0;  // line 0: not stored
    [[nodiscard]] bool used() const { return line != 0; }
  };
  struct Seen {
    std::int64_t line = 0;
    [[nodiscard]] bool used() const { return line != 0; }
  };
  void lint(TraceReader& trace);
  void add_unreadable(const InputError& error);
  void check_file(TraceReader& trace);
  void check_request(TraceReader& trace, const Request& request);
  void check_ids(TraceReader& trace, const Request& request);
  void check_duplicate(const Line& line);
  void add(Severity severity, std::string_view code, std::int64_t line, std::int64_t column,
           std::string message);

  LintOptions options_;
  std::vector<Finding> findings_;
  std::map<std::string, std::int64_t> counts_;
  std::int64_t totals_[3] = {};
  std::int64_t requests_ = 0;
  bool complete_ = true;
  std::vector<std::string> formats_;

  std::string file_;
  std::int32_t file_index_ = 0;
  std::int64_t previous_ns_ = 0, restart_line_ = 0, restart_column_ = 0;
  bool any_time_ = false, any_ids_ = false, no_ids_reported_ = false;
  std::int64_t crlf_lines_ = 0, lf_lines_ = 0, first_crlf_ = 0, shared_ids_ = 0;
  IdTable<Parent> parents_;
  IdTable<Seen> lines_seen_;
};

[[nodiscard]] std::string_view severity_name(Severity severity);

}  // namespace assay
