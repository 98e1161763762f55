#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "traces/utf8.h"

namespace assay::tools {
namespace {

[[nodiscard]] double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string json_safe(const std::string& text) {
  const char* end = text.data() + text.size();
  if (find_invalid_utf8(text.data(), end) == end) return text;
  std::string out;
  for (const char c : text)
    out += static_cast<unsigned char>(c) < 0x80 ? std::string(1, c)
                                                : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

OpenOptions open_options(const TraceInput& input) {
  OpenOptions options;
  options.format = input.format;
  options.skip_bad = input.skip_bad;
  options.hash_tokens = input.hash_tokens;
  if (input.hash_tokens < 0 || input.hash_tokens > (1 << 24))
    throw InputError("--hash-tokens", "1 to 2^24 tokens", std::to_string(input.hash_tokens));
  if (input.hash_rounding != "ceil" && input.hash_rounding != "floor")
    throw InputError("--hash-rounding", "ceil or floor", input.hash_rounding);
  options.hash_rounding = input.hash_rounding == "floor" ? HashRounding::kFloor : HashRounding::kCeil;
  const std::string& unit = input.time_unit;
  if (!unit.empty()) {
    options.time_unit = unit == "s" ? 9 : unit == "ms" ? 6 : unit == "us" ? 3 : unit == "ns" ? 0 : -1;
    if (options.time_unit < 0) throw InputError("--time-unit", "s, ms, us or ns", unit);
  }
  return options;
}

TraceProgress::TraceProgress(const std::string& path, std::int64_t goal, bool enabled)
    : goal_(goal), begin_s_(now_s()), shown_s_(begin_s_), enabled_(enabled && isatty(STDERR_FILENO) != 0) {
  struct stat status {};
  if (enabled_ && path != "-" && stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode))
    file_bytes_ = status.st_size;
}

TraceProgress::~TraceProgress() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

bool TraceProgress::tick(std::int64_t requests, std::int64_t bytes) {
  if ((++calls_ & 4095) != 0) return true;
  if (interrupted) return false;
  if (!enabled_) return true;
  const double now = now_s();
  if (now - begin_s_ < 2.0 || now - shown_s_ < 0.2) return true;
  shown_s_ = now;
  show(requests, bytes, now - begin_s_);
  return true;
}

void TraceProgress::show(std::int64_t requests, std::int64_t bytes, double seconds) {
  shown_ = true;
  // A compressed file's size is not comparable with decoded bytes: no percentage past 100.
  double part = goal_ > 0 ? static_cast<double>(requests) / static_cast<double>(goal_) : 0.0;
  if (goal_ <= 0 && file_bytes_ > 0 && bytes <= file_bytes_)
    part = static_cast<double>(bytes) / static_cast<double>(file_bytes_);
  const std::string eta =
      part > 0 ? fmt::format(", {:3.0f} %, {:.0f} s left", 100 * part, seconds / part - seconds) : "";
  fmt::print(stderr, "\r\x1b[K{} requests{}", grouped(requests), eta);
  std::fflush(stderr);
}

}  // namespace assay::tools
