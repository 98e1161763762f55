// Where the bytes of a trace come from: a file, standard input or memory; plain, gzip or zstandard. The
// compression is recognised by the first bytes, never by the name. Reads on demand: memory is one input
// buffer and the decompressor's window, whatever the length of the file.
//
//   gzip   1f 8b          several members in a row are one stream
//   zstd   28 b5 2f fd    several frames in a row are one stream; skippable frames (5? 2a 4d 18) are skipped
//
// A stream that ends in the middle, or has rubbish behind it, is an InputError, not a short trace.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace assay {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `capacity` (> 0) decoded bytes into `into`; 0 at the end.
  [[nodiscard]] virtual std::size_t read(char* into, std::size_t capacity) = 0;
  // "", "gzip" or "zstd".
  [[nodiscard]] virtual const char* compression() const = 0;
};

// path "-" is standard input. A path that cannot be opened is an InputError.
[[nodiscard]] std::unique_ptr<ByteSource> open_bytes(const std::string& path);

// Bytes in memory, compressed or not. `name` is for messages.
[[nodiscard]] std::unique_ptr<ByteSource> open_bytes_in_memory(std::string bytes, const std::string& name);

}  // namespace assay
