#include "traces/lint.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "model/core/check.h"
#include "traces/formats.h"

namespace assay {
namespace {

constexpr std::int64_t kRoot = INT64_MIN;  // the parent of a first block

// 64 bits of a line: multiply-mix over words, with the length. Not for adversaries.
[[nodiscard]] std::uint64_t hash_line(std::string_view text) {
  std::uint64_t hash = text.size() * 0x9E3779B97F4A7C15ull + 1;
  const auto mix = [&](std::uint64_t word) {
    hash ^= word;
    hash *= 0xD6E8FEB86659FD93ull;
    hash ^= hash >> 32;
  };
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    mix(word);
  }
  std::uint64_t tail = 0;
  std::memcpy(&tail, text.data() + at, text.size() - at);
  mix(tail);
  mix(hash >> 29);
  return hash;
}

// Column of entry `index` of the list that begins at `column`.
[[nodiscard]] std::int64_t list_column(const Line& line, std::int64_t column, std::size_t index) {
  const char* p = line.begin + column;  // behind '['
  for (std::size_t commas = 0; commas < index && p < line.end; ++p)
    if (*p == ',') ++commas;
  while (p < line.end && (*p == ' ' || *p == '\t')) ++p;
  return line.column(p);
}

[[nodiscard]] std::string id_word(std::int64_t id) {
  return id == kRoot ? "the start of a prompt" : "id " + std::to_string(id);
}

}  // namespace

std::string_view severity_name(Severity severity) {
  constexpr std::string_view kNames[] = {"note", "warning", "error"};
  return kNames[static_cast<int>(severity)];
}

std::int64_t Linter::count(std::string_view code) const {
  const auto found = counts_.find(std::string(code));
  return found == counts_.end() ? 0 : found->second;
}

void Linter::add(Severity severity, std::string_view code, std::int64_t line, std::int64_t column,
                 std::string message) {
  ++totals_[static_cast<int>(severity)];
  const std::int64_t count = ++counts_[std::string(code)];
  if (count <= static_cast<std::int64_t>(options_.listed_per_code))
    findings_.push_back({severity, code, file_, line, column, std::move(message)});
}

void Linter::run(const std::string& path, const OpenOptions& open) {
  file_ = path == "-" ? "standard input" : path;
  OpenOptions options = open;
  options.skip_bad = true;
  options.on_bad = [this](const BadLine& bad) {
    add(Severity::kError, bad.fault.code, bad.line, bad.fault.column,
        "expected " + bad.fault.expected + ", got " + bad.fault.got);
  };
  try {
    const auto trace = open_trace(path, options);
    lint(*trace);
  } catch (const InputError& error) {
    add_unreadable(error);
  }
  ++file_index_;
}

void Linter::run_in_memory(std::string bytes, const std::string& name, const OpenOptions& open) {
  file_ = name;
  OpenOptions options = open;
  options.skip_bad = true;
  options.on_bad = [this](const BadLine& bad) {
    add(Severity::kError, bad.fault.code, bad.line, bad.fault.column,
        "expected " + bad.fault.expected + ", got " + bad.fault.got);
  };
  try {
    const auto trace = open_trace_in_memory(std::move(bytes), name, options);
    lint(*trace);
  } catch (const InputError& error) {
    add_unreadable(error);
  }
  ++file_index_;
}

// A file that cannot be opened, packed or understood. A place file:line:column is taken apart again.
void Linter::add_unreadable(const InputError& error) {
  long long line = 0, column = 0;
  const std::string& place = error.place();
  const bool located = place.size() > file_.size() && place.compare(0, file_.size(), file_) == 0 &&
                       std::sscanf(place.c_str() + file_.size(), ":%lld:%lld", &line, &column) == 2;
  if (located) {
    add(Severity::kError, "header", line, column, "expected " + error.expected() + ", got " + error.got());
  } else {
    add(Severity::kError, "unreadable", 0, 0, error.what());
  }
}

void Linter::lint(TraceReader& trace) {
  formats_.push_back(std::string(trace.format().name));
  previous_ns_ = restart_line_ = 0;
  any_time_ = any_ids_ = no_ids_reported_ = false;
  crlf_lines_ = lf_lines_ = first_crlf_ = shared_ids_ = 0;
  lines_seen_ = {};
  Request request;
  while (trace.next(request)) {
    ++requests_;
    check_request(trace, request);
    if (options_.go_on && !options_.go_on(requests_, trace.bytes_read())) {
      complete_ = false;
      return;  // what is at the end of the file is not known
    }
  }
  check_file(trace);
}

void Linter::check_file(TraceReader& trace) {
  const Line& last = trace.line();
  if (trace.had_byte_order_mark())
    add(Severity::kNote, "byte-order-mark", 1, 1, "the file begins with a UTF-8 byte order mark; accepted");
  if (crlf_lines_ > 0 && lf_lines_ > 0) {
    add(Severity::kWarning, "mixed-line-ends", first_crlf_, 1,
        std::to_string(crlf_lines_) + " records end in CR LF, " + std::to_string(lf_lines_) + " in LF alone");
  } else if (crlf_lines_ > 0) {
    add(Severity::kNote, "crlf", first_crlf_, 1,
        "lines end in CR LF (" + std::to_string(crlf_lines_) + " records); accepted");
  }
  if (last.number > 0 && !last.terminated)
    add(Severity::kNote, "unterminated-last-line", last.number, last.column(last.end),
        "the last line has no line end; accepted");
  if (trace.blank_lines() > 0)
    add(Severity::kNote, "blank-line", trace.first_blank_line(), 1,
        std::to_string(trace.blank_lines()) + " blank lines; skipped");
  for (const std::string& column : trace.unknown_columns())
    add(Severity::kNote, "unknown-column", trace.header_line(), 1,
        "column " + show_text(column.data(), column.data() + column.size()) + " is not kept");
  if (shared_ids_ > 0)
    add(Severity::kWarning, "local-ids", 1, 1,
        std::to_string(shared_ids_) +
            " hash ids occur in a trace before this one too; ids are local to a trace, so merging the two "
            "would make false hits");
}

void Linter::check_request(TraceReader& trace, const Request& request) {
  const Line& line = trace.line();
  const RecordFacts& facts = trace.facts();
  if (line.carriage_return) {
    if (crlf_lines_++ == 0) first_crlf_ = line.number;
  } else {
    lf_lines_ += line.terminated ? 1 : 0;
  }
  if (request.has_arrival) {
    if (any_time_ && request.arrival_ns < previous_ns_) {
      restart_line_ = line.number;
      restart_column_ = facts.at(Field::kTime);
      add(Severity::kWarning, "time-backwards", line.number, facts.at(Field::kTime),
          "expected a time not before the previous request's, got " +
              std::to_string((static_cast<double>(previous_ns_) - static_cast<double>(request.arrival_ns)) *
                             1e-9) +
              " s earlier");
    }
    previous_ns_ = request.arrival_ns;
    any_time_ = true;
  } else if (request.delay_ns < 0) {
    add(Severity::kWarning, "missing-time", line.number, 1, "expected a time or a delay, got neither");
  }
  if (facts.time_rounded)
    add(Severity::kNote, "time-rounded", line.number, std::max(facts.at(Field::kTime), 1),
        "more digits than nanoseconds hold; rounded");
  if (request.output_tokens == 0)
    add(Severity::kWarning, "failed-request", line.number, facts.at(Field::kOutput),
        "no output tokens: a failed request; kept");
  if (request.input_tokens == 0)
    add(Severity::kWarning, "empty-prompt", line.number, facts.at(Field::kInput), "no input tokens; kept");
  if (facts.at(Field::kTotal) != 0) {
    const std::uint64_t sum =
        static_cast<std::uint64_t>(request.input_tokens) + static_cast<std::uint64_t>(request.output_tokens);
    if (static_cast<std::uint64_t>(facts.total_tokens) != sum)
      add(Severity::kWarning, "total", line.number, facts.at(Field::kTotal),
          "expected the sum " + std::to_string(sum) + ", got " + std::to_string(facts.total_tokens));
  }
  if (facts.ids_local)
    add(Severity::kWarning, "local-ids", line.number, facts.at(Field::kIdScope),
        "the record says that its hash ids are local; merging traces without renaming makes false hits");
  check_ids(trace, request);
  if (options_.duplicates) check_duplicate(line);
}

void Linter::check_ids(TraceReader& trace, const Request& request) {
  const Line& line = trace.line();
  const std::int64_t column = trace.facts().at(Field::kHashIds);
  if (request.hash_ids.empty()) {
    if (any_ids_ && request.input_tokens > 0 && !no_ids_reported_) {
      no_ids_reported_ = true;
      add(Severity::kWarning, "no-ids", line.number, std::max<std::int64_t>(column, 1),
          "a request without hash ids in a trace that has them; it shares nothing (first of its kind)");
    }
    return;
  }
  any_ids_ = true;
  const bool prefix_ids = trace.header().prefix_ids;
  const auto here = static_cast<std::int32_t>(std::min<std::int64_t>(line.number, INT32_MAX));
  bool reported = false;
  std::int64_t parent = kRoot;
  for (std::size_t i = 0; i < request.hash_ids.size(); ++i) {
    const std::int64_t id = request.hash_ids[i];
    Parent& known = parents_[id];
    if (!known.used() || known.file != file_index_) {
      if (known.used()) ++shared_ids_;
      known = {parent, here, file_index_};
    } else if (known.id != parent && !reported) {
      reported = true;  // the rest of a prompt that took a wrong turn says nothing new
      const std::int64_t at = list_column(line, column, i);
      if (restart_line_ > 0 && known.line < restart_line_ && prefix_ids) {
        add(Severity::kError, "local-ids", restart_line_, restart_column_,
            "time starts again here, and id " + std::to_string(id) + " (line " + std::to_string(line.number) +
                ", column " + std::to_string(at) + ") means another block than on line " +
                std::to_string(known.line) + ": traces with ids of their own were put into one file");
        restart_line_ = 0;
      }
      add(prefix_ids ? Severity::kError : Severity::kWarning, "two-parents", line.number, at,
          "id " + std::to_string(id) + " comes after " + id_word(parent) + ", but after " +
              id_word(known.id) + " on line " + std::to_string(known.line));
    }
    parent = id;
  }
}

void Linter::check_duplicate(const Line& line) {
  Seen& seen = lines_seen_[static_cast<std::int64_t>(hash_line(line.text()))];
  if (seen.used()) {
    add(Severity::kWarning, "duplicate-line", line.number, 1,
        "the same as line " + std::to_string(seen.line));
  } else {
    seen.line = line.number;
  }
}

}  // namespace assay
