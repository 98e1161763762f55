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
#include "properties/workers/protocol.h"

namespace assay::properties {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// What the fault handler may look at: plain memory, complete before any kernel runs.
struct Region {
  std::uintptr_t begin, end;  // guards included
  std::uintptr_t data;
  std::int32_t tensor;
};
constexpr rlim_t kMemoryLimitBytes = rlim_t{8} << 30;
constexpr int kMaxRegions = 32;
Region regions[kMaxRegions];
int region_count = 0;
ControlPage* control = nullptr;

void on_fault(int signal, siginfo_t* information, void* context) {
  auto address = reinterpret_cast<std::uintptr_t>(information->si_addr);
  // An address that no process can have comes without its value.
  if (signal == SIGSEGV && information->si_code == SI_KERNEL) address = ~std::uintptr_t{0};
  control->fault_signal = static_cast<std::uint32_t>(signal);
  control->fault_address = address;
  control->fault_tensor = -1;
  for (int i = 0; i < region_count; ++i)
    if (address >= regions[i].begin && address < regions[i].end) {
      control->fault_tensor = regions[i].tensor;
      control->fault_offset = static_cast<std::int64_t>(address - regions[i].data);
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

// One tensor of the call that is loaded, in this process.
struct LoadedTensor {
  std::byte* data = nullptr;
  bool is_input = false, is_integer = false;
  std::vector<std::int64_t> shape, strides;
  std::vector<std::pair<std::byte*, std::int64_t>> pages;  // mapped ranges
};

// The memory and the structs of one call; maps on construction, unmaps at the end.
class LoadedCall {
 public:
  explicit LoadedCall(const json& command) {
    region_count = 0;
    const json& tensors = command.at("tensors");
    if (tensors.size() + 1 > kMaxRegions)
      throw InputError("load.tensors", "fewer tensors", std::to_string(tensors.size()));
    loaded_.resize(tensors.size());
    structs_.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      LoadedTensor& tensor = loaded_[i];
      const json& from = tensors[i];
      tensor.is_input = from.at("role") == "input";
      tensor.shape = from.at("shape").get<std::vector<std::int64_t>>();
      tensor.strides = from.at("strides").get<std::vector<std::int64_t>>();
      const int code = from.at("code").get<int>(), bits = from.at("bits").get<int>();
      tensor.is_integer = code == ASSAY_TYPE_INT;
      map(from, static_cast<std::int32_t>(i), tensor.is_input ? PROT_READ : PROT_READ | PROT_WRITE, tensor);
      (tensor.is_input ? inputs_ : outputs_) += 1;
      structs_[i] = assay_tensor{tensor.data,
                                 {ASSAY_DEVICE_CPU, 0},
                                 static_cast<std::int32_t>(tensor.shape.size()),
                                 {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1},
                                 tensor.shape.data(),
                                 tensor.strides.data(),
                                 0};
    }
    ints_ = command.at("ints").get<std::vector<std::int64_t>>();
    reals_ = command.at("reals").get<std::vector<double>>();
    call_.size = sizeof call_;
    call_.op = command.at("op").get<int>();
    call_.input_count = inputs_;
    call_.output_count = outputs_;
    call_.inputs = structs_.data();
    call_.outputs = structs_.data() + inputs_;
    call_.ints = ints_.data();
    call_.reals = reals_.data();
  }
  ~LoadedCall() {
    for (const auto& [memory, bytes] : reserved_) munmap(memory, static_cast<std::size_t>(bytes));
    region_count = 0;
  }
  LoadedCall(const LoadedCall&) = delete;
  LoadedCall& operator=(const LoadedCall&) = delete;

  void set_workspace(const json& place, std::int64_t bytes) {
    if (call_.workspace != nullptr || bytes == 0) return;
    map(place, kWorkspaceTensor, PROT_READ | PROT_WRITE, workspace_);
    call_.workspace = workspace_.data;
    call_.workspace_bytes = static_cast<std::uint64_t>(bytes);
  }

  // While planning, values are out of sight: only integer tensors can be read.
  void hide_values(bool hidden) {
    for (const LoadedTensor& tensor : loaded_)
      if (!tensor.is_integer)
        for (const auto& [memory, bytes] : tensor.pages)
          mprotect(memory, static_cast<std::size_t>(bytes),
                   hidden            ? PROT_NONE
                   : tensor.is_input ? PROT_READ
                                     : PROT_READ | PROT_WRITE);
  }

  assay_call& call() { return call_; }

 private:
  void map(const json& from, std::int32_t index, int protection, LoadedTensor& tensor) {
    const std::int64_t file = from.at("file").get<std::int64_t>(),
                       pages = from.at("pages").get<std::int64_t>();
    const std::int64_t offset = from.at("data").get<std::int64_t>();
    const bool sparse = from.contains("islands") && !from.at("islands").empty();
    const std::int64_t guard = sparse ? kFarGuardBytes : kGuardBytes, total = pages + 2 * guard;
    void* memory = mmap(nullptr, static_cast<std::size_t>(total), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) leave("no address space for a tensor");
    auto* base = static_cast<std::byte*>(memory);
    reserved_.emplace_back(base, total);
    tensor.data = base + guard + offset;
    const auto expose = [&](std::int64_t begin, std::int64_t end) {  // page-aligned, in the pages
      if (begin >= end) return;
      if (mmap(base + guard + begin, static_cast<std::size_t>(end - begin), protection,
               MAP_SHARED | MAP_FIXED | MAP_POPULATE, kMemoryDescriptor, file + begin) == MAP_FAILED)
        leave("the shared memory file could not be mapped");
      tensor.pages.emplace_back(base + guard + begin, end - begin);
    };
    if (!sparse) {
      expose(0, pages);
    } else {
      std::int64_t exposed = 0;  // neighbouring islands share pages
      for (const json& island : from.at("islands")) {
        const std::int64_t begin = (offset + island[0].get<std::int64_t>()) / kPageBytes * kPageBytes;
        const std::int64_t end =
            (offset + island[1].get<std::int64_t>() + kPageBytes - 1) / kPageBytes * kPageBytes;
        expose(std::max(begin, exposed), end);
        exposed = std::max(exposed, end);
      }
    }
    regions[region_count++] = {reinterpret_cast<std::uintptr_t>(base),
                               reinterpret_cast<std::uintptr_t>(base + total),
                               reinterpret_cast<std::uintptr_t>(tensor.data), index};
  }

  std::vector<LoadedTensor> loaded_;
  LoadedTensor workspace_;
  std::vector<assay_tensor> structs_;
  std::vector<std::int64_t> ints_;
  std::vector<double> reals_;
  std::vector<std::pair<std::byte*, std::int64_t>> reserved_;
  std::int32_t inputs_ = 0, outputs_ = 0;
  assay_call call_{};
};

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
    call_ = std::make_unique<LoadedCall>(command);
    workspace_bytes_ =
        kernel_->workspace == nullptr ? 0 : static_cast<std::int64_t>(kernel_->workspace(&call_->call()));
    control->phase = kIdle;
    return {{"status", "ok"}, {"workspace_bytes", workspace_bytes_}};
  }

  json run(const json& command) {
    if (!call_) return {{"status", "failed"}, {"text", "nothing is loaded"}};
    call_->set_workspace(command.at("workspace"), workspace_bytes_);
    reset_witness();
    int status = ASSAY_OK;
    const auto begin = Clock::now();
    auto planned = begin;
    if (command.at("plan").get<bool>() && kernel_->plan != nullptr) {
      control->phase = kPlanning;
      call_->hide_values(true);
      status = kernel_->plan(&call_->call());
      call_->hide_values(false);
      planned = Clock::now();
    }
    if (status == ASSAY_OK) {
      control->phase = kRunning;
      status = kernel_->run(&call_->call());
    }
    control->phase = kIdle;
    const std::chrono::duration<double> plan_time = planned - begin, run_time = Clock::now() - planned;
    json message{{"status", status_word(status)},
                 {"witness", witness()},
                 {"plan_seconds", plan_time.count()},
                 {"run_seconds", run_time.count()}};
    if (status != ASSAY_OK && status != ASSAY_UNSUPPORTED)
      message["text"] = "the kernel returned " + std::to_string(status);
    return message;
  }

  const KernelSet& kernels_;
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
