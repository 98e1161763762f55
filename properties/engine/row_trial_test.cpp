// Merge and cache write under test: correct kernels are never accused, whatever correct formula they use; what is
// planted is named by token, head and place.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "properties/cases/elements.h"
#include "properties/engine/judge.h"
#include "properties/engine/relations.h"
#include "properties/engine/shrink.h"
#include "properties/engine/trial.h"
#include "properties/generators/features.h"
#include "properties/generators/generator.h"

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

KernelCase draw(Operation operation, std::uint64_t seed, std::int64_t index) {
  GeneratorOptions options;
  options.operations = {operation};
  return generate_case(options, seed, index);
}

class CorrectRowKernels : public testing::TestWithParam<std::tuple<const char*, Operation>> {};

TEST_P(CorrectRowKernels, AreNeverAccused) {
  const auto& [kernel, operation] = GetParam();
  WorkerProcess worker(worker_of(kernel));
  Coverage coverage;
  std::int64_t elements = 0;
  std::set<Relation> related;
  for (std::int64_t index = 0; index < 200; ++index) {
    const KernelCase kernel_case = draw(operation, 3, index);
    const Outcome outcome = try_case(worker, kernel_case);
    ASSERT_EQ(outcome.status, Status::kPassed)
        << index << ": " << summary_of(kernel_case) << ": " << outcome.text;
    coverage.add(kernel_case);
    elements += outcome.elements;
    if (outcome.relation_checked) related.insert(kernel_case.relation);
  }
  EXPECT_EQ(worker.deaths(), 0);
  EXPECT_GT(elements, 200'000);
  EXPECT_EQ(related.size(), operation == Operation::kMerge ? 2u : 3u)
      << "widen, row-alone, and rename-blocks of cache writes";
  EXPECT_GT(coverage.hit(), Coverage::possible({operation}) * 3 / 4);
}
INSTANTIATE_TEST_SUITE_P(BuiltIn, CorrectRowKernels,
                         testing::Combine(testing::Values("golden-rounded", "naive", "mutant:none"),
                                          testing::Values(Operation::kMerge, Operation::kCacheWrite)));

// A case in memory of its own, so that a formula can be judged without a worker.
class JudgedMerge {
 public:
  explicit JudgedMerge(const KernelCase& kernel_case)
      : p_(std::get<MergeParameters>(kernel_case.parameters)),
        operands_(operands_of(kernel_case)),
        contents_(make_contents(kernel_case, operands_)),
        judge_(make_judge(kernel_case, operands_)) {
    for (const Operand& tensor : operands_.tensors)
      memory_.emplace_back(static_cast<std::size_t>(tensor.span_bytes));
    for (auto& bytes : memory_) data_.push_back(bytes.data());
    contents_->fill_inputs(Poison::kFirst, data_);
    fill_outputs(operands_, Poison::kFirst, data_);
  }
  // formula(lse_a, lse_b) returns {weight of a, weight of b, lse}.
  template <typename Formula>
  [[nodiscard]] Judgement with(const Formula& formula) {
    for (std::int64_t row = 0; row < p_.rows(); ++row)
      for (std::int64_t head = 0; head < p_.heads; ++head) {
        const float lse[2] = {lse_of(0, row, head), lse_of(1, row, head)};
        const std::array<float, 3> merged = formula(lse[0], lse[1]);
        for (std::int64_t d = 0; d < p_.dims; ++d) {
          float sum = 0;
          for (std::size_t part = 0; part < 2; ++part)
            if (std::isfinite(lse[part]))
              sum += merged[part] * static_cast<float>(load_element(out(part, row, head, d), p_.part_type));
          store_element(out(2, row, head, d), p_.output, static_cast<double>(sum), Overflow::kInfinity);
        }
        std::memcpy(data_[5] + (row * p_.lse_strides[2] + head) * 4, &merged[2], 4);
      }
    return judge_->judge(data_, {}, Poison::kFirst);
  }

 private:
  [[nodiscard]] float lse_of(std::size_t part, std::int64_t row, std::int64_t head) const {
    float lse;
    std::memcpy(&lse, data_[2 * part + 1] + (row * p_.lse_strides[part] + head) * 4, 4);
    return lse;
  }
  [[nodiscard]] std::byte* out(std::size_t part, std::int64_t row, std::int64_t head, std::int64_t d) const {
    const std::int64_t element = row * p_.row_strides[part] + head * p_.head_strides[part] + d;
    return data_[2 * part] + element * bytes_of(part == 2 ? p_.output : p_.part_type);
  }

  const MergeParameters& p_;
  Operands operands_;
  std::unique_ptr<CaseContents> contents_;
  std::unique_ptr<CaseJudge> judge_;
  std::vector<std::vector<std::byte>> memory_;
  TensorPointers data_;
};

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

std::array<float, 3> in_base_two(float a, float b) {
  const float largest = std::max(a, b);
  if (largest == kMinusInfinity) return {0, 0, kMinusInfinity};
  const float wa = std::exp2(a * kLog2E - largest * kLog2E), wb = std::exp2(b * kLog2E - largest * kLog2E);
  return {wa / (wa + wb), wb / (wa + wb), (largest * kLog2E + std::log2(wa + wb)) * kLn2};
}
// As ring attention does it: from the rounded lse, without a division.
std::array<float, 3> from_the_rounded_lse(float a, float b) {
  const float largest = std::max(a, b);
  if (largest == kMinusInfinity) return {0, 0, kMinusInfinity};
  const float lse = largest + std::log1p(std::exp(std::min(a, b) - largest));
  return {std::exp(a - lse), std::exp(b - lse), lse};
}
float flushed(float x) { return std::fabs(x) < 0x1p-126f ? 0.0f : x; }
std::array<float, 3> with_weights_flushed(float a, float b) {
  const auto [wa, wb, lse] = from_the_rounded_lse(a, b);
  return {flushed(wa), flushed(wb), lse};
}
// Canaries: one weight in half precision; an lse that is off by one part in ten thousand.
std::array<float, 3> with_half_precision_weights(float a, float b) {
  const auto [wa, wb, lse] = from_the_rounded_lse(a, b);
  return {Fp16::decode_float(Fp16::encode(static_cast<double>(wa))), wb, lse};
}
std::array<float, 3> with_an_lse_too_large(float a, float b) {
  const auto [wa, wb, lse] = from_the_rounded_lse(a, b);
  return {wa, wb, lse == kMinusInfinity ? lse : lse + 1e-4f};
}

TEST(MergeBound, HoldsForEveryUsualFormulaAndForNoneThatRoundsItsWeights) {
  std::int64_t judged = 0, weights_seen = 0, lse_seen = 0;
  for (std::int64_t index = 0; index < 150; ++index) {
    const KernelCase kernel_case = draw(Operation::kMerge, 11, index);
    JudgedMerge merge(kernel_case);
    for (const auto formula : {in_base_two, from_the_rounded_lse, with_weights_flushed}) {
      const Judgement judgement = merge.with(formula);
      ASSERT_EQ(judgement.status, Status::kPassed)
          << index << ": " << summary_of(kernel_case) << ": " << judgement.text;
      judged += judgement.elements;
    }
    weights_seen += merge.with(with_half_precision_weights).status == Status::kIncorrectNumerical;
    lse_seen += merge.with(with_an_lse_too_large).status == Status::kIncorrectNumerical;
  }
  EXPECT_GT(judged, 1'000'000);
  EXPECT_GT(weights_seen, 50);
  EXPECT_GT(lse_seen, 50);
}

// Canary of the address lane: a row in the block behind is said to be just that, in any lane.
TEST(CacheWriteCase, ARowAtAWrongSlotIsNamedByItsTokenAndHead) {
  for (const char* mutant : {"mutant:K5e", "mutant:K15g"}) {
    WorkerProcess worker(worker_of(mutant));
    std::int64_t named = 0;
    for (std::int64_t index = 0; index < 60; ++index) {
      const Diagnosis diagnosis = diagnose(worker, draw(Operation::kCacheWrite, 3, index));
      if (diagnosis.outcome.status != Status::kWrongBlock) continue;
      EXPECT_NE(diagnosis.outcome.text.find("holds token "), std::string::npos) << diagnosis.outcome.text;
      EXPECT_EQ(diagnosis.named.lane, Lane::kAddress);
      ++named;
    }
    EXPECT_GT(named, 10) << mutant;
  }
}

// Other blocks for the same rows: every token keeps its content and its place in the block.
TEST(CacheWriteCase, RenamingBlocksMovesRowsAndChangesNone) {
  std::int64_t compared = 0;
  for (std::int64_t index = 0; index < 60; ++index) {
    KernelCase kernel_case = draw(Operation::kCacheWrite, 5, index);
    kernel_case.relation = Relation::kRenameBlocks;
    const std::optional<RelatedCase> related = related_case(kernel_case);
    if (!related) continue;
    const auto& p = std::get<CacheWriteParameters>(kernel_case.parameters);
    const auto& q = std::get<CacheWriteParameters>(related->second.parameters);
    EXPECT_EQ(p.row_content, q.row_content);
    for (std::size_t t = 0; t < p.slots.size(); ++t) {
      EXPECT_EQ(p.slots[t] < 0, q.slots[t] < 0);
      if (p.slots[t] < 0) continue;
      EXPECT_EQ(p.slots[t] % p.block_tokens, q.slots[t] % q.block_tokens);
    }
    compared += p.slots != q.slots;
  }
  EXPECT_GT(compared, 10);
}

TEST(RowCases, SimplerOnesAreValidAndDifferAndAreNoLarger) {
  for (const Operation operation : {Operation::kMerge, Operation::kCacheWrite}) {
    std::int64_t seen = 0;
    for (std::int64_t index = 0; index < 40; ++index) {
      const KernelCase kernel_case = draw(operation, 9, index);
      for (const KernelCase& simpler : simpler_cases(kernel_case)) {
        validate(simpler, "simpler");
        EXPECT_LE(sequences_of(simpler), sequences_of(kernel_case));
        EXPECT_LE(blocks_of(simpler), blocks_of(kernel_case));
        EXPECT_NE(digest_of(simpler), digest_of(kernel_case));
        ++seen;
      }
    }
    EXPECT_GT(seen, 200);
  }
}

TEST(RowCases, SurviveTheirFile) {
  for (const Operation operation : {Operation::kMerge, Operation::kCacheWrite})
    for (std::int64_t index = 0; index < 40; ++index) {
      const KernelCase kernel_case = draw(operation, 13, index);
      const KernelCase again = case_from_json(to_json(kernel_case), "again");
      EXPECT_EQ(digest_of(again), digest_of(kernel_case));
      EXPECT_EQ(to_json(again), to_json(kernel_case));
    }
}

TEST(CacheWriteCase, RefusesTwoTokensInOneSlotAndSlotsBehindThePool) {
  KernelCase kernel_case = draw(Operation::kCacheWrite, 1, 0);
  for (std::int64_t index = 1; std::get<CacheWriteParameters>(kernel_case.parameters).rows() < 2; ++index)
    kernel_case = draw(Operation::kCacheWrite, 1, index);
  auto& p = std::get<CacheWriteParameters>(kernel_case.parameters);
  p.slots[0] = p.slots[1] = 0;
  EXPECT_THROW(validate(kernel_case, "case"), InputError);
  p.slots[0] = p.blocks * p.block_tokens;
  EXPECT_THROW(validate(kernel_case, "case"), InputError);
  p.slots[0] = -1;
  EXPECT_NO_THROW(validate(kernel_case, "case"));
}

}  // namespace
}  // namespace assay::properties
