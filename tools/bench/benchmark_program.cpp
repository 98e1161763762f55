#include "tools/bench/benchmark_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/core/check.h"

extern char** environ;  // POSIX: no header declares it

namespace assay::tools {
namespace {

// What the program writes to standard output. It runs in a process group of its own: Ctrl-C is ours to hear.
std::string output_of(const std::string& program, std::vector<std::string> words) {
  words.insert(words.begin(), program);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw EnvironmentError(program, "a pipe", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t process = -1;
  const int error = posix_spawn(&process, program.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    throw InputError(program, "a program that can be run", std::strerror(error));
  }
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t got = read(ends[0], buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw InputError(program, "a benchmark program that ends with 0",
                     WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                       : "signal " + std::to_string(WTERMSIG(status)));
  return text;
}

// A regular expression (POSIX extended and ECMAScript alike) that matches this name and no other.
std::string exactly(const std::string& name) {
  std::string pattern = "^";
  for (const char c : name) {
    if (std::strchr(".[]{}()*+?^$|\\", c) != nullptr) pattern += '\\';
    pattern += c;
  }
  return pattern + "$";
}

double seconds_per(const std::string& unit, const std::string& place) {
  if (unit == "ns") return 1e-9;
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s") return 1;
  throw InputError(place, "a time unit of ns, us, ms or s", unit);
}

}  // namespace

std::vector<std::string> benchmarks_of(const std::string& program, const std::string& filter) {
  std::istringstream lines(output_of(
      program, {"--benchmark_list_tests=true", "--benchmark_filter=" + (filter.empty() ? "." : filter)}));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) names.push_back(line);
  return names;
}

BenchmarkTime run_benchmark(const std::string& program, const std::string& name, double least_seconds) {
  const std::string place = program + ", " + name;
  const nlohmann::json document = nlohmann::json::parse(
      output_of(program, {"--benchmark_filter=" + exactly(name), "--benchmark_format=json",
                          "--benchmark_min_time=" + std::to_string(least_seconds)}),
      nullptr, false);
  if (!document.is_object() || !document.contains("benchmarks") || !document["benchmarks"].is_array())
    throw InputError(place, "Google Benchmark's JSON", "something else");
  for (const nlohmann::json& run : document["benchmarks"]) {
    if (run.value("name", "") != name) continue;
    if (run.value("error_occurred", false))
      throw InputError(place, "a benchmark that runs", run.value("error_message", "an error"));
    const double unit = seconds_per(run.value("time_unit", "ns"), place);
    const BenchmarkTime time{run.value("real_time", 0.0) * unit, run.value("cpu_time", 0.0) * unit,
                             run.value("bytes_per_second", 0.0)};
    if (time.wall_seconds > 0 && time.cpu_seconds > 0) return time;
  }
  throw InputError(place, "a time of this benchmark", "none");
}

}  // namespace assay::tools
