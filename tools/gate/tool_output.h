// Runs a program and keeps what it prints: cuobjdump, and this program's own bench.
#pragma once

#include <string>
#include <vector>

namespace assay::tools::gate {

struct ToolOutput {
  std::string program;
  int exit_code = -1;  // -1: it did not run, or a signal ended it
  std::string text;    // standard output
  std::string why;     // what it said on standard error (its last line), or why it did not run
  // EnvironmentError unless it ended with 0.
  [[nodiscard]] const std::string& text_or_throw() const;
};

// arguments[0] is looked up on PATH unless it holds a '/'. Waits for the end; Ctrl-C reaches the child too.
[[nodiscard]] ToolOutput tool_output(const std::vector<std::string>& arguments);

}  // namespace assay::tools::gate
