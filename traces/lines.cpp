#include "traces/lines.h"

#include <cstring>

#include "model/core/check.h"

namespace assay {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

}  // namespace

LineReader::LineReader(std::unique_ptr<ByteSource> bytes, std::string name)
    : bytes_(std::move(bytes)), name_(std::move(name)), buffer_(kBufferBytes + kLinePadding) {}

bool LineReader::fill() {
  if (ended_) return false;
  const std::size_t capacity = buffer_.size() - kLinePadding;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, size_ - begin_);
    size_ -= begin_;
    begin_ = 0;
  }
  if (size_ == capacity) {
    if (capacity >= kMaxLineBytes)
      throw InputError(name_ + ":" + std::to_string(number_ + 1) + ":1",
                       "a line of at most " + std::to_string(kMaxLineBytes >> 20) + " MiB", "a longer one");
    buffer_.resize(capacity * 2 + kLinePadding);
  }
  const std::size_t got = bytes_->read(buffer_.data() + size_, buffer_.size() - kLinePadding - size_);
  size_ += got;
  bytes_read_ += static_cast<std::int64_t>(got);
  ended_ = got == 0;
  return got > 0;
}

void LineReader::start() {
  started_ = true;
  while (size_ < 3 && fill()) {
  }
  if (size_ >= 3 && std::memcmp(buffer_.data(), "\xef\xbb\xbf", 3) == 0) {
    byte_order_mark_ = true;
    begin_ = 3;
  }
}

std::string_view LineReader::peek(std::size_t bytes) {
  ASSAY_CHECK_EQ(number_, 0);
  if (!started_) start();
  while (size_ - begin_ < bytes || std::memchr(buffer_.data() + begin_, '\n', size_ - begin_) == nullptr)
    if (!fill()) break;
  return {buffer_.data() + begin_, size_ - begin_};
}

bool LineReader::next(Line& line) {
  if (!started_) start();
  std::size_t searched = 0;
  const char* newline = nullptr;
  for (;;) {
    const char* from = buffer_.data() + begin_ + searched;
    newline = static_cast<const char*>(std::memchr(from, '\n', size_ - begin_ - searched));
    if (newline != nullptr) break;
    searched = size_ - begin_;
    if (!fill()) break;
  }
  if (newline == nullptr && begin_ == size_) return false;
  line.begin = buffer_.data() + begin_;
  if (newline == nullptr) {
    buffer_[size_] = '\n';  // the padding behind the data: a stop for the digit scanner
    line.end = buffer_.data() + size_;
    line.terminated = false;
    begin_ = size_;
  } else {
    line.end = newline;
    line.terminated = true;
    begin_ = static_cast<std::size_t>(newline - buffer_.data()) + 1;
  }
  line.carriage_return = line.end > line.begin && line.end[-1] == '\r';
  if (line.carriage_return) --line.end;
  line.number = ++number_;
  return true;
}

}  // namespace assay
