// Work that runs strangers' code, in a child process: a crash, a hang or an exit(0) ends the child and becomes
// an answer. The child is a fork, so the work sees everything that its parent had; it gives back one text.
//
//   parent   waits, looks at the watch a few times a second, kills a child that stays in one call too long
//   child    says through the watch when it enters a kernel and when it has left it: two stores, no system call;
//            Ctrl-C is the parent's to hear, it asks through the watch to stop; a child never outlives its parent
//
// Errors (InputError, EnvironmentError) thrown by the work are thrown again in the parent.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

namespace assay::tools {

// What a kernel did to itself or to its device, in words: a finding about the kernel, no error of ours or the user's.
class KernelFault : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Lies in memory that parent and child share.
struct KernelWatch {
  std::atomic<std::int64_t> entered_ns{0};  // monotonic; 0: no kernel is running
  std::atomic<std::int64_t> runs{0};
  std::atomic<bool> stop{false};  // set by the parent: end soon, with what there is
  void enter();
  void leave();
};

struct ChildEnd {
  enum class Kind : std::uint8_t { kAnswered, kDied, kLate } kind = Kind::kDied;
  std::string text;  // the answer; or why there is none ("SIGSEGV", "no answer within 10 s")
};

// `tick` is called a few times a second while the child works.
[[nodiscard]] ChildEnd run_in_child(const std::function<std::string(KernelWatch&)>& work,
                                    double kernel_timeout_seconds,
                                    const std::function<void(KernelWatch&)>& tick);

}  // namespace assay::tools
