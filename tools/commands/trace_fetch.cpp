// assay trace fetch: the public traces, where they are, and one of them on request.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "traces/public_traces.h"
#include "traces/sha256.h"

extern char** environ;

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const PublicTrace& trace) {
  return {{"name", trace.name},
          {"format", trace.format},
          {"what", trace.what},
          {"repository", trace.repository},
          {"path", trace.path},
          {"licence", trace.licence},
          {"sha256", trace.sha256},
          {"bytes", trace.bytes},
          {"address", download_address(trace)}};
}

void print_table(std::FILE* out) {
  for (const PublicTrace& trace : public_traces()) {
    fmt::print(out, "{:<26} {}\n", trace.name, trace.what);
    fmt::print(out, "    {} on GitHub{}{}, {}, read as {}\n", trace.repository,
               trace.path.empty() ? ", linked from its README" : ": ", trace.path, trace.licence,
               trace.format);
    if (!trace.sha256.empty()) fmt::print(out, "    sha256 {}\n", trace.sha256);
  }
  fmt::print(out, "\nassay trace fetch NAME downloads one and checks its digest; none is part of Assay.\n");
}

// curl to `part`; its exit status, or -1 when there is no curl.
int run_curl(const std::string& address, const std::string& part) {
  std::vector<std::string> words = {"curl",     "--fail",       "--location", "--proto", "=https",
                                    "--silent", "--show-error", "--output",   part,      address};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawnp(&child, "curl", nullptr, nullptr, arguments.data(), environ) != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  if (!WIFEXITED(status)) return 1;
  return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

int check_file(const FetchAction& action, std::FILE* print, Json& document) {
  const std::string digest = sha256_of_file(action.check);
  const PublicTrace* known = find_public_trace_by_digest(digest);
  document["file"] = json_safe(action.check);
  document["sha256"] = digest;
  document["known_as"] = known == nullptr ? Json(nullptr) : Json(known->name);
  if (print != nullptr)
    fmt::print(print, "{}  {}\n{}\n", digest, action.check,
               known == nullptr ? "no public trace with this digest is known to us"
                                : fmt::format("this is {}, byte for byte", known->name));
  if (!action.name.empty()) {
    const PublicTrace* wanted = find_public_trace(action.name);
    if (wanted == nullptr) throw InputError("NAME", "a trace that `assay trace fetch` lists", action.name);
    if (wanted->sha256.empty()) throw InputError(action.name, "a trace whose digest is known", "one without");
    return wanted->sha256 == digest ? kPass : kWrongResult;
  }
  return kPass;
}

}  // namespace

int fetch_trace(const FetchAction& action, std::FILE* print, Json& document) {
  document["schema"] = "assay.trace.fetch/1";
  if (!action.check.empty()) return check_file(action, print, document);
  if (action.name.empty()) {
    auto& traces = document["traces"] = Json::array();
    for (const PublicTrace& trace : public_traces()) traces.push_back(json_of(trace));
    if (print != nullptr) print_table(print);
    return kPass;
  }
  const PublicTrace* trace = find_public_trace(action.name);
  if (trace == nullptr) throw InputError("NAME", "a trace that `assay trace fetch` lists", action.name);
  document["trace"] = json_of(*trace);
  const std::string address = download_address(*trace);
  if (address.empty())
    throw EnvironmentError(action.name, "a fixed address",
                           "one that only the README of " + std::string(trace->repository) +
                               " on GitHub gives; download it from there, then: assay trace describe FILE");
  if (action.print_address) {
    if (print != nullptr) fmt::print(print, "{}\n", address);
    return kPass;
  }
  const std::filesystem::path directory(action.directory);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string file = (directory / std::filesystem::path(std::string(trace->path)).filename()).string();
  const std::string part = file + ".part";
  const std::string by_hand = "by hand: " + address + " -> " + file + ", then: assay trace fetch " +
                              std::string(trace->name) + " --check " + file;
  if (print != nullptr) fmt::print(print, "{} -> {}\n", address, file);
  const int status = run_curl(address, part);
  if (status != 0) {
    std::filesystem::remove(part, error);
    throw EnvironmentError(action.name, "a download with curl",
                           (status < 0 ? "no curl on this machine; "
                                       : fmt::format("curl's exit status {} (offline?); ", status)) +
                               by_hand);
  }
  const std::string digest = sha256_of_file(part);
  document["file"] = json_safe(file);
  document["sha256"] = digest;
  if (!trace->sha256.empty() && digest != trace->sha256) {
    std::filesystem::remove(part, error);
    throw EnvironmentError(file, "sha256 " + std::string(trace->sha256),
                           digest + "; the file was removed (its publisher may have changed it)");
  }
  std::filesystem::rename(part, file, error);
  if (error) throw EnvironmentError(file, "a file that can be written", error.message());
  if (print != nullptr)
    fmt::print(print, "{}  {}\nlicence: {}\n", digest,
               trace->sha256.empty() ? "(no digest known to compare with)" : "as expected", trace->licence);
  return kPass;
}

}  // namespace assay::tools
