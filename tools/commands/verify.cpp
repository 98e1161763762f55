// assay verify: a kernel on given cases, or on the corpus and the default case set; one verdict per property.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "model/core/check.h"
#include "properties/campaign/campaign.h"
#include "properties/engine/relations.h"
#include "tools/commands/corpus_run.h"
#include "tools/commands/kernel_options.h"
#include "tools/commands/trace_actions.h"
#include "tools/terminal/bars.h"

namespace assay::tools {
namespace {

using properties::CampaignResult;
using properties::Outcome;
using properties::Status;

struct Options {
  CommonOptions common;
  KernelOptions kernel;
  std::vector<std::string> files;
  std::int64_t cases = 1024;
  int workers = 0;
  std::int64_t products = properties::GeneratorOptions{}.products;
  std::string out = "assay-failures";
  std::string known;
};

// A property of the table: the statuses that break it, and how often it was put to the test.
struct Property {
  std::string name;
  std::vector<Status> breaches;
  std::int64_t checks = 0;
  std::string note;
  std::int64_t failures = 0;
};

std::int64_t count_of(const CampaignResult& result, const CorpusRun& corpus,
                      const std::vector<Status>& statuses) {
  const auto among = [&](Status status) {
    return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
  };
  std::int64_t count = 0;
  for (const auto& [kind, failure] : result.failures)
    if (among(failure.outcome.status)) count += failure.count;
  for (const CorpusRun::Finding& finding : corpus.failures)
    if (among(finding.outcome.status) && finding.excuse.empty()) ++count;
  return count;
}

std::vector<Property> properties_of(const CampaignResult& result, const CorpusRun& corpus,
                                    const std::string& claims, properties::Operation operation) {
  const properties::CampaignCounts& counts = result.counts;
  const std::int64_t tried = counts.cases - counts.unsupported + corpus.cases - corpus.unsupported;
  std::vector<Property> list{
      {"every value within its bound",
       {Status::kIncorrectNumerical},
       tried,
       fmt::format("{} elements, worst headroom {:.3f}", grouped(counts.elements), counts.worst_headroom),
       0},
      {"reads the right block and slot", {Status::kWrongBlock}, tried, "address-coded contents name them", 0},
      {"masks and untouched bytes exact", {Status::kIncorrectMask}, tried, "", 0},
      {"every must-write element written", {Status::kUnwritten}, tried, "poisoned outputs", 0},
      {"no access outside its tensors",
       {Status::kOobRead, Status::kOobWrite},
       tried,
       "pages of nobody around every tensor",
       0},
      {"dead bytes do not matter", {Status::kPoisonLeak}, tried, "two poisons", 0},
      {"inputs unchanged", {Status::kInputModified}, tried, "", 0},
      {"repeat runs equal, as claimed", {Status::kNondeterministic}, tried, "", 0},
      {"ends, in time, without a crash", {Status::kRuntimeError, Status::kTimeout}, tried, "", 0}};
  for (Property& property : list) property.failures = count_of(result, corpus, property.breaches);
  const properties::Claims parsed = properties::parse_claims(claims, "claims");
  if (!parsed.arithmetic.empty()) {
    Property twin{"arithmetic=" + parsed.arithmetic,
                  {Status::kClaimFalse},
                  counts.twin_elements,
                  "elements, bit by bit",
                  0};
    for (const auto& [kind, failure] : result.failures)
      if (failure.outcome.status == Status::kClaimFalse && !failure.outcome.relation_checked)
        twin.failures += failure.count;
    list.push_back(std::move(twin));
  }
  for (const properties::Relation relation : properties::kRelations) {
    if (!applies(operation, relation) || !obliges(parsed, relation)) continue;
    Property property{fmt::format("{} ({})", name_of(relation), properties::claim_behind(relation)),
                      {Status::kClaimFalse},
                      counts.relation_checks[static_cast<std::size_t>(relation)],
                      "",
                      0};
    for (const auto& [kind, failure] : result.failures)
      if (failure.outcome.status == Status::kClaimFalse && failure.outcome.relation_checked &&
          failure.found.relation == relation)
        property.failures += failure.count;
    list.push_back(std::move(property));
  }
  return list;
}

void print_properties(const std::vector<Property>& list, const CampaignResult& result,
                      properties::Operation operation) {
  const Terminal terminal = terminal_of(stdout);
  for (const Property& property : list) {
    const std::string word = property.failures > 0  ? toned("FALSE   ", Tone::kBad, terminal)
                             : property.checks == 0 ? toned("untried ", Tone::kWarning, terminal)
                                                    : toned("holds   ", Tone::kGood, terminal);
    fmt::print("  {} {:<52} {:>10}{}{}\n", word, property.name, grouped(property.checks),
               property.failures > 0 ? fmt::format(", {} broke it", grouped(property.failures)) : "",
               property.note.empty() ? "" : "  " + property.note);
  }
  fmt::print("  worst headroom by lane:");
  for (const properties::Lane lane : lanes_of(operation))
    fmt::print(" {} {:.2f}", name_of(lane), result.counts.lane_headroom[static_cast<std::size_t>(lane)]);
  fmt::print("\n");
  for (const auto& [kind, failure] : result.failures)
    fmt::print("\n{}\n  {}\n  {}\n{}", toned(kind, Tone::kBad, terminal), failure.outcome.text,
               summary_of(failure.shrunk), failure.file.empty() ? "" : "  " + failure.file + "\n");
}

int verify_files(const Options& options) {
  properties::WorkerProcess worker(worker_command(options.kernel));
  nlohmann::ordered_json document{{"schema", "assay.verify/1"}, {"kernel", options.kernel.kernel}};
  auto& list = document["cases"] = nlohmann::ordered_json::array();
  const bool print = !options.common.quiet && options.common.json_path != "-";
  std::int64_t failed = 0, passed = 0;
  for (const std::string& file : options.files) {
    const Outcome outcome = try_case(worker, properties::case_from_json(read_case_document(file), file));
    failed += is_failure(outcome.status);
    passed += outcome.status == Status::kPassed;
    list.push_back({{"file", file},
                    {"status", name_of(outcome.status)},
                    {"text", outcome.text},
                    {"worst_headroom", outcome.headroom}});
    if (print)
      fmt::print("{:<20} {}{}\n", name_of(outcome.status), file,
                 outcome.text.empty() ? "" : ": " + outcome.text);
  }
  document["failures"] = failed;
  write_json(options.common, document);
  return failed > 0 ? kWrongResult : passed > 0 ? kPass : kInconclusive;
}

int run(const Options& options) {
  if (!options.files.empty()) return verify_files(options);
  if (options.products < 1000)
    throw InputError("--products", "1000 or more products per case", std::to_string(options.products));
  if (options.cases < 1) throw InputError("--cases", "1 or more", std::to_string(options.cases));
  properties::CampaignOptions campaign;
  campaign.command = worker_command(options.kernel);
  campaign.seed = options.common.seed;
  campaign.cases = options.cases;
  campaign.generator.products = options.products;
  campaign.workers = options.workers > 0 ? options.workers
                                         : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  campaign.directory = options.out;
  const std::vector<KnownFailure> ledger = read_known_failures(options.known);
  properties::WorkerProcess first(campaign.command);
  const std::vector<properties::KernelDescription> kernels = first.kernels();
  const bool print = !options.common.quiet && options.common.json_path != "-";
  nlohmann::ordered_json document{
      {"schema", "assay.verify/1"}, {"kernel", options.kernel.kernel}, {"seed", options.common.seed}};
  auto& results = document["operations"] = nlohmann::ordered_json::array();
  bool failed = false, nothing = false;
  ProgressLine line(!options.common.quiet);
  for (const properties::Operation operation : operations_of(options.kernel, kernels)) {
    campaign.generator.operations = {operation};
    const CorpusRun corpus = run_corpus(first, options.kernel.kernel, {operation}, ledger);
    const CampaignResult result =
        run_campaign(campaign, [&](const properties::CampaignCounts& counts, const auto&, std::int64_t) {
          if (line.due())
            line.show(fmt::format("{}: {} of {} cases", name_of(operation), counts.cases, options.cases));
          return !interrupted;
        });
    const std::string claims = first.find(operation)->claims;
    const std::vector<Property> list = properties_of(result, corpus, claims, operation);
    failed = failed || result.counts.failures > 0 || corpus.failed();
    nothing = nothing || result.counts.passed == 0;
    if (print) {
      fmt::print("{} of {}: {} cases of seed {}, {} declined; claims {}\n", name_of(operation),
                 options.kernel.kernel, grouped(result.counts.cases), options.common.seed,
                 grouped(result.counts.unsupported), claims.empty() ? "nothing" : claims);
      print_corpus(corpus);
      print_properties(list, result, operation);
      fmt::print("\n");
    }
    nlohmann::ordered_json one{{"operation", name_of(operation)},
                               {"claims", claims},
                               {"cases", result.counts.cases},
                               {"passed", result.counts.passed},
                               {"unsupported", result.counts.unsupported},
                               {"failures", result.counts.failures},
                               {"worst_headroom", result.counts.worst_headroom},
                               {"digest", properties::hex_of(result.counts.digest)}};
    one["corpus"] = to_json(corpus);
    auto& rows = one["properties"] = nlohmann::ordered_json::array();
    for (const Property& property : list)
      rows.push_back(
          {{"property", property.name}, {"checks", property.checks}, {"failures", property.failures}});
    auto& lanes = one["headroom"] = nlohmann::ordered_json::object();
    for (const properties::Lane lane : lanes_of(operation))
      lanes[name_of(lane)] = result.counts.lane_headroom[static_cast<std::size_t>(lane)];
    results.push_back(std::move(one));
    if (interrupted) break;
  }
  document["interrupted"] = interrupted.load();
  write_json(options.common, document);
  if (failed) return kWrongResult;
  return interrupted || nothing ? kInconclusive : kPass;
}

}  // namespace

void register_verify(Registry& registry) {
  auto options = std::make_shared<Options>();
  CLI::App* command = registry.app.add_subcommand(
      "verify", "A kernel on the corpus and the default cases, or on given ones: one verdict per property");
  add_kernel_options(*command, options->kernel);
  command->add_option("--case", options->files, "Case files instead of the default set");
  command->add_option("--cases", options->cases, "Generated cases per operation")->capture_default_str();
  command->add_option("--workers", options->workers, "Worker processes (0: one per core)")
      ->capture_default_str();
  command->add_option("--products", options->products, "Size of a case: products of the largest, about")
      ->capture_default_str();
  command->add_option("--out", options->out, "Directory for failing cases; empty writes none")
      ->capture_default_str();
  command->add_option("--known", options->known, "Ledger of known corpus failures (docs/fuzzing.md)");
  add_common_options(*command, options->common);
  command->footer(
      "\nExamples:\n  assay verify --kernel twin\n  assay verify --kernel ./my.so --cases 200\n  assay "
      "verify --kernel ./my.so --case failing.json");
  command->callback([&registry, options] { registry.chosen = [options] { return run(*options); }; });
}

}  // namespace assay::tools
