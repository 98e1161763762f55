// assay trace convert and generate: requests out, in any format, with an account of what it cannot hold.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "traces/formats.h"
#include "traces/regroup.h"
#include "traces/write.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

// A file or standard output; every failed write is an error, but a reader that has had enough is not.
class Output {
 public:
  explicit Output(const std::string& path)
      : path_(path), file_(path == "-" ? stdout : std::fopen(path.c_str(), "wb")) {
    if (file_ == nullptr)
      throw EnvironmentError("--output " + path, "a file that can be written", std::strerror(errno));
  }
  ~Output() {
    if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Writes out `text` when it is long; false when the other end of a pipe is gone.
  [[nodiscard]] bool pass(std::string& text, bool all) {
    constexpr std::size_t kFlushBytes = 1 << 20;
    if (text.size() < kFlushBytes && !all) return true;
    if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || (all && std::fflush(file_) != 0)) {
      if (errno == EPIPE) return false;
      throw EnvironmentError("--output " + path_, "a file that can be written", std::strerror(errno));
    }
    bytes_ += static_cast<std::int64_t>(text.size());
    text.clear();
    return true;
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  std::FILE* file_;
  std::int64_t bytes_ = 0;
};

[[nodiscard]] const FormatSpec& format_named(const std::string& name) {
  const FormatSpec* format = find_trace_format(name);
  if (format == nullptr) throw InputError("--to", "one of " + trace_format_names(), name);
  return *format;
}

void describe_output(const TraceWriter& writer, const FormatSpec& format, const TraceHeader& header,
                     std::int64_t requests, const Output& output, std::FILE* print, Json& document) {
  document["to"] = format.name;
  document["requests"] = requests;
  document["bytes"] = output.bytes();
  auto& losses = document["losses"] = Json::array();
  for (const Loss& loss : writer.losses())
    losses.push_back({{"what", loss.what}, {"requests", loss.requests}});
  document["needs_hash_tokens"] = writer.needs_hash_tokens() ? header.hash_tokens : 0;
  if (print == nullptr) return;
  fmt::print(print, "{} requests written as {} ({} bytes)\n", grouped(requests), format.name,
             grouped(output.bytes()));
  for (const Loss& loss : writer.losses())
    fmt::print(print, "  lost: {}, in {} requests\n", loss.what, grouped(loss.requests));
  if (writer.needs_hash_tokens())
    fmt::print(print, "  an id covers {} tokens, not {}: readers need --format {} --hash-tokens {}\n",
               header.hash_tokens, format.hash_tokens, format.name, header.hash_tokens);
}

}  // namespace

int convert_trace(const ConvertAction& action, std::FILE* print, Json& document) {
  const FormatSpec& format = format_named(action.to);
  const auto trace = open_trace(action.input.path, open_options(action.input));
  Output output(action.output);
  TraceHeader header = trace->header();
  std::optional<Regrouper> regrouper;
  TraceWriter writer(format, header);
  std::string text;
  std::vector<Request> kept;
  std::int64_t requests = 0, dropped = 0;
  bool complete = true, open = true;
  {
    TraceProgress progress(action.input.path, -1, print != nullptr);
    Request request;
    while (open && (action.first < 0 || requests < action.first) && trace->next(request)) {
      if (action.drop_failed && request.output_tokens == 0) {
        ++dropped;
        continue;
      }
      if (++requests == 1) {
        header = trace->header();  // known now: the origin, and what a native trace's first line says
        if (action.regroup != 0) {
          regrouper.emplace(header.hash_tokens, action.regroup, header.prefix_ids);
          header.hash_tokens = action.regroup;
        }
      }
      if (regrouper) regrouper->apply(request);
      if (action.sort) {
        kept.push_back(request);
      } else {
        writer.write(request, text);
        open = output.pass(text, false);
      }
      if (!progress.tick(requests, trace->bytes_read())) {
        complete = false;
        break;
      }
    }
    // Equal times keep the order of the file.
    std::stable_sort(kept.begin(), kept.end(),
                     [](const Request& a, const Request& b) { return a.arrival_ns < b.arrival_ns; });
    for (const Request& one : kept) {
      if (!open) break;
      writer.write(one, text);
      open = output.pass(text, false);
    }
  }
  if (requests == 0) header = trace->header();
  writer.finish(text);
  if (open) open = output.pass(text, true);
  document["schema"] = "assay.trace.convert/1";
  document["complete"] = complete && open;
  document["from"] = trace->header().format;
  document["regrouped_from"] = regrouper ? trace->header().hash_tokens : 0;
  describe_output(writer, format, header, requests, output, print, document);
  document["dropped_failed"] = dropped;
  document["skipped_lines"] = trace->bad_count();
  if (print != nullptr) {
    if (action.regroup > trace->header().hash_tokens && regrouper)
      fmt::print(print, "  lost: sharing of less than {} tokens (ids covered {})\n", action.regroup,
                 trace->header().hash_tokens);
    if (dropped > 0) fmt::print(print, "  left out: {} failed requests\n", grouped(dropped));
    if (trace->bad_count() > 0)
      fmt::print(print, "  skipped: {} malformed lines\n", grouped(trace->bad_count()));
    for (const BadLine& bad : trace->bad_lines())
      fmt::print(print, "    line {}, column {}: expected {}, got {}\n", bad.line, bad.fault.column,
                 bad.fault.expected, bad.fault.got);
    if (!complete) fmt::print(print, "  interrupted: the output is the part that was read\n");
  }
  return complete ? kPass : kInconclusive;
}

int write_generated_trace(const GenerateAction& action, std::FILE* print, Json& document) {
  const FormatSpec& format = format_named(action.to);
  const auto source = generate_trace(action.generate);
  Output output(action.output);
  TraceWriter writer(format, source->header());
  std::string text;
  std::int64_t requests = 0;
  bool complete = true, open = true;
  {
    TraceProgress progress("-", action.generate.requests, print != nullptr);
    Request request;
    while (open && source->next(request)) {
      ++requests;
      writer.write(request, text);
      open = output.pass(text, false);
      if (!progress.tick(requests, 0)) {
        complete = false;
        break;
      }
    }
  }
  writer.finish(text);
  if (open) open = output.pass(text, true);
  document["schema"] = "assay.trace.generate/1";
  document["complete"] = complete && open;
  document["seed"] = action.generate.seed;
  document["config"] = {{"arrivals", action.generate.arrivals},
                        {"lengths", action.generate.lengths},
                        {"rate", action.generate.rate},
                        {"hash_tokens", action.generate.hash_tokens},
                        {"system_prompts", action.generate.system_prompts},
                        {"system_tokens", action.generate.system_tokens},
                        {"documents", action.generate.documents},
                        {"document_tokens", action.generate.document_tokens},
                        {"document_share", action.generate.document_share},
                        {"turns", action.generate.turns},
                        {"think_s", action.generate.think_s},
                        {"twins", action.generate.twin_share},
                        {"max_prompt_tokens", action.generate.max_prompt_tokens}};
  describe_output(writer, format, source->header(), requests, output, print, document);
  if (print != nullptr) {
    fmt::print(print, "  seed {}\n", action.generate.seed);
    if (!complete) fmt::print(print, "  interrupted: the output is the part that was made\n");
  }
  return complete ? kPass : kInconclusive;
}

}  // namespace assay::tools
