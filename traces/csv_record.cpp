#include "traces/csv_record.h"

#include <algorithm>
#include <cstring>

#include "traces/numbers.h"
#include "traces/utf8.h"

namespace assay {
namespace {

// Reads the quoted cell that starts at p (on its opening quote); the contents go to `out`, the result is
// the byte behind the closing quote, nullptr when there is none.
[[nodiscard]] const char* read_quoted(const char* p, const char* end, std::string& out) {
  out.clear();
  for (++p; p < end; ++p) {
    if (*p != '"') {
      out += *p;
    } else if (p + 1 < end && p[1] == '"') {
      out += '"';
      ++p;
    } else {
      return p + 1;
    }
  }
  return nullptr;
}

// The row has not `expected` columns: points at the first cell too many, or at the end.
[[nodiscard]] bool column_count_fault(const Line& line, std::size_t expected, Fault& fault) {
  std::string ignored;
  std::size_t count = 1;
  const char* at = line.end;
  for (const char* p = line.begin; p < line.end;) {
    if (*p == '"') {
      const char* behind = read_quoted(p, line.end, ignored);
      p = behind == nullptr ? line.end : behind;
    } else if (*p++ == ',' && ++count == expected + 1) {
      at = p;
    }
  }
  return fail(fault, "column-count", line, at, std::to_string(expected) + " columns", std::to_string(count));
}

}  // namespace

bool split_csv(const Line& line, std::vector<std::string>& cells, Fault& fault) {
  cells.clear();
  const char* p = line.begin;
  for (;;) {
    std::string cell;
    if (p < line.end && *p == '"') {
      const char* behind = read_quoted(p, line.end, cell);
      if (behind == nullptr) return fail(fault, "syntax", line, p, "a closing quote");
      p = behind;
    } else {
      const auto* comma =
          static_cast<const char*>(std::memchr(p, ',', static_cast<std::size_t>(line.end - p)));
      const char* stop = comma == nullptr ? line.end : comma;
      cell.assign(p, stop);
      p = stop;
    }
    cells.push_back(std::move(cell));
    if (p == line.end) return true;
    if (*p != ',') return fail(fault, "syntax", line, p, "',' behind a quoted cell");
    ++p;
  }
}

bool CsvReader::parse_header(const Line& line, Fault& fault) {
  std::vector<std::string> names;
  if (!split_csv(line, names, fault)) return false;
  const char* invalid = find_invalid_utf8(line.begin, line.end);
  if (invalid != line.end) return fail(fault, "utf-8", line, invalid, "valid UTF-8");
  std::uint32_t seen = 0;
  for (const std::string& name : names) {
    const auto found = std::find_if(spec_.fields.begin(), spec_.fields.end(),
                                    [&](const FieldName& field) { return field.name == name; });
    const Field field = found == spec_.fields.end() ? Field::kCount : found->field;
    if (field == Field::kCount) {
      unknown_.push_back(name);
    } else if ((seen & field_bit(field)) != 0) {
      columns_.clear();
      return fail(fault, "header", line, line.begin, "each column once",
                  show_text(name.data(), name.data() + name.size()) + " twice");
    } else {
      seen |= field_bit(field);
    }
    columns_.push_back(field);
  }
  for (const FieldName& name : spec_.fields)
    if ((spec_.required & field_bit(name.field) & ~seen) != 0) {
      columns_.clear();
      return fail(fault, "header", line, line.begin, "a column \"" + std::string(name.name) + "\"");
    }
  return true;
}

bool CsvReader::parse_cell(Field field, const char* p, const char* end, const Line& line, Request& request,
                           RecordFacts& facts, Fault& fault) {
  const auto integer = [&](std::int64_t& out, const char* what) {
    const LongRun run = scan_digits(p);
    if (run.count > 0 && run.count <= 16 && p + run.count == end && (*p != '0' || run.count == 1)) {
      out = static_cast<std::int64_t>(run.value);
      return true;
    }
    Decimal number;
    if (parse_decimal(p, end, number) != end) return fail(fault, "type", line, p, what);
    const Scaled scaled = scale(number, 0, out);
    if (scaled == Scaled::kOverflow)
      return fail(fault, "overflow", line, p, std::string(what) + " below 2^63");
    if (scaled == Scaled::kRounded) return fail(fault, "type", line, p, what);
    return out >= 0 || fail(fault, "negative", line, p, what);
  };
  const auto duration = [&](std::int64_t& out, const char* what, bool may_be_negative) {
    Decimal number;
    if (parse_decimal(p, end, number) != end) return fail(fault, "type", line, p, what);
    const Scaled scaled = scale(number, spec_.time_unit, out);
    if (scaled == Scaled::kOverflow)
      return fail(fault, "overflow", line, p, std::string(what) + " within 292 years");
    facts.time_rounded = facts.time_rounded || scaled == Scaled::kRounded;
    return may_be_negative || out >= 0 || fail(fault, "negative", line, p, what);
  };
  const auto text = [&](std::string& out) {
    const char* invalid = find_invalid_utf8(p, end);
    if (invalid != end) return fail(fault, "utf-8", line, invalid, "valid UTF-8");
    out.assign(p, end);
    return true;
  };
  switch (field) {
    case Field::kTime: {
      if (p == end) return fail(fault, "missing-time", line, p, "a time", "an empty cell");
      request.has_arrival = true;
      if (spec_.time_kind == TimeKind::kNumber)
        return duration(request.arrival_ns, "a number of seconds", true);
      switch (parse_date(p, end, dates_, request.arrival_ns)) {
        case DateResult::kRounded: facts.time_rounded = true; return true;
        case DateResult::kExact: return true;
        case DateResult::kOverflow: return fail(fault, "overflow", line, p, "a date from 1678 to 2262");
        case DateResult::kBroken: break;
      }
      return fail(fault, "type", line, p, "a date as YYYY-MM-DD HH:MM:SS[.fraction][offset]");
    }
    case Field::kInput: return integer(request.input_tokens, "a whole number of input tokens");
    case Field::kOutput: return integer(request.output_tokens, "a whole number of output tokens");
    case Field::kTotal: return integer(facts.total_tokens, "a whole number of tokens");
    case Field::kImages: return integer(request.images, "a whole number of images");
    case Field::kElapsed: return p == end || duration(request.elapsed_ns, "a number of seconds", false);
    case Field::kModel: return text(request.model);
    case Field::kKind: return text(request.kind);
    case Field::kSession: return text(request.session);
    default: return true;
  }
}

bool CsvReader::parse_row(const Line& line, Request& request, RecordFacts& facts, Fault& fault) {
  facts = RecordFacts{};
  const char* p = line.begin;
  const std::size_t count = columns_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Field field = columns_[i];
    if (field != Field::kCount)
      facts.column[static_cast<std::size_t>(field)] = static_cast<std::int32_t>(p - line.begin + 1);
    if (p < line.end && *p == '"') {
      const char* behind = read_quoted(p, line.end, unquoted_);
      if (behind == nullptr) return fail(fault, "syntax", line, p, "a closing quote");
      if (behind != line.end && *behind != ',')
        return fail(fault, "syntax", line, behind, "',' behind a quote");
      // The scanners want padding behind the text, and columns of this line.
      const auto size = static_cast<std::ptrdiff_t>(unquoted_.size());
      unquoted_.append(kLinePadding, '\n');
      const char* text = unquoted_.data();
      Line inner = line;
      inner.begin = text;
      inner.end = text + size;
      if (!parse_cell(field, text, text + size, inner, request, facts, fault)) {
        fault.column = line.column(p);
        return false;
      }
      p = behind;
    } else {
      const char* stop = p;
      while (stop < line.end && *stop != ',') ++stop;
      if (!parse_cell(field, p, stop, line, request, facts, fault)) {
        // A row with too few or too many columns shifts every cell: say that instead, if it is so.
        Fault columns;
        std::vector<std::string> cells;
        if (split_csv(line, cells, columns) && cells.size() != count)
          return column_count_fault(line, count, fault);
        return false;
      }
      p = stop;
    }
    const bool last = i + 1 == count;
    if (last) break;
    if (p >= line.end) return column_count_fault(line, count, fault);
    ++p;
  }
  return p == line.end || column_count_fault(line, count, fault);
}

}  // namespace assay
