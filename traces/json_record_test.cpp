// The line scanner against its slow twin: the same line through nlohmann::json must be accepted or refused
// alike and mean the same request. Lines are made at random (any order of keys, any spacing, escapes,
// unknown keys of any shape, nulls), then often damaged. The judge itself is judged: scanners that were
// broken on purpose must be told apart within the same lines.
#include "traces/json_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "traces/formats.h"
#include "traces/random_shapes.h"
#include "traces/testing.h"

namespace assay {
namespace {

using Json = nlohmann::json;

// ---- the slow twin ---------------------------------------------------------------------------------------

struct SlowResult {
  bool accepted = false, undecided = false;
  Request request;
};

// A whole number that int64 holds; undecided where a double no longer says.
std::optional<std::int64_t> slow_integer(const Json& value, bool& undecided) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::fabs(number) > 9e15 ||
      (number != std::trunc(number) && std::fabs(number - std::round(number)) < 1e-9) ||
      (number == std::trunc(number) && number != 0 && std::fabs(number) > 1e6))
    undecided = true;
  if (number != std::trunc(number)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

SlowResult slow_parse(const FormatSpec& spec, const std::string& line) {
  SlowResult out;
  bool twice = false;
  std::vector<std::string> keys;
  Json object;
  try {
    object = Json::parse(line, [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::key && depth == 1) {
        const auto key = parsed.get<std::string>();
        for (const FieldName& name : spec.fields)
          if (name.name == key) {
            twice = twice || std::find(keys.begin(), keys.end(), key) != keys.end();
            keys.push_back(key);
          }
      }
      return true;
    });
  } catch (const Json::out_of_range&) {
    out.undecided = true;  // a number beyond double, in a key we do not read: no fault of the grammar
    return out;
  } catch (const Json::exception&) {
    return out;
  }
  if (!object.is_object() || twice) return out;
  const auto has = [&](const char* key) { return object.contains(key) && !object[key].is_null(); };
  if (!has("timestamp") || !has("input_length") || !has("output_length")) return out;
  const Json& time = object["timestamp"];
  if (!time.is_number()) return out;
  out.request.has_arrival = true;
  if (time.is_number_float()) {
    const double ns = time.get<double>() * 1e6;
    if (std::fabs(ns) > 9e14) out.undecided = true;  // the double no longer resolves a nanosecond
    if (std::fabs(ns) < 9e18) out.request.arrival_ns = std::llround(ns);
  } else {
    std::int64_t ms = 0;
    const bool fits = time.is_number_unsigned() ? time.get<std::uint64_t>() <= INT64_MAX : true;
    if (fits) ms = time.get<std::int64_t>();
    if (!fits || __builtin_mul_overflow(ms, 1000000, &out.request.arrival_ns)) return out;
  }
  const auto input = slow_integer(object["input_length"], out.undecided);
  const auto output = slow_integer(object["output_length"], out.undecided);
  if (!input || *input < 0 || !output || *output < 0) return out;
  out.request.input_tokens = *input;
  out.request.output_tokens = *output;
  if (has("hash_ids")) {
    if (!object["hash_ids"].is_array()) return out;
    for (const Json& id : object["hash_ids"]) {
      const auto number = slow_integer(id, out.undecided);
      if (!number) return out;
      out.request.hash_ids.push_back(*number);
    }
  }
  if (has("hash_id_scope") && !object["hash_id_scope"].is_string()) return out;
  out.accepted = true;
  return out;
}

// ---- lines at random -------------------------------------------------------------------------------------

class LineMaker {
 public:
  explicit LineMaker(std::uint64_t seed) : draws_(RandomStream(seed, "json lines")) {}

  std::string next() {
    std::string line = valid();
    const auto kind = draws_.below(10);
    if (kind < 4) return line;
    const std::uint64_t edits = 1 + draws_.below(kind < 8 ? 1 : 6);
    for (std::uint64_t i = 0; i < edits && !line.empty(); ++i) damage(line);
    return line;
  }

 private:
  std::string space() {
    constexpr const char* kSpaces[] = {"", "", "", " ", "  ", "\t", " \r"};
    return kSpaces[draws_.below(7)];
  }
  std::string integer() {
    switch (draws_.below(8)) {
      case 0: return "0";
      case 1: return std::to_string(draws_.below(10));
      case 2: return std::to_string(draws_.below(100000000));
      case 3: return std::to_string(draws_.below(10000000000000000ull));
      case 4: return std::to_string(draws_.below(1000)) + ".0";
      case 5: return std::to_string(draws_.below(100)) + "e" + std::to_string(draws_.below(4));
      default: return std::to_string(draws_.below(200000));
    }
  }
  std::string number() {
    switch (draws_.below(6)) {
      case 0: return "-" + integer();
      case 1: return std::to_string(draws_.below(100000)) + "." + std::to_string(draws_.below(1000));
      case 2: return std::to_string(draws_.below(100000)) + ".5E-" + std::to_string(draws_.below(3));
      default: return integer();
    }
  }
  std::string string() {
    constexpr const char* kPieces[] = {
        "a",        "hash_ids",     " ",   "\\\"", "\\\\", "\\u0041", "\\ud83d\\ude00",
        "\xc3\xa9", "\xe2\x82\xac", "\\n", ",",    "}",    "]",       "\xf0\x9f\x98\x80",
        "\\/"};
    std::string out = "\"";
    for (std::uint64_t i = draws_.below(5); i > 0; --i) out += kPieces[draws_.below(15)];
    return out + "\"";
  }
  std::string value(int depth) {
    switch (draws_.below(depth > 3 ? 5 : 7)) {
      case 0: return number();
      case 1: return string();
      case 2: return "true";
      case 3: return "false";
      case 4: return "null";
      case 5: {
        std::string out = "[" + space();
        const auto count = draws_.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
          out += (i > 0 ? "," + space() : "") + value(depth + 1) + space();
        return out + "]";
      }
      default: {
        std::string out = "{" + space();
        const auto count = draws_.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
          out +=
              (i > 0 ? "," + space() : "") + string() + space() + ":" + space() + value(depth + 1) + space();
        return out + "}";
      }
    }
  }
  std::string key(const std::string& name) {
    if (draws_.below(12) != 0) return "\"" + name + "\"";
    // One letter by its number: the same key.
    char escaped[8];
    const auto at = draws_.below(name.size());
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(name[at]));
    return "\"" + name.substr(0, at) + escaped + name.substr(at + 1) + "\"";
  }
  std::string valid() {
    std::vector<std::string> members;
    const auto add = [&](const std::string& name, const std::string& text) {
      members.push_back(key(name) + space() + ":" + space() + text);
    };
    add("timestamp", draws_.below(30) == 0 ? value(0) : number());
    add("input_length", draws_.below(30) == 0 ? value(0) : integer());
    add("output_length", integer());
    if (draws_.below(5) != 0) {
      std::string ids = "[";
      const auto count = draws_.below(12);
      for (std::uint64_t i = 0; i < count; ++i)
        ids += (i > 0 ? "," + space() : "") + (draws_.below(9) == 0 ? "-" : "") + integer();
      add("hash_ids", draws_.below(20) == 0 ? value(0) : ids + "]");
    }
    for (std::uint64_t i = draws_.below(3); i > 0; --i)
      members.push_back(string() + space() + ":" + space() + value(0));
    if (draws_.below(25) == 0) members.push_back(members[draws_.below(members.size())]);
    if (draws_.below(25) == 0) members.erase(members.begin());
    for (std::size_t i = members.size() - 1; i > 0; --i) std::swap(members[i], members[draws_.below(i + 1)]);
    std::string out = space() + "{" + space();
    for (std::size_t i = 0; i < members.size(); ++i)
      out += (i > 0 ? "," + space() : "") + members[i] + space();
    return out + "}" + space();
  }
  void damage(std::string& line) {
    constexpr char kBytes[] = "{}[]:,\"\\ 0123456789.-+eEnulltrfas/\t\x01\x7f\xff\xc3\x80";
    const auto at = draws_.below(line.size());
    const char byte = kBytes[draws_.below(sizeof kBytes - 1)];
    switch (draws_.below(4)) {
      case 0: line[at] = byte; break;
      case 1: line.insert(at, 1, byte); break;
      case 2: line.erase(at, 1 + draws_.below(3)); break;
      default: line.resize(at); break;
    }
  }

  Draws draws_;
};

// ---- the comparison --------------------------------------------------------------------------------------

using Scanner = std::function<bool(const FormatSpec&, const Line&, Request&, RecordFacts&, Fault&)>;

// "" when scanner and twin agree on `text`.
std::string disagreement(const Scanner& scanner, const std::string& text) {
  const FormatSpec& spec = mooncake_format();
  const SlowResult slow = slow_parse(spec, text);
  if (slow.undecided) return "";
  const std::string padded = text + std::string(kLinePadding, '\n');
  Line line;
  line.begin = padded.data();
  line.end = padded.data() + text.size();
  line.number = 1;
  Request fast;
  clear(fast);
  RecordFacts facts;
  Fault fault;
  const bool accepted = scanner(spec, line, fast, facts, fault);
  if (accepted != slow.accepted)
    return std::string(accepted ? "accepted" : "refused (" + fault.expected + ", got " + fault.got + ")") +
           ": " + text;
  if (!accepted) {
    const bool inside = fault.column >= 1 && fault.column <= static_cast<std::int64_t>(text.size()) + 1;
    return inside && !fault.code.empty() ? "" : "a fault without a place: " + text;
  }
  const std::string field = difference(fast, slow.request);
  if (field == "arrival_ns" && std::llabs(fast.arrival_ns - slow.request.arrival_ns) <= 1) return "";
  return field.empty() ? "" : field + " differs: " + text;
}

constexpr int kLines = 60000;

TEST(JsonRecord, TheScannerAgreesWithItsSlowTwinOnEveryLine) {
  LineMaker lines(1);
  int accepted = 0;
  for (int i = 0; i < kLines; ++i) {
    const std::string text = lines.next();
    ASSERT_EQ(disagreement(parse_json_record, text), "") << "line " << i;
    accepted += slow_parse(mooncake_format(), text).accepted ? 1 : 0;
  }
  // Neither all good nor all bad, or the comparison says little.
  EXPECT_GT(accepted, kLines / 5);
  EXPECT_LT(accepted, kLines * 4 / 5);
}

TEST(JsonRecord, EveryBrokenScannerIsFoundByTheSameComparison) {
  const auto changed = [](auto change) {
    return [change](const FormatSpec& spec, const Line& line, Request& request, RecordFacts& facts,
                    Fault& fault) {
      const bool accepted = parse_json_record(spec, line, request, facts, fault);
      return change(accepted, line, request, fault);
    };
  };
  const std::pair<const char*, Scanner> broken[] = {
      {"loses digits past the eighth", changed([](bool accepted, const Line&, Request& r, Fault&) {
         for (auto& id : r.hash_ids) id %= 100000000;
         return accepted;
       })},
      {"takes a line with rubbish behind the object",
       changed([](bool accepted, const Line& line, Request&, Fault& fault) {
         return accepted ||
                (fault.code == "syntax" && fault.expected == "the end of the line" && line.end > line.begin);
       })},
      {"drops the sign of an id", changed([](bool accepted, const Line&, Request& r, Fault&) {
         for (auto& id : r.hash_ids) id = id < 0 ? -id : id;
         return accepted;
       })},
      {"takes a repeated key", changed([](bool accepted, const Line&, Request&, Fault& fault) {
         return accepted || fault.code == "duplicate-key";
       })},
      {"takes bytes that are not UTF-8", changed([](bool accepted, const Line&, Request&, Fault& fault) {
         return accepted || fault.code == "utf-8";
       })},
      {"loses the last id of long lists", changed([](bool accepted, const Line&, Request& r, Fault&) {
         if (r.hash_ids.size() > 10) r.hash_ids.pop_back();
         return accepted;
       })},
      {"does not know escaped keys", changed([](bool accepted, const Line& line, Request&, Fault&) {
         return accepted && line.text().find("\\u00") == std::string_view::npos;
       })},
  };
  for (const auto& [name, scanner] : broken) {
    LineMaker lines(1);
    int until = 0;
    while (until < kLines && disagreement(scanner, lines.next()).empty()) ++until;
    EXPECT_LT(until, kLines) << "survived: " << name;
  }
}

TEST(JsonRecord, NestingDeeperThanTheLimitIsRefusedAndNotFollowed) {
  const auto nested = [](int depth) {
    return "{\"x\": " + std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']') +
           ", \"timestamp\": 0, \"input_length\": 1, \"output_length\": 1}\n";
  };
  OpenOptions options;
  options.format = "mooncake";
  EXPECT_EQ(read_text(nested(kMaxDepth - 1), options).requests.size(), 1u);
  EXPECT_NE(place_of_fault(nested(kMaxDepth + 1), options), "");
  EXPECT_NE(place_of_fault(nested(2000000), options), "");
}

TEST(JsonRecord, EveryPrefixOfALineIsRefusedWithoutReadingPastIt) {
  // The text sits at the very end of its buffer but for the padding that the reader promises.
  const std::string whole =
      "{\"timestamp\": 27482, \"input_length\": 1030, \"output_length\": 52, \"x\": [true, \"\\u00e9\"], "
      "\"hash_ids\": [46, 47, 2353]}";
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::vector<char> bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    bytes.insert(bytes.end(), kLinePadding, '\n');
    Line line;
    line.begin = bytes.data();
    line.end = bytes.data() + size;
    Request request;
    RecordFacts facts;
    Fault fault;
    EXPECT_EQ(parse_json_record(mooncake_format(), line, request, facts, fault), size == whole.size());
  }
}

}  // namespace
}  // namespace assay
