// What a case can say about a kernel. One word per way of being wrong, because each has another cause
// and another reader; shrinking keeps the word.
#pragma once

#include <cstdint>
#include <string>

namespace assay::properties {

enum class Status : std::uint8_t {
  kPassed,
  kUnsupported,         // the kernel declined the shape: counted, never a failure
  kIncorrectNumerical,  // a value outside its bound
  kIncorrectMask,       // a masked element that is not -inf, or a write beyond the may-write region of a row
  kWrongBlock,          // a value that lies elsewhere: another block or slot was read
  kUnwritten,           // a must-write element that was left alone
  kOobRead,
  kOobWrite,
  kPoisonLeak,     // dead bytes reach the result
  kInputModified,  // an input, or a write to one
  kNondeterministic,
  kClaimFalse,  // right within its bound, but not what the kernel claims
  kRuntimeError,
  kTimeout,
};
inline constexpr int kStatuses = 14;

[[nodiscard]] constexpr const char* name_of(Status status) {
  constexpr const char* kNames[kStatuses] = {
      "PASSED",           "UNSUPPORTED", "INCORRECT_NUMERICAL", "INCORRECT_MASK", "WRONG_BLOCK",
      "UNWRITTEN",        "OOB_READ",    "OOB_WRITE",           "POISON_LEAK",    "INPUT_MODIFIED",
      "NONDETERMINISTIC", "CLAIM_FALSE", "RUNTIME_ERROR",       "TIMEOUT"};
  return kNames[static_cast<int>(status)];
}
[[nodiscard]] constexpr bool is_failure(Status status) {
  return status != Status::kPassed && status != Status::kUnsupported;
}
// Throws InputError with the list of names.
[[nodiscard]] Status status_named(const std::string& name, const std::string& place);

}  // namespace assay::properties
