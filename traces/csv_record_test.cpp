// The CSV reader against its slow twin: cells split character by character, numbers through the C library.
// Rows are made at random and often damaged; readers broken on purpose must be told apart.
#include "traces/csv_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "traces/formats.h"
#include "traces/random_shapes.h"
#include "traces/testing.h"

namespace assay {
namespace {

const std::string kHeader = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type";

std::optional<std::vector<std::string>> slow_split(const std::string& row) {
  std::vector<std::string> cells(1);
  enum { kStart, kPlain, kQuoted, kClosed } state = kStart;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    if (state == kQuoted) {
      if (c != '"') {
        cells.back() += c;
      } else if (i + 1 < row.size() && row[i + 1] == '"') {
        cells.back() += row[++i];
      } else {
        state = kClosed;
      }
    } else if (c == ',') {
      cells.emplace_back();
      state = kStart;
    } else if (state == kClosed) {
      return std::nullopt;
    } else if (c == '"' && state == kStart) {
      state = kQuoted;
    } else {
      cells.back() += c;
      state = kPlain;
    }
  }
  if (state == kQuoted) return std::nullopt;
  return cells;
}

// The JSON number grammar, by hand.
bool is_number(const std::string& text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t first = i, whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (i < text.size() && text[i] == '.' && (++i, digits() == 0)) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

struct SlowRow {
  bool accepted = false, undecided = false;
  Request request;
};

SlowRow slow_row(const std::string& row) {
  SlowRow out;
  const auto cells = slow_split(row);
  if (!cells || cells->size() != 6) return out;
  for (const std::string& text : {(*cells)[1], (*cells)[5]}) {
    try {
      (void)nlohmann::json(text).dump();  // refuses what is not UTF-8
    } catch (const nlohmann::json::exception&) {
      return out;
    }
  }
  const auto number = [&](const std::string& text, double& value) {
    value = std::strtod(text.c_str(), nullptr);
    if (std::fabs(value) > 9e15) out.undecided = true;
    return is_number(text);
  };
  double time = 0, input = 0, output = 0, total = 0;
  if (!number((*cells)[0], time) || !number((*cells)[2], input) || !number((*cells)[3], output) ||
      !number((*cells)[4], total))
    return out;
  if (std::fabs(time) > 9e9) out.undecided = true;
  for (const double count : {input, output, total}) {
    if (count != std::trunc(count) && std::fabs(count - std::round(count)) < 1e-6) out.undecided = true;
    if (count < 0 || count != std::trunc(count)) return out;
  }
  out.accepted = true;
  out.request.arrival_ns = out.undecided ? 0 : std::llround(time * 1e9);
  out.request.input_tokens = out.undecided ? 0 : static_cast<std::int64_t>(input);
  out.request.output_tokens = out.undecided ? 0 : static_cast<std::int64_t>(output);
  out.request.model = (*cells)[1];
  out.request.kind = (*cells)[5];
  return out;
}

std::string any_row(Draws& draws) {
  const auto number = [&]() -> std::string {
    switch (draws.below(8)) {
      case 0: return "0";
      case 1: return std::to_string(draws.below(1000)) + ".0";
      case 2: return std::to_string(draws.below(1000000000));
      default: return std::to_string(draws.below(3000));
    }
  };
  const auto text = [&] {
    constexpr const char* kPieces[] = {"GPT-4", "Conversation log", "a,b", "\"", " ", "", "\xc3\xa9"};
    std::string cell;
    for (std::uint64_t i = draws.below(3); i > 0; --i) cell += kPieces[draws.below(7)];
    if (cell.find_first_of(",\"") == std::string::npos && draws.below(4) != 0) return cell;
    std::string quoted = "\"";
    for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
  };
  std::string row =
      (draws.below(3) == 0 ? std::to_string(draws.below(100000)) + "." + std::to_string(draws.below(1000))
                           : number()) +
      "," + text() + "," + number() + "," + number() + "," + number() + "," + text();
  if (draws.below(2) == 0) return row;
  constexpr char kBytes[] = ",,,\"\".-+eE019 x\t\xff";
  for (std::uint64_t edits = 1 + draws.below(3); edits > 0 && !row.empty(); --edits) {
    const auto at = draws.below(row.size());
    switch (draws.below(4)) {
      case 0: row[at] = kBytes[draws.below(sizeof kBytes - 1)]; break;
      case 1: row.insert(at, 1, kBytes[draws.below(sizeof kBytes - 1)]); break;
      case 2: row.erase(at, 1); break;
      default: row.resize(at); break;
    }
  }
  return row;
}

using Change = std::function<bool(bool, Request&, const Fault&)>;

std::string disagreement(const std::string& row, const Change& change) {
  const SlowRow slow = slow_row(row);
  if (slow.undecided) return "";
  const auto line_of = [](const std::string& padded, std::size_t size) {
    Line line;
    line.begin = padded.data();
    line.end = padded.data() + size;
    line.number = 1;
    return line;
  };
  CsvReader reader(burstgpt_format());
  const std::string header = kHeader + std::string(kLinePadding, '\n'),
                    padded = row + std::string(kLinePadding, '\n');
  Fault fault;
  EXPECT_TRUE(reader.parse_header(line_of(header, kHeader.size()), fault));
  Request fast;
  clear(fast);
  RecordFacts facts;
  const bool accepted =
      change(reader.parse_row(line_of(padded, row.size()), fast, facts, fault), fast, fault);
  if (accepted != slow.accepted)
    return std::string(accepted ? "accepted" : "refused (" + fault.expected + ", got " + fault.got + ")") +
           ": " + row;
  if (!accepted) {
    const bool inside = fault.column >= 1 && fault.column <= static_cast<std::int64_t>(row.size()) + 1;
    return inside ? "" : "a fault without a place: " + row;
  }
  const std::string field = difference(fast, slow.request);
  const std::int64_t off = std::llabs(fast.arrival_ns - slow.request.arrival_ns);
  return field.empty() || (field == "arrival_ns" && off <= 1000) ? "" : field + " differs: " + row;
}

constexpr int kRows = 60000;

TEST(CsvRecord, TheReaderAgreesWithItsSlowTwinOnEveryRow) {
  Draws draws(RandomStream(1, "csv rows"));
  int accepted = 0;
  for (int i = 0; i < kRows; ++i) {
    const std::string row = any_row(draws);
    ASSERT_EQ(disagreement(row, [](bool a, Request&, const Fault&) { return a; }), "") << i;
    accepted += slow_row(row).accepted ? 1 : 0;
  }
  EXPECT_GT(accepted, kRows / 4);
  EXPECT_LT(accepted, kRows * 9 / 10);
}

TEST(CsvRecord, EveryBrokenReaderIsFoundByTheSameComparison) {
  const std::pair<const char*, Change> broken[] = {
      {"takes rows of any width",
       [](bool a, Request&, const Fault& f) { return a || f.code == "column-count"; }},
      {"takes negative lengths", [](bool a, Request&, const Fault& f) { return a || f.code == "negative"; }},
      {"takes bytes that are not UTF-8",
       [](bool a, Request&, const Fault& f) { return a || f.code == "utf-8"; }},
      {"takes open quotes",
       [](bool a, Request&, const Fault& f) { return a || f.expected == "a closing quote"; }},
      {"keeps the quotes",
       [](bool a, Request& r, const Fault&) {
         return r.model.find(',') != std::string::npos ? (r.model = "\"" + r.model + "\"", a) : a;
       }},
      {"wraps at 2^29", [](bool a, Request& r, const Fault&) { return r.input_tokens %= 1 << 29, a; }},
      {"loses fractions of seconds",
       [](bool a, Request& r, const Fault&) { return r.arrival_ns -= r.arrival_ns % 1000000000, a; }},
  };
  for (const auto& [name, change] : broken) {
    Draws draws(RandomStream(1, "csv rows"));
    int until = 0;
    while (until < kRows && disagreement(any_row(draws), change).empty()) ++until;
    EXPECT_LT(until, kRows) << "survived: " << name;
  }
}

}  // namespace
}  // namespace assay
