// Lines out of a byte source, without copying: one buffer that holds the current line and what was read
// ahead. The buffer grows only for a line longer than itself, up to kMaxLineBytes.
//
//   [ .... consumed .... | current line \n | read ahead ......... | padding ]
//
// Accepts "\n" and "\r\n", a UTF-8 byte order mark in front, and a last line without a newline; says so.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "traces/bytes.h"
#include "traces/fault.h"

namespace assay {

inline constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

class LineReader {
 public:
  LineReader(std::unique_ptr<ByteSource> bytes, std::string name);

  // The next line; false at the end. The pointers hold until the next call.
  [[nodiscard]] bool next(Line& line);

  // The first bytes of the file behind a byte order mark, up to `bytes` of them, extended to hold at
  // least one whole line. Only before the first next().
  [[nodiscard]] std::string_view peek(std::size_t bytes);

  [[nodiscard]] bool had_byte_order_mark() const { return byte_order_mark_; }
  [[nodiscard]] const char* compression() const { return bytes_->compression(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::int64_t bytes_read() const { return bytes_read_; }

 private:
  bool fill();   // reads more behind size_; false at the end of the source
  void start();  // first bytes, byte order mark

  std::unique_ptr<ByteSource> bytes_;
  std::string name_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, size_ = 0;  // unread bytes are [begin_, size_)
  std::int64_t number_ = 0, bytes_read_ = 0;
  bool started_ = false, ended_ = false, byte_order_mark_ = false;
};

}  // namespace assay
