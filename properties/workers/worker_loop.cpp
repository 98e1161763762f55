#include "properties/workers/worker_loop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/check.h"
#include "properties/kernels/registry.h"
#include "properties/mutants/witness.h"
#include "properties/workers/loaded_call.h"
#include "properties/workers/protocol.h"

namespace assay::properties {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr rlim_t kMemoryLimitBytes = rlim_t{8} << 30;
ControlPage* control = nullptr;

void on_fault(int signal, siginfo_t* information, void* context) {
  auto address = reinterpret_cast<std::uintptr_t>(information->si_addr);
  // An address that no process can have comes without its value: as SIGSEGV, or as SIGBUS when the
  // access went through the stack or the frame register.
  if ((signal == SIGSEGV || signal == SIGBUS) && information->si_code == SI_KERNEL) address = kNoAddress;
  control->fault_signal = static_cast<std::uint32_t>(signal);
  control->fault_address = address;
  control->fault_tensor = -1;
  for (int i = 0; i < fault_region_count; ++i)
    if (address >= fault_regions[i].begin && address < fault_regions[i].end) {
      control->fault_tensor = fault_regions[i].tensor;
      control->fault_offset = static_cast<std::int64_t>(address - fault_regions[i].data);
    }
  control->witness = witness();
#if defined(__x86_64__)
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  control->fault_is_write = (registers[REG_ERR] & 2) != 0;
  const std::uintptr_t stack = static_cast<std::uintptr_t>(registers[REG_RSP]);
  control->fault_in_stack = address > stack - (1 << 20) && address < stack + (1 << 20);
#else
  (void)context;
#endif
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void install_handlers() {
  static std::byte stack[64 << 10];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(signal, &action, nullptr);
}

[[noreturn]] void leave(const char* why) {
  std::fprintf(stderr, "assay worker: %s\n", why);
  _exit(70);
}

void reply(const json& message) {
  const std::string line = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t count = write(kReplyDescriptor, line.data() + sent, line.size() - sent);
    if (count <= 0) leave("the reply pipe is gone");
    sent += static_cast<std::size_t>(count);
  }
}

const char* status_word(int status) {
  return status == ASSAY_OK ? "ok" : status == ASSAY_UNSUPPORTED ? "unsupported" : "failed";
}

// The commands of one session.
class Session {
 public:
  explicit Session(const KernelSet& kernels) : kernels_(kernels) {}

  json serve(const json& command) {
    json message;
    try {
      message = answer(command);
    } catch (const std::exception& error) {  // a C++ kernel that throws through the C interface
      message = {{"status", "failed"}, {"text", error.what()}};
    }
    message["id"] = command.at("id");
    return message;
  }
  // False after a fault that only a new process gets rid of.
  [[nodiscard]] bool usable() const { return usable_; }

 private:
  json answer(const json& command) {
    const std::string what = command.at("command").get<std::string>();
    if (what == "load") return load(command);
    if (what == "run") return run(command);
    return {{"status", "failed"}, {"text", "unknown command " + what}};
  }

  json load(const json& command) {
    call_.reset();
    control->phase = kLoading;
    kernel_ = kernels_.find(command.at("op").get<int>());
    if (kernel_ == nullptr) return {{"status", "unsupported"}};
    if (kernel_->device == ASSAY_DEVICE_CPU) {
      call_ = load_on_host(command);
    } else {
      try {
        if (!device_memory_) device_memory_ = make_device_memory();
      } catch (const EnvironmentError& error) {
        return {{"status", "no-device"}, {"text", error.what()}};
      }
      call_ = load_on_device(command, *device_memory_);
    }
    workspace_bytes_ =
        kernel_->workspace == nullptr ? 0 : static_cast<std::int64_t>(kernel_->workspace(&call_->call()));
    control->phase = kIdle;
    return {{"status", "ok"}, {"workspace_bytes", workspace_bytes_}};
  }

  json run(const json& command) {
    if (!call_) return {{"status", "failed"}, {"text", "nothing is loaded"}};
    call_->set_workspace(command.at("workspace"), workspace_bytes_);
    reset_witness();
    const auto margin = command.at("margin").get<std::uint8_t>();
    const bool plan = command.at("plan").get<bool>() && kernel_->plan != nullptr;
    call_->before_run(margin, command.at("plan").get<bool>());
    int status = ASSAY_OK;
    const auto begin = Clock::now();
    auto planned = begin;
    if (plan) {
      control->phase = kPlanning;
      if (command.value("hide", true)) call_->hide_values(true);
      status = kernel_->plan(&call_->call());
      call_->hide_values(false);
      planned = Clock::now();
    }
    if (status == ASSAY_OK) {
      control->phase = kRunning;
      status = kernel_->run(&call_->call());
    }
    const std::chrono::duration<double> plan_time = planned - begin, run_time = Clock::now() - planned;
    json message{{"status", status_word(status)},
                 {"witness", witness()},
                 {"plan_seconds", plan_time.count()},
                 {"run_seconds", run_time.count()}};
    if (status != ASSAY_OK && status != ASSAY_UNSUPPORTED)
      message["text"] = "the kernel returned " + std::to_string(status);
    usable_ = call_->after_run(margin, message);
    control->phase = kIdle;
    return message;
  }

  const KernelSet& kernels_;
  bool usable_ = true;
  std::shared_ptr<DeviceMemory> device_memory_;
  const assay_kernel* kernel_ = nullptr;
  std::unique_ptr<LoadedCall> call_;
  std::int64_t workspace_bytes_ = 0;
};

json hello(const KernelSet& kernels) {
  json list = json::array();
  for (const assay_kernel* kernel : kernels.kernels())
    list.push_back({{"name", kernel->name == nullptr ? "" : kernel->name},
                    {"op", kernel->op},
                    {"claims", kernel->claims == nullptr ? "" : kernel->claims},
                    {"device", kernel->device},
                    {"plan", kernel->plan != nullptr}});
  return {{"schema", kWorkerSchema}, {"kernels", list}};
}

// A kernel without end to its appetite shall fail here, not take the machine along. Shared tensors and
// guards do not count; drivers and sanitizers reserve more than any limit, so those run without.
void limit_memory(const KernelSet& kernels) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  for (const assay_kernel* kernel : kernels.kernels())
    if (kernel->device != ASSAY_DEVICE_CPU) return;
  const rlimit limit{kMemoryLimitBytes, kMemoryLimitBytes};
  setrlimit(RLIMIT_DATA, &limit);
#else
  (void)kernels;
#endif
}

}  // namespace

int serve_kernel(const std::string& kernel) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, kMemoryDescriptor, 0);
  if (page == MAP_FAILED)
    leave("expected the shared memory file as descriptor 5; this command serves `assay fuzz`");
  control = static_cast<ControlPage*>(page);
  install_handlers();
  try {
    const KernelSet kernels(kernel);
    limit_memory(kernels);
    reply(hello(kernels));
    Session session(kernels);
    std::string buffer;
    char chunk[1 << 14];
    while (true) {
      const std::size_t newline = buffer.find('\n');
      if (newline != std::string::npos) {
        const json command = json::parse(buffer.substr(0, newline));
        buffer.erase(0, newline + 1);
        reply(session.serve(command));
        if (!session.usable()) _exit(0);
        continue;
      }
      const ssize_t count = read(kCommandDescriptor, chunk, sizeof chunk);
      if (count <= 0) break;
      buffer.append(chunk, static_cast<std::size_t>(count));
    }
  } catch (const std::exception& error) {
    reply({{"schema", kWorkerSchema}, {"error", error.what()}});
  }
  _exit(0);  // no destructors of a stranger's library
}

}  // namespace assay::properties
