#include "traces/open.h"

#include <algorithm>

#include "model/core/check.h"
#include "traces/bytes.h"
#include "traces/csv_record.h"
#include "traces/formats.h"
#include "traces/json_record.h"
#include "traces/lines.h"

namespace assay {
namespace {

// As much of the start as deciding between formats may need.
constexpr std::size_t kPeekBytes = std::size_t{1} << 18;

class Reader final : public TraceReader {
 public:
  Reader(std::unique_ptr<ByteSource> bytes, const std::string& name, const OpenOptions& options)
      : options_(options), lines_(std::move(bytes), name), spec_(choose(lines_, options)), csv_(spec_) {
    if (options.time_unit >= 0) spec_.time_unit = options.time_unit;
    if (options.hash_tokens > 0) spec_.hash_tokens = options.hash_tokens;
    header_.format = spec_.name;
    header_.hash_tokens = spec_.hash_tokens;
    header_.prefix_ids = spec_.ids_are_prefix_hashes;
  }

  const TraceHeader& header() const override { return header_; }
  const FormatSpec& format() const override { return spec_; }
  std::int64_t bad_count() const override { return bad_count_; }
  const std::vector<BadLine>& bad_lines() const override { return bad_lines_; }
  std::int64_t blank_lines() const override { return blank_lines_; }
  std::int64_t first_blank_line() const override { return first_blank_; }
  std::int64_t header_line() const override { return header_line_; }
  std::int64_t bytes_read() const override { return lines_.bytes_read(); }
  const char* compression() const override { return lines_.compression(); }
  const Line& line() const override { return line_; }
  const RecordFacts& facts() const override { return facts_; }
  bool had_byte_order_mark() const override { return lines_.had_byte_order_mark(); }
  const std::vector<std::string>& unknown_columns() const override { return csv_.unknown_columns(); }

  bool next(Request& request) override {
    while (lines_.next(line_)) {
      if (blank()) {
        if (blank_lines_++ == 0) first_blank_ = line_.number;
        continue;
      }
      if (spec_.shape == Shape::kCsv && !csv_.has_header()) {
        if (!csv_.parse_header(line_, fault_)) refuse();  // without columns no row can be read
        header_line_ = line_.number;
        continue;
      }
      if (spec_.header_line && !has_header_) {
        if (!parse_native_header(line_, header_, fault_)) refuse();
        has_header_ = true;
        header_line_ = line_.number;
        if (options_.hash_tokens > 0) header_.hash_tokens = options_.hash_tokens;
        continue;
      }
      clear(request);
      if (parse(request)) return true;
      if (!options_.skip_bad) refuse();
      ++bad_count_;
      if (bad_lines_.size() < options_.listed_bad_lines) bad_lines_.push_back({line_.number, fault_});
      if (options_.on_bad) options_.on_bad({line_.number, fault_});
    }
    return false;
  }

 private:
  static FormatSpec choose(LineReader& lines, const OpenOptions& options) {
    if (options.format.empty())
      return recognise_trace_format(lines.peek(kPeekBytes), lines.name(), options.hash_tokens);
    const FormatSpec* format = find_trace_format(options.format);
    if (format == nullptr) throw InputError("--format", "one of " + trace_format_names(), options.format);
    return *format;
  }

  [[nodiscard]] bool blank() const {
    return std::all_of(line_.begin, line_.end, [](char c) { return c == ' ' || c == '\t'; });
  }

  [[noreturn]] void refuse() const {
    throw InputError(lines_.name() + ":" + std::to_string(line_.number) + ":" + std::to_string(fault_.column),
                     fault_.expected, fault_.got);
  }

  [[nodiscard]] bool parse(Request& request) {
    request.line = line_.number;
    const bool parsed = spec_.shape == Shape::kCsv ? csv_.parse_row(line_, request, facts_, fault_)
                                                   : parse_json_record(spec_, line_, request, facts_, fault_);
    return parsed && settle_ids(request) && settle_time(request);
  }

  // The promise of request.h: hash_ids is empty or has ceil(input_tokens / hash_tokens) entries.
  [[nodiscard]] bool settle_ids(Request& request) {
    if (request.hash_ids.empty()) return true;
    const std::int64_t g = header_.hash_tokens;
    const auto count = static_cast<std::int64_t>(request.hash_ids.size());
    const char* at = line_.begin + facts_.at(Field::kHashIds) - 1;
    if (g == 0) return fail(fault_, "hash-count", line_, at, "no hash ids (the header says hash_tokens 0)");
    const std::int64_t floor = request.input_tokens / g;
    const std::int64_t ceil = floor + (request.input_tokens % g != 0 ? 1 : 0);
    if (options_.hash_rounding == HashRounding::kFloor && count == floor && floor != ceil) {
      request.hash_ids.push_back(-request.line - 1);
      return true;
    }
    if (count == ceil) return true;
    const bool rounded_down = count == floor && floor != ceil;
    return fail(fault_, "hash-count", line_, at,
                std::to_string(ceil) + " hash ids (" + std::to_string(request.input_tokens) + " tokens at " +
                    std::to_string(g) + " a block, rounded up)",
                std::to_string(count) + (rounded_down ? " (rounded down: --hash-rounding floor)" : ""));
  }

  [[nodiscard]] bool settle_time(Request& request) {
    if (!request.has_arrival) {
      request.arrival_ns = last_arrival_ns_;
      return true;
    }
    if (spec_.absolute_time) {
      if (!has_origin_) {
        has_origin_ = true;
        header_.origin_ns = request.arrival_ns;
      }
      if (__builtin_sub_overflow(request.arrival_ns, header_.origin_ns, &request.arrival_ns))
        return fail(fault_, "overflow", line_, line_.begin + facts_.at(Field::kTime) - 1,
                    "a time within 292 years of the first");
    }
    last_arrival_ns_ = request.arrival_ns;
    return true;
  }

  OpenOptions options_;
  LineReader lines_;
  FormatSpec spec_;
  CsvReader csv_;
  TraceHeader header_;
  Line line_;
  RecordFacts facts_;
  Fault fault_;
  bool has_origin_ = false, has_header_ = false;
  std::int64_t last_arrival_ns_ = 0, bad_count_ = 0;
  std::int64_t blank_lines_ = 0, first_blank_ = 0, header_line_ = 0;
  std::vector<BadLine> bad_lines_;
};

}  // namespace

std::unique_ptr<TraceReader> open_trace(const std::string& path, const OpenOptions& options) {
  return std::make_unique<Reader>(open_bytes(path), path == "-" ? "standard input" : path, options);
}

std::unique_ptr<TraceReader> open_trace_in_memory(std::string bytes, const std::string& name,
                                                  const OpenOptions& options) {
  return std::make_unique<Reader>(open_bytes_in_memory(std::move(bytes), name), name, options);
}

}  // namespace assay
