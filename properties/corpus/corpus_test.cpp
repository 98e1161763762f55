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
  EXPECT_GE(names.size(), 115u);
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
       {"K1a",  "K1b",  "K2b",  "K2c",  "K3a",  "K3b",  "K3d",  "K4a",  "K4b",  "K4c",  "K5a",  "K5b",
        "K6a",  "K6b",  "K7a",  "K7b",  "K8a",  "K8b",  "K9a",  "K9b",  "K10a", "K10b", "K11a", "K11b",
        "K11c", "K11d", "K11e", "K12a", "K12c", "K12d", "K13a", "K15a", "K15b", "K15c", "K16a", "K16b",
        "K16c", "K17a", "K17b", "K17c", "K18a", "K18b", "K19c", "K19d", "K3f",  "K3g",  "K4e",  "K4f",
        "K4g",  "K4h",  "K5c",  "K5d",  "K6c",  "K6d",  "K7d",  "K7e",  "K8c",  "K8d",  "K9c",  "K9d",
        "K11g", "K11h", "K11i", "K11j", "K11k", "K11l", "K11m", "K12e", "K12f", "K13e", "K15d", "K15e",
        "K18c", "K18d", "K19g", "K20c", "K21a", "K21b", "K21c", "K21d", "K21e", "K21f", "K21g", "K7f",
        "K11n", "K11o", "K12g", "K18e", "K20d", "K20e", "K21h", "K21i", "K21j", "K21k", "K21l", "K21m",
        "K21n", "K21o", "K5e",  "K5f",  "K6e",  "K9e",  "K11p", "K11q", "K11r", "K11s", "K12h", "K12i",
        "K12j", "K13f", "K13g", "K13h", "K15f", "K15g", "K17h", "K17i", "K17j", "K17k", "K17l", "K17m",
        "K17n", "K17o", "K20f", "K20g"}) {
    WorkerProcess worker(worker_of(std::string("mutant:") + name));
    bool seen = false;
    for (const CorpusCase& item : whole())
      seen = seen || is_failure(try_case(worker, item.kernel_case).status);
    EXPECT_TRUE(seen) << name;
  }
}

}  // namespace
}  // namespace assay::properties
