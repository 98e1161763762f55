// The ledger of known failures (--known FILE): what may fail for now, and why nobody is told again.
//
//   [{"kernel": "./my.so", "case": "A12-odd-next-n", "status": "UNWRITTEN",
//     "issue": "https://...", "expires": "2027-01-31"}, ...]
//
// An entry needs an issue and an expiry. An expired entry excuses nothing. An entry whose case passes is
// itself a failure: remove it, so that the fault cannot come back unseen.
#pragma once

#include <string>
#include <vector>

namespace assay::tools {

struct KnownFailure {
  std::string kernel, case_name, status, issue, expires;  // expires: YYYY-MM-DD, the last day
};

// InputError with the entry's place. "" gives an empty ledger.
[[nodiscard]] std::vector<KnownFailure> read_known_failures(const std::string& path);
// Today as YYYY-MM-DD, UTC.
[[nodiscard]] std::string today();

// The entry that excuses this failure; nullptr: none.
[[nodiscard]] const KnownFailure* excuse_for(const std::vector<KnownFailure>& ledger,
                                             const std::string& kernel, const std::string& case_name,
                                             const std::string& status, const std::string& today);
// The entry, expired or not, that says this case fails.
[[nodiscard]] const KnownFailure* entry_for(const std::vector<KnownFailure>& ledger,
                                            const std::string& kernel, const std::string& case_name);

}  // namespace assay::tools
