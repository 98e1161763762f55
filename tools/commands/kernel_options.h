// What the commands that try kernels share: how --kernel becomes a worker, and the progress line.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "properties/cases/kernel_case.h"
#include "properties/engine/trial.h"
#include "properties/workers/worker_process.h"
#include "tools/commands/command.h"

namespace assay::tools {

struct KernelOptions {
  std::string kernel = "twin";
  std::vector<std::string> operations;  // empty: all that the kernel offers
  double timeout_seconds = 10;
};
void add_kernel_options(CLI::App& command, KernelOptions& options);

// How this program starts a worker for the kernel: itself, or a Python for FILE.py:FUNCTION.
// InputError when the file does not exist; the kernel itself is first looked at by the worker.
[[nodiscard]] properties::WorkerCommand worker_command(const KernelOptions& options);

// The operations to try: those asked for, or all that the kernel offers.
[[nodiscard]] std::vector<properties::Operation> operations_of(
    const KernelOptions& options, const std::vector<properties::KernelDescription>& kernels);

// One line on a terminal's stderr, rewritten a few times a second once work has taken two seconds;
// nothing in a pipe or with --quiet.
class ProgressLine {
 public:
  explicit ProgressLine(bool enabled);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  [[nodiscard]] bool due();
  void show(const std::string& text);
  void hide();  // until it is shown again
  [[nodiscard]] double seconds() const;

 private:
  std::chrono::steady_clock::time_point begin_, shown_;
  bool enabled_ = false, visible_ = false;
};

// The JSON of a case file. InputError with the path.
[[nodiscard]] nlohmann::ordered_json read_case_document(const std::string& path);

}  // namespace assay::tools
