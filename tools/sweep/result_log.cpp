#include "tools/sweep/result_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "model/core/check.h"

namespace assay::tools {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& expected) {
  throw EnvironmentError(path, expected, std::strerror(errno));
}

void write_all(int file, const std::string& text, const std::string& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(file, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail(path, "room for the results of a sweep");
    done += static_cast<std::size_t>(wrote);
  }
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The point of a whole line, or -1. A line is whole when its end was written: {"point":12, ... }
std::int64_t point_of(const std::string& line) {
  static const std::string kBegin = "{\"point\":";
  if (line.rfind(kBegin, 0) != 0 || line.back() != '}') return -1;
  std::int64_t point = 0;
  std::size_t at = kBegin.size();
  for (; at < line.size() && line[at] >= '0' && line[at] <= '9' && at < kBegin.size() + 15; ++at)
    point = point * 10 + (line[at] - '0');
  return at > kBegin.size() && at < line.size() && line[at] == ',' ? point : -1;
}

}  // namespace

ResultLog::ResultLog(const std::string& folder, const std::string& spec, bool resume,
                     std::int64_t expected_bytes)
    : folder_(folder) {
  const std::string spec_path = folder + "/spec.json", path = folder + "/results.jsonl";
  std::error_code ignored;
  const bool begun = std::filesystem::exists(spec_path, ignored);
  if (begun && !resume)
    throw InputError(folder, "a folder without a sweep, or --resume", "the results of one");
  if (!begun && resume)
    throw InputError("--resume " + folder, "the folder of a sweep", "one without spec.json");
  if (begun && read_all(spec_path) != spec)
    throw InputError("--resume " + folder, "a sweep of the same spec, traces and version",
                     "another (see its spec.json)");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw EnvironmentError(folder, "a folder that can be made", error.message());
  // The room is asked for, and given back: what is full is found out now.
  const std::string probe = folder + "/.room";
  const int room = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (room < 0) fail(folder, "a folder that can be written");
  const int refused = ::posix_fallocate(room, 0, expected_bytes);
  ::close(room);
  ::unlink(probe.c_str());
  if (refused != 0 && refused != EOPNOTSUPP && refused != EINVAL) {
    errno = refused;
    fail(folder, "room for " + std::to_string(expected_bytes) + " bytes");
  }
  if (begun) read();
  if (!begun) write("spec.json", spec);
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) fail(path, "a file that can be written");
}

ResultLog::~ResultLog() {
  if (file_ >= 0) ::close(file_);
}

// Keeps the whole lines; the file is cut behind the last of them, so that the next begins at a line's begin.
void ResultLog::read() {
  const std::string path = folder_ + "/results.jsonl", text = read_all(path);
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string line = text.substr(begin, end - begin);
    const std::int64_t point = line.empty() ? -1 : point_of(line);
    if (point < 0)
      throw InputError(path, "a line of a sweep's results at byte " + std::to_string(begin),
                       "'" + line + "'");
    lines_.emplace(point, std::move(line));
  }
  if (begin < text.size() && ::truncate(path.c_str(), static_cast<off_t>(begin)) != 0)
    fail(path, "a file whose torn last line can be cut off");
}

void ResultLog::add(std::int64_t point, const std::string& line) {
  ASSAY_CHECK(point_of(line) == point);
  write_all(file_, line + "\n", folder_ + "/results.jsonl");
  lines_.emplace(point, line);
}

void ResultLog::finish(const std::string& csv) {
  std::string sorted;
  for (const auto& [point, line] : lines_) sorted += line + "\n";
  write("results.jsonl", sorted);
  write("results.csv", csv);
}

void ResultLog::write(const std::string& name, const std::string& text) const {
  const std::string path = folder_ + "/" + name, part = path + ".part";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail(part, "a file that can be written");
  write_all(file, text, part);
  if (::fsync(file) != 0 || ::close(file) != 0 || ::rename(part.c_str(), path.c_str()) != 0)
    fail(path, "a file that can be written");
}

}  // namespace assay::tools
