// Lanes of the MQA logits: what every code, scale and weight is.
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
using lane_draws::kKeys;
using lane_draws::kQ;
using lane_draws::kScales;
using lane_draws::kWeights;
using lane_draws::random_power;
using lane_draws::shuffled_blocks;

// One element of q or of a key, as a number before encoding.
struct MqaDraw {
  MqaLane lane;
  const MqaShape& shape;
  RandomStream random;
  // A child costs a draw, so each is made once.
  RandomStream q_stream = random.child(kQ), key_stream = random.child(kKeys);
  RandomStream q_powers = q_stream.child(1), key_powers = key_stream.child(1);
  RandomStream scale_stream = random.child(kScales), weight_stream = random.child(kWeights);
  int qk_limit = 7;
  std::int64_t odd_weights = 512;  // 1, 3, ... 1023

  MqaDraw(MqaLane lane_, const MqaShape& shape_, std::uint64_t seed)
      : lane(lane_), shape(shape_), random(seed, std::string("mqa lane ") + name_of(lane_)) {
    while (odd_weights > 1 && 2 * odd_weights * shape.dims * shape.heads > 1 << 24) odd_weights /= 2;
    while (qk_limit > 1 && qk_limit * qk_limit * shape.dims >= 1 << 13) --qk_limit;
  }
  // head is -1 for a key; slot is the key's physical slot.
  double element(std::uint64_t index, std::int32_t head, std::int32_t dim, std::int64_t slot) const {
    const RandomStream& stream = head < 0 ? key_stream : q_stream;
    switch (lane) {
      case MqaLane::kGaussian: return static_cast<double>(stream.normal(index));
      case MqaLane::kHeavyTail:
        return static_cast<double>(stream.normal(index) *
                                   random_power(head < 0 ? key_powers : q_powers, index, 1.0f));
      case MqaLane::kExactQk: return integer_in(stream, index, qk_limit);
      case MqaLane::kExactW: return integer_in(stream, index, 1);
      case MqaLane::kAddress:
        if (head >= 0) return dim == head ? 1.0 : 0.0;
        return dim < 24 ? static_cast<double>(slot >> dim & 1) : 0.0;
      case MqaLane::kSpecials: {
        static constexpr double kValues_[] = {0.0,        -0.0,   448, -448, 0x1p-9, -0x1p-9,
                                              7 * 0x1p-9, 0x1p-6, 1,   -1,   240,    -1.125};
        return kValues_[stream.below(index, std::size(kValues_))];
      }
    }
    return 0;
  }
  float scale(std::uint64_t index) const {
    const RandomStream& stream = scale_stream;
    switch (lane) {
      case MqaLane::kGaussian: return (0.5f + stream.uniform(index)) * 0x1p-6f;
      case MqaLane::kHeavyTail:
        return (0.5f + stream.uniform(index)) * random_power(stream.child(1), index, 3.0f);
      case MqaLane::kExactQk:
      case MqaLane::kExactW: return static_cast<float>(detail::power_of_two(integer_in(stream, index, 3)));
      case MqaLane::kAddress: return 1.0f;
      case MqaLane::kSpecials: return static_cast<float>(detail::power_of_two(integer_in(stream, index, 20)));
    }
    return 0;
  }
  float weight(std::uint64_t index, std::int32_t head) const {
    const RandomStream& stream = weight_stream;
    switch (lane) {
      case MqaLane::kGaussian: return stream.normal(index);
      case MqaLane::kHeavyTail: return stream.normal(index) * random_power(stream.child(1), index, 1.0f);
      case MqaLane::kExactQk:  // a quarter of the heads
        return stream.below(index, 4) != 0 ? 0.0f : stream.u32(index) % 2 ? 1.0f : -1.0f;
      case MqaLane::kExactW: {  // odd, ten bits: no shorter format holds them
        const float magnitude = static_cast<float>(2 * stream.below(index, odd_weights) + 1);
        return stream.child(1).u32(index) % 2 ? magnitude : -magnitude;
      }
      case MqaLane::kAddress: return head < 24 ? static_cast<float>(detail::power_of_two(head)) : 0.0f;
      case MqaLane::kSpecials: {
        static constexpr float kWeights_[] = {0.0f, -0.0f, 1.0f, -1.0f, 0x1p-20f, 1024.0f, -0.75f};
        return kWeights_[stream.below(index, std::size(kWeights_))];
      }
    }
    return 0;
  }
};

}  // namespace

const char* name_of(MqaLane lane) {
  switch (lane) {
    case MqaLane::kGaussian: return "gaussian";
    case MqaLane::kHeavyTail: return "heavy-tail";
    case MqaLane::kExactQk: return "exact-qk";
    case MqaLane::kExactW: return "exact-w";
    case MqaLane::kAddress: return "address";
    case MqaLane::kSpecials: return "specials";
  }
  return "?";
}

PagedMqaLogitsCase MqaLaneCase::problem() const {
  PagedMqaLogitsCase c;
  const std::int64_t batch = static_cast<std::int64_t>(shape.contexts.size());
  c.q = compact_view<4>(q.data(), ElementType::kE4M3, {batch, shape.next_n, shape.heads, shape.dims});
  c.weights = compact_view<2>(weights.data(), ElementType::kFp32, {batch * shape.next_n, shape.heads});
  c.cache = {cache.data(), make_fused_index_layout(shape.block_tokens, shape.dims, shape.block_stride),
             blocks};
  c.table = {table.data(), table_stride, max_blocks};
  c.contexts = {lengths.data(), batch, shape.contexts_2d ? shape.next_n : 0,
                shape.contexts_2d ? shape.next_n : 1, 1};
  return c;
}

MqaLaneCase make_mqa_lane(MqaLane lane, const MqaShape& shape, std::uint64_t seed) {
  MqaLaneCase result;
  result.shape = shape;
  const std::size_t batch = shape.contexts.size();
  for (const std::int32_t context : shape.contexts) {
    if (context < 0) throw InputError("lane.contexts", "0 or more", std::to_string(context));
    const std::int32_t live = static_cast<std::int32_t>(ceil_div(context, shape.block_tokens));
    result.blocks += live;
    result.max_blocks = std::max(result.max_blocks, live);
    for (std::int32_t i = 0; i < (shape.contexts_2d ? shape.next_n : 1); ++i)
      result.lengths.push_back(shape.contexts_2d ? std::max(0, context - shape.next_n + 1 + i) : context);
  }
  result.blocks += shape.spare_blocks;
  result.max_blocks += 1;
  result.table_stride = result.max_blocks + 1;
  const FusedIndexLayout layout = make_fused_index_layout(shape.block_tokens, shape.dims, shape.block_stride);
  validate(layout, "lane.block_stride");
  const MqaDraw draw(lane, shape, seed);
  if (lane == MqaLane::kAddress) {
    const int bits = bits_for(static_cast<std::int64_t>(result.blocks) * shape.block_tokens);
    if (bits > std::min({shape.heads, shape.dims, 24}))
      throw InputError("lane address", std::to_string(bits) + " heads and dims, at most 24",
                       std::to_string(shape.heads) + " and " + std::to_string(shape.dims));
  }
  result.q.resize(batch * shape.next_n * shape.heads * shape.dims);
  for (std::size_t i = 0; i < result.q.size(); ++i)
    result.q[i] = E4M3::encode(draw.element(i, static_cast<std::int32_t>(i / shape.dims % shape.heads),
                                            static_cast<std::int32_t>(i % shape.dims), 0));
  result.weights.resize(batch * shape.next_n * shape.heads);
  for (std::size_t i = 0; i < result.weights.size(); ++i)
    result.weights[i] = draw.weight(i, static_cast<std::int32_t>(i % shape.heads));

  const std::vector<std::int32_t> order = shuffled_blocks(result.blocks, draw.random.child(kBlocks));
  result.cache.assign(static_cast<std::size_t>(result.blocks) * layout.block_stride,
                      0xff);  // NaN as key and as scale
  result.table.resize(batch * result.table_stride);
  for (std::size_t i = 0; i < result.table.size(); ++i) result.table[i] = dead_entry(i, order.back());
  std::size_t handed = 0;
  std::uint64_t token = 0;
  for (std::size_t b = 0; b < batch; ++b)
    for (std::int32_t t = 0; t < shape.contexts[b]; ++t, ++token) {
      std::int32_t& entry = result.table[b * result.table_stride + t / shape.block_tokens];
      const std::int32_t slot = t % shape.block_tokens;
      if (slot == 0) entry = order[handed++];
      const std::int64_t physical = static_cast<std::int64_t>(entry) * shape.block_tokens + slot;
      std::uint8_t* key = &result.cache[layout.key_offset(entry, slot)];
      for (std::int32_t d = 0; d < shape.dims; ++d)
        key[d] = E4M3::encode(draw.element(token * shape.dims + d, -1, d, physical));
      const float scale = draw.scale(token);
      std::memcpy(&result.cache[layout.scale_offset(entry, slot)], &scale, sizeof scale);
    }
  return result;
}

std::optional<PhysicalPlace> decode_logit_address(double logit, std::int32_t block_tokens) {
  if (!(logit >= 0 && logit < 0x1p24) || logit != std::floor(logit)) return std::nullopt;
  const std::int64_t slot = static_cast<std::int64_t>(logit);
  return PhysicalPlace{slot / block_tokens, static_cast<std::int32_t>(slot % block_tokens)};
}

}  // namespace assay
