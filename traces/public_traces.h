// The public traces we know of: where they are published, under which licence, and the SHA-256 of the file
// where we have seen it. None of them is part of this project.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

struct PublicTrace {
  std::string_view name;        // as in `assay trace fetch NAME`
  std::string_view format;      // as in --format
  std::string_view what;        // one line
  std::string_view repository;  // on GitHub, owner/name
  std::string_view path;        // inside it; "" when its README links to another place
  std::string_view licence;
  std::string_view sha256;  // "" = not known to us
  std::int64_t bytes;       // 0 = not known to us
  bool large_file;          // kept in git-lfs: a plain checkout has a pointer only
};

[[nodiscard]] const std::vector<PublicTrace>& public_traces();
[[nodiscard]] const PublicTrace* find_public_trace(std::string_view name);
// The one with this digest; nullptr when none has.
[[nodiscard]] const PublicTrace* find_public_trace_by_digest(std::string_view sha256);

// Where the bytes are; "" when path is.
[[nodiscard]] std::string download_address(const PublicTrace& trace);

}  // namespace assay
