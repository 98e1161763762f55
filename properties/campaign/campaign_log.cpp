#include "properties/campaign/campaign_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "model/core/check.h"

namespace assay::properties {
namespace {

using nlohmann::ordered_json;
constexpr const char* kSchema = "assay.campaign/1";

std::uint64_t from_hex(const std::string& text) { return std::stoull(text, nullptr, 16); }

ordered_json to_json(const ChunkResult& result) {
  const CampaignCounts& counts = result.counts;
  ordered_json line = {{"chunk", result.chunk},
                       {"cases", counts.cases},
                       {"passed", counts.passed},
                       {"unsupported", counts.unsupported},
                       {"failed", counts.failures},
                       {"elements", counts.elements},
                       {"twin_elements", counts.twin_elements},
                       {"relations", counts.relations},
                       {"worker_deaths", counts.worker_deaths},
                       {"witness", counts.witness},
                       {"worst_headroom", counts.worst_headroom},
                       {"lane_headroom", counts.lane_headroom},
                       {"relation_checks", counts.relation_checks},
                       {"digest", hex_of(counts.digest)},
                       {"cells", result.coverage.cells()}};
  ordered_json failures = ordered_json::array();
  for (const auto& [kind, failure] : result.failures)
    failures.push_back({{"kind", kind},
                        {"index", failure.index},
                        {"count", failure.count},
                        {"status", name_of(failure.outcome.status)},
                        {"text", failure.outcome.text},
                        {"relation_checked", failure.outcome.relation_checked},
                        {"digest", hex_of(failure.outcome.digest)},
                        {"case", to_json(failure.found)}});
  line["failures"] = std::move(failures);
  return line;
}

ChunkResult chunk_from_json(const ordered_json& line, const std::string& place) {
  ChunkResult result;
  CampaignCounts& counts = result.counts;
  line.at("chunk").get_to(result.chunk);
  line.at("cases").get_to(counts.cases);
  line.at("passed").get_to(counts.passed);
  line.at("unsupported").get_to(counts.unsupported);
  line.at("failed").get_to(counts.failures);
  line.at("elements").get_to(counts.elements);
  line.at("twin_elements").get_to(counts.twin_elements);
  line.at("relations").get_to(counts.relations);
  line.at("worker_deaths").get_to(counts.worker_deaths);
  line.at("witness").get_to(counts.witness);
  line.at("worst_headroom").get_to(counts.worst_headroom);
  line.at("lane_headroom").get_to(counts.lane_headroom);
  line.at("relation_checks").get_to(counts.relation_checks);
  counts.digest = from_hex(line.at("digest"));
  result.coverage.add(line.at("cells").get<std::vector<CellCount>>());
  for (const ordered_json& one : line.at("failures")) {
    Failure& failure = result.failures[one.at("kind")];
    one.at("index").get_to(failure.index);
    one.at("count").get_to(failure.count);
    failure.outcome.status = status_named(one.at("status"), place);
    one.at("text").get_to(failure.outcome.text);
    one.at("relation_checked").get_to(failure.outcome.relation_checked);
    failure.outcome.digest = from_hex(one.at("digest"));
    failure.found = failure.shrunk = case_from_json(one.at("case"), place);
  }
  return result;
}

}  // namespace

std::string log_path(const std::string& directory, std::int64_t share, std::int64_t shares) {
  const std::string name =
      shares == 1 ? "campaign.jsonl" : fmt::format("campaign-{}-of-{}.jsonl", share, shares);
  return (std::filesystem::path(directory) / name).string();
}

ordered_json plan_of(const CampaignOptions& options) {
  ordered_json operations = ordered_json::array();
  for (const Operation operation : options.generator.operations) operations.push_back(name_of(operation));
  return {{"schema", kSchema},
          {"kernel", options.command.arguments.back()},
          {"seed", options.seed},
          {"cases", options.cases},
          {"operations", std::move(operations)},
          {"products", options.generator.products},
          {"share", options.share},
          {"shares", options.shares},
          {"first_case", hex_of(digest_of(generate_case(options.generator, options.seed, 0)))}};
}

ordered_json read_plan(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!in || !std::getline(in, line)) throw InputError(path, "the log of a campaign", "no such file");
  const ordered_json plan = ordered_json::parse(line, nullptr, false);
  if (!plan.is_object() || plan.value("schema", "") != kSchema)
    throw InputError(path + ":1", fmt::format("the plan of a campaign ({})", kSchema), line.substr(0, 60));
  return plan;
}

CampaignLog::CampaignLog(const CampaignOptions& options, bool resume)
    : path_(log_path(options.directory, options.share, options.shares)) {
  const ordered_json plan = plan_of(options);
  std::string kept;  // whole lines
  if (resume) {
    const ordered_json was = read_plan(path_);
    for (const auto& [key, value] : plan.items())
      if (!was.contains(key) || was.at(key) != value)
        throw InputError(fmt::format("{}:1, {}", path_, key), was.value(key, ordered_json()).dump(),
                         value.dump());
    std::ifstream in(path_, std::ios::binary);
    std::string line;
    std::set<std::int64_t> seen;
    for (std::int64_t number = 1; std::getline(in, line) && !in.eof(); ++number) {
      if (number > 1) {
        const std::string place = fmt::format("{}:{}", path_, number);
        ordered_json parsed = ordered_json::parse(line, nullptr, false);
        if (parsed.is_discarded()) throw InputError(place, "a chunk of a campaign", line.substr(0, 60));
        try {
          ChunkResult chunk = chunk_from_json(parsed, place);
          if (!seen.insert(chunk.chunk).second)
            throw InputError(place, "each chunk once", fmt::format("chunk {} again", chunk.chunk));
          finished_.push_back(std::move(chunk));
        } catch (const nlohmann::json::exception& error) {
          throw InputError(place, "a chunk of a campaign", error.what());
        }
      }
      kept += line + "\n";
    }
  } else {
    kept = plan.dump() + "\n";
  }
  // Written beside and renamed, so that a kill right here leaves the old log or the new one.
  const std::string fresh = path_ + ".new";
  file_.reset(std::fopen(fresh.c_str(), "wb"));
  if (!file_ || std::fwrite(kept.data(), 1, kept.size(), file_.get()) != kept.size() ||
      std::fflush(file_.get()) != 0 || std::rename(fresh.c_str(), path_.c_str()) != 0)
    throw EnvironmentError(path_, "a file that can be written", std::strerror(errno));
}

void CampaignLog::write(const ordered_json& line) {
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw EnvironmentError(path_, "a file that can be written", std::strerror(errno));
}

void CampaignLog::add(const ChunkResult& result) { write(to_json(result)); }

void CampaignLog::remove() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace assay::properties
