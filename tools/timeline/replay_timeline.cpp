#include "tools/timeline/replay_timeline.h"

#include <algorithm>

#include "tools/timeline/chrome_trace.h"

namespace assay::tools {
namespace {

constexpr std::int64_t kPool = 1, kRequests = 2;  // processes
constexpr std::int64_t kPreemptions = 0;          // the track above the lanes

}  // namespace

ReplayTimeline::ReplayTimeline(const ReplayOptions& options, std::int64_t most_events)
    : us_per_ns_(options.clock.kind() == StepClock::Kind::kNone ? 1000.0 : 0.001),
      most_(std::max<std::int64_t>(most_events, 60)) {}

// Three counter events each; never more than a quarter of all events.
void ReplayTimeline::add_point(const StepView& view) {
  if (points_.empty() || points_.back().steps == point_steps_) {
    if (static_cast<std::int64_t>(points_.size()) >= most_ / 12) {
      std::vector<Point> joined;
      for (std::size_t i = 0; i < points_.size(); i += 2) {
        joined.push_back(points_[i]);
        if (i + 1 == points_.size()) break;
        Point& sum = joined.back();
        const Point& other = points_[i + 1];
        sum.steps += other.steps;
        for (std::size_t k = 0; k < sum.places.size(); ++k) sum.places[k] += other.places[k];
        sum.running += other.running;
        sum.waiting += other.waiting;
        sum.prefill += other.prefill;
        sum.decode += other.decode;
      }
      points_ = std::move(joined);
      point_steps_ *= 2;
    }
    if (points_.empty() || points_.back().steps == point_steps_) {
      points_.push_back({});
      points_.back().begin_us = static_cast<double>(view.begin_ns) * us_per_ns_;
    }
  }
  Point& point = points_.back();
  const auto places = places_of(view.ledger);
  for (std::size_t i = 0; i < places.size(); ++i) point.places[i] += static_cast<double>(places[i]);
  point.running += static_cast<double>(view.scheduler.running().size());
  point.waiting += static_cast<double>(view.scheduler.waiting().size());
  for (const ScheduledSequence& s : view.record.scheduled)
    (s.decode ? point.decode : point.prefill) += static_cast<double>(s.tokens);
  ++point.steps;
}

void ReplayTimeline::enter(const StepView& view, const ScheduledSequence& scheduled) {
  const Sequence& s = view.scheduler.sequence(scheduled.sequence);
  Stay stay;
  stay.request = s.request.value();
  stay.attempt = s.preemptions + 1;
  const auto free = std::find(lanes_.begin(), lanes_.end(), false);
  stay.lane = free - lanes_.begin();
  if (free == lanes_.end()) lanes_.push_back(true);
  lanes_[static_cast<std::size_t>(stay.lane)] = true;
  stay.begin_us = static_cast<double>(view.begin_ns) * us_per_ns_;
  stay.queued_us = static_cast<double>(view.begin_ns - s.arrival_ns) * us_per_ns_;
  stay.prompt_tokens = s.prompt_tokens;
  stay.output_tokens = s.output_tokens;
  stay.hit_tokens = scheduled.hit_tokens;
  open_[scheduled.sequence] = stay;
}

// Every stride-th event stays; when there are too many, every second of them goes and the stride doubles.
template <typename Event>
void ReplayTimeline::keep(std::vector<Event>& events, const Event& event, std::int64_t& stride,
                          std::int64_t& seen, std::int64_t most) const {
  if (seen++ % stride != 0) return;
  if (static_cast<std::int64_t>(events.size()) >= most) {
    for (std::size_t i = 0; 2 * i < events.size(); ++i) events[i] = events[2 * i];
    events.resize((events.size() + 1) / 2);
    stride *= 2;
    if ((seen - 1) % stride != 0) return;
  }
  events.push_back(event);
}

void ReplayTimeline::leave(std::int32_t handle, double at_us, const char* how) {
  const auto found = open_.find(handle);
  if (found == open_.end()) return;
  Stay stay = found->second;
  open_.erase(found);
  lanes_[static_cast<std::size_t>(stay.lane)] = false;
  stay.end_us = at_us;
  stay.ended = how;
  keep(stays_, stay, stay_stride_, stays_seen_, most_ / 2);
}

void ReplayTimeline::observe(const StepView& view) {
  const double begin_us = static_cast<double>(view.begin_ns) * us_per_ns_;
  end_us_ = static_cast<double>(view.begin_ns + view.duration_ns) * us_per_ns_;
  add_point(view);
  for (const std::int32_t handle : view.record.preempted) {
    const Sequence& s = view.scheduler.sequence(handle);
    keep(preemptions_, {begin_us, s.request.value(), s.tokens()}, preemption_stride_, preemptions_seen_,
         most_ / 8);
    leave(handle, begin_us, "preempted");
  }
  for (const ScheduledSequence& s : view.record.scheduled)
    if (s.admitted || s.resumed) enter(view, s);
  for (const std::int32_t handle : view.record.finished) leave(handle, end_us_, "finished");
}

std::string ReplayTimeline::json(const std::string& title) const {
  ChromeTrace trace;
  trace.remark("title", title);
  if (us_per_ns_ > 1) trace.remark("time", "one step is shown as one millisecond");
  if (point_steps_ > 1)
    trace.remark("counters", "means over up to " + std::to_string(point_steps_) + " steps");
  if (stay_stride_ > 1)
    trace.remark("requests", "one of every " + std::to_string(stay_stride_) + " is shown");
  if (preemption_stride_ > 1)
    trace.remark("preemptions", "one of every " + std::to_string(preemption_stride_) + " is shown");
  trace.name_process(kPool, "pool and batch");
  trace.name_process(kRequests, "requests");
  trace.name_track(kRequests, kPreemptions, "preemptions");

  for (const Point& point : points_) {
    const auto steps = static_cast<double>(point.steps);
    ChromeTrace::Args ledger;
    for (std::size_t i = 0; i < kLedgerPlaces.size(); ++i)
      ledger.add(kLedgerPlaces[i], point.places[i] / steps);
    trace.counter(kPool, point.begin_us, "pool slots", ledger);
    trace.counter(
        kPool, point.begin_us, "sequences",
        ChromeTrace::Args().add("running", point.running / steps).add("waiting", point.waiting / steps));
    trace.counter(
        kPool, point.begin_us, "tokens per step",
        ChromeTrace::Args().add("decode", point.decode / steps).add("prefill", point.prefill / steps));
  }
  for (const Preemption& p : preemptions_)
    trace.moment(kRequests, kPreemptions, p.at_us, "preempted",
                 ChromeTrace::Args().add("request", p.request).add("tokens", p.computed_tokens));
  std::vector<Stay> stays = stays_;
  for (const auto& [handle, open] : open_) {
    stays.push_back(open);
    stays.back().end_us = end_us_;
    stays.back().ended = "unfinished";
  }
  std::vector<bool> named(lanes_.size(), false);
  for (const Stay& stay : stays) {
    const std::int64_t tid = stay.lane + 1;
    if (!named[static_cast<std::size_t>(stay.lane)])
      trace.name_track(kRequests, tid, "lane " + std::to_string(stay.lane));
    named[static_cast<std::size_t>(stay.lane)] = true;
    trace.slice(kRequests, tid, stay.begin_us, stay.end_us - stay.begin_us,
                "request " + std::to_string(stay.request),
                ChromeTrace::Args()
                    .add("prompt_tokens", stay.prompt_tokens)
                    .add("output_tokens", stay.output_tokens)
                    .add("hit_tokens", stay.hit_tokens)
                    .add("queued_ms", stay.queued_us / 1000)
                    .add("attempt", stay.attempt)
                    .add("ended", stay.ended));
  }
  return trace.json();
}

}  // namespace assay::tools
