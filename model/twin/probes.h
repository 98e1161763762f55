// The questions that establish what a tensor core does: for each, one step's operands and accumulator,
// the bits the twin expects, and the bits that every other reading of the rule would give. The device
// half (`assay calibrate`) runs them, hands back the results, and explain() says which reading fits.
//
//   a_i, b_i, accumulator  --one wgmma, one element-->  bits      == expected ?
//
// Bytes are as they lie along K: 32 codes of fp8, or 16 of bf16 or fp16, little-endian. Plain arrays,
// so that a device program can copy them as they are. Nothing here touches a device.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/core/float_formats.h"
#include "model/twin/step_hypotheses.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {

struct StepProbe {
  const char* question = "";  // a literal: what the answer establishes
  std::array<std::uint8_t, kStepBytes> a{}, b{};
  std::uint32_t accumulator = 0;                           // fp32 bits
  std::uint32_t expected = 0;                              // fp32 bits, by the twin
  std::array<std::uint32_t, kStepHypotheses> otherwise{};  // by step_hypotheses(), in that order

  [[nodiscard]] bool tells_apart(std::size_t hypothesis) const { return otherwise[hypothesis] != expected; }
};

// The operand types that a step takes. fp8 types may be mixed; 16-bit types may not.
struct StepOperands {
  ElementType a, b;
};
constexpr std::array<StepOperands, 6> kStepOperands{{{ElementType::kE4M3, ElementType::kE4M3},
                                                     {ElementType::kE5M2, ElementType::kE5M2},
                                                     {ElementType::kE4M3, ElementType::kE5M2},
                                                     {ElementType::kE5M2, ElementType::kE4M3},
                                                     {ElementType::kBf16, ElementType::kBf16},
                                                     {ElementType::kFp16, ElementType::kFp16}}};

// The step on bytes, for callers that learn the types at run time. Throws InputError for a pair that
// no step takes.
[[nodiscard]] float run_step(StepOperands operands, const std::uint8_t* a, const std::uint8_t* b,
                             float accumulator);
[[nodiscard]] StepRule rule_of(StepOperands operands);

// The questions made by hand; about 30, each names what it establishes.
[[nodiscard]] std::vector<StepProbe> step_probes(StepOperands operands);

// Random steps in the families of the published measurement: any finite code, narrow exponents, all
// positive, sparse with an fp32 accumulator, tiny. No NaN and no infinity.
[[nodiscard]] std::vector<StepProbe> random_step_probes(StepOperands operands, std::uint64_t seed,
                                                        std::int64_t count);

// What a device's answers mean.
struct ProbeVerdict {
  std::int64_t answers = 0;
  std::int64_t mismatches = 0;
  std::int64_t first_mismatch = -1;
  // Mismatches that remain under each other reading; 0 where it explains every answer.
  std::array<std::int64_t, kStepHypotheses> unexplained{};
};
[[nodiscard]] ProbeVerdict judge(const std::vector<StepProbe>& probes,
                                 const std::vector<std::uint32_t>& answers);

// One line: "as expected" or the first difference and the readings that explain all answers.
[[nodiscard]] std::string explain(const std::vector<StepProbe>& probes,
                                  const std::vector<std::uint32_t>& answers);

}  // namespace assay::twin
