#include "tools/commands/kernel_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "model/core/check.h"
#include "properties/kernels/registry.h"

namespace assay::tools {
namespace fs = std::filesystem;
using properties::Operation;

void add_kernel_options(CLI::App& command, KernelOptions& options) {
  command.add_option("--kernel", options.kernel, "A built-in kernel, ./my.so, my.py:function or mutant:NAME")
      ->capture_default_str();
  command.add_option("--op", options.operations, "Only these operations")->delimiter(',');
  command.add_option("--timeout", options.timeout_seconds, "Seconds until a kernel call counts as hung")
      ->capture_default_str();
}

namespace {

std::string program_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) throw EnvironmentError("/proc/self/exe", "the path of this program", error.message());
  return path.string();
}

// The Python side of the worker protocol: beside the program as installed, or in the source tree it was built from.
std::string python_door() {
  const fs::path installed =
      fs::path(program_path()).parent_path().parent_path() / "share" / "assay" / "assay_worker.py";
  for (const fs::path& path : {installed, fs::path(ASSAY_PYTHON_DOOR)})
    if (fs::exists(path)) return path.string();
  throw EnvironmentError("--kernel", "assay_worker.py in " + installed.parent_path().string(),
                         "no such file");
}

}  // namespace

properties::WorkerCommand worker_command(const KernelOptions& options) {
  if (!(options.timeout_seconds > 0))
    throw InputError("--timeout", "more than 0 seconds", fmt::format("{}", options.timeout_seconds));
  properties::WorkerCommand command;
  command.timeout_seconds = options.timeout_seconds;
  const auto must_exist = [](const std::string& file) {
    if (!fs::exists(file)) throw InputError("--kernel", "a file that exists", file);
  };
  if (properties::is_python(options.kernel)) {
    must_exist(options.kernel.substr(0, options.kernel.rfind(".py:") + 3));
    command.arguments = {"python3", python_door(), options.kernel};
    return command;
  }
  if (properties::is_plugin(options.kernel)) must_exist(options.kernel);
  command.arguments = {program_path(), "worker", options.kernel};
  return command;
}

std::vector<Operation> operations_of(const KernelOptions& options,
                                     const std::vector<properties::KernelDescription>& kernels) {
  const auto offers = [&](Operation operation) {
    for (const properties::KernelDescription& kernel : kernels)
      if (kernel.operation == static_cast<std::int32_t>(operation)) return true;
    return false;
  };
  std::vector<Operation> operations;
  for (const std::string& name : options.operations) {
    const Operation operation = properties::operation_named(name, "--op");
    if (!offers(operation)) throw InputError("--op", "an operation that " + options.kernel + " offers", name);
    operations.push_back(operation);
  }
  if (!operations.empty()) return operations;
  for (const Operation operation : properties::kOperations)
    if (offers(operation)) operations.push_back(operation);
  if (operations.empty())
    throw InputError(
        "--kernel",
        "a kernel of an operation that can be tried (paged-mqa-logits, mqa-logits, schedule-metadata)",
        options.kernel);
  return operations;
}

ProgressLine::ProgressLine(bool enabled)
    : begin_(std::chrono::steady_clock::now()),
      shown_(begin_),
      enabled_(enabled && isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() { hide(); }

void ProgressLine::hide() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
  visible_ = false;
}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

bool ProgressLine::due() {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || now - begin_ < std::chrono::seconds(2) || now - shown_ < std::chrono::milliseconds(200))
    return false;
  shown_ = now;
  return true;
}

void ProgressLine::show(const std::string& text) {
  visible_ = true;
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
}

nlohmann::ordered_json read_case_document(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw InputError(path, "a case file that can be read", "none");
  try {
    return nlohmann::ordered_json::parse(in);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path, "JSON of a case", error.what());
  }
}

}  // namespace assay::tools
