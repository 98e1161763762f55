// SHA-256 (FIPS 180-4) of a stream of bytes: names trace files, machine code and receipts by their contents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

class Sha256 {
 public:
  void update(const void* bytes, std::size_t size);
  void update(std::string_view bytes) { update(bytes.data(), bytes.size()); }
  // Lower-case hexadecimal; the object is done with.
  [[nodiscard]] std::string finish();

 private:
  void compress(const std::uint8_t* block);  // [64]

  std::array<std::uint32_t, 8> state_{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
  std::array<std::uint8_t, 64> buffer_{};
  std::uint64_t bytes_ = 0;
};

[[nodiscard]] std::string sha256_of(std::string_view bytes);

// Of the file as it lies there (compressed stays compressed). InputError when it cannot be read.
[[nodiscard]] std::string sha256_of_file(const std::string& path);

}  // namespace assay
