// One worker process, seen from the campaign: started when needed, killed when late, replaced when dead.
//
//   place tensors -> load -> fill -> run -> look at outputs -> fill -> run ...
//
// Whatever a kernel does to its process (crash, hang, exit(0), closed pipes, forged replies, memory
// without end) ends as a Reply; the next load() finds a fresh process. What a reply means for the
// kernel is the trial's to say, not this file's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "properties/workers/shared_tensors.h"

namespace assay::properties {

// How to start a worker, and what it may use.
struct WorkerCommand {
  std::vector<std::string> arguments;  // [0] is the program; the kernel's name is among them
  double timeout_seconds = 10;         // of one command
  double start_seconds = 120;          // until the first line: a plug-in may have to start a Python
};

struct KernelDescription {
  std::string name;
  std::int32_t operation = 0;  // ASSAY_OP_...
  std::string claims;
  std::int32_t device = 0;  // ASSAY_DEVICE_...
  bool has_plan = false;
};

enum class ReplyKind : std::uint8_t { kOk, kUnsupported, kFailed, kDied, kTimeout };

// Where a dead worker's fault lay, as far as its handler could say.
struct Fault {
  int signal = 0;
  bool is_write = false;
  std::int64_t tensor = -1;  // index of the operand; kWorkspaceTensor; -1: near none of them
  std::int64_t offset = 0;   // bytes from the tensor's data
  std::uint64_t address = 0;
  bool in_stack = false;
};

struct Reply {
  ReplyKind kind = ReplyKind::kOk;
  std::string text;                  // why, for people
  std::uint32_t phase = 0;           // kDied, kTimeout: WorkerPhase
  Fault fault;                       // kDied
  std::int64_t workspace_bytes = 0;  // load
  std::int64_t witness = 0;          // run: how often a planted fault differed
  double plan_seconds = 0, run_seconds = 0;
  // A device's own fault: it says what, not where.
  bool device_fault = false;
  bool left_by_itself = false;  // kDied: the process ended with exit(0)
  // run on a device: a margin byte that changed there. Tensor as Place numbering; -1: none.
  std::int64_t touched_tensor = -1, touched_offset = 0;
};

class WorkerProcess {
 public:
  explicit WorkerProcess(WorkerCommand command);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Starts the process when there is none. InputError with the worker's own words when the kernel
  // cannot be loaded, EnvironmentError when no process can be had.
  [[nodiscard]] const std::vector<KernelDescription>& kernels();
  [[nodiscard]] const KernelDescription* find(Operation operation);

  [[nodiscard]] SharedTensors& tensors() { return tensors_; }
  // After tensors().place(operands).
  [[nodiscard]] Reply load(const Operands& operands);
  // After tensors().place_workspace(reply.workspace_bytes).
  // `margin`: the byte that lies around every tensor (a device has margins of its own).
  // hide_values: plan() faults when it looks at anything but integers.
  [[nodiscard]] Reply run(bool plan, std::uint8_t margin, bool hide_values = true);

  [[nodiscard]] std::int64_t deaths() const { return deaths_; }
  // Ends the process from outside: what the tests of the campaign's memory use.
  void kill();

 private:
  void start();
  [[nodiscard]] Reply ask(const std::string& line, double seconds);
  [[nodiscard]] Reply lost(bool late);
  // A whole line from the worker into buffer_ (without its end); false: end of file or too late.
  enum class Line : std::uint8_t { kComplete, kEnd, kLate };
  [[nodiscard]] Line read_line(std::string& line, double seconds);
  [[nodiscard]] std::string last_words() const;

  WorkerCommand command_;
  SharedTensors tensors_;
  std::vector<KernelDescription> kernels_;
  int process_ = -1, to_worker_ = -1, from_worker_ = -1, words_ = -1;
  std::int64_t sequence_ = 0, deaths_ = 0;
  std::string buffer_;
};

[[nodiscard]] std::string signal_name(int signal);

}  // namespace assay::properties
