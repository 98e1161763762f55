// assay replay: a recorded trace through an engine's allocator, or its order through a flat cache.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "sim/cache/cache_replay.h"
#include "sim/engine/replay.h"
#include "sim/peers/peer_replay.h"
#include "tools/commands/command.h"
#include "tools/commands/replay_contiguous.h"
#include "tools/commands/replay_curve.h"
#include "tools/commands/replay_json.h"
#include "tools/commands/replay_point.h"
#include "tools/commands/replay_pools.h"
#include "tools/commands/replay_steps.h"
#include "tools/commands/replay_summary.h"
#include "tools/commands/replay_verify.h"
#include "tools/commands/trace_actions.h"
#include "tools/report/html.h"
#include "tools/timeline/replay_timeline.h"
#include "traces/open.h"
#include "traces/sample.h"

namespace assay::tools {
namespace {

constexpr std::int32_t kMostBlocks = 1 << 28;

struct Options {
  CommonOptions common;
  TraceInput input;
  std::string mode = "serve", engine = "vllm-v1", clock = "fixed:25", admission = "whole-prompt",
              free_order = "append", evict = "lru";
  std::string model, html_path, steps_path, timeline_path;
  std::vector<std::string> planners{"assay", "deepgemm", "flashmla", "one-cta-per-sequence"};
  std::optional<std::int64_t> blocks;
  double pool_gib = 0;
  std::int64_t block_tokens = 0, token_budget = 8192, long_prefill_tokens = 0, window_tokens = 0, limit = 0;
  std::int64_t series_points = 512, max_context_tokens = 131072;
  std::int32_t max_sequences = 256, parts = kH200SmCount;
  double watermark = 0;
  VerifyOptions verify;
  bool no_prefix_caching = false, check = false, find_pool = false, knee = false, curve = false;
  // A point of a sweep: the trace comes from memory, the document goes to its caller.
  const ReplayTrace* trace = nullptr;
  nlohmann::ordered_json* collected = nullptr;
};

std::unique_ptr<TraceReader> open_source(const Options& options) {
  OpenOptions open = open_options(options.input);
  if (options.trace != nullptr) return open_trace_in_memory(options.trace->bytes, options.trace->name, open);
  if (!options.input.path.empty()) return open_trace(options.input.path, open);
  return open_trace_in_memory(std::string(sample_trace()), std::string(kSampleTraceName), open);
}

std::string trace_name(const Options& options) {
  if (options.trace != nullptr) return options.trace->name;
  if (options.input.path.empty()) return std::string(kSampleTraceName);
  return options.input.path == "-" ? "-" : std::filesystem::path(options.input.path).filename().string();
}

std::int32_t pool_blocks(const Options& options, std::int64_t block_tokens) {
  if (options.blocks && options.pool_gib > 0)
    throw InputError("--blocks and --pool-gib", "one of them", "both");
  if (options.pool_gib > 0) {
    if (options.model.empty())
      throw InputError("--pool-gib", "--model, which says how large a token is", "none");
    const ModelSpec& model = model_named(options.model, "--model");
    const double bytes = options.pool_gib * 1024 * 1024 * 1024;
    const double blocks = std::floor(bytes / static_cast<double>(model.kv_bytes_per_token() * block_tokens));
    if (blocks < 2 || blocks > kMostBlocks)
      throw InputError("--pool-gib", "room for 2 to 2^28 blocks", fmt::format("room for {:.0f}", blocks));
    return static_cast<std::int32_t>(blocks);
  }
  const std::int64_t blocks = options.blocks.value_or(20000);
  if (blocks < 0 || blocks > kMostBlocks)
    throw InputError("--blocks", "2 to 2^28 blocks", std::to_string(blocks));
  return static_cast<std::int32_t>(blocks);
}

// Another engine than vLLM-v1: same options and result, fewer details (sim/peers/peer_replay.h).
bool is_peer(const Options& options) {
  const auto& names = peer_engine_names();
  return std::find(names.begin(), names.end(), options.engine) != names.end();
}

ReplayOptions replay_options(const Options& options) {
  ReplayOptions replay;
  SchedulerOptions& s = replay.scheduler;
  if (!is_peer(options) && options.engine != "vllm-v1")
    throw InputError("--engine",
                     "vllm-v1, sglang, trtllm, contiguous-max, contiguous-power-of-two or contiguous-oracle",
                     "'" + options.engine + "'");
  if (is_peer(options) && !options.steps_path.empty())
    throw InputError("--steps", "--engine vllm-v1", options.engine);
  if (is_peer(options) && !options.timeline_path.empty())
    throw InputError("--timeline", "--engine vllm-v1", options.engine);
  if (options.verify.steps < 0)
    throw InputError("--verify", "0 (none) or more steps", std::to_string(options.verify.steps));
  if (options.verify.steps > 0 && is_peer(options))
    throw InputError("--verify", "--engine vllm-v1", options.engine);
  if (options.verify.steps > 0 && options.input.path == "-")
    throw InputError("--verify", "a file that can be read again", "standard input");
  const std::int64_t block_tokens = options.block_tokens == 0 ? 16 : options.block_tokens;
  if (block_tokens < 1 || block_tokens > 1 << 20)
    throw InputError("--block-tokens", "1 to 2^20", std::to_string(block_tokens));
  s.block_tokens = static_cast<std::int32_t>(block_tokens);
  s.blocks = pool_blocks(options, block_tokens);
  s.token_budget = options.token_budget;
  s.max_sequences = options.max_sequences;
  s.long_prefill_tokens = options.long_prefill_tokens;
  s.watermark = options.watermark;
  if (options.window_tokens < 0 || options.window_tokens > 1 << 30)
    throw InputError("--window", "0 (none) to 2^30 tokens", std::to_string(options.window_tokens));
  s.window_tokens = static_cast<std::int32_t>(options.window_tokens);
  if (options.admission != "whole-prompt" && options.admission != "first-chunk")
    throw InputError("--admission", "whole-prompt or first-chunk", "'" + options.admission + "'");
  s.whole_prompt_admission = options.admission == "whole-prompt";
  if (options.free_order != "append" && options.free_order != "unpublished-first")
    throw InputError("--free-order", "append or unpublished-first", "'" + options.free_order + "'");
  if (is_peer(options) && options.free_order != "append")
    throw InputError("--free-order", "--engine vllm-v1", options.engine);
  s.free_order = options.free_order == "append" ? FreeOrder::kAppend : FreeOrder::kUnpublishedFirst;
  s.prefix_caching = !options.no_prefix_caching;
  replay.clock = StepClock::parse(options.clock);
  replay.planners = options.planners;
  if (options.planners == std::vector<std::string>{"none"}) replay.planners.clear();
  for (const std::string& name : replay.planners) (void)planner_named(name);
  if (options.parts < 1 || options.parts > 4096)
    throw InputError("--parts", "1 to 4096 SMs", std::to_string(options.parts));
  replay.parts = options.parts;
  if (options.series_points < 0 || options.series_points > 100'000)
    throw InputError("--series-points", "0 to 100000", std::to_string(options.series_points));
  replay.series_points = options.series_points;
  if (options.limit < 0)
    throw InputError("--limit", "0 (all) or more requests", std::to_string(options.limit));
  replay.limit_requests = options.limit;
  replay.check_every_step = options.check;
  replay.interrupted = &interrupted;
  return replay;
}

ReplayConfig config_of(const Options& options, const TraceReader& reader) {
  ReplayConfig config;
  config.trace = trace_name(options);
  config.format = reader.header().format;
  config.hash_tokens = reader.header().hash_tokens;
  config.engine = options.engine;
  config.seed = options.common.seed;
  return config;
}

struct Run {
  ReplayResult result;
  ReplayConfig config;
  std::int64_t bad_lines = 0;
};

Run run_once(const Options& options, const ReplayOptions& replay, const StepObserver& observe) {
  const std::unique_ptr<TraceReader> reader = open_source(options);
  TraceProgress progress(options.input.path, options.limit > 0 ? options.limit : -1, !options.common.quiet);
  Run run;
  const auto tick = [&](std::int64_t finished) { (void)progress.tick(finished, reader->bytes_read()); };
  run.result = is_peer(options) ? replay_peer(*reader, options.engine, replay, tick)
                                : replay_serving(*reader, replay, observe, tick);
  run.config = config_of(options, *reader);
  run.bad_lines = reader->bad_count();
  return run;
}

PoolPoint pool_point(const Options& options, ReplayOptions replay, std::int32_t blocks) {
  replay.scheduler.blocks = blocks;
  replay.series_points = 0;
  replay.planners.clear();
  const Run run = run_once(options, replay, {});
  const HitCounts& h = run.result.first_admission;
  return {blocks, run.result.preemptions, run.result.rejected(),
          h.token_references == 0
              ? 0
              : static_cast<double>(h.token_hits) / static_cast<double>(h.token_references)};
}

void pools(const Options& options, const ReplayOptions& replay, bool print,
           nlohmann::ordered_json& document) {
  if (options.input.path == "-")
    throw InputError("--find-pool", "a file that can be read again", "standard input");
  find_pools(
      {replay.scheduler.blocks, kMostBlocks, replay.scheduler.block_tokens, options.knee, print},
      [&](std::int32_t blocks) { return pool_point(options, replay, blocks); }, document);
}

// Zeros that were never counted would be lies.
void drop_what_peers_do_not_say(nlohmann::ordered_json& document) {
  document["prefix"].erase("miss");
  document["prefix"].erase("any_block_hits");
  document["prefix"]["all_admissions"].erase("any_block_hits");
  document["fragmentation"].erase("largest_free_run_blocks");
  document.erase("evictions");
  for (const char* option : {"long_prefill_tokens", "watermark", "window_tokens", "admission", "free_order"})
    document["config"].erase(option);
}

// Writes what was asked for. An interrupted run is complete as far as it goes, and says that it is not all.
int deliver(const Options& options, const nlohmann::ordered_json& document) {
  if (options.collected != nullptr) *options.collected = document;
  write_json(options.common, document);
  if (!options.html_path.empty()) write_text(options.html_path, "--html", html_report({document}));
  return interrupted ? kInconclusive : kPass;
}

int serve(const Options& options) {
  const ReplayOptions replay = replay_options(options);
  std::optional<StepDump> steps;
  if (!options.steps_path.empty()) steps.emplace(options.steps_path);
  std::optional<ReplayTimeline> timeline;
  if (!options.timeline_path.empty()) timeline.emplace(replay);
  std::optional<ReplayVerifier> verifier;
  if (options.verify.steps > 0) verifier.emplace(options.verify, replay);
  StepObserver observe;
  if (steps || timeline || verifier)
    observe = [&](const StepView& view) {
      if (steps) steps->write(view);
      if (timeline) timeline->observe(view);
      if (verifier) verifier->observe(view);
    };
  const Run run = run_once(options, replay, observe);
  if (steps) steps->close();
  if (timeline) write_text(options.timeline_path, "--timeline", timeline->json(run.config.trace));
  const bool print = !options.common.quiet && options.common.json_path != "-" && options.steps_path != "-";
  nlohmann::ordered_json document = replay_document(run.config, replay, run.result);
  if (is_peer(options)) drop_what_peers_do_not_say(document);
  if (run.bad_lines > 0) document["trace"]["skipped_lines"] = run.bad_lines;
  if (print) print_summary(replay, run.config, run.result, run.bad_lines);
  if ((options.find_pool || options.knee) && !interrupted) pools(options, replay, print, document);
  int code = kPass;
  if (verifier && !interrupted) code = verifier->verify(*open_source(options), document, print);
  stamp_digest(document);
  if (print) fmt::print("digest {}\n", document["digest"].get<std::string>());
  const int delivered = deliver(options, document);
  return code == kWrongResult ? code : std::max(code, delivered);
}

// The baselines without pages: the pool is blocks * block tokens, in slots.
int serve_contiguous(const Options& options) {
  const std::pair<const char*, bool> without_meaning[] = {{"--limit", options.limit > 0},
                                                          {"--watermark", options.watermark > 0},
                                                          {"--window", options.window_tokens > 0},
                                                          {"--steps", !options.steps_path.empty()},
                                                          {"--timeline", !options.timeline_path.empty()},
                                                          {"--verify", options.verify.steps != 0},
                                                          {"--find-pool", options.find_pool || options.knee},
                                                          {"--check", options.check}};
  for (const auto& [flag, given] : without_meaning)
    if (given) throw InputError(flag, "an engine with pages", options.engine);
  ContiguousReplayOptions replay;
  replay.reservation =
      reservation_of(options.engine.substr(kContiguousPrefix.size()), "--engine contiguous-");
  const std::int64_t block_tokens = options.block_tokens == 0 ? 16 : options.block_tokens;
  if (block_tokens < 1 || block_tokens > 1 << 20)
    throw InputError("--block-tokens", "1 to 2^20", std::to_string(block_tokens));
  replay.pool_slots = pool_blocks(options, block_tokens) * block_tokens;
  if (replay.pool_slots > std::int64_t{1} << 31)
    throw InputError("--blocks", "a pool of at most 2^31 slots", std::to_string(replay.pool_slots));
  replay.max_tokens = options.max_context_tokens;
  replay.max_sequences = options.max_sequences;
  const StepClock clock = StepClock::parse(options.clock);
  if (clock.kind() == StepClock::Kind::kRoofline)
    throw InputError("--clock", "none or fixed:<ms> without pages", options.clock);
  replay.step_ns = clock.kind() == StepClock::Kind::kNone ? 0 : clock.step_ns({});
  replay.interrupted = &interrupted;
  const std::unique_ptr<TraceReader> reader = open_source(options);
  const ContiguousReplayResult result = replay_contiguous(*reader, replay);
  const ReplayConfig config = config_of(options, *reader);
  nlohmann::ordered_json document = contiguous_document(config, replay, result);
  if (reader->bad_count() > 0) document["trace"]["skipped_lines"] = reader->bad_count();
  stamp_digest(document);
  if (!options.common.quiet && options.common.json_path != "-") {
    print_contiguous(config, replay, result);
    fmt::print("digest {}\n", document["digest"].get<std::string>());
  }
  return deliver(options, document);
}

int cache(const Options& options) {
  const std::unique_ptr<TraceReader> reader = open_source(options);
  CacheReplayOptions replay;
  // The granularity of a trace is known before its first request is read, or given.
  replay.block_tokens = options.block_tokens > 0 ? options.block_tokens : reader->header().hash_tokens;
  if (replay.block_tokens <= 0)
    throw InputError("--block-tokens", "a block size: this trace has no hash ids to take it from", "none");
  replay.capacity_blocks = options.blocks.value_or(0);
  if (replay.capacity_blocks < 0)
    throw InputError("--blocks", "0 (unlimited) or more", std::to_string(replay.capacity_blocks));
  replay.policy = cache_policy_of(options.evict, "--evict");
  replay.interrupted = &interrupted;
  std::optional<MissRatioCurve> curve;
  if (options.curve) {
    if (options.input.path == "-")
      throw InputError("--curve", "a file that can be read again", "standard input");
    curve = miss_ratio_curve(*open_source(options), {replay.block_tokens, replay.policy, &interrupted});
  }
  const CacheReplayResult r = replay_cache(*reader, replay);
  nlohmann::ordered_json document = cache_document(config_of(options, *reader), replay, r);
  if (curve) document["curve"] = curve_document(*curve);
  if (reader->bad_count() > 0) document["trace"]["skipped_lines"] = reader->bad_count();
  stamp_digest(document);
  if (!options.common.quiet && options.common.json_path != "-") {
    const auto percent = [](std::int64_t part, std::int64_t whole) {
      return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole) * 100;
    };
    fmt::print("{}: {} requests, {} block references, {} different blocks of {} tokens{}\n",
               trace_name(options), grouped(r.requests), grouped(r.block_references),
               grouped(r.unique_blocks), replay.block_tokens,
               r.partial ? " (interrupted: partial result)" : "");
    fmt::print("{} over {} blocks: {} hits before the first miss ({:.4f} %), {} hits anywhere ({:.4f} %)\n",
               cache_policy_name(replay.policy),
               replay.capacity_blocks == 0 ? "unlimited" : grouped(replay.capacity_blocks),
               grouped(r.block_hits), percent(r.block_hits, r.block_references), grouped(r.any_block_hits),
               percent(r.any_block_hits, r.block_references));
    fmt::print(
        "tokens {:.4f} %, full blocks {:.4f} %, mean per request {:.4f} %; misses: {} cold, {} evicted, {} "
        "behind one\n",
        percent(r.token_hits, r.token_references), percent(r.full_block_hits, r.full_block_references),
        r.mean_request_ratio * 100, grouped(r.miss_cold), grouped(r.miss_evicted), grouped(r.miss_behind));
    if (curve) print_curve(*curve);
    fmt::print("digest {}\n", document["digest"].get<std::string>());
  }
  return deliver(options, document);
}

int run(const Options& options) {
  const bool contiguous = options.engine.rfind(kContiguousPrefix, 0) == 0;
  if (options.mode == "serve") return contiguous ? serve_contiguous(options) : serve(options);
  if (options.mode == "cache") return cache(options);
  throw InputError("--mode", "serve or cache", "'" + options.mode + "'");
}

void add_replay_options(CLI::App* command, Options* o) {
  command->add_option("trace", o->input.path,
                      "Trace file, .gz or .zst too, '-' for standard input; default: the sample");
  command->add_option("--format", o->input.format, "Format of the trace; default: recognised");
  command->add_flag("--skip-bad", o->input.skip_bad, "Count malformed lines and go on");
  command->add_option("--limit", o->limit, "Only the first N requests");
  command->add_option("--mode", o->mode, "serve: through an engine; cache: order only, flat cache")
      ->capture_default_str();
  command
      ->add_option("--engine", o->engine,
                   "Whose rules: vllm-v1, sglang, trtllm; without pages: contiguous-max, "
                   "contiguous-power-of-two, contiguous-oracle")
      ->capture_default_str();
  command->add_option("--block-tokens", o->block_tokens, "Tokens per block (serve: 16; cache: the trace's)");
  command->add_option("--blocks", o->blocks,
                      "Blocks of the pool, null block included (serve: 20000; cache: 0 = unlimited)");
  command->add_option("--pool-gib", o->pool_gib, "Pool size in GiB, with --model");
  command->add_option("--model", o->model, "Model whose tokens fill the pool");
  command->add_option("--clock", o->clock, "none, fixed:<ms>, roofline:<model>@<gpu>")->capture_default_str();
  command->add_option("--token-budget", o->token_budget, "Tokens per step")->capture_default_str();
  command->add_option("--max-sequences", o->max_sequences, "Sequences running at once")
      ->capture_default_str();
  command->add_option("--long-prefill-tokens", o->long_prefill_tokens,
                      "Largest prefill chunk; 0 = the budget");
  command->add_option("--watermark", o->watermark, "Share of the pool kept free of admissions")
      ->capture_default_str();
  command->add_option("--window", o->window_tokens, "Sliding window in tokens; 0 = full attention");
  command
      ->add_option("--max-context", o->max_context_tokens, "Contiguous engines: the model's longest context")
      ->capture_default_str();
  command->add_option("--admission", o->admission, "whole-prompt or first-chunk must fit")
      ->capture_default_str();
  command
      ->add_option("--free-order", o->free_order,
                   "Blocks that cannot be hit: append, or unpublished-first (vLLM from #42656 on)")
      ->capture_default_str();
  command->add_flag("--no-prefix-caching", o->no_prefix_caching, "Nothing is shared");
  command->add_option("--evict", o->evict, "Cache mode: eviction policy")->capture_default_str();
  command->add_flag("--curve", o->curve, "Cache mode, lru: hits at every size, from one pass");
  command->add_option("--planners", o->planners, "Planners whose SM balance is taken; 'none'")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--parts", o->parts, "SMs")->capture_default_str();
  command->add_option("--series-points", o->series_points, "Points of the time series in the JSON; 0 = none")
      ->capture_default_str();
  command->add_option("--steps", o->steps_path, "Write every step as a JSON line to FILE")->type_name("FILE");
  command->add_option("--timeline", o->timeline_path, "Write a timeline for ui.perfetto.dev to FILE")
      ->type_name("FILE");
  command->add_option("--html", o->html_path, "Write the report as one HTML page to FILE")->type_name("FILE");
  command->add_flag("--find-pool", o->find_pool, "Search the smallest pool without preemption");
  command->add_flag("--knee", o->knee, "Preemptions and hits over pool size, around that pool");
  command->add_option("--verify", o->verify.steps,
                      "Judge the data of N decode steps: a kernel on the engine's tables, against golden");
  command
      ->add_option("--verify-pick", o->verify.pick,
                   "Which steps: even, or the worst by fragmentation, imbalance or length")
      ->capture_default_str();
  command
      ->add_option("--op", o->verify.op,
                   "The operation that is verified: paged-mqa-logits or paged-attention")
      ->capture_default_str();
  command
      ->add_option("--kernel", o->verify.kernel,
                   "The kernel that is verified: twin, golden-rounded, naive, sm90 (on the GPU), or a path "
                   "to a plug-in")
      ->capture_default_str();
  command->add_option("--verify-heads", o->verify.heads, "Query heads (logits: 64, attention: 8)");
  command->add_option("--verify-kv-heads", o->verify.kv_heads, "KV heads of attention")
      ->capture_default_str();
  command->add_option("--verify-dims", o->verify.dims, "Dimensions of a head (logits: 128, attention: 64)");
  command->add_option("--verify-fault", o->verify.fault,
                      "Plant a fault of the engine, to see it found: block-handed-out-twice, "
                      "table-update-lost, write-lost, blocks-swapped or foreign-table");
  command->add_flag("--check", o->check, "Check all invariants after every step");
}

Options parse_point(const std::vector<std::string>& arguments) {
  CLI::App app;
  Options options;
  add_replay_options(&app, &options);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    throw InputError("an option of assay replay", "a name and a value that it takes", error.what());
  }
  const std::pair<const char*, bool> of_one_run[] = {{"--html", !options.html_path.empty()},
                                                     {"--steps", !options.steps_path.empty()},
                                                     {"--timeline", !options.timeline_path.empty()},
                                                     {"--find-pool", options.find_pool || options.knee},
                                                     {"--curve", options.curve},
                                                     {"--verify", options.verify.steps != 0}};
  for (const auto& [flag, given] : of_one_run)
    if (given) throw InputError(flag, "an option of a replay in a sweep", "one that a single run has");
  options.common.quiet = true;
  return options;
}

}  // namespace

void check_replay_point(const std::vector<std::string>& arguments) {
  const Options options = parse_point(arguments);
  const bool contiguous = options.engine.rfind(kContiguousPrefix, 0) == 0;
  if (options.mode == "cache")
    (void)cache_policy_of(options.evict, "--evict");
  else if (options.mode == "serve" && !contiguous)
    (void)replay_options(options);
  else if (options.mode != "serve")
    throw InputError("--mode", "serve or cache", "'" + options.mode + "'");
}

std::optional<nlohmann::ordered_json> replay_point(const std::vector<std::string>& arguments,
                                                   const ReplayTrace& trace, std::uint64_t seed) {
  Options options = parse_point(arguments);
  nlohmann::ordered_json document;
  options.common.seed = seed;
  options.trace = &trace;
  options.collected = &document;
  (void)run(options);
  if (document.value("partial", false)) return std::nullopt;
  return document;
}

void register_replay(Registry& registry) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      registry.app.add_subcommand("replay", "A trace through an engine's allocator, or a flat cache");
  add_replay_options(command, o.get());
  add_common_options(*command, o->common);
  command->footer(
      "\nExample:\n  assay replay traces/samples/sample.jsonl --block-tokens 16 --blocks 20000 --json "
      "run.json");
  command->callback([&registry, o] {
    registry.chosen = [o] {
      o->verify.seed = o->common.seed;
      return run(*o);
    };
  });
}

}  // namespace assay::tools
