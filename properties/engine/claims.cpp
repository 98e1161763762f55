#include "properties/engine/claims.h"

#include <charconv>
#include <sstream>

#include "model/core/check.h"

namespace assay::properties {
namespace {

std::int64_t positive(const std::string& text, const std::string& place) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > (1 << 20))
    throw InputError(place, "a number from 1 to 1048576", text);
  return value;
}

void set_value(Claims& claims, const std::string& key, const std::string& value, const std::string& place) {
  if (key == "determinism") {
    if (value != "bitwise" && value != "none") throw InputError(place, "determinism=bitwise or none", value);
    claims.bitwise = value == "bitwise";
  } else if (key == "arithmetic") {
    claims.arithmetic = value;
  } else if (key == "acc") {
    if (value == "fp32")
      claims.bound.accumulator = Accumulator::kFp32;
    else if (value == "fp8tc")
      claims.bound.accumulator = Accumulator::kTensorCoreFp8;
    else if (value == "bf16tc")
      claims.bound.accumulator = Accumulator::kTensorCore16;
    else
      throw InputError(place, "acc=fp32, fp8tc or bf16tc", value);
  } else if (key == "p") {
    claims.p_is_query_type = value == "q";
    if (claims.p_is_query_type) return;
    for (const ElementType type :
         {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16, ElementType::kE4M3})
      if (value == name_of(type)) {
        claims.bound.p_type = type;
        return;
      }
    throw InputError(place, "p=bf16, fp16, e4m3, fp32 or q", value);
  } else if (key == "unit") {
    claims.may_write_unit = positive(value, place);
  } else if (key == "align") {
    const std::int64_t bytes = positive(value, place);
    if ((bytes & (bytes - 1)) != 0 || bytes > 4096)
      throw InputError(place, "a power of two up to 4096", value);
    claims.alignment_bytes = static_cast<std::int32_t>(bytes);
  } else {
    throw InputError(place, "determinism, arithmetic, acc, p, unit, align or an invariance",
                     key + "=" + value);
  }
}

}  // namespace

Claims parse_claims(const std::string& text, const std::string& place) {
  Claims claims;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos)
      set_value(claims, word.substr(0, equals), word.substr(equals + 1), place);
    else if (word == "batch-invariant")
      claims.batch_invariant = true;
    else if (word == "split-invariant")
      claims.split_invariant = true;
    else if (word == "block-renaming-invariant")
      claims.renaming_invariant = true;
    else
      throw InputError(place, "a known claim (docs/plugin.md)", word);
  }
  return claims;
}

}  // namespace assay::properties
