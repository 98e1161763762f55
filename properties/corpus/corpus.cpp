#include "properties/corpus/corpus.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace assay::properties {

std::vector<CorpusCase> corpus(const std::vector<Operation>& operations) {
  std::vector<CorpusCase> cases;
  for (int i = 0; i < detail::kCorpusFileCount; ++i) {
    const detail::EmbeddedFile& file = detail::kCorpusFiles[i];
    const auto document = nlohmann::ordered_json::parse(file.text);
    CorpusCase item{file.name, document.value("comment", std::string()), case_from_json(document, file.name)};
    if (std::find(operations.begin(), operations.end(), item.kernel_case.operation()) != operations.end())
      cases.push_back(std::move(item));
  }
  return cases;
}

}  // namespace assay::properties
