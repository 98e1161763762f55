#include "tools/commands/lengths.h"

#include <charconv>
#include <sstream>

#include "model/core/check.h"

namespace assay::tools {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
constexpr std::int64_t kMostRepeats = 1 << 20;

// A number with an optional k or m; -1 when it is not one.
std::int64_t parse_count(const std::string& word) {
  std::int64_t value = -1;
  const char* end = word.data() + word.size();
  const auto [rest, fault] = std::from_chars(word.data(), end, value);
  if (fault != std::errc() || value < 0 || value > kMostTokens) return -1;
  if (rest == end) return value;
  if (rest + 1 != end) return -1;
  const std::int64_t unit = (*rest | 0x20) == 'k' ? 1024 : (*rest | 0x20) == 'm' ? 1024 * 1024 : -1;
  return unit < 0 || value > kMostTokens / unit ? -1 : value * unit;
}

}  // namespace

std::vector<std::int64_t> parse_lengths(const std::string& text, const std::string& option) {
  std::vector<std::int64_t> lengths;
  std::istringstream words(text);
  std::string word;
  while (std::getline(words, word, ',')) {
    const std::size_t times = word.find('x');
    const std::int64_t repeats = times == std::string::npos ? 1 : parse_count(word.substr(0, times));
    const std::int64_t length = parse_count(times == std::string::npos ? word : word.substr(times + 1));
    if (length < 0 || repeats < 0 || static_cast<std::int64_t>(lengths.size()) + repeats > kMostRepeats)
      throw InputError(option, "lengths such as 8192,63x2k,128k (each below 2^40, at most 2^20 of them)",
                       "'" + word + "'");
    lengths.insert(lengths.end(), static_cast<std::size_t>(repeats), length);
  }
  if (lengths.empty()) throw InputError(option, "at least one length", "'" + text + "'");
  return lengths;
}

}  // namespace assay::tools
