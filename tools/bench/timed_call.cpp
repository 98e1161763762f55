#include "tools/bench/timed_call.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "model/core/check.h"

namespace assay::tools {

using properties::Judgement;
using properties::Poison;
using properties::Status;

namespace {

constexpr std::size_t kWorkspaceSlack = 256;  // to align it

double now(BenchClock clock) {
  timespec time{};
  clock_gettime(clock == BenchClock::kCpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// While it lives, a kernel is running.
class Inside {
 public:
  explicit Inside(KernelWatch* watch) : watch_(watch) {
    if (watch_ != nullptr) watch_->enter();
  }
  ~Inside() {
    if (watch_ != nullptr) watch_->leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  KernelWatch* watch_;
};

}  // namespace

CallMemory::CallMemory(const BenchShape& shape, bool on_device)
    : shape_(shape), operands_(operands_of(case_of(shape, 1))), data_(operands_.tensors.size()) {
  // Every tensor begins at a page; pages are touched here, not in the first timed run.
  for (std::size_t i = 0; i < operands_.tensors.size(); ++i) {
    properties::Operand& operand = operands_.tensors[i];
    const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(operand.span_bytes, 1));
    void* pages =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
      throw EnvironmentError(text_of(shape), "memory for " + operand.name,
                             std::to_string(bytes) + " bytes refused");
    mappings_.push_back({pages, bytes});
    data_[i] = static_cast<std::byte*>(pages);
    tensors_.push_back({pages,
                        {ASSAY_DEVICE_CPU, 0},
                        static_cast<std::int32_t>(operand.shape.size()),
                        {operand.type.code, operand.type.bits, 1},
                        operand.shape.data(),
                        operand.strides.data(),
                        0});
  }
  call_.size = sizeof call_;
  call_.op = static_cast<std::int32_t>(operands_.operation);
  call_.input_count = static_cast<std::int32_t>(operands_.inputs());
  call_.output_count = static_cast<std::int32_t>(tensors_.size() - operands_.inputs());
  call_.inputs = tensors_.data();
  call_.outputs = tensors_.data() + operands_.inputs();
  call_.ints = operands_.ints.data();
  call_.reals = operands_.reals.data();
  if (on_device) mirror_ = std::make_unique<DeviceMirror>(call_, operands_);
  fill(1);
}

CallMemory::~CallMemory() {
  for (const Mapping& mapping : mappings_) munmap(mapping.pages, mapping.bytes);
}

void CallMemory::fill(std::uint64_t seed) {
  case_ = case_of(shape_, seed);
  judge_.reset();
  contents_ = make_contents(case_, operands_);
  contents_->fill_inputs(Poison::kFirst, data_);
  judge_ = make_judge(case_, operands_);
  if (mirror_) mirror_->upload_inputs();
  poison_outputs();
}

void CallMemory::poison_outputs() const { fill_outputs(operands_, Poison::kFirst, data_); }

std::uint64_t CallMemory::output_digest() const {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const properties::Segment& segment : judge_->must_write())
    hash = properties::fnv1a(data_[static_cast<std::size_t>(segment.tensor)] + segment.begin,
                             static_cast<std::size_t>(segment.end - segment.begin), hash);
  return hash;
}

Judgement CallMemory::judge(const properties::Claims& claims) const {
  return judge_->judge(data_, claims, Poison::kFirst);
}

TimedKernel::TimedKernel(const assay_kernel& kernel, CallMemory& memory, BenchClock clock, KernelWatch* watch)
    : kernel_(kernel),
      memory_(memory),
      clock_(clock),
      watch_(watch),
      claims_(properties::parse_claims(kernel.claims == nullptr ? "" : kernel.claims, "claims")),
      call_(memory.mirror() == nullptr ? memory.call() : memory.mirror()->call()) {
  const bool on_device = memory.mirror() != nullptr;
  if (kernel.device != (on_device ? ASSAY_DEVICE_CUDA : ASSAY_DEVICE_CPU))
    throw InputError("bench", on_device ? "a kernel on a CUDA device" : "a kernel on the CPU", "another one");
  if (kernel.op != call_.op) throw InputError("bench", "a kernel of the shape's operation", "another one");
}

bool TimedKernel::plan() {
  DeviceMirror* mirror = memory_.mirror();
  const Inside inside(watch_);
  const double begin = now(clock_);
  const std::uint64_t bytes = kernel_.workspace == nullptr ? 0 : kernel_.workspace(&call_);
  if (mirror != nullptr) {
    call_.workspace = mirror->workspace(bytes);
  } else {
    workspace_.assign(bytes + kWorkspaceSlack, std::byte{0xff});
    const auto address = reinterpret_cast<std::uintptr_t>(workspace_.data());
    call_.workspace =
        bytes == 0 ? nullptr : workspace_.data() + (kWorkspaceSlack - address % kWorkspaceSlack);
  }
  call_.workspace_bytes = bytes;
  int status = kernel_.plan == nullptr ? ASSAY_OK : kernel_.plan(&call_);
  plan_seconds_ = now(clock_) - begin;
  if (mirror != nullptr) mirror->upload_outputs();
  if (status == ASSAY_OK) status = kernel_.run(&call_);
  if (mirror != nullptr) mirror->download_outputs();  // waits
  if (status == ASSAY_UNSUPPORTED) return false;
  if (status != ASSAY_OK)
    throw KernelFault(std::string(kernel_.name == nullptr ? "?" : kernel_.name) +
                      " answers with a failure, neither done nor unsupported");
  return true;
}

double TimedKernel::launch(std::int64_t launches, const std::function<void()>& flush) {
  DeviceMirror* mirror = memory_.mirror();
  memory_.poison_outputs();
  if (mirror != nullptr) mirror->upload_outputs();
  if (flush) flush();
  int status = ASSAY_OK;
  const auto all = [&] {
    for (std::int64_t i = 0; i < launches; ++i) status |= kernel_.run(&call_);
  };
  double seconds = 0;
  {
    const Inside inside(watch_);
    if (mirror != nullptr) {
      seconds = mirror->seconds_of(all);
    } else {
      const double begin = now(clock_);
      all();
      seconds = now(clock_) - begin;
    }
  }
  if (mirror != nullptr) mirror->download_outputs();
  if (status != ASSAY_OK) {
    judgement_.status = Status::kRuntimeError;
    judgement_.text = "run() stopped returning ASSAY_OK while it was timed";
    ++wrong_;
  }
  return std::max(seconds, 1e-9);
}

std::int64_t TimedKernel::launches_for(double seconds) {
  std::int64_t launches = 1;
  for (double taken = launch(1, {}); taken < seconds && launches < 1 << 24; taken = launch(launches, {}))
    launches = taken * 8 < seconds
                   ? launches * 4
                   : std::max(launches + 1, static_cast<std::int64_t>(static_cast<double>(launches) *
                                                                      seconds / taken * 1.1));
  return launches;
}

double TimedKernel::run(std::int64_t launches, const std::function<void()>& flush) {
  const double seconds = launch(launches, flush);
  ++runs_;
  look_at_outputs();
  return seconds;
}

void TimedKernel::look_at_outputs() {
  if (!seen_.insert(memory_.output_digest()).second) return;
  if (judged_ >= kMostJudged) {
    ++unjudged_;
    return;
  }
  Judgement judgement = memory_.judge(claims_);
  ++judged_;
  if (is_failure(judgement.status)) ++wrong_;
  judgement.headroom = std::max(judgement.headroom, judgement_.headroom);
  judgement.elements += judgement_.elements;
  judgement.twin_elements += judgement_.twin_elements;
  if (is_failure(judgement_.status)) {  // the first failure is kept
    judgement.status = judgement_.status;
    judgement.text = judgement_.text;
  }
  judgement_ = std::move(judgement);
}

}  // namespace assay::tools
