// Lanes of paged attention: what every query, key and value is.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "model/bounds/lane_draws.h"
#include "model/bounds/lanes.h"
#include "model/core/check.h"

namespace assay {
namespace {

using lane_draws::bits_for;
using lane_draws::dead_entry;
using lane_draws::integer_in;
using lane_draws::kBlocks;
using lane_draws::kChoice;
using lane_draws::kKeys;
using lane_draws::kPlace;
using lane_draws::kQ;
using lane_draws::kValues;
using lane_draws::random_power;
using lane_draws::shuffled_blocks;

void put_element(std::byte* at, ElementType type, double value) {
  const auto write = [&](auto code) { std::memcpy(at, &code, sizeof code); };
  switch (type) {
    case ElementType::kFp32: return write(static_cast<float>(value));
    case ElementType::kBf16: return write(Bf16::encode(value));
    case ElementType::kFp16: return write(Fp16::encode(value));
    case ElementType::kE4M3: return write(E4M3::encode(value));
    case ElementType::kE5M2: return write(E5M2::encode(value));
  }
}

// A token as a lane sees it: its sequence's length, its place, and the physical slots it lands in.
struct TokenPlace {
  std::int32_t sequence = 0, position = 0, length = 0, kv_head = 0;
  std::int64_t value_slot = 0;
  std::uint64_t row = 0;  // index of (sequence, position, kv_head), the same wherever the blocks lie
};

struct AttentionDraw {
  AttentionLane lane;
  const AttentionShape& shape;
  RandomStream random;
  // A child costs a draw, so each is made once.
  RandomStream q_stream = random.child(kQ), key_stream = random.child(kKeys),
               value_stream = random.child(kValues);
  RandomStream key_stream_powers = key_stream.child(1), value_stream_powers = value_stream.child(1);
  RandomStream choice_stream = random.child(kChoice), place_stream = random.child(kPlace);
  float root_dims;  // sqrt is exact everywhere

  AttentionDraw(AttentionLane lane_, const AttentionShape& shape_, std::uint64_t seed)
      : lane(lane_),
        shape(shape_),
        random(seed, std::string("attention lane ") + name_of(lane_)),
        root_dims(std::sqrt(static_cast<float>(shape_.dims))) {}

  bool points() const { return lane == AttentionLane::kNeedle || lane == AttentionLane::kAddress; }
  std::int32_t group() const { return shape.query_heads / shape.kv_heads; }
  std::int32_t needle_dim(std::int32_t local_query, std::int32_t head) const {
    return (local_query * group() + head % group()) % shape.dims;
  }
  // Visible to every query of the sequence, also under a causal mask.
  std::int64_t needle(std::int32_t sequence, std::int32_t kv_head, std::int32_t dim, std::int32_t length,
                      std::int32_t queries) const {
    const std::int64_t span = std::max(1, length - queries + 1);
    const std::uint64_t index =
        (static_cast<std::uint64_t>(sequence) * shape.kv_heads + kv_head) * shape.dims + dim;
    return static_cast<std::int64_t>(place_stream.below(index, span));
  }

  double q(std::uint64_t index, std::int32_t local_query, std::int32_t head, std::int32_t dim) const {
    const double normal = static_cast<double>(q_stream.normal(index));
    const double first = static_cast<double>(root_dims);
    switch (lane) {
      case AttentionLane::kNeedle:
      case AttentionLane::kAddress: return dim == needle_dim(local_query, head) ? 32.0 : 0.0;
      case AttentionLane::kPlateau:
      case AttentionLane::kTwoPlateau: return dim == 0 ? first * 0.70710678 : 0.0;
      case AttentionLane::kNearTie: return dim == 0 ? first * 0.70710678 : dim == 1 ? first : 0.0;
      case AttentionLane::kRamp: return dim == 0 ? first * 0.25 : normal * 0.25;
      case AttentionLane::kSpecials: return head % 4 == 0 && dim == 0 ? 128.0 : normal;
      default: return normal;
    }
  }
  double key(const TokenPlace& at, std::int32_t dim) const {
    const std::uint64_t index = at.row * shape.dims + dim;
    if (lane == AttentionLane::kUniform) return 0.0;
    const double normal = static_cast<double>(key_stream.normal(index));
    switch (lane) {
      case AttentionLane::kHeavyTail:
        return normal * static_cast<double>(random_power(key_stream_powers, index, 1.0f));
      case AttentionLane::kPlateau: return dim != 0 ? normal : at.position == at.length / 2 ? 1.75 : 1.0;
      case AttentionLane::kTwoPlateau:
      case AttentionLane::kNearTie:
        if (dim == 0) return choice_stream.u32(at.row) % 2 == 0 ? 1.0 : 0.5;
        return dim == 1 && lane == AttentionLane::kNearTie ? normal * 3e-4 : normal;
      case AttentionLane::kRamp: return dim == 0 ? static_cast<double>(at.position >> 6) : normal;
      case AttentionLane::kSpecials:
        if (dim == 0) return -16384.0;
        return index % 7 == 0 ? (index % 2 ? 0.0 : -0.0) : index % 11 == 0 ? normal * 0x1p-130 : normal;
      default: return normal;
    }
  }
  double value(const TokenPlace& at, std::int32_t dim) const {
    const std::uint64_t index = at.row * shape.dims + dim;
    if (lane == AttentionLane::kUniform) return integer_in(value_stream, index, 4);
    if (lane == AttentionLane::kAddress) return (at.value_slot >> (dim % 32) & 1) != 0 ? 1.0 : -1.0;
    const double normal = static_cast<double>(value_stream.normal(index));
    switch (lane) {
      case AttentionLane::kHeavyTail:
        return normal * static_cast<double>(random_power(value_stream_powers, index, 1.4f));
      case AttentionLane::kTwoPlateau:
      case AttentionLane::kNearTie:  // the means cancel: e^(0.7071 / 2) = 1.424
        return (choice_stream.u32(at.row) % 2 == 0 ? 1.0 : -1.421875) + normal * 0.0625;
      case AttentionLane::kValueMean: return 1.0 + normal;
      case AttentionLane::kSpecials:
        return index % 7 == 0 ? (index % 2 ? 0.0 : -0.0) : index % 13 == 0 ? normal * 0x1p-130 : normal;
      default: return normal;
    }
  }
};

std::int32_t queries_of(const AttentionShape& shape, std::size_t sequence) {
  return shape.queries.empty() ? 1 : shape.queries[sequence];
}

}  // namespace

const char* name_of(AttentionLane lane) {
  switch (lane) {
    case AttentionLane::kGaussian: return "gaussian";
    case AttentionLane::kHeavyTail: return "heavy-tail";
    case AttentionLane::kNeedle: return "needle";
    case AttentionLane::kUniform: return "uniform";
    case AttentionLane::kPlateau: return "plateau";
    case AttentionLane::kTwoPlateau: return "two-plateau";
    case AttentionLane::kNearTie: return "near-tie";
    case AttentionLane::kRamp: return "ramp";
    case AttentionLane::kValueMean: return "value-mean";
    case AttentionLane::kAddress: return "address";
    case AttentionLane::kSpecials: return "specials";
  }
  return "?";
}

PagedAttentionCase AttentionLaneCase::problem() const {
  const ElementType q_type = shape.type == ElementType::kE4M3 ? ElementType::kBf16 : shape.type;
  PagedAttentionCase c;
  c.q = compact_view<3>(q.data(), q_type, {queries(), shape.query_heads, shape.dims});
  c.q_begin = {q_begin.data(), static_cast<std::int64_t>(q_begin.size()), 1};
  c.contexts = {lengths.data(), static_cast<std::int64_t>(lengths.size()), 1};
  c.keys = {keys.data(), shape.type, layout, blocks, {key_table.data(), max_blocks, max_blocks}, {}};
  c.values = {values.data(), shape.type, layout, blocks, {value_table.data(), max_blocks, max_blocks}, {}};
  c.softmax_scale = softmax_scale;
  return c;
}

AttentionLaneCase make_attention_lane(AttentionLane lane, const AttentionShape& shape, std::uint64_t seed) {
  if (shape.kv_heads <= 0 || shape.query_heads % shape.kv_heads != 0)
    throw InputError("lane.query_heads", "a multiple of kv_heads", std::to_string(shape.query_heads));
  AttentionLaneCase result;
  result.shape = shape;
  result.lengths = shape.contexts;
  // The fp32 number a kernel is handed, so that golden and kernel start from the same scale.
  result.softmax_scale = static_cast<double>(1.0f / std::sqrt(static_cast<float>(shape.dims)));
  const std::size_t batch = shape.contexts.size();
  result.q_begin.push_back(0);
  for (std::size_t b = 0; b < batch; ++b) {
    result.q_begin.push_back(result.q_begin.back() + queries_of(shape, b));
    const std::int32_t live = static_cast<std::int32_t>(ceil_div(shape.contexts[b], shape.block_tokens));
    result.blocks += live;
    result.max_blocks = std::max(result.max_blocks, live);
  }
  result.blocks += shape.spare_blocks;
  result.max_blocks += 1;
  if (lane == AttentionLane::kAddress) {
    const int bits = bits_for(static_cast<std::int64_t>(result.blocks) * shape.block_tokens);
    if (bits > std::min(32, shape.dims))
      throw InputError("lane address", std::to_string(bits) + " dims, at most 32",
                       std::to_string(shape.dims));
  }
  const int bytes = bytes_of(shape.type);
  result.layout = make_paged_layout(shape.order, shape.block_tokens, shape.kv_heads, shape.dims, bytes);
  const AttentionDraw draw(lane, shape, seed);

  const ElementType q_type = shape.type == ElementType::kE4M3 ? ElementType::kBf16 : shape.type;
  result.q.resize(static_cast<std::size_t>(result.queries()) * shape.query_heads * shape.dims *
                  bytes_of(q_type));
  for (std::size_t b = 0; b < batch; ++b)
    for (std::int32_t query = result.q_begin[b]; query < result.q_begin[b + 1]; ++query)
      for (std::int32_t head = 0; head < shape.query_heads; ++head)
        for (std::int32_t d = 0; d < shape.dims; ++d) {
          const std::size_t index =
              (static_cast<std::size_t>(query) * shape.query_heads + head) * shape.dims + d;
          put_element(&result.q[index * bytes_of(q_type)], q_type,
                      draw.q(index, query - result.q_begin[b], head, d));
        }

  const std::vector<std::int32_t> key_order = shuffled_blocks(result.blocks, draw.random.child(kBlocks));
  const std::vector<std::int32_t> value_order =
      shape.combined_tables ? shuffled_blocks(result.blocks, draw.random.child(kBlocks).child(1)) : key_order;
  const std::size_t pool_bytes = static_cast<std::size_t>(result.blocks) * result.layout.block_stride;
  result.keys.assign(pool_bytes, std::byte{0xff});  // NaN in every format
  result.values.assign(pool_bytes, std::byte{0xff});
  result.key_table.resize(batch * result.max_blocks);
  result.value_table.resize(result.key_table.size());
  for (std::size_t i = 0; i < result.key_table.size(); ++i) {
    result.key_table[i] = dead_entry(i, key_order.back());
    result.value_table[i] = dead_entry(i, value_order.back());
  }
  std::size_t handed = 0;
  TokenPlace at;
  for (std::size_t b = 0; b < batch; ++b) {
    at.sequence = static_cast<std::int32_t>(b);
    at.length = shape.contexts[b];
    for (at.position = 0; at.position < at.length; ++at.position) {
      const std::size_t entry = b * result.max_blocks + at.position / shape.block_tokens;
      const std::int32_t slot = at.position % shape.block_tokens;
      if (slot == 0) {
        result.key_table[entry] = key_order[handed];
        result.value_table[entry] = value_order[handed++];
      }
      at.value_slot = static_cast<std::int64_t>(result.value_table[entry]) * shape.block_tokens + slot;
      for (at.kv_head = 0; at.kv_head < shape.kv_heads; ++at.kv_head, ++at.row) {
        std::byte* key = &result.keys[result.layout.offset(result.key_table[entry], slot, at.kv_head, 0)];
        std::byte* value =
            &result.values[result.layout.offset(result.value_table[entry], slot, at.kv_head, 0)];
        for (std::int32_t d = 0; d < shape.dims; ++d) {
          put_element(key + d * bytes, shape.type, draw.key(at, d));
          put_element(value + d * bytes, shape.type, draw.value(at, d));
        }
      }
    }
    if (!draw.points() || at.length == 0) continue;
    for (std::int32_t head = 0; head < shape.query_heads; ++head)
      for (std::int32_t query = 0; query < queries_of(shape, b); ++query) {
        const std::int32_t dim = draw.needle_dim(query, head), kv_head = head / draw.group();
        const std::int64_t position = draw.needle(at.sequence, kv_head, dim, at.length, queries_of(shape, b));
        const std::int32_t block = result.key_table[b * result.max_blocks + position / shape.block_tokens];
        put_element(&result.keys[result.layout.offset(
                        block, static_cast<std::int32_t>(position % shape.block_tokens), kv_head, dim)],
                    shape.type, 128.0);
      }
  }
  return result;
}

std::int64_t needle_position(const AttentionLaneCase& lane_case, AttentionLane lane, std::uint64_t seed,
                             std::int64_t query, std::int32_t head) {
  const AttentionDraw draw(lane, lane_case.shape, seed);
  ASSAY_CHECK(draw.points(), "only needle and address lanes point at a token");
  std::int32_t sequence = 0;
  while (query >= lane_case.q_begin[sequence + 1]) ++sequence;
  const std::int32_t local = static_cast<std::int32_t>(query) - lane_case.q_begin[sequence];
  return draw.needle(sequence, head / draw.group(), draw.needle_dim(local, head), lane_case.lengths[sequence],
                     queries_of(lane_case.shape, static_cast<std::size_t>(sequence)));
}

std::optional<PhysicalPlace> decode_value_address(const double* out, std::int32_t dims,
                                                  std::int32_t block_tokens) {
  std::int64_t slot = 0;
  for (std::int32_t d = 0; d < dims; ++d) {
    if (out[d] != 1.0 && out[d] != -1.0) return std::nullopt;
    const std::int64_t bit = out[d] > 0;
    if (d < 32) {
      slot |= bit << d;
    } else if ((slot >> (d % 32) & 1) != bit) {
      return std::nullopt;
    }
  }
  return PhysicalPlace{slot / block_tokens, static_cast<std::int32_t>(slot % block_tokens)};
}

}  // namespace assay
