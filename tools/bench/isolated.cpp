#include "tools/bench/isolated.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "model/core/check.h"
#include "properties/workers/worker_process.h"

namespace assay::tools {
namespace {

// What a child writes: one letter, then the text; an error's three parts are separated by zeros.
constexpr char kAnswer = 'A', kInput = 'I', kEnvironment = 'E';
constexpr int kTickMilliseconds = 200;

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string packed(char kind, const Error& error) {
  return kind + error.place() + '\0' + error.expected() + '\0' + error.got();
}

[[noreturn]] void be_the_child(const std::function<std::string(KernelWatch&)>& work, KernelWatch& watch,
                               int to_parent) {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // What a kernel prints must not end up in the middle of a JSON document.
  dup2(STDERR_FILENO, STDOUT_FILENO);
  std::string text;
  try {
    text = kAnswer + work(watch);
  } catch (const InputError& error) {
    text = packed(kInput, error);
  } catch (const EnvironmentError& error) {
    text = packed(kEnvironment, error);
  } catch (const std::bad_alloc&) {
    text = packed(kEnvironment, EnvironmentError("memory", "enough for this shape", "a failed allocation"));
  }
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = write(to_parent, text.data() + at, text.size() - at);
    if (written <= 0) break;
    at += static_cast<std::size_t>(written);
  }
  _exit(0);
}

[[noreturn]] void throw_again(const std::string& text) {
  const std::size_t first = text.find('\0'), second = text.find('\0', first + 1);
  const std::string place = text.substr(1, first - 1), expected = text.substr(first + 1, second - first - 1),
                    got = text.substr(second + 1);
  if (text[0] == kInput) throw InputError(place, expected, got);
  throw EnvironmentError(place, expected, got);
}

}  // namespace

void KernelWatch::enter() { entered_ns = now_ns(); }
void KernelWatch::leave() {
  entered_ns = 0;
  ++runs;
}

ChildEnd run_in_child(const std::function<std::string(KernelWatch&)>& work, double kernel_timeout_seconds,
                      const std::function<void(KernelWatch&)>& tick) {
  void* page = mmap(nullptr, sizeof(KernelWatch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int ends[2];
  if (page == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0)
    throw EnvironmentError("bench", "a pipe and a page to share with a child process", std::strerror(errno));
  auto& watch = *new (page) KernelWatch;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw EnvironmentError("bench", "a child process", std::strerror(errno));
  if (child == 0) {
    close(ends[0]);
    be_the_child(work, watch, ends[1]);
  }
  close(ends[1]);
  ChildEnd end;
  bool late = false;
  std::string text;
  while (true) {
    pollfd readable{ends[0], POLLIN, 0};
    const int ready = poll(&readable, 1, kTickMilliseconds);
    if (ready > 0) {
      char buffer[65536];
      const ssize_t got = read(ends[0], buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    if (tick) tick(watch);
    const std::int64_t entered = watch.entered_ns;
    if (!late && entered != 0 && static_cast<double>(now_ns() - entered) > kernel_timeout_seconds * 1e9) {
      late = true;
      kill(child, SIGKILL);
    }
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  munmap(page, sizeof(KernelWatch));
  if (late) {
    char words[64];
    std::snprintf(words, sizeof words, "no answer from run() within %g s", kernel_timeout_seconds);
    return {ChildEnd::Kind::kLate, words};
  }
  if (WIFSIGNALED(status))
    return {ChildEnd::Kind::kDied, properties::signal_name(WTERMSIG(status)) + " while it was timed"};
  if (text.empty())
    return {ChildEnd::Kind::kDied,
            "the kernel ended its process, exit(" + std::to_string(WEXITSTATUS(status)) + ")"};
  if (text[0] != kAnswer) throw_again(text);
  return {ChildEnd::Kind::kAnswered, text.substr(1)};
}

}  // namespace assay::tools
