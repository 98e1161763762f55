// assay trace: describe, lint, convert, generate, fetch. This file is the command line; the work is in
// trace_*.cpp.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "model/core/check.h"
#include "tools/commands/command.h"
#include "tools/commands/trace_actions.h"
#include "traces/formats.h"

namespace assay::tools {
namespace {

void add_input_options(CLI::App& command, TraceInput& input) {
  command
      .add_option("--format", input.format,
                  "Format of the input instead of recognising it: " + trace_format_names())
      ->type_name("NAME");
  command
      .add_option("--hash-tokens", input.hash_tokens,
                  "Tokens that one hash id covers, where the format's own is wrong")
      ->type_name("N");
  command
      .add_option("--hash-rounding", input.hash_rounding,
                  "ceil: a partial last block has an id; floor: it has none, and gets one of its own")
      ->capture_default_str();
  command.add_option("--time-unit", input.time_unit, "What a number as time counts: s, ms, us, ns")
      ->type_name("UNIT");
}

// Where text for people goes: nowhere when quiet or when JSON is what they asked for, to standard error when
// standard output carries a trace.
std::FILE* stream_for(const CommonOptions& common, bool stdout_is_trace) {
  if (common.quiet || common.json_path == "-") return nullptr;
  return stdout_is_trace ? stderr : stdout;
}

// Options of one action, its run function, and the wiring that all five share.
template <typename Action>
struct Entry {
  CommonOptions common;
  Action action;
};

template <typename Action, typename Work>
CLI::App* add_action(CLI::App& trace, Registry& registry, const char* name, const char* help,
                     const char* example, std::shared_ptr<Entry<Action>> entry, Work work) {
  CLI::App* command = trace.add_subcommand(name, help);
  add_common_options(*command, entry->common);
  command->footer(example);
  command->callback([&registry, entry, work] {
    registry.chosen = [entry, work] {
      nlohmann::ordered_json document;
      const int code = work(*entry, document);
      write_json(entry->common, document);
      return code;
    };
  });
  return command;
}

void add_describe(CLI::App& trace, Registry& registry) {
  auto entry = std::make_shared<Entry<DescribeAction>>();
  CLI::App* command = add_action(trace, registry, "describe",
                                 "Lengths, arrivals, prefix reuse and ideal hit ratios of a trace",
                                 "\nExamples:\n  assay trace describe conversation_trace.jsonl\n"
                                 "  zstdcat big.csv.zst | assay trace describe - --json -",
                                 entry, [](Entry<DescribeAction>& e, nlohmann::ordered_json& document) {
                                   return describe_trace(e.action, stream_for(e.common, false), document);
                                 });
  command
      ->add_option("trace", entry->action.input.path, "Trace file, plain, .gz or .zst; - is standard input")
      ->required();
  add_input_options(*command, entry->action.input);
  command->add_flag("--skip-bad", entry->action.input.skip_bad,
                    "Count and list malformed lines instead of stopping at the first");
}

void add_lint(CLI::App& trace, Registry& registry) {
  auto entry = std::make_shared<Entry<LintAction>>();
  CLI::App* command =
      add_action(trace, registry, "lint", "Find what is wrong with traces, with line and column",
                 "\nExample:\n  assay trace lint conversation_trace.jsonl --strict\n\n"
                 "Exit code 2 for errors, and for warnings too with --strict. Several traces: ids they have "
                 "in common are\n"
                 "found as well (hash ids are local to a trace).",
                 entry, [](Entry<LintAction>& e, nlohmann::ordered_json& document) {
                   return lint_traces(e.action, stream_for(e.common, false), document);
                 });
  command->add_option("traces", entry->action.paths, "Trace files; - is standard input")->required();
  add_input_options(*command, entry->action.input);
  command->add_flag("--strict", entry->action.strict, "Warnings fail too");
  command->add_flag("--no-duplicates", entry->action.no_duplicates,
                    "Do not look for duplicated lines (saves 16 bytes a line)");
  command->add_option("--list", entry->action.listed, "List so many findings of a kind; all are counted")
      ->capture_default_str();
}

void add_convert(CLI::App& trace, Registry& registry) {
  auto entry = std::make_shared<Entry<ConvertAction>>();
  CLI::App* command =
      add_action(trace, registry, "convert", "Write a trace in another format and say what is lost",
                 "\nExamples:\n  assay trace convert AzureLLMInferenceTrace_code.csv --to vidur -o code.csv\n"
                 "  assay trace convert BurstGPT_1.csv --drop-failed --to native -o burst.jsonl\n"
                 "  assay trace convert qwen_coder_blksz_16.jsonl --regroup 512 --to mooncake -o coder.jsonl",
                 entry, [](Entry<ConvertAction>& e, nlohmann::ordered_json& document) {
                   const bool data = e.action.output == "-";
                   if (data && e.common.json_path == "-")
                     throw InputError("--json -", "an --output that is a file", "both on standard output");
                   return convert_trace(e.action, stream_for(e.common, data), document);
                 });
  command->add_option("trace", entry->action.input.path, "Trace file; - is standard input")->required();
  command->add_option("--to", entry->action.to, "Format to write: " + trace_format_names())
      ->capture_default_str();
  command->add_option("-o,--output", entry->action.output, "File to write; - is standard output")
      ->capture_default_str();
  command->add_flag("--drop-failed", entry->action.drop_failed,
                    "Leave out requests without output, and count them");
  command->add_flag("--sort", entry->action.sort, "Order by time (holds the trace in memory)");
  command
      ->add_option("--regroup", entry->action.regroup,
                   "Hash ids of N tokens instead: a multiple or a divisor of what they are")
      ->type_name("N");
  command->add_option("--first", entry->action.first, "Only the first N requests")->type_name("N");
  add_input_options(*command, entry->action.input);
  command->add_flag("--skip-bad", entry->action.input.skip_bad,
                    "Count and list malformed lines instead of stopping at the first");
}

void add_generate(CLI::App& trace, Registry& registry) {
  auto entry = std::make_shared<Entry<GenerateAction>>();
  std::string mixes = "Lengths:\n";
  for (const LengthMix& mix : length_mixes())
    mixes +=
        "  " + std::string(mix.name) + std::string(14 - mix.name.size(), ' ') + std::string(mix.title) + "\n";
  const std::string footer =
      "\n" + mixes +
      "\nExamples:\n  assay trace generate --requests 10000 --rate 8 --arrivals bursts -o day.jsonl\n"
      "  assay trace generate --lengths sharegpt --turns 1 --system-prompts 0 --to vidur -o chat.csv\n"
      "  assay trace generate --lengths long-context --hash-tokens 512 --to mooncake | assay trace describe "
      "-";
  CLI::App* command =
      add_action(trace, registry, "generate", "Make synthetic traffic, the same for a seed on every machine",
                 footer.c_str(), entry, [](Entry<GenerateAction>& e, nlohmann::ordered_json& document) {
                   const bool data = e.action.output == "-";
                   if (data && e.common.json_path == "-")
                     throw InputError("--json -", "an --output that is a file", "both on standard output");
                   e.action.generate.seed = e.common.seed;
                   return write_generated_trace(e.action, stream_for(e.common, data), document);
                 });
  GenerateOptions& generate = entry->action.generate;
  command->add_option("-n,--requests", generate.requests, "How many")->capture_default_str();
  command->add_option("--rate", generate.rate, "Mean requests a second")->capture_default_str();
  command->add_option("--arrivals", generate.arrivals, "poisson, bursts, diurnal, steady")
      ->capture_default_str();
  command->add_option("--lengths", generate.lengths, "Mix of lengths, see below")->capture_default_str();
  command->add_option("--hash-tokens", generate.hash_tokens, "Tokens that one hash id covers; 0 makes none")
      ->capture_default_str();
  command->add_option("--system-prompts", generate.system_prompts, "Number of system prompts; 0 makes none")
      ->capture_default_str();
  command->add_option("--system-tokens", generate.system_tokens, "Their mean length")->capture_default_str();
  command
      ->add_option("--documents", generate.documents,
                   "Documents per system prompt, the second level of the tree")
      ->capture_default_str();
  command->add_option("--document-tokens", generate.document_tokens, "Their mean length")
      ->capture_default_str();
  command->add_option("--document-share", generate.document_share, "Share of the sessions with a document")
      ->capture_default_str();
  command->add_option("--turns", generate.turns, "Mean turns of a session")->capture_default_str();
  command->add_option("--think", generate.think_s, "Mean seconds between an answer and the next turn")
      ->capture_default_str();
  command->add_option("--twins", generate.twin_share, "Share of the requests that come twice")
      ->capture_default_str();
  command
      ->add_option("--max-prompt-tokens", generate.max_prompt_tokens,
                   "A session ends before its prompt is longer")
      ->capture_default_str();
  command->add_option("--to", entry->action.to, "Format to write: " + trace_format_names())
      ->capture_default_str();
  command->add_option("-o,--output", entry->action.output, "File to write; - is standard output")
      ->capture_default_str();
}

void add_fetch(CLI::App& trace, Registry& registry) {
  auto entry = std::make_shared<Entry<FetchAction>>();
  CLI::App* command =
      add_action(trace, registry, "fetch", "List public traces, or download one and check its digest",
                 "\nExamples:\n  assay trace fetch\n  assay trace fetch mooncake-conversation -d traces/\n"
                 "  assay trace fetch --check conversation_trace.jsonl",
                 entry, [](Entry<FetchAction>& e, nlohmann::ordered_json& document) {
                   return fetch_trace(e.action, stream_for(e.common, false), document);
                 });
  command->add_option("name", entry->action.name, "Which one; without it, the list");
  command->add_option("-d,--directory", entry->action.directory, "Where to")->capture_default_str();
  command
      ->add_option("--check", entry->action.check,
                   "Only compute the digest of FILE (exit code 1 if NAME has another)")
      ->type_name("FILE");
  command->add_flag("--address", entry->action.print_address, "Only print the address");
}

}  // namespace

void register_trace(Registry& registry) {
  CLI::App* trace =
      registry.app.add_subcommand("trace", "Describe, lint, convert, generate and fetch request traces");
  trace->require_subcommand(1);
  std::string formats = "\nFormats (recognised, or --format NAME):\n";
  for (const FormatSpec* format : trace_formats())
    formats += "  " + std::string(format->name) + std::string(18 - format->name.size(), ' ') +
               std::string(format->title) + "\n";
  trace->footer(formats + "\nExample:\n  assay trace describe conversation_trace.jsonl");
  add_describe(*trace, registry);
  add_lint(*trace, registry);
  add_convert(*trace, registry);
  add_generate(*trace, registry);
  add_fetch(*trace, registry);
}

}  // namespace assay::tools
