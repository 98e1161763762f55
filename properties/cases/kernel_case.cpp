#include "properties/cases/kernel_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "properties/cases/attention_case.h"
#include "properties/cases/cache_write_case.h"
#include "properties/cases/merge_case.h"

namespace assay::properties {

const char* name_of(Relation relation) {
  switch (relation) {
    case Relation::kNone: return "none";
    case Relation::kRenameBlocks: return "rename-blocks";
    case Relation::kWiden: return "widen";
    case Relation::kCopyShared: return "copy-shared";
    case Relation::kDoubleWeights: return "double-weights";
    case Relation::kRowAlone: return "row-alone";
    case Relation::kSplitQueries: return "split-queries";
  }
  return "?";
}

std::int64_t PagedMqaParameters::limit(std::int64_t row) const {
  const std::int64_t sequence = row / next_n, query = row % next_n;
  if (contexts_2d) return contexts[row];
  return std::max<std::int64_t>(0, std::int64_t{contexts[sequence]} - next_n + query + 1);
}

Operation KernelCase::operation() const {
  return std::visit(
      [](const auto& p) {
        using T = std::decay_t<decltype(p)>;
        if constexpr (std::is_same_v<T, PagedMqaParameters>) return Operation::kPagedMqaLogits;
        if constexpr (std::is_same_v<T, MqaParameters>) return Operation::kMqaLogits;
        if constexpr (std::is_same_v<T, ScheduleParameters>) return Operation::kScheduleMetadata;
        if constexpr (std::is_same_v<T, PagedAttentionParameters>) return Operation::kPagedAttention;
        if constexpr (std::is_same_v<T, MergeParameters>) return Operation::kMerge;
        if constexpr (std::is_same_v<T, CacheWriteParameters>) return Operation::kCacheWrite;
      },
      parameters);
}

namespace {

constexpr std::int64_t kFar = std::int64_t{1} << 40;  // bytes

}  // namespace

void check_pool(const Checks& checks, const Pool& pool, std::int64_t block_bytes,
                const std::vector<std::int64_t>& lengths) {
  checks.range("block_tokens", pool.block_tokens, 1, 65536);
  checks.range("blocks", pool.blocks, 0, std::int64_t{1} << 31);
  checks.range("block_stride", pool.block_stride, block_bytes, std::int64_t{1} << 32);
  checks.range("blocks * block_stride", pool.blocks * pool.block_stride, 0, kFar);
  checks.range("block_stride % 4", pool.block_stride % 4, 0, 0);
  checks.count("content", pool.content.size(), static_cast<std::int64_t>(pool.physical.size()));
  std::set<std::int64_t> seen;
  for (const std::int64_t id : pool.physical) {
    checks.range("physical", id, 0, pool.blocks - 1);
    if (!seen.insert(id).second)
      throw InputError(checks.place + ".physical", "different physical ids", "twice " + std::to_string(id));
  }
  for (const std::int64_t content : pool.content) checks.range("content", content, 0, kMany);
  checks.range("table_stride", pool.table_stride, pool.table_columns, kMany);
  checks.count("contexts", lengths.size(), static_cast<std::int64_t>(pool.tables.size()));
  for (std::size_t b = 0; b < pool.tables.size(); ++b) {
    checks.count(fmt::format("tables[{}]", b), pool.tables[b].size(),
                 ceil_div(lengths[b], pool.block_tokens));
    checks.range("table_columns", pool.table_columns, static_cast<std::int64_t>(pool.tables[b].size()),
                 kMany);
    for (const std::int32_t logical : pool.tables[b])
      checks.range(fmt::format("tables[{}]", b), logical, 0,
                   static_cast<std::int64_t>(pool.physical.size()) - 1);
  }
}

namespace {

void check(const Checks& checks, const PagedMqaParameters& p) {
  checks.range("heads", p.heads, 1, 1024);
  checks.range("dims", p.dims, 4, 1024);
  checks.range("dims % 4", p.dims % 4, 0, 0);
  checks.range("next_n", p.next_n, 1, 8);
  checks.count("contexts", p.contexts.size(), p.contexts_2d ? p.rows() : p.batch());
  for (const std::int32_t context : p.contexts) checks.range("contexts", context, 0, kMany);
  std::vector<std::int64_t> lengths;
  for (std::int32_t b = 0; b < p.batch(); ++b) {
    lengths.push_back(p.length(b));
    for (std::int32_t i = 0; p.contexts_2d && i < p.next_n; ++i)
      checks.range("contexts", p.contexts[b * p.next_n + i], 0, p.length(b));
  }
  check_pool(checks, p.pool, make_fused_index_layout(p.pool.block_tokens, p.dims).block_bytes(), lengths);
  checks.range("contexts_stride", p.contexts_stride, p.contexts_2d ? p.next_n : 1, kMany);
  checks.count("row_content", p.row_content.size(), p.rows());
  checks.range("q_head_stride", p.q_head_stride, p.dims, kMany);
  checks.range("q_row_stride", p.q_row_stride, (p.heads - 1) * p.q_head_stride + p.dims, kMany);
  checks.range("q_sequence_stride", p.q_sequence_stride,
               (p.next_n - 1) * p.q_row_stride + (p.heads - 1) * p.q_head_stride + p.dims, kMany);
  checks.range("weights_stride", p.weights_stride, p.heads, kMany);
  checks.output(p.output);
  for (std::int64_t r = 0; r < p.rows(); ++r) checks.range("columns", p.columns, p.limit(r), kMany);
  checks.range("columns", p.columns, 0, kMany);
  checks.range("logits_stride", p.logits_stride, p.columns, std::int64_t{1} << 32);
}

void check(const Checks& checks, const MqaParameters& p) {
  checks.range("heads", p.heads, 1, 1024);
  checks.range("dims", p.dims, 4, 1024);
  checks.range("keys", p.keys, 0, kMany);
  checks.count("ends", p.ends.size(), p.rows());
  checks.count("row_content", p.row_content.size(), p.rows());
  std::int64_t widest = 0;
  for (std::int64_t r = 0; r < p.rows(); ++r) {
    checks.range("starts", p.starts[r], 0, kMany);
    checks.range("ends", p.ends[r], 0, p.keys);
    if (p.ends[r] > p.starts[r])
      widest = std::max<std::int64_t>(widest, p.compressed ? p.ends[r] - p.starts[r] : p.ends[r]);
  }
  checks.range("q_head_stride", p.q_head_stride, p.dims, kMany);
  checks.range("q_row_stride", p.q_row_stride, (p.heads - 1) * p.q_head_stride + p.dims, kMany);
  checks.range("key_stride", p.key_stride, p.dims, kMany);
  checks.range("weights_stride", p.weights_stride, p.heads, kMany);
  checks.output(p.output);
  checks.range("columns", p.columns, std::max(widest, p.compressed ? 0 : p.keys), kMany);
  checks.range("logits_stride", p.logits_stride, p.columns, kMany);
}

void check(const Checks& checks, const ScheduleParameters& p) {
  for (const std::int32_t context : p.contexts) checks.range("contexts", context, 0, 1 << 30);
  checks.range("contexts_stride", p.contexts_stride, 1, kMany);
  checks.range("unit_tokens", p.unit_tokens, 1, 1 << 20);
  checks.range("parts", p.parts, 1, 4096);
}

// ---- JSON. One list of fields per struct serves writing and reading.

template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<Pool>) {
  pool_fields(p, io);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<PagedAttentionParameters>) {
  attention_fields(p, io);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<MergeParameters>) {
  merge_fields(p, io);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<CacheWriteParameters>) {
  cache_write_fields(p, io);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<PagedMqaParameters>) {
  io("heads", p.heads);
  io("dims", p.dims);
  io("next_n", p.next_n);
  io("contexts", p.contexts);
  io("contexts_2d", p.contexts_2d);
  io("contexts_stride", p.contexts_stride);
  fields(p.pool, io, std::type_identity<Pool>{});
  io("row_content", p.row_content);
  io("q_head_stride", p.q_head_stride);
  io("q_row_stride", p.q_row_stride);
  io("q_sequence_stride", p.q_sequence_stride);
  io("weights_stride", p.weights_stride);
  io("output", p.output);
  io("columns", p.columns);
  io("logits_stride", p.logits_stride);
  io("clean", p.clean);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<MqaParameters>) {
  io("heads", p.heads);
  io("dims", p.dims);
  io("keys", p.keys);
  io("starts", p.starts);
  io("ends", p.ends);
  io("row_content", p.row_content);
  io("q_head_stride", p.q_head_stride);
  io("q_row_stride", p.q_row_stride);
  io("key_stride", p.key_stride);
  io("weights_stride", p.weights_stride);
  io("output", p.output);
  io("columns", p.columns);
  io("logits_stride", p.logits_stride);
  io("clean", p.clean);
  io("compressed", p.compressed);
}
template <typename P, typename Io>
void fields(P& p, Io& io, std::type_identity<ScheduleParameters>) {
  io("contexts", p.contexts);
  io("contexts_stride", p.contexts_stride);
  io("unit_tokens", p.unit_tokens);
  io("parts", p.parts);
}

struct Writer {
  nlohmann::ordered_json& json;
  template <typename T>
  void operator()(const char* name, const T& value) {
    json[name] = value;
  }
  void operator()(const char* name, const ElementType& value) { json[name] = name_of(value); }
};

struct Reader {
  const nlohmann::ordered_json& json;
  const std::string& place;
  std::set<std::string> known{};

  template <typename T>
  void operator()(const char* name, T& value) {
    known.insert(name);
    const auto at = json.find(name);
    if (at == json.end()) throw InputError(place + "." + name, "this key", "nothing");
    if constexpr (std::is_same_v<T, ElementType>) {
      const std::string text = at->template get<std::string>();
      for (const ElementType type : {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16,
                                     ElementType::kE4M3, ElementType::kE5M2})
        if (text == name_of(type)) {
          value = type;
          return;
        }
      throw InputError(place + "." + name, "fp32, bf16, fp16, e4m3 or e5m2", text);
    } else {
      value = at->template get<T>();
    }
  }
  void refuse_unknown() const {
    for (const auto& item : json.items())
      if (known.count(item.key()) == 0) throw InputError(place, "known keys", "\"" + item.key() + "\"");
  }
};

KernelCase read(const nlohmann::ordered_json& document, const std::string& place) {
  KernelCase result;
  if (!document.is_object()) throw InputError(place, "a JSON object", document.type_name());
  Reader top{document, place};
  std::string schema, operation, lane, relation, guard;
  top("schema", schema);
  if (schema != kCaseSchema) throw InputError(place + ".schema", kCaseSchema, schema);
  top("operation", operation);
  top("lane", lane);
  top("seed", result.seed);
  top("weight_exponent", result.weight_exponent);
  top("guard", guard);
  top("alignment_bytes", result.alignment_bytes);
  top("relation", relation);
  top("relation_sequence", result.relation_sequence);
  result.lane = lane_named(lane, place + ".lane");
  if (guard != "front" && guard != "behind") throw InputError(place + ".guard", "front or behind", guard);
  result.guard_in_front = guard == "front";
  bool found = relation == name_of(Relation::kNone);
  for (const Relation known : kRelations)
    if (relation == name_of(known)) {
      result.relation = known;
      found = true;
    }
  if (!found) throw InputError(place + ".relation", "a known relation", relation);
  top.known.insert("parameters");
  top.known.insert("overrides");
  top.known.insert("comment");
  top.known.insert("expected");
  top.refuse_unknown();
  switch (operation_named(operation, place + ".operation")) {
    case Operation::kPagedMqaLogits: result.parameters = PagedMqaParameters{}; break;
    case Operation::kMqaLogits: result.parameters = MqaParameters{}; break;
    case Operation::kScheduleMetadata: result.parameters = ScheduleParameters{}; break;
    case Operation::kPagedAttention: result.parameters = PagedAttentionParameters{}; break;
    case Operation::kMerge: result.parameters = MergeParameters{}; break;
    case Operation::kCacheWrite: result.parameters = CacheWriteParameters{}; break;
  }
  const std::string inner = place + ".parameters";
  std::visit(
      [&](auto& p) {
        Reader reader{document.at("parameters"), inner};
        fields(p, reader, std::type_identity<std::decay_t<decltype(p)>>{});
        reader.refuse_unknown();
      },
      result.parameters);
  for (const auto& item : document.at("overrides"))
    result.overrides.push_back({item.at("operand").get<std::string>(),
                                item.at("at").get<std::vector<std::int64_t>>(),
                                item.at("bits").get<std::uint32_t>()});
  return result;
}

}  // namespace

void validate(const KernelCase& kernel_case, const std::string& place) {
  const Checks top{place};
  const std::string inner = place + ".parameters";
  const Checks checks{inner};
  std::visit([&](const auto& p) { check(checks, p); }, kernel_case.parameters);
  top.range("weight_exponent", kernel_case.weight_exponent, -100, 100);
  top.range("alignment_bytes", kernel_case.alignment_bytes, 1, 4096);
  if (kernel_case.relation == Relation::kRowAlone)
    top.range("relation_sequence", kernel_case.relation_sequence, 0,
              std::max<std::int64_t>(0, sequences_of(kernel_case) - 1));
  const std::vector<Lane>& lanes = lanes_of(kernel_case.operation());
  if (std::find(lanes.begin(), lanes.end(), kernel_case.lane) == lanes.end())
    throw InputError(place + ".lane", std::string("a lane of ") + name_of(kernel_case.operation()),
                     name_of(kernel_case.lane));
  if (!kernel_case.overrides.empty() &&
      (std::holds_alternative<MergeParameters>(kernel_case.parameters) ||
       std::holds_alternative<CacheWriteParameters>(kernel_case.parameters)))
    throw InputError(place + ".overrides", "none for this operation", "some");
  for (const ValueOverride& override_ : kernel_case.overrides) {
    if (override_.operand != "q" && override_.operand != "weights" && override_.operand != "keys" &&
        override_.operand != "scales" && override_.operand != "values")
      throw InputError(place + ".overrides.operand", "q, weights, keys, values or scales", override_.operand);
    for (const std::int64_t at : override_.at) top.range("overrides.at", at, 0, kMany);
  }
}

nlohmann::ordered_json to_json(const KernelCase& kernel_case) {
  nlohmann::ordered_json json;
  json["schema"] = kCaseSchema;
  json["operation"] = name_of(kernel_case.operation());
  json["lane"] = name_of(kernel_case.lane);
  json["seed"] = kernel_case.seed;
  json["weight_exponent"] = kernel_case.weight_exponent;
  json["guard"] = kernel_case.guard_in_front ? "front" : "behind";
  json["alignment_bytes"] = kernel_case.alignment_bytes;
  json["relation"] = name_of(kernel_case.relation);
  json["relation_sequence"] = kernel_case.relation_sequence;
  auto& parameters = json["parameters"] = nlohmann::ordered_json::object();
  std::visit(
      [&](const auto& p) {
        Writer writer{parameters};
        fields(p, writer, std::type_identity<std::decay_t<decltype(p)>>{});
      },
      kernel_case.parameters);
  auto& overrides = json["overrides"] = nlohmann::ordered_json::array();
  for (const ValueOverride& item : kernel_case.overrides)
    overrides.push_back({{"operand", item.operand}, {"at", item.at}, {"bits", item.bits}});
  return json;
}

KernelCase case_from_json(const nlohmann::ordered_json& document, const std::string& place) {
  KernelCase result;
  try {
    result = read(document, place);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(place, "a case of schema " + std::string(kCaseSchema), error.what());
  }
  validate(result, place);
  return result;
}

std::uint64_t fnv1a(const void* bytes, std::size_t count, std::uint64_t hash) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ byte[i]) * 0x100000001b3ull;
  return hash;
}

std::uint64_t digest_of(const KernelCase& kernel_case) {
  const std::string text = to_json(kernel_case).dump();
  return fnv1a(text.data(), text.size());
}

std::string hex_of(std::uint64_t digest) { return fmt::format("{:016x}", digest); }

}  // namespace assay::properties
