#include "traces/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "model/core/check.h"

namespace assay {
namespace {

constexpr std::size_t kInputBytes = 1u << 18;

// Undecoded bytes.
class RawSource {
 public:
  virtual ~RawSource() = default;
  [[nodiscard]] virtual std::size_t read(char* into, std::size_t capacity) = 0;
};

class FileSource final : public RawSource {
 public:
  FileSource(int descriptor, bool owned, std::string name)
      : descriptor_(descriptor), owned_(owned), name_(std::move(name)) {}
  ~FileSource() override {
    if (owned_) close(descriptor_);
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  std::size_t read(char* into, std::size_t capacity) override {
    for (;;) {
      const ssize_t got = ::read(descriptor_, into, capacity);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      if (errno == EISDIR) throw InputError(name_, "a file", "a directory");
      throw EnvironmentError(name_, "readable bytes", std::strerror(errno));
    }
  }

 private:
  int descriptor_;
  bool owned_;
  std::string name_;
};

class MemorySource final : public RawSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  std::size_t read(char* into, std::size_t capacity) override {
    const std::size_t count = std::min(capacity, bytes_.size() - at_);
    std::memcpy(into, bytes_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

// The raw bytes behind a buffer whose first bytes were already looked at.
class Input {
 public:
  Input(std::unique_ptr<RawSource> raw, std::string name) : raw_(std::move(raw)), name_(std::move(name)) {
    buffer_.resize(kInputBytes);
    // A pipe may give its first bytes one at a time; four decide the compression.
    while (size_ < 4) {
      const std::size_t got = raw_->read(buffer_.data() + size_, buffer_.size() - size_);
      if (got == 0) break;
      size_ += got;
    }
  }
  [[nodiscard]] bool starts_with(const char* magic, std::size_t count) const {
    return size_ >= count && std::memcmp(buffer_.data(), magic, count) == 0;
  }
  // True while there are undelivered bytes; refills.
  [[nodiscard]] bool fill() {
    if (at_ < size_) return true;
    at_ = 0;
    size_ = raw_->read(buffer_.data(), buffer_.size());
    return size_ > 0;
  }
  [[nodiscard]] std::size_t read_through(char* into, std::size_t capacity) {
    if (at_ >= size_) return raw_->read(into, capacity);
    const std::size_t count = std::min(capacity, size_ - at_);
    std::memcpy(into, buffer_.data() + at_, count);
    at_ += count;
    return count;
  }
  [[nodiscard]] char* data() { return buffer_.data() + at_; }
  [[nodiscard]] std::size_t size() const { return size_ - at_; }
  void advance(std::size_t count) { at_ += count; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::unique_ptr<RawSource> raw_;
  std::string name_;
  std::vector<char> buffer_;
  std::size_t at_ = 0, size_ = 0;
};

class PlainBytes final : public ByteSource {
 public:
  explicit PlainBytes(Input input) : input_(std::move(input)) {}
  std::size_t read(char* into, std::size_t capacity) override { return input_.read_through(into, capacity); }
  const char* compression() const override { return ""; }

 private:
  Input input_;
};

class GzipBytes final : public ByteSource {
 public:
  explicit GzipBytes(Input input) : input_(std::move(input)) { begin_member(); }
  ~GzipBytes() override { inflateEnd(&stream_); }
  GzipBytes(const GzipBytes&) = delete;
  GzipBytes& operator=(const GzipBytes&) = delete;
  const char* compression() const override { return "gzip"; }

  std::size_t read(char* into, std::size_t capacity) override {
    std::size_t done = 0;
    while (done == 0) {
      if (!input_.fill()) {
        if (inside_) throw InputError(input_.name(), "a complete gzip stream", "its end in the middle");
        return 0;
      }
      if (!inside_) {
        inflateEnd(&stream_);
        begin_member();
      }
      const std::size_t room = std::min<std::size_t>(capacity, 1u << 30);
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
      stream_.avail_in = static_cast<uInt>(input_.size());
      stream_.next_out = reinterpret_cast<Bytef*>(into);
      stream_.avail_out = static_cast<uInt>(room);
      const std::size_t before = input_.size();
      const int status = inflate(&stream_, Z_NO_FLUSH);
      input_.advance(before - stream_.avail_in);
      done = room - stream_.avail_out;
      if (status == Z_STREAM_END) {
        inside_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        throw InputError(input_.name(), "a valid gzip stream",
                         stream_.msg != nullptr ? stream_.msg : "damaged bytes");
      }
    }
    return done;
  }

 private:
  void begin_member() {
    stream_ = z_stream{};
    ASSAY_CHECK(inflateInit2(&stream_, 15 + 16) == Z_OK);
    inside_ = true;
  }
  Input input_;
  z_stream stream_{};
  bool inside_ = true;
};

class ZstdBytes final : public ByteSource {
 public:
  explicit ZstdBytes(Input input) : input_(std::move(input)), stream_(ZSTD_createDStream()) {
    ASSAY_CHECK(stream_ != nullptr);
    ZSTD_initDStream(stream_);
  }
  ~ZstdBytes() override { ZSTD_freeDStream(stream_); }
  ZstdBytes(const ZstdBytes&) = delete;
  ZstdBytes& operator=(const ZstdBytes&) = delete;
  const char* compression() const override { return "zstd"; }

  std::size_t read(char* into, std::size_t capacity) override {
    ZSTD_outBuffer out{into, capacity, 0};
    while (out.pos == 0) {
      const bool more = input_.fill();
      if (!more && !pending_) {
        if (inside_) throw InputError(input_.name(), "a complete zstd stream", "its end in the middle");
        return 0;
      }
      ZSTD_inBuffer in{input_.data(), more ? input_.size() : 0, 0};
      const std::size_t status = ZSTD_decompressStream(stream_, &out, &in);
      input_.advance(in.pos);
      if (ZSTD_isError(status) != 0)
        throw InputError(input_.name(), "a valid zstd stream", ZSTD_getErrorName(status));
      inside_ = status != 0;
      pending_ = out.pos == out.size;  // the window may hold more output without more input
    }
    return out.pos;
  }

 private:
  Input input_;
  ZSTD_DStream* stream_;
  bool inside_ = true, pending_ = false;
};

std::unique_ptr<ByteSource> decode(std::unique_ptr<RawSource> raw, const std::string& name) {
  Input input(std::move(raw), name);
  if (input.starts_with("\x1f\x8b", 2)) return std::make_unique<GzipBytes>(std::move(input));
  if (input.starts_with("\x28\xb5\x2f\xfd", 4)) return std::make_unique<ZstdBytes>(std::move(input));
  return std::make_unique<PlainBytes>(std::move(input));
}

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  if (path == "-")
    return decode(std::make_unique<FileSource>(STDIN_FILENO, false, "standard input"), "standard input");
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw InputError(path, "a trace file that can be opened", std::strerror(errno));
  auto file = std::make_unique<FileSource>(descriptor, true, path);
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  return decode(std::move(file), path);
}

std::unique_ptr<ByteSource> open_bytes_in_memory(std::string bytes, const std::string& name) {
  return decode(std::make_unique<MemorySource>(std::move(bytes)), name);
}

}  // namespace assay
