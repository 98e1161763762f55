// What `assay trace ...` does, apart from the parsing of its command line (trace.cpp). Each action prints for
// people where it is told to, fills the document of --json, and returns an exit code of command.h; kInconclusive when the user
// interrupted it: what was printed or written is about a part.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "traces/generate.h"
#include "traces/open.h"

namespace assay::tools {

// The options of every action that reads a trace.
struct TraceInput {
  std::string path;
  std::string format;
  bool skip_bad = false;
  std::int32_t hash_tokens = 0;
  std::string hash_rounding = "ceil";
  std::string time_unit;
};
[[nodiscard]] OpenOptions open_options(const TraceInput& input);

struct LintAction {
  TraceInput input;
  std::vector<std::string> paths;
  bool strict = false, no_duplicates = false;
  std::int64_t listed = 10;
};
struct DescribeAction {
  TraceInput input;
};
struct ConvertAction {
  TraceInput input;
  std::string to = "native", output = "-";
  bool drop_failed = false, sort = false;
  std::int64_t first = -1;
  std::int32_t regroup = 0;  // hash ids of another granularity; 0: as they are
};
struct GenerateAction {
  GenerateOptions generate;
  std::string to = "native", output = "-";
};
struct FetchAction {
  std::string name, directory = ".", check;
  bool print_address = false;
};

// `print`: the stream for people; nullptr for none.
[[nodiscard]] int lint_traces(const LintAction& action, std::FILE* print, nlohmann::ordered_json& document);
[[nodiscard]] int describe_trace(const DescribeAction& action, std::FILE* print,
                                 nlohmann::ordered_json& document);
[[nodiscard]] int convert_trace(const ConvertAction& action, std::FILE* print,
                                nlohmann::ordered_json& document);
[[nodiscard]] int write_generated_trace(const GenerateAction& action, std::FILE* print,
                                        nlohmann::ordered_json& document);
[[nodiscard]] int fetch_trace(const FetchAction& action, std::FILE* print, nlohmann::ordered_json& document);

// A path may hold any bytes, JSON may not: those that are no UTF-8 as \xNN.
[[nodiscard]] std::string json_safe(const std::string& text);

// "12,031"
[[nodiscard]] std::string grouped(std::int64_t value);

// Shows on a terminal's standard error how far a long read is; silent elsewhere and in the first two seconds.
class TraceProgress {
 public:
  // `path`: a file whose size is the goal; "-" or anything else has none. goal: requests, or -1.
  TraceProgress(const std::string& path, std::int64_t goal, bool enabled);
  ~TraceProgress();
  TraceProgress(const TraceProgress&) = delete;
  TraceProgress& operator=(const TraceProgress&) = delete;
  // Cheap; looks at the clock every 4096 calls. False once the user has interrupted.
  [[nodiscard]] bool tick(std::int64_t requests, std::int64_t bytes);

 private:
  void show(std::int64_t requests, std::int64_t bytes, double seconds);
  std::int64_t goal_ = -1, file_bytes_ = 0;
  std::int64_t calls_ = 0;
  double begin_s_ = 0, shown_s_ = 0;
  bool enabled_ = false, shown_ = false;
};

}  // namespace assay::tools
