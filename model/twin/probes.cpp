#include "model/twin/probes.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "model/core/check.h"
#include "model/core/philox.h"

namespace assay::twin {
namespace {

// Calls visit(FormatA{}, FormatB{}) for a pair that a step takes.
template <typename Visit>
auto with_formats(StepOperands operands, const Visit& visit) {
  const auto is = [&](ElementType a, ElementType b) { return operands.a == a && operands.b == b; };
  if (is(ElementType::kE4M3, ElementType::kE4M3)) return visit(E4M3{}, E4M3{});
  if (is(ElementType::kE5M2, ElementType::kE5M2)) return visit(E5M2{}, E5M2{});
  if (is(ElementType::kE4M3, ElementType::kE5M2)) return visit(E4M3{}, E5M2{});
  if (is(ElementType::kE5M2, ElementType::kE4M3)) return visit(E5M2{}, E4M3{});
  if (is(ElementType::kBf16, ElementType::kBf16)) return visit(Bf16{}, Bf16{});
  if (is(ElementType::kFp16, ElementType::kFp16)) return visit(Fp16{}, Fp16{});
  throw InputError("step operands", "two fp8 types, or bf16 twice, or fp16 twice",
                   fmt::format("{} and {}", name_of(operands.a), name_of(operands.b)));
}

template <typename A, typename B>
float step_on_bytes(const std::uint8_t* a, const std::uint8_t* b, float accumulator, const StepRule& rule) {
  typename A::Code codes_a[kStepProducts<A>];
  typename B::Code codes_b[kStepProducts<B>];
  std::memcpy(codes_a, a, kStepBytes);
  std::memcpy(codes_b, b, kStepBytes);
  return tensor_core_step<A, B>(codes_a, codes_b, accumulator, rule);
}

template <typename A, typename B>
void answer(StepProbe& probe) {
  const StepRule truth = step_rule<A>();
  const auto run = [&](const StepRule& rule) {
    const float result =
        step_on_bytes<A, B>(probe.a.data(), probe.b.data(), bit_cast<float>(probe.accumulator), rule);
    return bit_cast<std::uint32_t>(result);
  };
  probe.expected = run(truth);
  const auto hypotheses = step_hypotheses(truth);
  for (std::size_t i = 0; i < hypotheses.size(); ++i) probe.otherwise[i] = run(hypotheses[i].rule);
}

using Products = std::vector<std::pair<double, double>>;

// Writes questions for one pair of formats.
template <typename A, typename B>
class Questions {
 public:
  // Every factor must be a value of its format, or the question is not the one that was meant.
  void ask(const char* question, const Products& products, float accumulator = 0.0f) {
    ASSAY_CHECK(products.size() <= static_cast<std::size_t>(kStepProducts<A>));
    StepProbe probe;
    probe.question = question;
    probe.accumulator = bit_cast<std::uint32_t>(accumulator);
    for (std::size_t i = 0; i < products.size(); ++i) {
      const std::size_t place = (i * 11 + 3) % static_cast<std::size_t>(kStepProducts<A>);  // spread over K
      put<A>(probe.a, place, products[i].first);
      put<B>(probe.b, place, products[i].second);
    }
    answer<A, B>(probe);
    probes.push_back(probe);
  }

  // The factors of 2^exponent, each a power of two in its format.
  static std::pair<double, double> power(int exponent) {
    const int first = std::max(exponent / 2, A::kQuantumExponent + 1);
    return {std::ldexp(1.0, first), std::ldexp(1.0, exponent - first)};
  }
  static std::pair<double, double> negative(std::pair<double, double> factors) {
    return {-factors.first, factors.second};
  }

  std::vector<StepProbe> probes;

 private:
  template <typename Format>
  static void put(std::array<std::uint8_t, kStepBytes>& bytes, std::size_t place, double value) {
    const auto code = Format::encode(value, Overflow::kInfinity);
    ASSAY_CHECK(std::isnan(value) || Format::decode(code) == value, "a probe's factor is not a code");
    std::memcpy(bytes.data() + place * sizeof code, &code, sizeof code);
  }
};

// (1.5 * 2^x) * 2^y of value 1.5 * 2^exponent.
std::pair<double, double> one_and_a_half(std::pair<double, double> power) {
  return {power.first * 1.5, power.second};
}

template <typename A, typename B>
void ask_about_alignment(Questions<A, B>& q) {
  using Q = Questions<A, B>;
  const int align = step_rule<A>().align_bits;
  const std::pair<double, double> one{1, 1}, minus_one{-1, 1};
  const auto last = Q::power(-align), below = Q::power(-align - 1);
  q.ask("the last fraction bit of a term is kept", {one, last, minus_one});
  q.ask("the bit below it is cut", {one, below, minus_one});
  q.ask("also when it is negative", {one, Q::negative(below), minus_one});
  q.ask("one and a half units become one", {one, one_and_a_half(last), minus_one});
  q.ask("minus one and a half units become minus one", {one, Q::negative(one_and_a_half(last)), minus_one});
  q.ask("each term is cut alone: two halves of a unit are nothing", {one, below, below, minus_one});
  q.ask("a product of 2.25 counts with exponent 0", {{1.5, 1.5}, {-1.5, 1.5}, last});
  q.ask("and so does one of 3.0625", {{1.75, 1.75}, {-1.75, 1.75}, last});
  // If 2^quantum counted with its own exponent, the accumulator would survive. The other factor only
  // lifts everything into fp32.
  const double quantum = std::ldexp(1.0, A::kQuantumExponent);
  const int lift = B::kBias == 7 ? 8 : 14;
  const int accumulator = std::max(1 - A::kBias + lift - align - 1, -149);
  q.ask("a subnormal operand has the smallest normal exponent",
        {{quantum, std::ldexp(1.0, lift)}, {-quantum, std::ldexp(1.0, lift)}},
        static_cast<float>(std::ldexp(1.0, accumulator)));
  q.ask("zeros have no exponent", {{0, 1}, {1, 0}, last});
  q.ask("the place along K does not matter",
        {last, last, last, last, last, last, last, last, one, minus_one});
}

template <typename A, typename B>
void ask_about_the_accumulator(Questions<A, B>& q) {
  using Q = Questions<A, B>;
  const int align = step_rule<A>().align_bits;
  const auto below = Q::power(-align - 1), last = Q::power(-align);
  q.ask("the accumulator's exponent takes part in the maximum", Products(8, below), 1.0f);
  q.ask("and so does a negative accumulator's", Products(8, below), -1.0f);
  q.ask("what is at its last bit counts", Products(8, last), 1.0f);
  q.ask("the accumulator is cut like a product", {{2, 2}, {-2, 2}},
        static_cast<float>(std::ldexp(1.0, 1 - align) + std::ldexp(1.0, -align)));
  q.ask("it is cut toward zero", {{2, 2}, {-2, 2}},
        -static_cast<float>(std::ldexp(1.0, 1 - align) + std::ldexp(1.0, -align)));
  q.ask("alone it becomes a number of the result's format", {}, 1 + 0x1p-13f + 0x1p-14f + 0x1p-23f);
  q.ask("alone and subnormal", {}, 0x1p-127f + 0x1p-139f + 0x1p-140f + 0x1p-149f);
  q.ask("subnormal beside a product", {{1, 1}}, -0x1p-149f);
  q.ask("a negative zero comes back as +0", {}, -0.0f);
}

template <typename A, typename B>
void ask_about_the_result(Questions<A, B>& q) {
  using Q = Questions<A, B>;
  const int result = step_rule<A>().result_bits;
  const std::pair<double, double> one{1, 1};
  const auto half_unit = Q::power(-result), three_halves = one_and_a_half(Q::power(1 - result));
  q.ask("a carry moves the result's unit: half of it is cut", {one, one, half_unit});
  q.ask("one and a half result units become one", {one, one, three_halves});
  q.ask("minus one and a half become minus one", {{-1, 1}, {-1, 1}, Q::negative(three_halves)});
  q.ask("the result's last bit is kept", {one, half_unit});
  q.ask("a result is normalised after a cancellation", {{1.5, 1}, {-1.25, 1}, half_unit});
  q.ask("a sum of zero is +0", {one, {-1, 1}});
  q.ask("products of -0 sum to +0", {{-0.0, 1}, {0, -1}}, -0.0f);
  q.ask("the largest products", Products(static_cast<std::size_t>(std::min(kStepProducts<A>, 16)),
                                         {A::decode(A::kMax) / 0x1p64 > 1 ? 0x1p60 : A::decode(A::kMax),
                                          B::decode(B::kMax) / 0x1p64 > 1 ? 0x1p60 : B::decode(B::kMax)}));
  q.ask("the smallest product",
        {{std::ldexp(1.0, A::kQuantumExponent), std::ldexp(1.0, B::kQuantumExponent)}});
  if constexpr (A::kBias == 127) {
    q.ask("a subnormal result", {{0x1p-75, 0x1p-74}});
    q.ask("a subnormal result is cut", {{0x1p-75, 1.5 * 0x1p-74}});
    q.ask("a negative result below the smallest subnormal", {{-0x1p-75, 1.5 * 0x1p-75}});
    q.ask("many results below the smallest subnormal", Products(8, {0x1p-75, 0x1p-75}));
    q.ask("beyond the largest fp32", {{0x1p127, 2}});
    q.ask("beyond the largest fp32, negative", {{-0x1p127, 0x1p127}});
    q.ask("beyond it on the way, not at the end", {{0x1p127, 2}, {-0x1p127, 1.5}});
    q.ask("the largest fp32 and a carry", {{0x1p127, 0.5}, {0x1p127, 0.5}}, 0x1.fffffep127f);
  }
}

template <typename A, typename B>
void ask_about_specials(Questions<A, B>& q) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const float infinity = HUGE_VALF;
  q.ask("NaN times one", {{nan, 1}});
  q.ask("NaN times zero", {{0, nan}, {1, 1}});
  q.ask("a NaN accumulator with a payload", {{1, 1}}, bit_cast<float>(0xffc12345u));
  q.ask("a NaN accumulator alone", {}, bit_cast<float>(0x7fc00001u));
  q.ask("an infinite accumulator wins", {{-1, 1}}, infinity);
  q.ask("a negative infinite accumulator wins", {{1, 1}}, -infinity);
  q.ask("an infinite accumulator and NaN", {{nan, 1}}, infinity);
  if constexpr (A::kHasInfinity) {
    q.ask("infinity times a number", {{HUGE_VAL, 2}, {1, -1}});
    q.ask("infinity times zero", {{HUGE_VAL, 0}});
    q.ask("infinities of both signs", {{HUGE_VAL, 1}, {-HUGE_VAL, 1}});
    q.ask("infinity against an infinite accumulator", {{HUGE_VAL, 1}}, -infinity);
    q.ask("infinity with an infinite accumulator", {{-HUGE_VAL, 1}}, -infinity);
  }
}

// The families of the measurement. Exponents of the narrow ones spread so far that the products
// around the alignment's last bit are common: 4 binades for fp8, 16 for the longer significands.
template <typename Format>
typename Format::Code random_code(std::uint64_t drawn, int family) {
  using Code = typename Format::Code;
  constexpr std::uint64_t kSpread = sizeof(Code) == 1 ? 4 : 16;
  constexpr std::uint64_t kTiny = Format::kBias == 127 ? 54 : 0;  // bf16: products around 2^-126
  Code code = static_cast<Code>(drawn);
  const auto sign = static_cast<Code>(code & Format::kSignBit);
  const auto mantissa = static_cast<Code>(code & ((1u << Format::kMantissa) - 1));
  const auto at = [&](std::uint64_t exponent) {
    return static_cast<Code>(sign | static_cast<Code>(exponent << Format::kMantissa) | mantissa);
  };
  const std::uint64_t spread = (drawn >> 32) % kSpread;
  const Code narrow = at(static_cast<std::uint64_t>(Format::kBias) - kSpread / 2 + spread);
  switch (family) {
    case 0: break;  // any code
    case 1: code = narrow; break;
    case 2: code = static_cast<Code>(narrow & Format::kMagnitudeMask); break;
    case 3: code = drawn >> 61 ? sign : narrow; break;  // one in eight, and an accumulator
    default: code = at(kTiny + spread % 16); break;
  }
  const bool special = Format::is_nan(code) || Format::is_infinity(code);
  return special ? static_cast<Code>(code ^ Code(1u << Format::kMantissa)) : code;
}
constexpr int kFamilies = 5;

}  // namespace

StepRule rule_of(StepOperands operands) {
  return with_formats(operands, [](auto a, auto) { return step_rule<decltype(a)>(); });
}

float run_step(StepOperands operands, const std::uint8_t* a, const std::uint8_t* b, float accumulator) {
  return with_formats(operands, [&](auto format_a, auto format_b) {
    using A = decltype(format_a);
    return step_on_bytes<A, decltype(format_b)>(a, b, accumulator, step_rule<A>());
  });
}

std::vector<StepProbe> step_probes(StepOperands operands) {
  return with_formats(operands, [](auto a, auto b) {
    Questions<decltype(a), decltype(b)> questions;
    ask_about_alignment(questions);
    ask_about_the_accumulator(questions);
    ask_about_the_result(questions);
    ask_about_specials(questions);
    return questions.probes;
  });
}

std::vector<StepProbe> random_step_probes(StepOperands operands, std::uint64_t seed, std::int64_t count) {
  return with_formats(operands, [&](auto format_a, auto format_b) {
    using A = decltype(format_a);
    using B = decltype(format_b);
    std::vector<StepProbe> probes(static_cast<std::size_t>(count));
    const RandomStream all(seed, "step probes");
    for (std::int64_t i = 0; i < count; ++i) {
      const RandomStream random = all.child(static_cast<std::uint64_t>(i));
      StepProbe& probe = probes[static_cast<std::size_t>(i)];
      probe.question = "a random step";
      const int family = static_cast<int>(i % kFamilies);
      for (std::size_t p = 0; p < static_cast<std::size_t>(kStepProducts<A>); ++p) {
        const auto code_a = random_code<A>(random.u64(2 * p), family);
        const auto code_b = random_code<B>(random.u64(2 * p + 1), family);
        std::memcpy(probe.a.data() + p * sizeof code_a, &code_a, sizeof code_a);
        std::memcpy(probe.b.data() + p * sizeof code_b, &code_b, sizeof code_b);
      }
      // Every other step has an accumulator: of the size of the products, or what a step leaves.
      const auto drawn = random.u32(1000);
      if (family == 3) {
        probe.accumulator = (drawn & 0x807fffffu) | (119 + (drawn >> 23 & 15)) << 23;
      } else if (drawn % 2) {
        probe.accumulator = bit_cast<std::uint32_t>(
            step_on_bytes<A, B>(probe.b.data(), probe.b.data(), 0.0f, step_rule<A>()));
        if constexpr (!std::is_same_v<A, B>) probe.accumulator = 0xc1234567u;
        if ((probe.accumulator & 0x7f800000u) == 0x7f800000u) probe.accumulator = 0;
      }
      answer<A, B>(probe);
    }
    return probes;
  });
}

ProbeVerdict judge(const std::vector<StepProbe>& probes, const std::vector<std::uint32_t>& answers) {
  ASSAY_CHECK_EQ(probes.size(), answers.size());
  ProbeVerdict verdict;
  verdict.answers = static_cast<std::int64_t>(answers.size());
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (answers[i] != probes[i].expected && verdict.mismatches++ == 0) {
      verdict.first_mismatch = static_cast<std::int64_t>(i);
    }
    for (std::size_t h = 0; h < verdict.unexplained.size(); ++h) {
      verdict.unexplained[h] += answers[i] != probes[i].otherwise[h];
    }
  }
  return verdict;
}

std::string explain(const std::vector<StepProbe>& probes, const std::vector<std::uint32_t>& answers) {
  const ProbeVerdict verdict = judge(probes, answers);
  if (verdict.mismatches == 0) return fmt::format("as expected, {} answers", verdict.answers);
  const auto first = static_cast<std::size_t>(verdict.first_mismatch);
  std::string line = fmt::format("{} of {} answers differ; first \"{}\": expected {:#010x}, got {:#010x}",
                                 verdict.mismatches, verdict.answers, probes[first].question,
                                 probes[first].expected, answers[first]);
  bool explained = false;
  const auto hypotheses = step_hypotheses(StepRule{});
  for (std::size_t h = 0; h < verdict.unexplained.size(); ++h) {
    if (verdict.unexplained[h] != 0) continue;
    line += fmt::format("{} {}", explained ? " or" : "; all answers fit:", hypotheses[h].name);
    explained = true;
  }
  if (!explained) line += "; no known reading fits all answers";
  return line;
}

}  // namespace assay::twin
