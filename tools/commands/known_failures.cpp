#include "tools/commands/known_failures.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cctype>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools {
namespace {

bool is_date(const std::string& text) {
  if (text.size() != 10) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((i == 4 || i == 7) ? text[i] != '-' : std::isdigit(static_cast<unsigned char>(text[i])) == 0)
      return false;
  return true;
}

}  // namespace

std::vector<KnownFailure> read_known_failures(const std::string& path) {
  std::vector<KnownFailure> ledger;
  if (path.empty()) return ledger;
  std::ifstream in(path);
  if (!in) throw InputError("--known", "a file that can be read", path);
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(in, nullptr, true, true);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path, "JSON", error.what());
  }
  if (!document.is_array()) throw InputError(path, "a list of entries", document.type_name());
  for (std::size_t i = 0; i < document.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    const auto text = [&](const char* key) {
      const auto at = document[i].is_object() ? document[i].find(key) : document[i].end();
      if (!document[i].is_object() || at == document[i].end() || !at->is_string() ||
          at->get<std::string>().empty())
        throw InputError(place + "." + key, "a text", "nothing");
      return at->get<std::string>();
    };
    ledger.push_back({text("kernel"), text("case"), text("status"), text("issue"), text("expires")});
    if (!is_date(ledger.back().expires))
      throw InputError(place + ".expires", "YYYY-MM-DD", ledger.back().expires);
    if (ledger.back().issue.find("://") == std::string::npos)
      throw InputError(place + ".issue", "a link", ledger.back().issue);
  }
  return ledger;
}

std::string today() { return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))); }

const KnownFailure* entry_for(const std::vector<KnownFailure>& ledger, const std::string& kernel,
                              const std::string& case_name) {
  for (const KnownFailure& known : ledger)
    if (known.kernel == kernel && known.case_name == case_name) return &known;
  return nullptr;
}

const KnownFailure* excuse_for(const std::vector<KnownFailure>& ledger, const std::string& kernel,
                               const std::string& case_name, const std::string& status,
                               const std::string& today) {
  const KnownFailure* known = entry_for(ledger, kernel, case_name);
  // Dates of this form compare as text. Another way of failing is news.
  return known != nullptr && known->status == status && known->expires >= today ? known : nullptr;
}

}  // namespace assay::tools
