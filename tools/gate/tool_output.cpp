#include "tools/gate/tool_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "model/core/check.h"

extern char** environ;

namespace assay::tools::gate {
namespace {

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n ");
  if (end == std::string::npos) return "";
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? -1 : begin));
}

// Reads both pipes until both are closed, so that a child which fills one of them never blocks.
void read_both(int out, int err, std::string& out_text, std::string& err_text) {
  std::array<pollfd, 2> ends{{{out, POLLIN, 0}, {err, POLLIN, 0}}};
  std::array<char, 65536> buffer{};
  int open = 2;
  while (open > 0) {
    if (poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      const ssize_t count = read(ends[i].fd, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        ends[i].fd = -1;
        --open;
      } else {
        (i == 0 ? out_text : err_text).append(buffer.data(), static_cast<std::size_t>(count));
      }
    }
  }
}

}  // namespace

const std::string& ToolOutput::text_or_throw() const {
  if (exit_code != 0)
    throw EnvironmentError(program, "it to run and to end with 0",
                           exit_code < 0 ? why : fmt::format("{} ({})", exit_code, why));
  return text;
}

ToolOutput tool_output(const std::vector<std::string>& arguments) {
  ASSAY_CHECK(!arguments.empty());
  ToolOutput result;
  result.program = arguments[0];
  std::array<int, 2> out{}, err{};
  if (pipe2(out.data(), O_CLOEXEC) != 0)
    throw EnvironmentError("pipe", "two descriptors", std::strerror(errno));
  if (pipe2(err.data(), O_CLOEXEC) != 0) {
    close(out[0]);
    close(out[1]);
    throw EnvironmentError("pipe", "two descriptors", std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  std::vector<std::string> copy = arguments;
  std::vector<char*> words;
  words.reserve(copy.size() + 1);
  for (std::string& word : copy) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t child = -1;
  const int error = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  if (error != 0) {
    result.why = fmt::format("{}: {}", arguments[0], std::strerror(error));
  } else {
    std::string words_of_error;
    read_both(out[0], err[0], result.text, words_of_error);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result.why =
        WIFSIGNALED(status) ? fmt::format("ended by signal {}", WTERMSIG(status)) : last_line(words_of_error);
  }
  close(out[0]);
  close(err[0]);
  return result;
}

}  // namespace assay::tools::gate
