#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "properties/cases/operands.h"
#include "properties/world/world.h"

namespace assay::properties {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
T value_at(const Json& json, const char* key, T low, T high) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer())
    throw InputError(std::string("world.") + key, "an integer",
                     found == json.end() ? "nothing" : found->dump());
  const auto value = found->get<std::int64_t>();
  if (value < static_cast<std::int64_t>(low) || value > static_cast<std::int64_t>(high))
    throw InputError(std::string("world.") + key, std::to_string(low) + " to " + std::to_string(high),
                     std::to_string(value));
  return static_cast<T>(value);
}

bool flag_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_boolean())
    throw InputError(std::string("world.") + key, "true or false",
                     found == json.end() ? "nothing" : found->dump());
  return found->get<bool>();
}

std::string text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string())
    throw InputError(std::string("world.") + key, "a text", found == json.end() ? "nothing" : found->dump());
  return found->get<std::string>();
}

constexpr std::int64_t kMostTokens = 1 << 20;

}  // namespace

Json world_as_json(const World& w) {
  Json requests = Json::array();
  for (const WorldRequest& r : w.requests)
    requests.push_back({{"step", r.step},
                        {"prompt_tokens", r.prompt_tokens},
                        {"output_tokens", r.output_tokens},
                        {"hash_ids", r.hash_ids}});
  return {{"schema", "assay.world/1"},
          {"seed", std::to_string(w.seed)},
          {"blocks", w.engine.blocks},
          {"block_tokens", w.engine.block_tokens},
          {"token_budget", w.engine.token_budget},
          {"max_sequences", w.engine.max_sequences},
          {"long_prefill_tokens", w.engine.long_prefill_tokens},
          {"watermark_percent", static_cast<std::int64_t>(w.engine.watermark * 100 + 0.5)},
          {"whole_prompt_admission", w.engine.whole_prompt_admission},
          {"prefix_caching", w.engine.prefix_caching},
          {"unpublished_first", w.engine.free_order == FreeOrder::kUnpublishedFirst},
          {"hash_tokens", w.hash_tokens},
          {"window_tokens", w.engine.window_tokens},
          {"op", w.attention ? "paged-attention" : "paged-mqa-logits"},
          {"kv_heads", w.kv_heads},
          {"heads", w.heads},
          {"dims", w.dims},
          {"output", name_of(w.output)},
          {"clean", w.clean},
          {"gap_bytes", w.gap_bytes},
          {"judge_every", w.judge_every},
          {"planner", w.planner},
          {"parts", w.parts},
          {"requests", requests}};
}

World world_from_json(const Json& json) {
  if (!json.is_object() || text_at(json, "schema") != "assay.world/1")
    throw InputError("world.schema", "assay.world/1", json.is_object() ? json["schema"].dump() : "no object");
  World w;
  const std::string seed = text_at(json, "seed");
  try {
    std::size_t end = 0;
    w.seed = std::stoull(seed, &end);
    if (end != seed.size()) throw std::invalid_argument(seed);
  } catch (const std::exception&) {
    throw InputError("world.seed", "a 64-bit number as a text", "'" + seed + "'");
  }
  w.engine.blocks = value_at<std::int32_t>(json, "blocks", 2, 1 << 20);
  w.engine.block_tokens = value_at<std::int32_t>(json, "block_tokens", 1, 1 << 12);
  w.engine.token_budget = value_at<std::int64_t>(json, "token_budget", 1, kMostTokens);
  w.engine.max_sequences = value_at<std::int32_t>(json, "max_sequences", 1, 1 << 16);
  w.engine.long_prefill_tokens = value_at<std::int64_t>(json, "long_prefill_tokens", 0, kMostTokens);
  w.engine.watermark = value_at<std::int32_t>(json, "watermark_percent", 0, 99) / 100.0;
  w.engine.whole_prompt_admission = flag_at(json, "whole_prompt_admission");
  w.engine.prefix_caching = flag_at(json, "prefix_caching");
  w.engine.free_order =
      flag_at(json, "unpublished_first") ? FreeOrder::kUnpublishedFirst : FreeOrder::kAppend;
  w.hash_tokens = value_at<std::int32_t>(json, "hash_tokens", 1, 1 << 16);
  const std::string op = text_at(json, "op");
  if (op != "paged-attention" && op != "paged-mqa-logits")
    throw InputError("world.op", "paged-attention or paged-mqa-logits", op);
  w.attention = op == "paged-attention";
  w.engine.window_tokens = value_at<std::int32_t>(json, "window_tokens", 0, w.attention ? 1 << 20 : 0);
  w.kv_heads = value_at<std::int32_t>(json, "kv_heads", 1, 128);
  w.heads = value_at<std::int32_t>(json, "heads", 1, 128);
  w.dims = value_at<std::int32_t>(json, "dims", 4, 128);
  const std::string output = text_at(json, "output");
  if (output != "fp32" && output != "bf16") throw InputError("world.output", "fp32 or bf16", output);
  w.output = output == "fp32" ? ElementType::kFp32 : ElementType::kBf16;
  w.clean = flag_at(json, "clean");
  w.gap_bytes = value_at<std::int64_t>(json, "gap_bytes", 0, 1 << 24);
  w.judge_every = value_at<std::int64_t>(json, "judge_every", 1, 1 << 20);
  w.planner = text_at(json, "planner");
  (void)planner_named(w.planner);
  w.parts = value_at<std::int32_t>(json, "parts", 1, 4096);
  const auto requests = json.find("requests");
  if (requests == json.end() || !requests->is_array())
    throw InputError("world.requests", "a list", requests == json.end() ? "nothing" : requests->dump());
  for (const Json& r : *requests) {
    if (!r.is_object()) throw InputError("world.requests", "objects", r.dump());
    WorldRequest request;
    request.step = value_at<std::int64_t>(r, "step", 0, 1 << 30);
    request.prompt_tokens = value_at<std::int64_t>(r, "prompt_tokens", 0, kMostTokens);
    request.output_tokens = value_at<std::int64_t>(r, "output_tokens", 0, kMostTokens);
    const auto ids = r.find("hash_ids");
    if (ids == r.end() || !ids->is_array())
      throw InputError("world.requests.hash_ids", "a list", ids == r.end() ? "nothing" : ids->dump());
    for (const Json& id : *ids) {
      if (!id.is_number_integer()) throw InputError("world.requests.hash_ids", "integers", id.dump());
      request.hash_ids.push_back(id.get<std::int64_t>());
    }
    w.requests.push_back(std::move(request));
  }
  return w;
}

}  // namespace assay::properties
