// The `assay` program: parses, runs one command, catches once, and turns failures into exit codes.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/version.h"

namespace assay::tools {
namespace {

// First Ctrl-C: finish the step and report what there is. Second: leave at once.
void on_interrupt(int signal) {
  if (interrupted.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

int run(int argc, char** argv) {
  CLI::App app{
      "Assay: replay the traffic you recorded, prove the kernel you changed,\n"
      "see where the memory and the SMs go."};
  app.name("assay");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(0, 1);
  app.set_help_all_flag("--help-all", "Help of every command");
  app.footer(
      "\nExit codes: 0 pass, 1 wrong result, 2 usage or bad input, 3 performance or resource regression,\n"
      "4 inconclusive, 5 no device or broken environment, 6 a mutant survived the selftest.");
  Registry registry{app, {}};
  register_all(registry);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kPass : kUsage;
  }
  if (!registry.chosen) {
    std::fputs(app.help().c_str(), stdout);
    return kUsage;
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return registry.chosen();
  } catch (const InputError& error) {
    std::fprintf(stderr, "assay: %s\n", error.what());
    return kUsage;
  } catch (const EnvironmentError& error) {
    std::fprintf(stderr, "assay: %s\n", error.what());
    return kEnvironment;
  } catch (const std::bad_alloc&) {
    std::fputs("assay: memory: expected enough for this input, got a failed allocation\n", stderr);
    return kEnvironment;
  }
}

}  // namespace
}  // namespace assay::tools

int main(int argc, char** argv) { return assay::tools::run(argc, argv); }
