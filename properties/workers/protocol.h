// How a campaign and a worker process talk. The page of it is docs/plugin.md, "The worker protocol".
//
//   descriptor 3   commands, one JSON object per line, towards the worker
//   descriptor 4   replies, one JSON object per line
//   descriptor 5   the shared memory file: page 0 is the ControlPage, the rest holds tensors
//
//   worker, first line   {"schema":"assay.worker/1","kernels":[{"name","op","claims","device","plan"}]}
//                        or {"error": why the kernel cannot be loaded}
//   {"command":"load","id","op","tensors":[...],"ints","reals","front","alignment"}
//       -> {"id","status":"ok","workspace_bytes":n}
//   {"command":"run","id","plan":true,"hide":true,"margin":255,"workspace":{place}}
//       -> {"id","status":"ok","witness":n,"plan_seconds","run_seconds"}
//   end of file: the worker leaves
//
//   tensor   {"name","role":"input"|"output","code","bits","shape","strides","bytes","islands", place}
//   place    "file": offset of its pages, "pages": their bytes, "data": offset of the tensor in them
//   status   ok | unsupported | failed, with "text" | no-device, with "text" |
//            fault, with "text": a device's sticky error; the worker ends after it
//
// On a device the worker places tensors itself ("front": each begins where its pages begin, else it ends
// where they end; at multiples of "alignment"), fills what lies around them with "margin" before a run and
// answers "touched": {"tensor","offset"} when that changed. On the host the campaign does both.
#pragma once

#include <cstdint>

namespace assay::properties {

inline constexpr const char* kWorkerSchema = "assay.worker/1";
inline constexpr int kCommandDescriptor = 3, kReplyDescriptor = 4, kMemoryDescriptor = 5;
inline constexpr std::int64_t kPageBytes = 4096;

// Unmapped bytes on both sides of a tensor; far ones around sparse tensors, so that an offset that lost
// its upper bits lands in nobody's memory.
inline constexpr std::int64_t kGuardBytes = std::int64_t{1} << 20;
inline constexpr std::int64_t kFarGuardBytes = std::int64_t{5} << 30;

enum WorkerPhase : std::uint32_t { kIdle, kLoading, kPlanning, kRunning };

// Written by the worker, its fault handler included; read by the campaign when the worker is dead.
struct ControlPage {
  std::uint32_t phase = kIdle;
  std::uint32_t fault_signal = 0;
  std::int32_t fault_tensor = -1;  // index; kWorkspaceTensor; -1: near no tensor
  std::uint32_t fault_is_write = 0;
  std::int64_t fault_offset = 0;  // bytes from the tensor's data
  std::uint64_t fault_address = 0;
  std::uint32_t fault_in_stack = 0;  // the address lies by the stack pointer: recursion without end
  std::int64_t witness = 0;          // of the call that ended it
};
inline constexpr std::int32_t kWorkspaceTensor = 1 << 20;
inline constexpr std::uint64_t kNoAddress = ~std::uint64_t{0};  // the processor does not say which

}  // namespace assay::properties
