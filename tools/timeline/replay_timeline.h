// A replay as a timeline: counters of the pool's ledger, the batch and the tokens of a step; preemptions as
// moments; requests as slices on as many lanes as ever ran at once.
//
// The file is bounded, whatever the length of the trace: counters become means over 2, 4, 8 ... steps, and of
// requests and preemptions every second, fourth, eighth ... is kept. The trace says which ("otherData").
// Without a clock a step counts as a millisecond.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/engine/replay.h"

namespace assay::tools {

class ReplayTimeline {
 public:
  static constexpr std::int64_t kMostEvents = 60'000;

  explicit ReplayTimeline(const ReplayOptions& options, std::int64_t most_events = kMostEvents);
  void observe(const StepView& view);
  // The document. `title` names the trace.
  [[nodiscard]] std::string json(const std::string& title) const;

 private:
  struct Point {  // means over `steps` steps from begin_us on
    double begin_us = 0;
    std::int64_t steps = 0;
    std::array<double, 6> places{};
    double running = 0, waiting = 0, prefill = 0, decode = 0;
  };
  struct Stay {  // of a request in the batch
    std::int64_t request = 0, attempt = 0, lane = 0;
    double begin_us = 0, end_us = 0, queued_us = 0;
    std::int64_t prompt_tokens = 0, output_tokens = 0, hit_tokens = 0;
    const char* ended = "";
  };
  struct Preemption {
    double at_us = 0;
    std::int64_t request = 0, computed_tokens = 0;
  };

  void add_point(const StepView& view);
  void enter(const StepView& view, const ScheduledSequence& scheduled);
  void leave(std::int32_t handle, double at_us, const char* how);
  template <typename Event>
  void keep(std::vector<Event>& events, const Event& event, std::int64_t& stride, std::int64_t& seen,
            std::int64_t most) const;

  double us_per_ns_;
  std::int64_t most_;
  std::vector<Point> points_;
  std::int64_t point_steps_ = 1;
  std::map<std::int32_t, Stay> open_;  // by the sequence's handle
  std::vector<Stay> stays_;
  std::vector<Preemption> preemptions_;
  std::int64_t stay_stride_ = 1, stays_seen_ = 0, preemption_stride_ = 1, preemptions_seen_ = 0;
  std::vector<bool> lanes_;  // taken
  double end_us_ = 0;
};

}  // namespace assay::tools
