#include "properties/corpus/corpus.h"

#include <gtest/gtest.h>

#include <iterator>
#include <set>

#include "properties/engine/trial.h"

namespace assay::properties {
namespace {

std::vector<CorpusCase> whole() { return corpus({std::begin(kOperations), std::end(kOperations)}); }

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

TEST(Corpus, NamesAreUniqueAndEveryCaseSaysWhatItIsAbout) {
  std::set<std::string> names;
  for (const CorpusCase& item : whole()) {
    EXPECT_TRUE(names.insert(item.name).second) << item.name;
    EXPECT_GT(item.comment.size(), 10u) << item.name;
  }
  EXPECT_GE(names.size(), 50u);
}

TEST(Corpus, PassesOnEveryCorrectKernel) {
  for (const char* kernel : {"twin", "golden-rounded", "naive", "mutant:none"}) {
    WorkerProcess worker(worker_of(kernel));
    std::int64_t passed = 0;
    for (const CorpusCase& item : whole()) {
      const Outcome outcome = try_case(worker, item.kernel_case);
      EXPECT_FALSE(is_failure(outcome.status))
          << item.name << " on " << kernel << ": " << name_of(outcome.status) << " " << outcome.text;
      passed += outcome.status == Status::kPassed;
    }
    EXPECT_GE(passed, 40) << kernel;
  }
}

// Canary: each of these faults is shown by the corpus alone, without a generated case.
TEST(Corpus, ShowsMostPlantedFaultsByItself) {
  for (const char* name :
       {"K1a",  "K1b",  "K2b",  "K2c",  "K3a",  "K3b",  "K3d",  "K4a",  "K4b",  "K4c",  "K5a",
        "K5b",  "K6a",  "K6b",  "K7a",  "K7b",  "K8a",  "K8b",  "K9a",  "K9b",  "K10a", "K10b",
        "K11a", "K11b", "K11c", "K11d", "K11e", "K12a", "K12c", "K12d", "K13a", "K15a", "K15b",
        "K15c", "K16a", "K16b", "K16c", "K17a", "K17b", "K17c", "K18a", "K18b", "K19c", "K19d"}) {
    WorkerProcess worker(worker_of(std::string("mutant:") + name));
    bool seen = false;
    for (const CorpusCase& item : whole())
      seen = seen || is_failure(try_case(worker, item.kernel_case).status);
    EXPECT_TRUE(seen) << name;
  }
}

}  // namespace
}  // namespace assay::properties
