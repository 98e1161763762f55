#include "traces/public_traces.h"

namespace assay {

const std::vector<PublicTrace>& public_traces() {
  static const std::vector<PublicTrace> traces = {
      {"mooncake-conversation", "mooncake", "FAST'25: one hour of online chat, 12,031 requests",
       "kvcache-ai/Mooncake", "FAST25-release/traces/conversation_trace.jsonl", "Apache-2.0",
       "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df", 3029533, false},
      {"mooncake-synthetic", "mooncake", "FAST'25: synthetic, 3,993 requests", "kvcache-ai/Mooncake",
       "FAST25-release/traces/synthetic_trace.jsonl", "Apache-2.0",
       "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131", 1136313, false},
      {"mooncake-toolagent", "mooncake", "FAST'25: tools and agents, 23,608 requests", "kvcache-ai/Mooncake",
       "FAST25-release/traces/toolagent_trace.jsonl", "Apache-2.0", "", 0, false},
      {"mooncake-arxiv", "mooncake", "arXiv 2407.00079: 23,608 requests", "kvcache-ai/Mooncake",
       "FAST25-release/arxiv-trace/mooncake_trace.jsonl", "Apache-2.0", "", 0, false},
      {"azure-2023-code", "azure-2023", "code completion, 8,819 requests", "Azure/AzurePublicDataset",
       "data/AzureLLMInferenceTrace_code.csv", "CC-BY-4.0",
       "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6", 320117, false},
      {"azure-2023-conv", "azure-2023", "conversation, 19,366 requests", "Azure/AzurePublicDataset",
       "data/AzureLLMInferenceTrace_conv.csv", "CC-BY-4.0",
       "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8", 719188, false},
      {"azure-2024-code", "azure-2024", "one week of code completion, about 16.8 M requests",
       "Azure/AzurePublicDataset", "", "CC-BY-4.0", "", 0, false},
      {"azure-2024-conv", "azure-2024", "one week of conversation, about 27.3 M requests",
       "Azure/AzurePublicDataset", "", "CC-BY-4.0", "", 0, false},
      {"azure-multimodal", "azure-multimodal", "2025: prompts with images", "Azure/AzurePublicDataset", "",
       "CC-BY-4.0", "", 0, false},
      {"burstgpt-1", "burstgpt", "two months, failed requests included, about 1.43 M", "HPMLL/BurstGPT",
       "data/BurstGPT_1.csv", "CC-BY-4.0", "4bb3783693d0a435686fbfc885615d2349bd067239079fa4b749f2e679e12122",
       52283111, true},
      {"burstgpt-1-without-fails", "burstgpt", "the same without failed requests, about 1.40 M",
       "HPMLL/BurstGPT", "data/BurstGPT_without_fails_1.csv", "CC-BY-4.0",
       "a4d068a7113ec0290e74063a1b3447dc6001a30e4298eb313581b71006dda1f4", 51429517, true},
      {"burstgpt-2", "burstgpt", "the next two months, failed requests included, about 3.86 M",
       "HPMLL/BurstGPT", "data/BurstGPT_2.csv", "CC-BY-4.0",
       "44bf5942b03fca42c01a226a545ad3a750ec62688faecd67b6831c56a8928bf7", 144819209, true},
      {"burstgpt-2-without-fails", "burstgpt", "the same without failed requests, about 3.78 M",
       "HPMLL/BurstGPT", "data/BurstGPT_without_fails_2.csv", "CC-BY-4.0",
       "56193aa9b2bb26128ded43d2d29a960df6bf5af062bcfc9b005f3fcaa4e6e501", 142376815, true},
      {"burstgpt-3", "burstgpt-3", "with sessions and elapsed times, about 5.34 M; a release asset",
       "HPMLL/BurstGPT", "", "CC-BY-4.0", "", 0, false},
      {"bailian-a", "bailian", "Qwen to-C chat, two hours, 16-token hashes",
       "alibaba-edu/qwen-bailian-usagetraces-anon", "qwen_traceA_blksz_16.jsonl", "Apache-2.0", "", 0, true},
      {"bailian-b", "bailian", "Qwen to-B API, two hours, 16-token hashes",
       "alibaba-edu/qwen-bailian-usagetraces-anon", "qwen_traceB_blksz_16.jsonl", "Apache-2.0", "", 0, true},
      {"bailian-coder", "bailian", "Qwen coder, two hours, 16-token hashes",
       "alibaba-edu/qwen-bailian-usagetraces-anon", "qwen_coder_blksz_16.jsonl", "Apache-2.0",
       "3d74974cebb7bccb69b1ca6ea210a44d9a3033443c0271ed015327284dea1aff", 132054902, true},
      {"bailian-thinking", "bailian", "Qwen thinking, two hours, 16-token hashes",
       "alibaba-edu/qwen-bailian-usagetraces-anon", "qwen_thinking_blksz_16.jsonl", "Apache-2.0",
       "41ac36d9d1b54d084eeb6b05e9d142ba9d02f8bf79cfc9fff418d8ab7cdee906", 27901454, true},
      {"vidur-splitwise-code", "vidur", "Azure 2023 code with clipped lengths", "microsoft/vidur",
       "data/processed_traces/splitwise_code.csv", "MIT", "", 0, false},
      {"vidur-splitwise-conv", "vidur", "Azure 2023 conversation with clipped lengths", "microsoft/vidur",
       "data/processed_traces/splitwise_conv.csv", "MIT", "", 0, false},
  };
  return traces;
}

const PublicTrace* find_public_trace(std::string_view name) {
  for (const PublicTrace& trace : public_traces())
    if (trace.name == name) return &trace;
  return nullptr;
}

const PublicTrace* find_public_trace_by_digest(std::string_view sha256) {
  for (const PublicTrace& trace : public_traces())
    if (!trace.sha256.empty() && trace.sha256 == sha256) return &trace;
  return nullptr;
}

std::string download_address(const PublicTrace& trace) {
  if (trace.path.empty()) return "";
  std::string out =
      trace.large_file ? "https://media.githubusercontent.com/media/" : "https://raw.githubusercontent.com/";
  out += trace.repository;
  out += "/HEAD/";
  out += trace.path;
  return out;
}

}  // namespace assay
