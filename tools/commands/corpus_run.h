// The corpus against a kernel, with the ledger of known failures: what fuzz, verify and the gate run first.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "properties/corpus/corpus.h"
#include "properties/engine/trial.h"
#include "tools/commands/known_failures.h"

namespace assay::tools {

struct CorpusRun {
  struct Finding {
    std::string name, comment;
    properties::Outcome outcome;
    std::string excuse;  // the issue of the ledger's entry; "" = none
  };
  std::int64_t cases = 0, passed = 0, unsupported = 0, excused = 0;
  std::vector<Finding> failures;             // excused ones included
  std::vector<std::string> passing_entries;  // ledger entries to remove
  [[nodiscard]] bool failed() const;
};

[[nodiscard]] CorpusRun run_corpus(properties::WorkerProcess& worker, const std::string& kernel,
                                   const std::vector<properties::Operation>& operations,
                                   const std::vector<KnownFailure>& ledger);
[[nodiscard]] nlohmann::ordered_json to_json(const CorpusRun& run);
void print_corpus(const CorpusRun& run);

}  // namespace assay::tools
