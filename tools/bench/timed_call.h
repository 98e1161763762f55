// One case in memory, and kernels that run on it: what a benchmark times, and how it knows that what was
// timed was right.
//
//   CallMemory    the operands, filled; both kernels of a comparison run on the same addresses
//   TimedKernel   a kernel with its own workspace, planned once
//
//   every timed run    outputs poisoned -> caches flushed (cold) -> [launches, timed] -> bytes hashed; each
//                      result that was not seen before is judged (golden, bound, masks, claimed twin)
//   the last run       other inputs at the same addresses: a kernel that answers from memory is wrong here
//
// A kernel on a CUDA device works on a mirror of the operands there, and its time is an event interval.
// Runs in this process: whatever harms a process harms this one (isolated.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "properties/engine/judge.h"
#include "tools/bench/bench_shape.h"
#include "tools/bench/device_mirror.h"
#include "tools/bench/isolated.h"

namespace assay::tools {

class CallMemory {
 public:
  // On a device too, for kernels there: EnvironmentError when there is none.
  explicit CallMemory(const BenchShape& shape, bool on_device = false);
  ~CallMemory();
  CallMemory(const CallMemory&) = delete;
  CallMemory& operator=(const CallMemory&) = delete;

  // Inputs of this seed; whatever was judged before is forgotten.
  void fill(std::uint64_t seed);
  void poison_outputs() const;
  [[nodiscard]] std::uint64_t output_digest() const;  // of every must-write byte
  [[nodiscard]] properties::Judgement judge(const properties::Claims& claims) const;
  [[nodiscard]] const assay_call& call() const { return call_; }
  [[nodiscard]] DeviceMirror* mirror() const { return mirror_.get(); }

 private:
  BenchShape shape_;
  properties::Operands operands_;
  struct Mapping {
    void* pages;
    std::size_t bytes;
  };
  std::vector<Mapping> mappings_;
  properties::TensorPointers data_;
  std::vector<assay_tensor> tensors_;
  assay_call call_{};
  std::unique_ptr<DeviceMirror> mirror_;
  properties::KernelCase case_;
  std::unique_ptr<properties::CaseContents> contents_;
  std::unique_ptr<properties::CaseJudge> judge_;
};

enum class BenchClock : std::uint8_t {
  kWall,  // what a user waits; of a kernel on a device the event interval, whichever clock is asked for
  kCpu,   // CPU time of this process, all threads: other programs' turns do not count
};

class TimedKernel {
 public:
  // Judging costs more than running: of a kernel whose every result differs, so many are judged.
  static constexpr std::int64_t kMostJudged = 32;

  // InputError for a kernel of another operation or of a device that the memory is not on. All must outlive
  // this; `watch` may be nullptr.
  TimedKernel(const assay_kernel& kernel, CallMemory& memory, BenchClock clock, KernelWatch* watch = nullptr);

  // Plans. False: the kernel declines the shape. KernelFault when it fails.
  [[nodiscard]] bool plan();
  // Seconds of `launches` launches; then judges what they left. A kernel that fails counts as wrong.
  // `flush` (may be empty) runs right before the first launch.
  double run(std::int64_t launches, const std::function<void()>& flush = {});
  // Launches that together last about `seconds`, as far as doubling tells.
  [[nodiscard]] std::int64_t launches_for(double seconds);
  void forget_results() { seen_.clear(); }  // after CallMemory::fill

  // The worst of everything judged; elements > 0 only if something was.
  [[nodiscard]] const properties::Judgement& judgement() const { return judgement_; }
  [[nodiscard]] std::int64_t judged_results() const { return judged_; }
  [[nodiscard]] std::int64_t wrong_results() const { return wrong_; }        // of the judged
  [[nodiscard]] std::int64_t unjudged_results() const { return unjudged_; }  // beyond kMostJudged
  [[nodiscard]] std::int64_t timed_runs() const { return runs_; }
  [[nodiscard]] double plan_seconds() const { return plan_seconds_; }
  [[nodiscard]] const assay_kernel& kernel() const { return kernel_; }

 private:
  double launch(std::int64_t launches, const std::function<void()>& flush);
  void look_at_outputs();

  const assay_kernel& kernel_;
  CallMemory& memory_;
  BenchClock clock_;
  KernelWatch* watch_;
  properties::Claims claims_;
  assay_call call_;
  std::vector<std::byte> workspace_;
  std::unordered_set<std::uint64_t> seen_;
  properties::Judgement judgement_;
  std::int64_t judged_ = 0, wrong_ = 0, unjudged_ = 0, runs_ = 0;
  double plan_seconds_ = 0;
};

}  // namespace assay::tools
