#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "properties/engine/relations.h"
#include "properties/engine/shrink.h"
#include "properties/engine/trial.h"
#include "properties/generators/features.h"
#include "properties/generators/generator.h"

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

GeneratorOptions attention_only() {
  GeneratorOptions options;
  options.operations = {Operation::kPagedAttention};
  return options;
}

class CorrectAttention : public testing::TestWithParam<const char*> {};

TEST_P(CorrectAttention, IsNeverAccused) {
  WorkerProcess worker(worker_of(GetParam()));
  Coverage coverage;
  std::int64_t elements = 0;
  std::set<Relation> related;
  for (std::int64_t index = 0; index < 160; ++index) {
    const KernelCase kernel_case = generate_case(attention_only(), 3, index);
    const Outcome outcome = try_case(worker, kernel_case);
    ASSERT_EQ(outcome.status, Status::kPassed)
        << index << ": " << summary_of(kernel_case) << ": " << outcome.text;
    coverage.add(kernel_case);
    elements += outcome.elements;
    if (outcome.relation_checked) related.insert(kernel_case.relation);
  }
  EXPECT_EQ(worker.deaths(), 0);
  EXPECT_GT(elements, 500'000);
  EXPECT_EQ(related.size(), 5u) << "rename-blocks, widen, copy-shared, row-alone, split-queries";
  EXPECT_GT(coverage.hit(), 120);
}
INSTANTIATE_TEST_SUITE_P(BuiltIn, CorrectAttention,
                         testing::Values("golden-rounded", "naive", "mutant:none"));

// The twin as a kernel: equal to itself in every bit where it answers, within its bound everywhere.
TEST(DecodeTwin, IsHeldToItsOwnBitsAndNeverAccused) {
  WorkerProcess worker(worker_of("decode-twin"));
  std::int64_t accepted = 0, twin_elements = 0;
  for (std::int64_t index = 0; index < 320; ++index) {
    const KernelCase kernel_case = generate_case(attention_only(), 5, index);
    const Outcome outcome = try_case(worker, kernel_case);
    ASSERT_FALSE(is_failure(outcome.status))
        << index << ": " << summary_of(kernel_case) << ": " << outcome.text;
    accepted += outcome.status == Status::kPassed;
    twin_elements += outcome.twin_elements;
  }
  EXPECT_GT(accepted, 5);
  EXPECT_GT(twin_elements, 10'000);
}

// Canary of the address lane: V from the block before is said to be just that.
TEST(AddressLane, NamesTheBlockAndSlotThatTheOutputComesFrom) {
  WorkerProcess worker(worker_of("mutant:K5c"));
  std::int64_t named = 0;
  for (std::int64_t index = 0; index < 40; ++index) {
    const Diagnosis diagnosis = diagnose(worker, generate_case(attention_only(), 3, index));
    if (diagnosis.outcome.status != Status::kWrongBlock) continue;
    EXPECT_NE(diagnosis.outcome.text.find("v_table says block"), std::string::npos) << diagnosis.outcome.text;
    EXPECT_EQ(diagnosis.named.lane, Lane::kAddress);
    ++named;
  }
  EXPECT_GT(named, 5);
}

// A generated case with every sequence's blocks in other places says the same.
TEST(AttentionCase, RenamingBlocksMovesValuesAndChangesNone) {
  std::int64_t compared = 0;
  for (std::int64_t index = 0; index < 60; ++index) {
    KernelCase kernel_case = generate_case(attention_only(), 5, index);
    kernel_case.relation = Relation::kRenameBlocks;
    const std::optional<RelatedCase> related = related_case(kernel_case);
    if (!related) continue;
    const auto& p = std::get<PagedAttentionParameters>(kernel_case.parameters);
    const auto& q = std::get<PagedAttentionParameters>(related->second.parameters);
    EXPECT_EQ(p.pool.content, q.pool.content);
    EXPECT_EQ(p.pool.tables, q.pool.tables);
    EXPECT_EQ(p.value_physical.empty(), q.value_physical.empty());
    compared += p.pool.physical != q.pool.physical;
  }
  EXPECT_GT(compared, 10);
}

TEST(AttentionCase, SimplerCasesHaveNoMoreSequencesNorBlocksOfTheirTables) {
  for (std::int64_t index = 0; index < 40; ++index) {
    const KernelCase kernel_case = generate_case(attention_only(), 9, index);
    for (const KernelCase& simpler : simpler_cases(kernel_case)) {
      validate(simpler, "simpler");
      EXPECT_LE(sequences_of(simpler), sequences_of(kernel_case));
      EXPECT_NE(digest_of(simpler), digest_of(kernel_case));
    }
  }
}

}  // namespace
}  // namespace assay::properties
