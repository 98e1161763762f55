#include "properties/workers/worker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "model/core/check.h"

extern char** environ;

namespace assay::properties {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLastWords = 600;  // bytes of a dead worker's stderr that are shown

[[noreturn]] void no_process(const char* what) {
  throw EnvironmentError("worker process", what, std::strerror(errno));
}

// Descriptors that are handed to a child must not lie where the child's own will be.
int lifted(int descriptor) {
  const int high = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
  if (high < 0) no_process("a free file descriptor");
  close(descriptor);
  return high;
}

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) no_process("a pipe");
    read = lifted(ends[0]);
    write = lifted(ends[1]);
  }
};

void close_if_open(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

json place_json(const Place& place) {
  return {{"file", place.file}, {"pages", place.pages}, {"data", place.data}};
}

json tensor_json(const Operand& operand, const Place& place) {
  json tensor = place_json(place);
  tensor["name"] = operand.name;
  tensor["role"] = operand.is_output ? "output" : "input";
  tensor["code"] = operand.type.code;
  tensor["bits"] = operand.type.bits;
  tensor["shape"] = operand.shape;
  tensor["strides"] = operand.strides;
  tensor["bytes"] = operand.span_bytes;
  json& islands = tensor["islands"] = json::array();
  for (const ByteRange& island : operand.islands) islands.push_back({island.begin, island.end});
  return tensor;
}

const char* phase_word(std::uint32_t phase) {
  switch (phase) {
    case kLoading: return "workspace()";
    case kPlanning: return "plan()";
    case kRunning: return "run()";
    default: return "its start";
  }
}

}  // namespace

std::string signal_name(int signal) {
  switch (signal) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGILL: return "SIGILL";
    case SIGFPE: return "SIGFPE";
    case SIGABRT: return "SIGABRT";
    case SIGKILL: return "SIGKILL";
    default: return fmt::format("signal {}", signal);
  }
}

WorkerProcess::WorkerProcess(WorkerCommand command) : command_(std::move(command)) {
  ASSAY_CHECK(!command_.arguments.empty());
}

WorkerProcess::~WorkerProcess() { kill(); }

void WorkerProcess::kill() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  process_ = -1;
  close_if_open(to_worker_);
  close_if_open(from_worker_);
  close_if_open(words_);
  buffer_.clear();
}

void WorkerProcess::start() {
  Pipe commands, replies;
  words_ = lifted(memfd_create("assay-worker-words", MFD_CLOEXEC));
  const int memory = fcntl(tensors_.descriptor(), F_DUPFD_CLOEXEC, 10);
  tensors_.control() = {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, words_, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, words_, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, commands.read, kCommandDescriptor);
  posix_spawn_file_actions_adddup2(&actions, replies.write, kReplyDescriptor);
  posix_spawn_file_actions_adddup2(&actions, memory, kMemoryDescriptor);
  std::vector<char*> arguments;
  for (std::string& argument : command_.arguments) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const int error = posix_spawnp(&process_, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(commands.read);
  close(replies.write);
  close(memory);
  to_worker_ = commands.write;
  from_worker_ = replies.read;
  if (error != 0) {
    process_ = -1;
    errno = error;
    no_process(("a program to start: " + command_.arguments[0]).c_str());
  }
  std::string line;
  if (read_line(line, command_.start_seconds) != Line::kComplete) {
    const std::string words = last_words();
    kill();
    throw InputError("--kernel", "a worker that starts",
                     words.empty() ? "one that ended without a word" : words);
  }
  try {
    const json hello = json::parse(line);
    if (hello.contains("error")) {
      const std::string text = hello.at("error").get<std::string>();
      kill();
      throw InputError("--kernel", "a kernel that can be loaded", text);
    }
    if (hello.at("schema") != kWorkerSchema)
      throw InputError("--kernel", kWorkerSchema, hello.at("schema").get<std::string>());
    kernels_.clear();
    for (const json& kernel : hello.at("kernels"))
      kernels_.push_back({kernel.at("name").get<std::string>(), kernel.at("op").get<std::int32_t>(),
                          kernel.at("claims").get<std::string>(), kernel.at("device").get<std::int32_t>(),
                          kernel.at("plan").get<bool>()});
  } catch (const json::exception& problem) {
    kill();
    throw InputError("--kernel", "a worker that speaks " + std::string(kWorkerSchema), problem.what());
  }
}

const std::vector<KernelDescription>& WorkerProcess::kernels() {
  if (process_ < 0 && kernels_.empty()) start();
  return kernels_;
}

const KernelDescription* WorkerProcess::find(Operation operation) {
  for (const KernelDescription& kernel : kernels())
    if (kernel.operation == static_cast<std::int32_t>(operation)) return &kernel;
  return nullptr;
}

WorkerProcess::Line WorkerProcess::read_line(std::string& line, double seconds) {
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  char chunk[1 << 12];
  while (true) {
    const std::size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return Line::kComplete;
    }
    // A stranger may write without end and without a newline.
    if (buffer_.size() > (std::size_t{1} << 22)) return Line::kEnd;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{from_worker_, POLLIN, 0};
    const int ready =
        left <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(std::min<long long>(left + 1, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Line::kLate;
    const ssize_t count = read(from_worker_, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Line::kEnd;
    buffer_.append(chunk, static_cast<std::size_t>(count));
  }
}

std::string WorkerProcess::last_words() const {
  const off_t size = lseek(words_, 0, SEEK_END);
  if (size <= 0) return {};
  std::string text(std::min<std::size_t>(static_cast<std::size_t>(size), kLastWords), '\0');
  const ssize_t count = pread(words_, text.data(), text.size(), size - static_cast<off_t>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// The process is gone, or shall be: says how, and leaves no process.
Reply WorkerProcess::lost(bool late) {
  Reply reply;
  reply.kind = late ? ReplyKind::kTimeout : ReplyKind::kDied;
  const ControlPage control = tensors_.control();
  reply.phase = control.phase;
  int status = 0;
  pid_t ended = 0;
  // A worker that closed its pipe without ending gets a moment, then the axe.
  for (int i = 0; !late && ended == 0 && i < 200; ++i) {
    ended = waitpid(process_, &status, WNOHANG);
    if (ended == 0) usleep(1000);
  }
  if (late) {
    reply.text =
        fmt::format("no answer from {} within {:.3g} s", phase_word(control.phase), command_.timeout_seconds);
  } else if (ended == 0) {
    reply.text = fmt::format("the worker closed its pipe in {}", phase_word(control.phase));
  } else if (WIFSIGNALED(status)) {
    reply.fault = {static_cast<int>(control.fault_signal),
                   control.fault_is_write != 0,
                   control.fault_tensor,
                   control.fault_offset,
                   control.fault_address,
                   control.fault_in_stack != 0};
    if (reply.fault.signal == 0)
      reply.fault.tensor = -1;
    else
      reply.witness = control.witness;
    reply.text = fmt::format("{} in {}", signal_name(WTERMSIG(status)), phase_word(control.phase));
  } else {
    reply.left_by_itself = WEXITSTATUS(status) == 0;
    reply.text = fmt::format("exit({}) in {}", WEXITSTATUS(status), phase_word(control.phase));
  }
  if (const std::string words = last_words(); !words.empty()) reply.text += ": " + words;
  if (ended == process_) process_ = -1;
  ++deaths_;
  kill();
  return reply;
}

Reply WorkerProcess::ask(const std::string& line, double seconds) {
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t count = write(to_worker_, line.data() + sent, line.size() - sent);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return lost(false);
    sent += static_cast<std::size_t>(count);
  }
  std::string answer;
  const Line got = read_line(answer, seconds);
  if (got != Line::kComplete) return lost(got == Line::kLate);
  Reply reply;
  try {
    const json message = json::parse(answer);
    if (message.at("id").get<std::int64_t>() != sequence_)
      throw InputError("reply.id", "the command's", "another");
    const std::string status = message.at("status").get<std::string>();
    if (status == "no-device") {
      const std::string text = message.value("text", std::string());
      kill();
      throw EnvironmentError("--kernel", "a device to run it on", text);
    }
    if (status == "fault") {
      ++deaths_;
      kill();
      reply.kind = ReplyKind::kDied;
      reply.phase = kRunning;
      reply.device_fault = true;
      reply.text = message.value("text", std::string());
      return reply;
    }
    reply.kind = status == "ok"            ? ReplyKind::kOk
                 : status == "unsupported" ? ReplyKind::kUnsupported
                                           : ReplyKind::kFailed;
    reply.text = message.value("text", std::string());
    reply.workspace_bytes = message.value("workspace_bytes", std::int64_t{0});
    reply.witness = message.value("witness", std::int64_t{0});
    reply.plan_seconds = message.value("plan_seconds", 0.0);
    reply.run_seconds = message.value("run_seconds", 0.0);
    if (const auto touched = message.find("touched"); touched != message.end()) {
      reply.touched_tensor = touched->at("tensor").get<std::int64_t>();
      reply.touched_offset = touched->at("offset").get<std::int64_t>();
    }
  } catch (const EnvironmentError&) {
    throw;
  } catch (const std::exception&) {
    // Somebody else wrote into the pipe: nothing from this process can be believed any more.
    ++deaths_;
    kill();
    reply.kind = ReplyKind::kDied;
    reply.text = "the worker's pipe carried something that is no reply";
  }
  return reply;
}

Reply WorkerProcess::load(const Operands& operands) {
  if (process_ < 0) start();
  json command{{"command", "load"}, {"id", ++sequence_}, {"op", static_cast<int>(operands.operation)}};
  json& tensors = command["tensors"] = json::array();
  for (std::size_t i = 0; i < operands.tensors.size(); ++i)
    tensors.push_back(tensor_json(operands.tensors[i], tensors_.places()[i]));
  command["front"] = tensors_.guard_in_front();
  command["alignment"] = tensors_.alignment_bytes();
  command["ints"] = operands.ints;
  command["reals"] = operands.reals;
  return ask(command.dump() + "\n", command_.timeout_seconds);
}

Reply WorkerProcess::run(bool plan, std::uint8_t margin, bool hide_values) {
  ASSAY_CHECK(process_ > 0);
  const json command{{"command", "run"},    {"id", ++sequence_},
                     {"plan", plan},        {"margin", margin},
                     {"hide", hide_values}, {"workspace", place_json(tensors_.workspace())}};
  return ask(command.dump() + "\n", command_.timeout_seconds);
}

}  // namespace assay::properties
