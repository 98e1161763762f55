#include "tools/timeline/chrome_trace.h"

#include <fmt/format.h>

#include <iterator>

namespace assay::tools {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out += '"';
}

// JSON has no infinities; a timeline has no use for them either.
std::string number(double value) { return value - value == 0 ? fmt::format("{}", value) : "0"; }

}  // namespace

void ChromeTrace::Args::begin(std::string_view key) {
  if (!json_.empty()) json_ += ',';
  json_ += quoted(key) + ':';
}
ChromeTrace::Args& ChromeTrace::Args::add(std::string_view key, std::int64_t value) {
  begin(key);
  json_ += std::to_string(value);
  return *this;
}
ChromeTrace::Args& ChromeTrace::Args::add(std::string_view key, double value) {
  begin(key);
  json_ += number(value);
  return *this;
}
ChromeTrace::Args& ChromeTrace::Args::add(std::string_view key, std::string_view text) {
  begin(key);
  json_ += quoted(text);
  return *this;
}

void ChromeTrace::begin_event(char phase, std::int64_t pid) {
  if (events_++ > 0) text_ += ",\n";
  fmt::format_to(std::back_inserter(text_), "{{\"ph\":\"{}\",\"pid\":{}", phase, pid);
}
void ChromeTrace::end_event(std::string_view name, const Args& args) {
  fmt::format_to(std::back_inserter(text_), ",\"name\":{},\"args\":{{{}}}}}", quoted(name), args.json());
}

void ChromeTrace::name_process(std::int64_t pid, std::string_view name) {
  begin_event('M', pid);
  end_event("process_name", Args().add("name", name));
}
void ChromeTrace::name_track(std::int64_t pid, std::int64_t tid, std::string_view name) {
  begin_event('M', pid);
  fmt::format_to(std::back_inserter(text_), ",\"tid\":{}", tid);
  end_event("thread_name", Args().add("name", name));
  begin_event('M', pid);
  fmt::format_to(std::back_inserter(text_), ",\"tid\":{}", tid);
  end_event("thread_sort_index", Args().add("sort_index", tid));
}
void ChromeTrace::slice(std::int64_t pid, std::int64_t tid, double begin_us, double duration_us,
                        std::string_view name, const Args& args) {
  begin_event('X', pid);
  fmt::format_to(std::back_inserter(text_), ",\"tid\":{},\"ts\":{},\"dur\":{}", tid, number(begin_us),
                 number(duration_us));
  end_event(name, args);
}
void ChromeTrace::moment(std::int64_t pid, std::int64_t tid, double at_us, std::string_view name,
                         const Args& args) {
  begin_event('i', pid);
  fmt::format_to(std::back_inserter(text_), ",\"tid\":{},\"ts\":{},\"s\":\"t\"", tid, number(at_us));
  end_event(name, args);
}
void ChromeTrace::counter(std::int64_t pid, double at_us, std::string_view name, const Args& args) {
  begin_event('C', pid);
  fmt::format_to(std::back_inserter(text_), ",\"ts\":{}", number(at_us));
  end_event(name, args);
}
void ChromeTrace::remark(std::string_view key, std::string_view text) { remarks_.add(key, text); }

std::string ChromeTrace::json() const {
  return "{\"displayTimeUnit\":\"ms\",\"otherData\":{" + remarks_.json() + "},\"traceEvents\":[\n" + text_ +
         "\n]}\n";
}

}  // namespace assay::tools
