// Timelines keep to the trace event format: every event has what its phase needs, slices of a track never
// overlap, counters sum to the pool, and the file stays small however long the replay.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "tools/timeline/replay_timeline.h"
#include "tools/timeline/schedule_timeline.h"
#include "traces/open.h"
#include "traces/sample.h"

namespace assay::tools {
namespace {

using Json = nlohmann::json;

// What is wrong with a document; "" when nothing.
std::string schema_fault(const Json& document) {
  if (!document.is_object() || !document.contains("traceEvents") || !document["traceEvents"].is_array())
    return "no list of events";
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::pair<double, double>>> slices;
  std::set<std::int64_t> named;
  for (const Json& e : document["traceEvents"]) {
    const auto number = [&](const char* key) { return e.contains(key) && e[key].is_number(); };
    if (!e.contains("ph") || !e["ph"].is_string() || !e.contains("name") || !e["name"].is_string())
      return "an event without phase or name: " + e.dump();
    if (!number("pid") || !e.contains("args") || !e["args"].is_object()) return "no pid or args: " + e.dump();
    const std::string phase = e["ph"];
    if (phase == "M") {
      if (e["name"] == "process_name") named.insert(e["pid"].get<std::int64_t>());
      continue;
    }
    if (!number("ts") || e["ts"].get<double>() < 0) return "no time: " + e.dump();
    if (phase == "X") {
      if (!number("tid") || !number("dur") || e["dur"].get<double>() < 0) return "no duration: " + e.dump();
      slices[{e["pid"], e["tid"]}].push_back({e["ts"], e["ts"].get<double>() + e["dur"].get<double>()});
    } else if (phase == "i") {
      if (!number("tid") || e.value("s", "") != "t") return "a moment without scope: " + e.dump();
    } else if (phase == "C") {
      for (const auto& value : e["args"])
        if (!value.is_number()) return "a counter of no number: " + e.dump();
    } else {
      return "an unknown phase: " + e.dump();
    }
    if (named.count(e["pid"].get<std::int64_t>()) == 0) return "a process without a name: " + e.dump();
  }
  for (auto& [track, list] : slices) {
    std::sort(list.begin(), list.end());
    for (std::size_t i = 1; i < list.size(); ++i)
      if (list[i].first < list[i - 1].second - 1e-6)
        return "two slices overlap on track " + std::to_string(track.second);
  }
  return "";
}

struct Replayed {
  Json document;
  std::size_t bytes = 0;
  ReplayResult result;
};
Replayed replayed(const char* clock, std::int64_t most_events = ReplayTimeline::kMostEvents) {
  ReplayOptions options;
  options.scheduler.blocks = 2400;
  options.clock = StepClock::parse(clock);
  ReplayTimeline timeline(options, most_events);
  const auto reader = open_trace_in_memory(std::string(sample_trace()), "sample", {});
  Replayed r;
  r.result = replay_serving(*reader, options, [&](const StepView& view) { timeline.observe(view); });
  const std::string text = timeline.json("a \"quoted\" name\n");
  r.bytes = text.size();
  r.document = Json::parse(text);
  return r;
}

TEST(ReplayTimeline, KeepsToTheFormatUnderEveryClock) {
  for (const char* clock : {"none", "fixed:25", "roofline:llama-3-8b@h200"})
    EXPECT_EQ(schema_fault(replayed(clock).document), "") << clock;
}

TEST(ReplayTimeline, ShowsEveryRequestAndPreemptionAndTheWholePool) {
  const Replayed r = replayed("fixed:25");
  std::int64_t finished = 0, preempted = 0, moments = 0;
  for (const Json& e : r.document["traceEvents"]) {
    if (e["ph"] == "i") ++moments;
    if (e["ph"] == "X") ++(e["args"]["ended"] == "finished" ? finished : preempted);
    if (e["ph"] == "C" && e["name"] == "pool slots") {
      double sum = 0;
      for (const auto& value : e["args"]) sum += value.get<double>();
      EXPECT_NEAR(sum, 2400.0 * 16, 1e-6);
    }
  }
  EXPECT_EQ(finished, r.result.completed);
  EXPECT_GT(r.result.preemptions, 0);
  EXPECT_EQ(moments, r.result.preemptions);
  EXPECT_EQ(preempted, r.result.preemptions);
  EXPECT_EQ(r.document["otherData"]["title"], "a \"quoted\" name\n");
}

TEST(ReplayTimeline, StaysWithinItsBoundAndSaysWhatItLeftOut) {
  const Replayed r = replayed("fixed:25", 400);
  EXPECT_EQ(schema_fault(r.document), "");
  std::int64_t events = 0;
  for (const Json& e : r.document["traceEvents"]) events += e["ph"] != "M";
  EXPECT_LE(events, 400);
  EXPECT_LT(r.bytes, 400 * 250u);
  EXPECT_TRUE(r.document["otherData"].contains("counters"));
  EXPECT_TRUE(r.document["otherData"].contains("requests"));
}

TEST(ScheduleTimeline, HasATrackPerSmAndASlicePerPiece) {
  const std::vector<std::int64_t> lengths{4096, 100, 0, 700};
  const DecodeBatch batch{lengths, 16};
  ScheduleTimeline timeline;
  Schedule schedule;
  std::size_t pieces = 0;
  for (const Planner& planner : planners()) {
    planner.plan(batch, schedule);
    timeline.add(planner, schedule, batch);
    for (const Piece& piece : schedule.pieces) pieces += piece.unit_count > 0;
  }
  const Json document = Json::parse(timeline.json());
  EXPECT_EQ(schema_fault(document), "");
  std::size_t slices = 0;
  for (const Json& e : document["traceEvents"]) slices += e["ph"] == "X";
  EXPECT_EQ(slices, pieces);
}

TEST(ScheduleTimeline, AMillionPiecesAreRefused) {
  const std::vector<std::int64_t> lengths(1 << 20, 64);
  const DecodeBatch batch{lengths, 132};
  Schedule schedule;
  planner_named("one-cta-per-sequence").plan(batch, schedule);
  EXPECT_THROW(ScheduleTimeline().add(planner_named("one-cta-per-sequence"), schedule, batch), InputError);
}

// The check itself: documents that are wrong are called so.
TEST(TimelineSchema, WrongDocumentsAreNoticed) {
  const auto fault = [](const char* text) { return schema_fault(Json::parse(text)); };
  const std::string head = R"({"traceEvents":[{"ph":"M","pid":1,"name":"process_name","args":{"name":"p"}},)";
  EXPECT_EQ(fault((head + R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":2,"name":"a","args":{}}]})").c_str()),
            "");
  EXPECT_NE(fault("{}"), "");
  EXPECT_NE(fault(R"({"traceEvents":[{"ph":"C","pid":1,"ts":0,"name":"c","args":{}}]})"), "");
  EXPECT_NE(fault((head + R"({"ph":"X","pid":1,"tid":1,"ts":0,"name":"a","args":{}}]})").c_str()), "");
  EXPECT_NE(fault((head + R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":2,"name":"a","args":{}},)" +
                   R"({"ph":"X","pid":1,"tid":1,"ts":1,"dur":2,"name":"b","args":{}}]})")
                      .c_str()),
            "");
  EXPECT_NE(fault((head + R"({"ph":"C","pid":1,"ts":0,"name":"c","args":{"a":"x"}}]})").c_str()), "");
}

}  // namespace
}  // namespace assay::tools
