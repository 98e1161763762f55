// The log of a campaign: what every finished chunk of cases came to. A campaign that was killed goes on behind
// the chunks that its log holds, and ends with the counts, failures and digest of one that never was.
//
//   line 1   {"schema":"assay.campaign/1", ...}   the plan: whose cases these are
//   line n   {"chunk":7,"cases":32,...,"failures":[...]}   one per chunk, in the order in which they ended
//
// A chunk is written in one piece once all its cases are tried; a line torn by a kill is dropped, its chunk
// tried again. The log says nothing about the kernel's own bytes: a kernel that was built anew in between is
// the caller's to notice.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "properties/campaign/campaign.h"

namespace assay::properties {

struct ChunkResult {
  std::int64_t chunk = 0;
  CampaignCounts counts;
  Coverage coverage;
  std::map<std::string, Failure> failures;  // by kind, not yet shrunk
};

// What two runs must have in common to be one campaign: seed, operations, sizes, share, and the first case
// as drawn (a generator that has changed draws another).
[[nodiscard]] nlohmann::ordered_json plan_of(const CampaignOptions& options);
// DIR/campaign.jsonl, or campaign-R-of-N.jsonl for a share.
[[nodiscard]] std::string log_path(const std::string& directory, std::int64_t share, std::int64_t shares);
// Line 1 of a log. InputError with the path when there is none.
[[nodiscard]] nlohmann::ordered_json read_plan(const std::string& path);

class CampaignLog {
 public:
  // Begins a log, or (`resume`) reads one and goes on with it: InputError when it is not of this plan.
  CampaignLog(const CampaignOptions& options, bool resume);

  // What was read; each chunk once.
  [[nodiscard]] const std::vector<ChunkResult>& finished() const { return finished_; }
  void add(const ChunkResult& result);
  void remove();  // a campaign that came to its end needs none

 private:
  void write(const nlohmann::ordered_json& line);

  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<ChunkResult> finished_;
};

}  // namespace assay::properties
