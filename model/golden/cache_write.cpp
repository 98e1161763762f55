#include "model/golden/cache_write.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace assay {
namespace {

constexpr std::int64_t kAny = std::int64_t{1} << 40;

template <typename T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// Nearest even, saturating: the contract of all encodings.
void encode_element(std::byte* at, ElementType type, float value) {
  const double wide = static_cast<double>(value);
  switch (type) {
    case ElementType::kFp32: return store(at, value);
    case ElementType::kBf16: return store(at, Bf16::encode(wide));
    case ElementType::kFp16: return store(at, Fp16::encode(wide));
    case ElementType::kE4M3: return store(at, E4M3::encode(wide));
    case ElementType::kE5M2: return store(at, E5M2::encode(wide));
  }
}

float amax_of(const std::vector<double>& row) {
  double amax = 0;
  for (const double x : row) amax = std::fabs(x) > amax ? std::fabs(x) : amax;  // NaN does not enter
  return static_cast<float>(amax);
}

// Slots in range and unique; returns what will be written and skipped.
CacheWriteReport check_slots(const SlotView& slots, std::int64_t capacity) {
  const Preconditions& table = cache_write_preconditions();
  CacheWriteReport report;
  require(slots.count == 0 || slots.data != nullptr, table, "slots.data", "memory", "a null pointer");
  for (std::int64_t t = 0; t < slots.count; ++t) {
    require(slots.data[t] < capacity, table, "slots[" + std::to_string(t) + "]",
            "below " + std::to_string(capacity) + ", or negative to skip", std::to_string(slots.data[t]));
    ++(slots.data[t] < 0 ? report.skipped_tokens : report.written_tokens);
  }
  const std::vector<DuplicateSlot> duplicates = find_duplicate_slots(slots);
  if (!duplicates.empty()) {
    const DuplicateSlot& pair = duplicates.front();
    require(false, table, "slots[" + std::to_string(pair.second_token) + "]", "a slot of its own",
            "slot " + std::to_string(pair.slot) + ", taken by token " + std::to_string(pair.first_token) +
                " (" + std::to_string(duplicates.size()) + " such pairs)");
  }
  return report;
}

}  // namespace

const Preconditions& cache_write_preconditions() {
  static const Preconditions table{
      "cache_write",
      {{"tokens", 0, kAny, 1}, {"heads", 1, 1024, 1}, {"dims", 1, 1024, 1}, {"blocks", 0, kAny, 1}},
      {{"rows.type", {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16}},
       {"target.type with row scales", {ElementType::kE4M3}},
       {"target.type",
        {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16, ElementType::kE4M3,
         ElementType::kE5M2}}}};
  return table;
}

std::vector<DuplicateSlot> find_duplicate_slots(const SlotView& slots) {
  std::vector<std::pair<std::int64_t, std::int64_t>> order;  // slot, token
  for (std::int64_t t = 0; t < slots.count; ++t)
    if (slots.data[t] >= 0) order.emplace_back(slots.data[t], t);
  std::sort(order.begin(), order.end());
  std::vector<DuplicateSlot> found;
  for (std::size_t i = 1; i < order.size(); ++i)
    if (order[i].first == order[i - 1].first)
      found.push_back({order[i].first, order[i - 1].second, order[i].second});
  std::sort(found.begin(), found.end(),
            [](const DuplicateSlot& a, const DuplicateSlot& b) { return a.second_token < b.second_token; });
  return found;
}

CacheWriteReport write_cache(const TensorView<3>& rows, const SlotView& slots, const CacheTarget& target) {
  const Preconditions& table = cache_write_preconditions();
  const auto& [tokens, heads, dims] = rows.shape;
  const PagedLayout& layout = target.layout;
  table.check("tokens", tokens);
  table.check("heads", heads);
  table.check("dims", dims);
  table.check("blocks", target.blocks);
  const bool copies = rows.type == target.type && target.row_scales == nullptr && target.scale == 1.0f;
  if (!copies) table.check_type("rows.type", rows.type);
  table.check_type(target.row_scales ? "target.type with row scales" : "target.type", target.type);
  validate(layout, "cache_write.target.layout");
  check_view<3>(table, "rows", rows.data, rows.shape, {tokens, layout.heads, layout.dims});
  require(rows.stride[2] == 1, table, "rows.stride[2]", "1", std::to_string(rows.stride[2]));
  require(layout.element_bytes == bytes_of(target.type), table, "target.layout.element_bytes",
          std::to_string(bytes_of(target.type)), std::to_string(layout.element_bytes));
  require(slots.count == tokens, table, "slots.count", std::to_string(tokens), std::to_string(slots.count));
  const CacheWriteReport report = check_slots(slots, target.blocks * layout.block_tokens);
  require(report.written_tokens == 0 || target.data != nullptr, table, "target.data", "memory",
          "a null pointer");
  std::vector<double> row(dims);
  for (std::int64_t t = 0; t < tokens; ++t) {
    if (slots.data[t] < 0) continue;
    const std::int64_t block = slots.data[t] / layout.block_tokens;
    const std::int32_t slot = static_cast<std::int32_t>(slots.data[t] % layout.block_tokens);
    for (std::int32_t head = 0; head < heads; ++head) {
      std::byte* to = static_cast<std::byte*>(target.data) + layout.offset(block, slot, head, 0);
      if (copies) {
        std::memcpy(to, rows.address({t, head, 0}), dims * bytes_of(rows.type));
        continue;
      }
      decode_row(rows.address({t, head, 0}), rows.type, dims, row.data());
      float scale = target.scale;
      if (target.row_scales != nullptr) {
        scale = e4m3_scale_of(amax_of(row));
        target.row_scales[block * target.scale_block_stride + slot * target.scale_slot_stride +
                          head * target.scale_head_stride] = scale;
      }
      for (std::int64_t d = 0; d < dims; ++d)
        encode_element(to + d * layout.element_bytes, target.type, static_cast<float>(row[d]) / scale);
    }
  }
  return report;
}

CacheWriteReport write_index_cache(const TensorView<2>& rows, const SlotView& slots, void* data,
                                   const FusedIndexLayout& layout, std::int64_t blocks) {
  const Preconditions& table = cache_write_preconditions();
  const auto& [tokens, dims] = rows.shape;
  table.check("tokens", tokens);
  table.check("dims", dims);
  table.check("blocks", blocks);
  table.check_type("rows.type", rows.type);
  validate(layout, "cache_write.layout");
  check_view<2>(table, "rows", rows.data, rows.shape, {tokens, layout.dims});
  require(rows.stride[1] == 1, table, "rows.stride[1]", "1", std::to_string(rows.stride[1]));
  require(slots.count == tokens, table, "slots.count", std::to_string(tokens), std::to_string(slots.count));
  const CacheWriteReport report = check_slots(slots, blocks * layout.block_tokens);
  require(report.written_tokens == 0 || data != nullptr, table, "data", "memory", "a null pointer");
  std::vector<double> row(dims);
  for (std::int64_t t = 0; t < tokens; ++t) {
    if (slots.data[t] < 0) continue;
    const std::int64_t block = slots.data[t] / layout.block_tokens;
    const std::int32_t slot = static_cast<std::int32_t>(slots.data[t] % layout.block_tokens);
    decode_row(rows.address({t, 0}), rows.type, dims, row.data());
    const float scale = e4m3_scale_of(amax_of(row));
    std::byte* to = static_cast<std::byte*>(data);
    for (std::int32_t d = 0; d < dims; ++d)
      store(to + layout.key_offset(block, slot, d), quantise_e4m3(static_cast<float>(row[d]), scale));
    store(to + layout.scale_offset(block, slot), scale);
  }
  return report;
}

}  // namespace assay
