// The folder of a sweep: results that survive any kill.
//
//   spec.json       what is swept; a folder with another spec is refused
//   results.jsonl   one line per finished point; a line is one write. On resume a torn last line is dropped
//   results.csv     the same in columns, written when the sweep ends
//
// finish() sorts both by point and replaces them by rename: the final bytes do not depend on the order in
// which points finished. Not safe for several threads at once: the caller holds a lock.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace assay::tools {

class ResultLog {
 public:
  // `resume`: the folder must hold a sweep of this very spec; otherwise it must hold none. EnvironmentError
  // for a folder that cannot be written or has no room for `expected_bytes`, before any work.
  ResultLog(const std::string& folder, const std::string& spec, bool resume, std::int64_t expected_bytes);
  ~ResultLog();
  ResultLog(const ResultLog&) = delete;
  ResultLog& operator=(const ResultLog&) = delete;

  // Lines by point, without their line ends: those of earlier runs and those added.
  [[nodiscard]] const std::map<std::int64_t, std::string>& lines() const { return lines_; }
  // `line`: JSON that begins {"point":N, -- without a line end.
  void add(std::int64_t point, const std::string& line);
  // Sorted results and `csv`, each by rename.
  void finish(const std::string& csv);
  // A file beside them, by rename.
  void write(const std::string& name, const std::string& text) const;

 private:
  void read();
  std::string folder_;
  std::map<std::int64_t, std::string> lines_;
  int file_ = -1;
};

}  // namespace assay::tools
