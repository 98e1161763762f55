#include "properties/cases/cache_write_contents.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>

#include "properties/cases/attention_values.h"
#include "properties/cases/element_draws.h"
#include "properties/cases/elements.h"
#include "properties/cases/fills.h"

namespace assay::properties {
namespace {

constexpr std::int32_t kAddressBits = 32, kSlotBits = 24;
constexpr std::int64_t kValueFlag = std::int64_t{1} << 23;

// Ties of e4m3 (1.0625, 464), bf16 (1 + 2^-8) and fp16 (1 + 2^-11); what saturates in each; what underflows.
constexpr float kSpecial[] = {0.0f,     -0.0f,    1.0f,     -1.0625f, 1.0625f,     1.1875f,
                              464.0f,   -480.0f,  65519.f,  65520.f,  1.00390625f, 1.00048828f,
                              0x1p-10f, -0x1p-9f, 0x1p-25f, 3e38f};

void store_nan(ElementType type, std::byte* to) {
  const std::uint32_t wide = 0xffc12345u;
  const std::uint16_t half = type == ElementType::kFp16 ? 0xfe15u : 0xffc3u;
  if (type == ElementType::kFp32)
    std::memcpy(to, &wide, 4);
  else
    std::memcpy(to, &half, 2);
}

class CacheWriteContents final : public CaseContents {
 public:
  CacheWriteContents(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<CacheWriteParameters>(kernel_case.parameters)),
        operands_(operands),
        rows_(kernel_case.lane, kernel_case.seed, p_.heads, p_.dims) {}

  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    const int tensors = p_.index_keys ? 1 : 2;
    for (int tensor = 0; tensor < tensors; ++tensor) {
      const auto index = static_cast<std::size_t>(tensor);
      fill_bytes(data[index], operands_.tensors[index], float_poison(poison));
      for (std::int64_t t = 0; t < p_.rows(); ++t) {
        if (p_.slots[static_cast<std::size_t>(t)] < 0) continue;
        for (std::int32_t head = 0; head < p_.heads; ++head)
          rows_.row(p_.row_content[static_cast<std::size_t>(t)], head, tensor == 1, p_.row_type,
                    data[index] + (t * p_.row_stride + head * p_.row_head_stride) * bytes_of(p_.row_type));
      }
    }
    if (!p_.slots.empty())
      std::memcpy(data[static_cast<std::size_t>(tensors)], p_.slots.data(), p_.slots.size() * 8);
  }

 private:
  const CacheWriteParameters& p_;
  const Operands& operands_;
  CacheRows rows_;
};

// The blocks of a pool too large to exist, and one that nobody names.
std::vector<ByteRange> islands(const CacheWriteParameters& p, std::int64_t block_stride,
                               std::int64_t block_bytes) {
  Pool pool;
  pool.blocks = p.blocks;
  pool.block_stride = block_stride;
  pool.physical = blocks_named(p);
  return islands_of(pool, block_bytes);
}

}  // namespace

CacheRows::CacheRows(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims)
    : lane_(lane), heads_(heads), dims_(dims), keys_(seed, "cache rows k"), values_(seed, "cache rows v") {}

void CacheRows::row(std::int64_t content, std::int32_t head, bool value, ElementType type,
                    std::byte* to) const {
  const RandomStream& stream = value ? values_ : keys_;
  const std::int64_t index = content * heads_ + head;
  const std::uint32_t kind = stream.u32(~static_cast<std::uint64_t>(index)) % 4;
  std::vector<float> row(static_cast<std::size_t>(dims_));
  draw_row(stream, index, dims_, row.data(), [&](std::uint32_t bits, std::int32_t dim) -> float {
    switch (lane_) {
      case Lane::kAddress: {
        const std::int32_t bit = dim % kAddressBits;
        const std::int64_t slot = content | (value ? kValueFlag : 0);
        return ((bit < kSlotBits ? slot >> bit : head >> (bit - kSlotBits)) & 1) != 0 ? 1.0f : -1.0f;
      }
      case Lane::kSpecials:
        if (kind == 0) return bits % 2 == 0 ? 0.0f : -0.0f;
        if (kind == 1) return normal_of(bits) * 1e-5f;
        return kSpecial[static_cast<std::uint64_t>(bits) * std::size(kSpecial) >> 32];
      case Lane::kHeavyTail: return normal_of(bits) * power_of(bits * 2654435761u, 4.0f);
      default: return normal_of(bits);
    }
  });
  for (std::int32_t d = 0; d < dims_; ++d) {
    std::byte* at = to + d * bytes_of(type);
    store_element(at, type, static_cast<double>(row[static_cast<std::size_t>(d)]), Overflow::kSaturate);
    if (lane_ == Lane::kNan && stream.u32(static_cast<std::uint64_t>(index) * 1024 + d) % 31 == 0)
      store_nan(type, at);
  }
}

std::optional<RowAddress> row_address(const double* row, std::int32_t dims) {
  std::vector<double> signs(static_cast<std::size_t>(dims));
  for (std::int32_t d = 0; d < dims; ++d) {
    if (std::fabs(row[d]) != std::fabs(row[0]) || row[d] == 0) return std::nullopt;
    signs[static_cast<std::size_t>(d)] = row[d] > 0 ? 1.0 : -1.0;
  }
  const std::optional<ValueAddress> address = value_address(signs.data(), dims);
  if (!address) return std::nullopt;
  return RowAddress{address->slot & (kValueFlag - 1), address->kv_head, (address->slot & kValueFlag) != 0};
}

std::vector<std::int64_t> blocks_named(const CacheWriteParameters& p) {
  std::set<std::int64_t> blocks;
  for (const std::int64_t slot : p.slots)
    if (slot >= 0) blocks.insert(slot / p.block_tokens);
  return {blocks.begin(), blocks.end()};
}

Operands operands(const CacheWriteParameters& p) {
  Operands call;
  call.operation = Operation::kCacheWrite;
  const auto rows = [&](const char* name) {
    return p.index_keys
               ? make_operand(name, false, data_type_of(p.row_type), {p.rows(), p.dims}, {p.row_stride, 1})
               : make_operand(name, false, data_type_of(p.row_type), {p.rows(), p.heads, p.dims},
                              {p.row_stride, p.row_head_stride, 1});
  };
  call.tensors.push_back(rows("k"));
  if (!p.index_keys) call.tensors.push_back(rows("v"));
  call.tensors.push_back(make_operand("slots", false, kInt64, {p.rows()}, {1}));
  const auto add = [&](Operand cache, std::int64_t stride_bytes, std::int64_t block_bytes) {
    if (cache.span_bytes > kDenseBytes) cache.islands = islands(p, stride_bytes, block_bytes);
    call.tensors.push_back(std::move(cache));
  };
  if (p.index_keys) {
    const std::int64_t block_bytes = p.fused().block_bytes();
    add(make_operand("cache", true, kBytes, {p.blocks, block_bytes}, {p.block_stride, 1}), p.block_stride,
        block_bytes);
  }
  for (const bool value : {false, true}) {
    if (p.index_keys) break;
    const PagedLayout layout = p.layout(value);
    const std::int64_t bytes = layout.element_bytes;
    add(make_operand(
            value ? "v_cache" : "k_cache", true, data_type_of(p.cache_type),
            {p.blocks, p.block_tokens, p.heads, p.dims},
            {layout.block_stride / bytes, layout.slot_stride / bytes, layout.head_stride / bytes, 1}),
        layout.block_stride, layout.block_span());
  }
  for (const bool value : {false, true}) {
    if (!p.row_scales) break;
    const std::int64_t stride = value ? p.value_scale_stride : p.scale_block_stride;
    add(make_operand(value ? "v_scales" : "k_scales", true, kFloat32, {p.blocks, p.block_tokens, p.heads},
                     {stride, p.heads, 1}),
        stride * 4, std::int64_t{p.block_tokens} * p.heads * 4);
  }
  call.ints = {p.block_tokens};
  return call;
}

std::unique_ptr<CaseContents> make_cache_write_contents(const KernelCase& kernel_case,
                                                        const Operands& operands) {
  return std::make_unique<CacheWriteContents>(kernel_case, operands);
}

}  // namespace assay::properties
