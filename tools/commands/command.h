// What every command of the program shares: the options all of them take, the exit codes, and where
// its JSON goes. A command is one file: it registers itself with the parser and returns an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace assay::tools {

// Exit codes. When several apply: 6 > 5 > 1 > 3 > 4.
enum ExitCode : int {
  kPass = 0,
  kWrongResult = 1,
  kUsage = 2,       // also bad input
  kRegression = 3,  // performance or resources
  kInconclusive = 4,
  kEnvironment = 5,  // no device, broken environment
  kMutantSurvived = 6,
};

// Options that every command takes.
struct CommonOptions {
  std::string json_path;  // "" = none, "-" = standard output
  std::uint64_t seed = 1;
  bool quiet = false;
};

// Set by Ctrl-C. Long work looks at it and ends with a complete partial result.
extern std::atomic<bool> interrupted;

// A command's run function returns an ExitCode and throws assay::Error for wrong input or world.
using Run = std::function<int()>;

// The commands register here; main() runs the one that was chosen.
struct Registry {
  CLI::App& app;
  Run chosen;  // set by the subcommand's callback
};

// Adds --json, --seed, --quiet. `options` must outlive the parser.
void add_common_options(CLI::App& command, CommonOptions& options);

// Writes `document` to the path of --json ("-" is standard output); a failed write is an
// EnvironmentError, never a silent one.
void write_json(const CommonOptions& options, const nlohmann::ordered_json& document);

// Writes a text file; a failed write is an EnvironmentError that names the option.
void write_text(const std::string& path, const std::string& option, const std::string& text);

// The command table (register.cpp). Each file in tools/commands/ offers one register_NAME(Registry&).
void register_all(Registry& registry);

}  // namespace assay::tools
