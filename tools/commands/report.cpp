// assay report: one HTML page from the JSON of saved runs.
#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/report/html.h"

namespace assay::tools {
namespace {

struct Options {
  std::vector<std::string> paths;
  std::string out = "report.html";
  bool quiet = false;
};

nlohmann::ordered_json read_json(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError(path, "a JSON file that can be opened", "none");
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(in, nullptr, false);
  if (document.is_discarded()) throw InputError(path, "JSON", "text that is not");
  return document;
}

int run(const Options& options) {
  std::vector<nlohmann::ordered_json> runs;
  for (const std::string& path : options.paths) runs.push_back(read_json(path));
  std::string html;
  try {
    html = html_report(runs);
  } catch (const nlohmann::json::exception& error) {
    throw InputError("report", "a complete document of its schema", error.what());
  }
  write_text(options.out, "--out", html);
  if (!options.quiet) fmt::print("{}: {} runs, {} bytes\n", options.out, runs.size(), html.size());
  return kPass;
}

}  // namespace

void register_report(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      registry.app.add_subcommand("report", "One HTML page from saved runs; two stand side by side");
  command->add_option("runs", options->paths, "JSON files of assay replay or assay schedule")->required();
  command->add_option("--out", options->out, "The page to write")->type_name("FILE")->capture_default_str();
  command->add_flag("--quiet", options->quiet, "Print errors only");
  command->footer(
      "\nExample:\n  assay replay --quiet --json run.json && assay report run.json --out report.html");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
