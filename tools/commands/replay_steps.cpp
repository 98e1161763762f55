#include "tools/commands/replay_steps.h"

#include <fmt/format.h>

#include <iterator>

#include "model/core/check.h"

namespace assay::tools {

StepDump::StepDump(const std::string& path)
    : path_(path), file_(path == "-" ? stdout : std::fopen(path.c_str(), "wb")) {
  if (file_ == nullptr)
    throw EnvironmentError("--steps " + path, "a file that can be written", "a failed open");
}

StepDump::~StepDump() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

void StepDump::write(const StepView& view) {
  fmt::memory_buffer line;
  const auto out = std::back_inserter(line);
  const auto handles = [&](const char* key, const std::vector<std::int32_t>& list) {
    fmt::format_to(out, ",\"{}\":[", key);
    for (std::size_t i = 0; i < list.size(); ++i)
      fmt::format_to(out, "{}{}", i == 0 ? "" : ",", view.scheduler.sequence(list[i]).request.value());
    fmt::format_to(out, "]");
  };
  fmt::format_to(out, "{{\"step\":{},\"tokens\":{},\"free\":{},\"scheduled\":[", view.step,
                 view.record.tokens, view.scheduler.pool().free_blocks());
  bool first = true;
  for (const ScheduledSequence& s : view.record.scheduled) {
    const Sequence& sequence = view.scheduler.sequence(s.sequence);
    fmt::format_to(out, "{}{{\"request\":{},\"tokens\":{},\"computed\":{},\"hit\":{}", first ? "" : ",",
                   sequence.request.value(), s.tokens, s.computed_before, s.hit_tokens);
    if (s.admitted) fmt::format_to(out, ",\"admitted\":true");
    if (s.resumed) fmt::format_to(out, ",\"resumed\":true");
    fmt::format_to(out, ",\"new_blocks\":[");
    for (auto i = static_cast<std::size_t>(s.new_blocks_begin); i < sequence.blocks.size(); ++i)
      fmt::format_to(out, "{}{}", i == static_cast<std::size_t>(s.new_blocks_begin) ? "" : ",",
                     sequence.blocks[i]);
    fmt::format_to(out, "]}}");
    first = false;
  }
  fmt::format_to(out, "]");
  handles("preempted", view.record.preempted);
  handles("finished", view.record.finished);
  fmt::format_to(out, "}}\n");
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size())
    throw EnvironmentError("--steps " + path_, "room to write", "a failed write");
}

void StepDump::close() {
  const int status = file_ == stdout ? std::fflush(file_) : std::fclose(file_);
  file_ = nullptr;
  if (status != 0) throw EnvironmentError("--steps " + path_, "room to write", "a failed write");
}

}  // namespace assay::tools
