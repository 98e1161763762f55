#include "tools/terminal/bars.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace assay::tools {
namespace {

constexpr std::array<const char*, 9> kHeights{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 9> kAsciiHeights{" ", "_", ".", ".", "-", "-", "=", "+", "#"};
constexpr std::array<const char*, 9> kWidths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string lower(value);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return static_cast<char>(c | 0x20); });
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

Terminal terminal_of(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool is_terminal = ::isatty(::fileno(stream)) == 1;
  return {locale_is_utf8(), is_terminal && (no_color == nullptr || *no_color == '\0')};
}

std::string sparkline(std::span<const double> values, double top, const Terminal& terminal) {
  std::string line;
  for (const double value : values) {
    int eighths = 0;
    if (value > 0 && top > 0) eighths = std::clamp(static_cast<int>(std::lround(value / top * 8)), 1, 8);
    line += (terminal.utf8 ? kHeights : kAsciiHeights)[static_cast<std::size_t>(eighths)];
  }
  return line;
}

std::string bar(double fraction, int width, const Terminal& terminal) {
  const double columns = std::clamp(fraction, 0.0, 1.0) * width;
  std::string line;
  if (!terminal.utf8) return std::string(static_cast<std::size_t>(std::lround(columns)), '#');
  const auto eighths = static_cast<int>(std::lround(columns * 8));
  for (int i = 0; i < eighths / 8; ++i) line += kWidths[8];
  line += kWidths[static_cast<std::size_t>(eighths % 8)];
  return line;
}

std::string toned(std::string_view text, Tone tone, const Terminal& terminal) {
  const char* code = "";
  switch (tone) {
    case Tone::kPlain: break;
    case Tone::kGood: code = "32"; break;
    case Tone::kWarning: code = "33"; break;
    case Tone::kBad: code = "31"; break;
    case Tone::kFaint: code = "2"; break;
    case Tone::kStrong: code = "1"; break;
  }
  if (!terminal.color || *code == '\0') return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace assay::tools
