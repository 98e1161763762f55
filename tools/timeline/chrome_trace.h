// The trace event format that the viewers of Chrome and Perfetto open: one JSON object with a list of events.
//
//   {"displayTimeUnit":"ms","otherData":{...},"traceEvents":[
//     {"ph":"M","pid":1,"tid":3,"name":"thread_name","args":{"name":"lane 2"}},      names of processes, tracks
//     {"ph":"X","pid":1,"tid":3,"ts":12.5,"dur":100,"name":"request 7","args":{}},   a slice; ts, dur in us
//     {"ph":"i","pid":1,"tid":9,"ts":80,"s":"t","name":"preempted","args":{}},       a moment
//     {"ph":"C","pid":1,"ts":80,"name":"pool","args":{"live":1,"free":2}}]}          a counter, stacked
//
// Slices of one track never overlap here. Open in ui.perfetto.dev ("Open trace file") or chrome://tracing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay::tools {

class ChromeTrace {
 public:
  // One "key":value of an event's args; texts are escaped.
  class Args {
   public:
    Args& add(std::string_view key, std::int64_t value);
    Args& add(std::string_view key, double value);
    Args& add(std::string_view key, std::string_view text);
    [[nodiscard]] const std::string& json() const { return json_; }

   private:
    void begin(std::string_view key);
    std::string json_;
  };

  void name_process(std::int64_t pid, std::string_view name);
  void name_track(std::int64_t pid, std::int64_t tid, std::string_view name);
  void slice(std::int64_t pid, std::int64_t tid, double begin_us, double duration_us, std::string_view name,
             const Args& args);
  void moment(std::int64_t pid, std::int64_t tid, double at_us, std::string_view name, const Args& args);
  void counter(std::int64_t pid, double at_us, std::string_view name, const Args& args);
  // Said once about the whole trace ("otherData").
  void remark(std::string_view key, std::string_view text);

  [[nodiscard]] std::int64_t events() const { return events_; }
  // The whole document.
  [[nodiscard]] std::string json() const;

 private:
  void begin_event(char phase, std::int64_t pid);
  void end_event(std::string_view name, const Args& args);

  std::string text_;
  std::int64_t events_ = 0;
  Args remarks_;
};

}  // namespace assay::tools
