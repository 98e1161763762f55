// The three ways to fail, and the only three (docs/architecture.md, "Failure"):
//
//   an outcome         a return value, [[nodiscard]]
//   a wrong input      throw InputError(place, expected, got)          exit code 2
//   a broken world     throw EnvironmentError(place, expected, got)    exit code 5
//   a bug of ours      ASSAY_CHECK*, always on: prints both values and aborts
//
// Host only. Library code throws; tools/ catches once and prints.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace assay {

// place: where it happened, as a user would look for it ("trace.jsonl:17:5", "--block-tokens").
class Error : public std::runtime_error {
 public:
  Error(const std::string& place, const std::string& expected, const std::string& got)
      : std::runtime_error(place + ": expected " + expected + ", got " + got),
        place_(place),
        expected_(expected),
        got_(got) {}
  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] const std::string& expected() const { return expected_; }
  [[nodiscard]] const std::string& got() const { return got_; }

 private:
  std::string place_, expected_, got_;
};

class InputError : public Error {
  using Error::Error;
};

class EnvironmentError : public Error {
  using Error::Error;
};

namespace detail {

template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (sizeof(T) == 1 && std::is_integral_v<T>) {
    out << static_cast<int>(value);
  } else {
    out << value;
  }
  return out.str();
}

[[noreturn]] inline void check_failed(const char* file, int line, const char* expression,
                                      const std::string& values) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s\n", file, line, expression, values.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace detail
}  // namespace assay

#define ASSAY_CHECK(condition, ...)                                                                \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      ::assay::detail::check_failed(__FILE__, __LINE__, #condition, std::string(" " __VA_ARGS__)); \
  } while (false)

// ASSAY_CHECK_OP(a, <=, b): prints both sides.
#define ASSAY_CHECK_OP(a, op, b)                                                           \
  do {                                                                                     \
    const auto& assay_check_a = (a);                                                       \
    const auto& assay_check_b = (b);                                                       \
    if (!(assay_check_a op assay_check_b)) [[unlikely]]                                    \
      ::assay::detail::check_failed(__FILE__, __LINE__, #a " " #op " " #b,                 \
                                    " (" + ::assay::detail::show(assay_check_a) + " vs " + \
                                        ::assay::detail::show(assay_check_b) + ")");       \
  } while (false)

#define ASSAY_CHECK_EQ(a, b) ASSAY_CHECK_OP(a, ==, b)
#define ASSAY_CHECK_LE(a, b) ASSAY_CHECK_OP(a, <=, b)
#define ASSAY_CHECK_LT(a, b) ASSAY_CHECK_OP(a, <, b)
#define ASSAY_CHECK_GE(a, b) ASSAY_CHECK_OP(a, >=, b)
