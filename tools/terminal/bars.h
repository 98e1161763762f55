// Small pictures made of characters: bars and sparklines. Unicode blocks where the locale says UTF-8,
// plain ASCII elsewhere. Colour only on a terminal, and never when NO_COLOR is set.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace assay::tools {

// What the output stream can show.
struct Terminal {
  bool utf8 = false;
  bool color = false;
};
[[nodiscard]] Terminal terminal_of(std::FILE* stream);

// One character per value, height in eighths of `top`. Zero is a space, anything above zero is visible.
[[nodiscard]] std::string sparkline(std::span<const double> values, double top, const Terminal& terminal);

// A horizontal bar of at most `width` columns for a fraction of 1.
[[nodiscard]] std::string bar(double fraction, int width, const Terminal& terminal);

enum class Tone { kPlain, kGood, kWarning, kBad, kFaint, kStrong };
[[nodiscard]] std::string toned(std::string_view text, Tone tone, const Terminal& terminal);

}  // namespace assay::tools
