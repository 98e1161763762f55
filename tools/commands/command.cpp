#include "tools/commands/command.h"

#include <cstdio>
#include <fstream>
#include <iostream>

#include "model/core/check.h"

namespace assay::tools {

std::atomic<bool> interrupted{false};

void add_common_options(CLI::App& command, CommonOptions& options) {
  command
      .add_option("--json", options.json_path, "Write the result as JSON to FILE ('-' is standard output)")
      ->type_name("FILE");
  command.add_option("--seed", options.seed, "Seed of everything random")->capture_default_str();
  command.add_flag("--quiet", options.quiet, "Print errors only");
}

void write_json(const CommonOptions& options, const nlohmann::ordered_json& document) {
  if (options.json_path.empty()) return;
  const std::string text = document.dump(2) + "\n";
  if (options.json_path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  write_text(options.json_path, "--json", text);
}

void write_text(const std::string& path, const std::string& option, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw EnvironmentError(option + " " + path, "a file that can be written", "a failed write");
}

}  // namespace assay::tools
