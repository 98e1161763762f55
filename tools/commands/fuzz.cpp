// assay fuzz: a campaign of generated cases against one kernel, with failures shrunk and written as files.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <thread>

#include "model/core/check.h"
#include "properties/campaign/campaign.h"
#include "properties/campaign/campaign_log.h"
#include "tools/commands/corpus_run.h"
#include "tools/commands/fuzz_modes.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::CampaignOptions;
using properties::CampaignResult;
using properties::Coverage;

struct Options {
  CommonOptions common;
  KernelOptions kernel;
  std::string time;
  std::int64_t cases = 0;
  int workers = 0;
  std::string out = "assay-failures";
  std::int64_t shrink_tries = 500;
  double shrink_seconds = 300;
  std::int64_t products = properties::GeneratorOptions{}.products;
  std::string share;
  bool list_missing = false;
  bool world = false, twice = false, all = false;
  std::string allocator;
  bool without_corpus = false;
  std::string known;
  std::string resume;           // directory of a campaign that was cut short
  std::set<std::string> given;  // options that the command line names
};

// "90", "60s", "5m", "2h".
double seconds_of(const std::string& text) {
  std::size_t end = 0;
  double value = 0;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  const std::string unit = end == 0 ? "?" : text.substr(end);
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (scale == 0 || !(value > 0)) throw InputError("--time", "a duration such as 60s, 5m or 2h", text);
  return value * scale;
}

void set_share(const std::string& text, CampaignOptions& campaign) {
  if (text.empty()) return;
  char rest = 0;
  long long share = -1, shares = 0;
  if (std::sscanf(text.c_str(), "%lld/%lld%c", &share, &shares, &rest) != 2 || shares < 1 || share < 0 ||
      share >= shares)
    throw InputError("--share", "R/N with 0 <= R < N", text);
  campaign.share = share;
  campaign.shares = shares;
}

CampaignOptions campaign_of(const Options& options) {
  CampaignOptions campaign;
  campaign.command = worker_command(options.kernel);
  {
    properties::WorkerProcess probe(campaign.command);
    campaign.generator.operations = operations_of(options.kernel, probe.kernels());
  }
  if (options.cases < 0) throw InputError("--cases", "0 or more", std::to_string(options.cases));
  if (options.workers < 0 || options.workers > 1024)
    throw InputError("--workers", "1 to 1024, or 0 for one per core", std::to_string(options.workers));
  if (options.shrink_tries < 0)
    throw InputError("--shrink-tries", "0 or more", std::to_string(options.shrink_tries));
  if (options.products < 1000 || options.products > 4'000'000'000)
    throw InputError("--products", "1000 to 4e9 products per case", std::to_string(options.products));
  campaign.generator.products = options.products;
  campaign.seed = options.common.seed;
  campaign.cases = options.cases;
  if (!options.time.empty()) campaign.seconds = seconds_of(options.time);
  if (campaign.cases == 0 && campaign.seconds == 0) campaign.seconds = 60;
  campaign.workers = options.workers > 0 ? options.workers
                                         : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  campaign.shrink = {options.shrink_tries, options.shrink_seconds};
  campaign.directory = options.out;
  campaign.resume = !options.resume.empty();
  set_share(options.share, campaign);
  return campaign;
}

// What the log of a campaign says for everything that the command line leaves open; what it does name is
// compared when the log is read.
Options resumed(Options options) {
  if (options.resume.empty()) return options;
  for (const char* other : {"--world", "--allocator", "--all", "--out"})
    if (options.given.count(other) > 0) throw InputError("--resume", std::string("no ") + other, other);
  CampaignOptions named;
  set_share(options.share, named);
  const nlohmann::ordered_json plan =
      properties::read_plan(properties::log_path(options.resume, named.share, named.shares));
  const auto open = [&](const char* name) { return options.given.count(name) == 0; };
  if (open("--kernel")) options.kernel.kernel = plan.at("kernel");
  if (open("--seed")) options.common.seed = plan.at("seed");
  if (open("--op")) options.kernel.operations = plan.at("operations").get<std::vector<std::string>>();
  if (open("--products")) options.products = plan.at("products");
  if (open("--cases")) options.cases = plan.at("cases");
  options.out = options.resume;
  options.without_corpus = true;  // it ran when the campaign began
  return options;
}

nlohmann::ordered_json to_json(const Options& options, const CampaignOptions& campaign,
                               const CampaignResult& result) {
  const properties::CampaignCounts& counts = result.counts;
  nlohmann::ordered_json document;
  document["schema"] = "assay.fuzz/1";
  document["kernel"] = options.kernel.kernel;
  document["seed"] = campaign.seed;
  auto& operations = document["operations"] = nlohmann::ordered_json::array();
  for (const properties::Operation operation : campaign.generator.operations)
    operations.push_back(name_of(operation));
  document["share"] = {campaign.share, campaign.shares};
  document["cases"] = counts.cases;
  document["passed"] = counts.passed;
  document["unsupported"] = counts.unsupported;
  document["failures"] = counts.failures;
  document["digest"] = properties::hex_of(counts.digest);
  document["elements"] = counts.elements;
  document["twin_elements"] = counts.twin_elements;
  document["relations"] = counts.relations;
  document["worst_headroom"] = counts.worst_headroom;
  document["worker_deaths"] = counts.worker_deaths;
  document["interrupted"] = result.interrupted;
  if (campaign.resume) document["resumed_cases"] = result.resumed_cases;
  document["coverage"] = {{"hit", result.coverage.hit()},
                          {"possible", Coverage::possible(campaign.generator.operations)}};
  if (options.list_missing)
    document["coverage"]["missing"] = result.coverage.missing(campaign.generator.operations);
  auto& kinds = document["kinds"] = nlohmann::ordered_json::array();
  for (const auto& [kind, failure] : result.failures)
    kinds.push_back({{"kind", kind},
                     {"status", name_of(failure.outcome.status)},
                     {"count", failure.count},
                     {"first_case", failure.index},
                     {"text", failure.outcome.text},
                     {"file", failure.file},
                     {"sequences", properties::sequences_of(failure.shrunk)},
                     {"blocks", properties::blocks_of(failure.shrunk)},
                     {"shrink_tries", failure.shrink_tries},
                     {"shrink_finished", failure.shrink_finished}});
  return document;
}

void print(const Options& options, const CampaignOptions& campaign, const CampaignResult& result) {
  const Terminal terminal = terminal_of(stdout);
  const properties::CampaignCounts& counts = result.counts;
  fmt::print("{} against {} cases of seed {} on {} workers: {:.1f} s, {:.0f} cases/s{}\n",
             options.kernel.kernel, grouped(counts.cases), campaign.seed, campaign.workers, result.seconds,
             static_cast<double>(counts.cases - result.resumed_cases) / std::max(result.seconds, 1e-9),
             result.interrupted ? ", interrupted" : "");
  fmt::print(
      "  {} passed, {} declined, {} failed; {} elements compared, {} with the twin, worst headroom {:.3f}\n",
      grouped(counts.passed), grouped(counts.unsupported), grouped(counts.failures), grouped(counts.elements),
      grouped(counts.twin_elements), counts.worst_headroom);
  fmt::print(
      "  {} of {} cells (operation x lane x feature) hit, {} relations checked, {} workers replaced, digest "
      "{}\n",
      grouped(result.coverage.hit()), grouped(Coverage::possible(campaign.generator.operations)),
      grouped(counts.relations), grouped(counts.worker_deaths), properties::hex_of(counts.digest));
  if (campaign.resume) fmt::print("  {} of the cases come from the log\n", grouped(result.resumed_cases));
  if (result.interrupted && !campaign.directory.empty())
    fmt::print("  assay fuzz --resume {}{}\n", campaign.directory,
               campaign.shares > 1 ? fmt::format(" --share {}/{}", campaign.share, campaign.shares) : "");
  if (options.list_missing)
    for (const std::string& cell : result.coverage.missing(campaign.generator.operations))
      fmt::print("  never hit: {}\n", cell);
  for (const auto& [kind, failure] : result.failures) {
    fmt::print("\n{}  {} cases, the first is number {}\n", toned(kind, Tone::kBad, terminal),
               grouped(failure.count), failure.index);
    fmt::print("  {}\n  {}\n", failure.outcome.text, summary_of(failure.shrunk));
    if (failure.shrink_tries > 0)
      fmt::print("  shrunk in {} tries{}\n", failure.shrink_tries,
                 failure.shrink_finished ? "" : " (the limit ended it: assay shrink goes on)");
    if (!failure.file.empty())
      fmt::print("  assay reproduce {} --kernel {}\n", failure.file, options.kernel.kernel);
  }
}

int run_world(const Options& options) {
  if (!options.kernel.operations.empty())
    throw InputError("--op", "nothing with --world", options.kernel.operations.front());
  if (!options.share.empty()) throw InputError("--share", "nothing with --world", options.share);
  if (options.cases < 0) throw InputError("--cases", "0 or more", std::to_string(options.cases));
  WorldFuzzOptions world;
  world.cases = options.cases;
  world.seconds = options.time.empty() ? (options.cases == 0 ? 60 : 0) : seconds_of(options.time);
  if (options.cases > 0 && !options.time.empty())
    throw InputError("--time", "either --time or --cases with --world", options.time);
  world.workers = options.workers > 0 ? options.workers
                                      : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  world.twice = options.twice;
  world.kernel = options.kernel.kernel;
  world.out = options.out;
  return fuzz_worlds(options.common, world);
}

int run_allocator(const Options& options) {
  if (options.cases < 0) throw InputError("--cases", "0 or more", std::to_string(options.cases));
  AllocatorFuzzOptions allocator;
  allocator.allocator = options.allocator;
  allocator.cases = options.cases;
  allocator.seconds = options.time.empty() ? (options.cases == 0 ? 60 : 0) : seconds_of(options.time);
  allocator.workers = options.workers > 0
                          ? options.workers
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  allocator.shrink_tries = options.shrink_tries;
  allocator.out = options.out;
  return fuzz_allocators(options.common, allocator);
}

int run_one(const Options& options);

// The kernel, the allocator and worlds one after the other, each with a third of the time or all of the cases.
int run_all(const Options& options) {
  if (!options.common.json_path.empty())
    throw InputError("--json", "one of --kernel, --allocator or --world at a time", "--all");
  Options part = options;
  part.all = false;
  if (options.cases == 0)
    part.time = fmt::format("{}s", (options.time.empty() ? 60 : seconds_of(options.time)) / 3);
  int worst = kPass;
  const auto next = [&] {
    const int code = run_one(part);
    worst = worst == kWrongResult || code == kWrongResult ? kWrongResult : std::max(worst, code);
  };
  next();
  part.allocator = "pool";
  next();
  part.allocator.clear();
  part.world = true;
  next();
  return worst;
}

int run(const Options& options) { return options.all ? run_all(options) : run_one(options); }

int run_one(const Options& given) {
  const Options options = resumed(given);
  if (!options.allocator.empty()) return run_allocator(options);
  if (options.world) return run_world(options);
  if (options.twice)
    throw InputError("--twice", "only with --world (kernel cases run several times as it is)", "--twice");
  const CampaignOptions campaign = campaign_of(options);
  const std::vector<KnownFailure> ledger = read_known_failures(options.known);
  const bool print_it = !options.common.quiet && options.common.json_path != "-";
  CorpusRun corpus;
  if (!options.without_corpus && campaign.share == 0) {
    properties::WorkerProcess worker(campaign.command);
    corpus = run_corpus(worker, options.kernel.kernel, campaign.generator.operations, ledger);
    if (print_it) print_corpus(corpus);
  }
  ProgressLine line(!options.common.quiet);
  const CampaignResult result = run_campaign(
      campaign, [&](const properties::CampaignCounts& counts, const Coverage& coverage, std::int64_t kinds) {
        if (interrupted) return false;
        if (line.due()) {
          const double seconds = line.seconds();
          const double part = campaign.cases > 0
                                  ? static_cast<double>(counts.cases) * static_cast<double>(campaign.shares) /
                                        static_cast<double>(campaign.cases)
                                  : seconds / campaign.seconds;
          line.show(fmt::format("{} cases, {:.0f}/s, {} cells, {} failed in {} kinds, {:.0f} s left",
                                grouped(counts.cases), static_cast<double>(counts.cases) / seconds,
                                coverage.hit(), counts.failures, kinds,
                                part > 0 ? std::max(0.0, seconds / part - seconds) : 0.0));
        }
        return true;
      });
  if (print_it) print(options, campaign, result);
  nlohmann::ordered_json document = to_json(options, campaign, result);
  document["corpus"] = to_json(corpus);
  write_json(options.common, document);
  if (result.counts.failures > 0 || corpus.failed()) return kWrongResult;
  if (result.interrupted) return kInconclusive;
  if (result.counts.passed == 0) return kInconclusive;  // everything was declined: nothing is known
  return kPass;
}

}  // namespace

void register_fuzz(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand(
      "fuzz", "Generated cases against a kernel; failures come out small, as files");
  add_kernel_options(*command, options->kernel);
  command->add_option("--time", options->time, "How long, as 60s, 5m, 2h (default 60s without --cases)");
  command->add_option("--cases", options->cases,
                      "How many cases; the result then does not depend on --workers");
  command->add_option("--workers", options->workers, "Worker processes (0: one per core)")
      ->capture_default_str();
  command->add_option("--out", options->out, "Directory for failing cases; empty writes none")
      ->capture_default_str();
  command
      ->add_option("--shrink-tries", options->shrink_tries, "Attempts per kind of failure; 0 does not shrink")
      ->capture_default_str();
  command->add_option("--shrink-seconds", options->shrink_seconds, "Seconds per kind of failure")
      ->capture_default_str();
  command->add_option("--products", options->products, "Size of a case: products of the largest, about")
      ->capture_default_str();
  command->add_option("--share", options->share,
                      "R/N: of N processes, this is number R; no two try the same case");
  command
      ->add_option("--allocator", options->allocator,
                   "Lives of an allocator instead: pool (the simulator's), plain, or a mutant such as S3b")
      ->expected(0, 1)
      ->default_str("pool");
  command->add_flag("--all", options->all, "The kernel, the allocator and worlds, one after the other");
  command->add_flag("--world", options->world,
                    "Whole worlds instead of cases: traffic, pool, policy, call and schedule from one seed");
  command->add_flag("--twice", options->twice, "With --world: live each world twice and compare digests");
  command->add_flag("--no-corpus", options->without_corpus, "Do not run the corpus first");
  command->add_option("--known", options->known, "Ledger of known corpus failures (docs/fuzzing.md)");
  command->add_flag("--missing", options->list_missing, "List the cells that were never hit");
  command->add_option("--resume", options->resume,
                      "Directory (--out) of a campaign that was cut short: goes on behind its log");
  add_common_options(*command, options->common);
  command->footer(
      "\nExamples:\n  assay fuzz --kernel twin --cases 2000\n  assay fuzz --kernel ./my.so --time 5m "
      "--workers 8\n"
      "  assay fuzz --kernel my_kernel.py:function --op paged-mqa-logits --time 60s\n"
      "  assay fuzz --world --cases 1000 --twice\n"
      "  assay fuzz --resume assay-failures");
  command->callback([&registry, options, command] {
    for (const CLI::Option* option : command->get_options())
      if (option->count() > 0) options->given.insert(option->get_name());
    registry.chosen = [options] { return run(*options); };
  });
}

}  // namespace assay::tools
