#include "properties/campaign/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "model/core/check.h"
#include "properties/campaign/campaign_log.h"

namespace assay::properties {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Commutes under addition, and says which case had which outcome.
std::uint64_t digest_part(std::int64_t index, const Outcome& outcome) {
  const std::uint64_t words[2] = {static_cast<std::uint64_t>(index), outcome.digest};
  return fnv1a(words, sizeof words);
}

void add(CampaignCounts& to, const CampaignCounts& more) {
  to.cases += more.cases;
  to.passed += more.passed;
  to.unsupported += more.unsupported;
  to.failures += more.failures;
  to.elements += more.elements;
  to.twin_elements += more.twin_elements;
  to.relations += more.relations;
  to.worker_deaths += more.worker_deaths;
  to.witness += more.witness;
  to.worst_headroom = std::max(to.worst_headroom, more.worst_headroom);
  for (std::size_t i = 0; i < to.lane_headroom.size(); ++i)
    to.lane_headroom[i] = std::max(to.lane_headroom[i], more.lane_headroom[i]);
  for (std::size_t i = 0; i < to.relation_checks.size(); ++i)
    to.relation_checks[i] += more.relation_checks[i];
  to.digest += more.digest;
}

// Each thread's last case, on disk before it is launched: what a machine that dies leaves behind.
class InFlight {
 public:
  InFlight(const std::string& directory, int thread) {
    if (!directory.empty()) path_ = fs::path(directory) / fmt::format("in-flight-{}.json", thread);
  }
  ~InFlight() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  void write(const KernelCase& kernel_case) {
    if (path_.empty()) return;
    std::ofstream out(path_, std::ios::trunc);
    out << to_json(kernel_case).dump() << '\n';
    if (!out.flush()) throw EnvironmentError(path_.string(), "a file that can be written", "a failed write");
  }

 private:
  fs::path path_;
};

class Campaign {
 public:
  Campaign(const CampaignOptions& options, const CampaignProgress& progress)
      : options_(options), progress_(progress), begin_(Clock::now()) {
    ASSAY_CHECK_GE(options.workers, 1);
    ASSAY_CHECK(options.cases > 0 || options.seconds > 0);
    if (!options.directory.empty()) {
      if (options.resume) (void)read_plan(log_path(options.directory, options.share, options.shares));
      std::error_code error;
      made_directory_ = fs::create_directories(options.directory, error);
      if (error) throw EnvironmentError(options.directory, "a directory that can be made", error.message());
    }
  }

  CampaignResult run() {
    {
      WorkerProcess probe(options_.command);  // a kernel that cannot be loaded ends it here, once
      (void)probe.kernels();
    }
    if (!options_.directory.empty()) log_ = std::make_unique<CampaignLog>(options_, options_.resume);
    if (log_)
      for (const ChunkResult& chunk : log_->finished()) {
        take(chunk);
        finished_.insert(chunk.chunk);
      }
    result_.resumed_cases = result_.counts.cases;
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.workers; ++i) threads.emplace_back([this, i] { work(i); });
    watch();
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
    shrink_all();
    if (log_ && !result_.interrupted) log_->remove();
    std::error_code ignored;
    if (made_directory_ && fs::is_empty(options_.directory, ignored)) fs::remove(options_.directory, ignored);
    result_.seconds = seconds_since(begin_);
    return std::move(result_);
  }

 private:
  // The next chunk of this share that the log does not hold; -1: there is none.
  std::int64_t next_chunk() {
    while (true) {
      const std::int64_t chunk = next_.fetch_add(1) * options_.shares + options_.share;
      if (options_.cases > 0 && chunk * kCasesPerSwarm >= options_.cases) return -1;
      if (finished_.count(chunk) == 0) return chunk;
    }
  }
  [[nodiscard]] bool over() const {
    return stop_ || (options_.seconds > 0 && seconds_since(begin_) >= options_.seconds);
  }

  void work(int thread) {
    try {
      WorkerProcess worker(options_.command);
      InFlight in_flight(options_.directory, thread);
      for (std::int64_t chunk = next_chunk(); chunk >= 0 && !over(); chunk = next_chunk()) {
        const std::int64_t end = options_.cases > 0 ? std::min(options_.cases, (chunk + 1) * kCasesPerSwarm)
                                                    : (chunk + 1) * kCasesPerSwarm;
        ChunkResult result;
        result.chunk = chunk;
        const std::int64_t deaths = worker.deaths();
        std::int64_t index = chunk * kCasesPerSwarm;
        for (; index < end && !over(); ++index) {
          const KernelCase kernel_case = generate_case(options_.generator, options_.seed, index);
          in_flight.write(kernel_case);
          const Outcome outcome = try_case(worker, kernel_case);
          count(result, index, kernel_case, outcome);
        }
        result.counts.worker_deaths = worker.deaths() - deaths;
        const std::lock_guard lock(mutex_);
        take(result);
        if (log_ && index == end) log_->add(result);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stop_ = true;
    }
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }

  void count(ChunkResult& result, std::int64_t index, const KernelCase& kernel_case, const Outcome& outcome) {
    CampaignCounts& counts = result.counts;
    ++counts.cases;
    counts.passed += outcome.status == Status::kPassed;
    counts.unsupported += outcome.status == Status::kUnsupported;
    counts.elements += outcome.elements;
    counts.twin_elements += outcome.twin_elements;
    counts.relations += outcome.relation_checked;
    counts.witness += outcome.witness;
    const double headroom = is_failure(outcome.status) ? 0.0 : outcome.headroom;
    counts.worst_headroom = std::max(counts.worst_headroom, headroom);
    double& of_lane = counts.lane_headroom[static_cast<std::size_t>(kernel_case.lane)];
    of_lane = std::max(of_lane, headroom);
    counts.relation_checks[static_cast<std::size_t>(kernel_case.relation)] += outcome.relation_checked;
    counts.digest += digest_part(index, outcome);
    if (outcome.status != Status::kUnsupported) result.coverage.add(kernel_case);
    if (!is_failure(outcome.status)) return;
    ++counts.failures;
    const auto [at, is_new] = result.failures.try_emplace(kind_of(kernel_case, outcome));
    ++at->second.count;
    if (is_new) {  // indices rise
      at->second.index = index;
      at->second.outcome = outcome;
      at->second.found = at->second.shrunk = kernel_case;
    }
    if (options_.stop_at_failure) stop_ = true;
  }

  // Adds a chunk's result to the campaign's. Under the mutex, or before there are threads.
  void take(const ChunkResult& chunk) {
    add(result_.counts, chunk.counts);
    result_.coverage.add(chunk.coverage);
    for (const auto& [kind, failure] : chunk.failures) {
      const auto [at, is_new] = result_.failures.try_emplace(kind, failure);
      if (is_new) continue;
      const std::int64_t count = at->second.count + failure.count;
      if (failure.index < at->second.index) at->second = failure;
      at->second.count = count;
    }
  }

  // Calls the progress function until all threads have ended.
  void watch() {
    std::unique_lock lock(mutex_);
    while (ended_ < options_.workers) {
      changed_.wait_for(lock, std::chrono::milliseconds(200));
      if (!progress_ || stop_) continue;
      const CampaignCounts counts = result_.counts;
      const Coverage coverage = result_.coverage;
      const auto kinds = static_cast<std::int64_t>(result_.failures.size());
      lock.unlock();
      const bool go_on = progress_(counts, coverage, kinds);
      lock.lock();
      if (!go_on) {
        stop_ = true;
        result_.interrupted = true;
      }
    }
  }

  void shrink_all() {
    if (result_.failures.empty()) return;
    WorkerProcess worker(options_.command);
    for (auto& [kind, failure] : result_.failures) {
      if (options_.shrink.tries > 0) {
        // Names beat numbers: the case whose contents are addresses is the one to shrink, if it fails so.
        Diagnosis diagnosis = diagnose(worker, failure.found);
        if (is_failure(diagnosis.outcome.status)) {
          const Shrunk shrunk =
              shrink(worker, diagnosis.named, diagnosis.outcome, options_.shrink, [this](const Shrunk&) {
                return !progress_ || result_.interrupted ||
                       progress_(result_.counts, result_.coverage,
                                 static_cast<std::int64_t>(result_.failures.size()));
              });
          failure.shrunk = shrunk.kernel_case;
          failure.outcome = shrunk.outcome;
          failure.shrink_tries = shrunk.tries;
          failure.shrink_finished = shrunk.finished;
        }
      }
    }
    merge_kinds();
    for (auto& [kind, failure] : result_.failures) write(kind, failure);
  }

  // What looked different when it was found may be the same once it has a name.
  void merge_kinds() {
    std::map<std::string, Failure> merged;
    for (auto& [kind, failure] : result_.failures) {
      const std::string now = kind_of(failure.shrunk, failure.outcome);
      const auto [at, is_new] = merged.try_emplace(now, failure);
      if (is_new) continue;
      const std::int64_t count = at->second.count + failure.count;
      if (failure.index < at->second.index) at->second = failure;
      at->second.count = count;
    }
    result_.failures = std::move(merged);
  }

  void write(const std::string& kind, Failure& failure) const {
    if (options_.directory.empty()) return;
    std::string name = kind;
    std::replace(name.begin(), name.end(), ' ', '-');
    const fs::path path = fs::path(options_.directory) / (name + ".json");
    std::ofstream out(path, std::ios::trunc);
    out << case_document(failure.shrunk, failure.outcome,
                         fmt::format("case {} of seed {}, shrunk in {} tries", failure.index, options_.seed,
                                     failure.shrink_tries))
               .dump(1)
        << '\n';
    if (!out.flush()) throw EnvironmentError(path.string(), "a file that can be written", "a failed write");
    failure.file = path.string();
  }

  const CampaignOptions& options_;
  const CampaignProgress& progress_;
  Clock::time_point begin_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // result_, ended_, error_
  std::condition_variable changed_;
  CampaignResult result_;
  std::unique_ptr<CampaignLog> log_;  // add() under the mutex
  std::set<std::int64_t> finished_;   // chunks that the log held at the start
  int ended_ = 0;
  bool made_directory_ = false;
  std::exception_ptr error_;
};

}  // namespace

std::string kind_of(const KernelCase& kernel_case, const Outcome& outcome) {
  std::string kind = fmt::format("{} {}", name_of(kernel_case.operation()), name_of(outcome.status));
  if (outcome.status == Status::kClaimFalse && outcome.relation_checked)
    kind += fmt::format(" {}", name_of(kernel_case.relation));
  return kind;
}

nlohmann::ordered_json case_document(const KernelCase& kernel_case, const Outcome& outcome,
                                     const std::string& comment) {
  nlohmann::ordered_json document = to_json(kernel_case);
  document["comment"] = comment;
  document["expected"] = {
      {"status", name_of(outcome.status)}, {"text", outcome.text}, {"digest", hex_of(outcome.digest)}};
  return document;
}

CampaignResult run_campaign(const CampaignOptions& options, const CampaignProgress& progress) {
  return Campaign(options, progress).run();
}

}  // namespace assay::properties
