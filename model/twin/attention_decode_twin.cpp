#include "model/twin/attention_decode_twin.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "model/core/attention_order.h"
#include "model/core/attention_plan.h"
#include "model/golden/parallel.h"
#include "model/twin/tensor_core.h"

namespace assay {
namespace {

using Order = AttentionOrder;
constexpr int kTile = Order::kTileTokens;
constexpr int kRowPairs = kTile / 2;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// The maximum as the GPU takes it: a NaN loses against a number.
float maximum(float a, float b) {
  if (a != a) return b;
  if (b != b) return a;
  return a > b ? a : b;
}

// A running softmax of one query head: what a warp, a piece or an item holds.
struct Running {
  float m = kMinusInfinity, l = 0;
  std::vector<float> out;  // [dims], unnormalised
};

// Merges in the order given: out = fma(part, factor, out), from +0.
Running merged(const std::vector<Running>& parts, int dims) {
  Running all;
  all.out.assign(static_cast<std::size_t>(dims), 0.0f);
  for (const Running& part : parts) all.m = maximum(all.m, part.m);
  for (const Running& part : parts) {
    const float factor = merge_factor(part.m, all.m);
    for (std::size_t d = 0; d < all.out.size(); ++d)
      all.out[d] = exact::fused(part.out[d], factor, all.out[d]);
    all.l = exact::fused(part.l, factor, all.l);
  }
  return all;
}

template <typename Format>
class Predictor {
 public:
  explicit Predictor(const DecodeTwinCase& call)
      : call_(call), scale_log2_(call.softmax_scale * Order::kLog2E) {}

  // One query head over the tiles tile_begin, tile_begin + step, ... of its sequence: one warp's work.
  Running walk(std::int32_t sequence, std::int32_t q_head, const VisibleTiles& visible,
               std::int32_t tile_begin, std::int32_t tile_end) const {
    const auto dims = static_cast<std::size_t>(call_.dims);
    Running running;
    running.out.assign(dims, 0.0f);
    std::array<float, kRowPairs> l{};
    const std::uint16_t* q = call_.q + sequence * call_.q_row_stride + q_head * call_.q_head_stride;
    const std::int32_t kv_head = q_head / (call_.q_heads / call_.kv_heads);
    for (std::int32_t tile = tile_begin; tile < tile_end; tile += Order::kWarps) {
      const std::int32_t token = visible.first_token + tile * kTile;
      std::array<const std::uint16_t*, kTile> key{}, value{};
      std::array<float, kTile> x{};
      for (int row = 0; row < kTile; ++row) {
        const std::int32_t at = token + row;
        x[row] = kMinusInfinity;
        if (at < visible.begin_token || at >= visible.end_token) continue;
        key[row] = row_of(call_.keys, call_.key_layout, call_.key_table, sequence, at, kv_head);
        value[row] = row_of(call_.values, call_.value_layout, call_.value_table, sequence, at, kv_head);
        x[row] = exact::multiply(tensor_core_dot<Format>(key[row], q, call_.dims), scale_log2_);
      }
      float largest = kMinusInfinity;
      for (const float score : x) largest = maximum(largest, score);
      const float next = maximum(running.m, largest);
      const float alpha = merge_factor(running.m, next);
      const float base = next == kMinusInfinity ? 0.0f : next;
      std::array<float, kTile> p{};
      for (int row = 0; row < kTile; ++row) p[row] = exact::exp2_nonpositive(exact::add(x[row], -base));
      for (int row = 0; row < kRowPairs; ++row)
        l[row] = exact::fused(l[row], alpha, exact::add(p[row], p[row + kRowPairs]));
      std::array<typename Format::Code, kTile> weights{}, column{};
      for (int row = 0; row < kTile; ++row)
        weights[row] = Format::encode(static_cast<double>(p[row]), Overflow::kInfinity);
      for (std::size_t d = 0; d < dims; ++d) {
        for (int row = 0; row < kTile; ++row) column[row] = value[row] == nullptr ? 0 : value[row][d];
        running.out[d] =
            tensor_core_step<Format>(column.data(), weights.data(), exact::multiply(running.out[d], alpha));
      }
      running.m = next;
    }
    running.l = tree_sum(l);
    return running;
  }

  typename Format::Code round(float value) const {
    return Format::encode(static_cast<double>(value), Overflow::kInfinity);
  }

 private:
  static float tree_sum(const std::array<float, kRowPairs>& l) {
    const auto add = [](float a, float b) { return exact::add(a, b); };
    return add(add(add(l[0], l[1]), add(l[2], l[3])), add(add(l[4], l[5]), add(l[6], l[7])));
  }
  static const std::uint16_t* row_of(const void* cache, const PagedLayout& layout,
                                     const BlockTableView& table, std::int32_t sequence, std::int32_t token,
                                     std::int32_t kv_head) {
    const std::int64_t block = table.block(sequence, token / layout.block_tokens);
    return reinterpret_cast<const std::uint16_t*>(
        static_cast<const char*>(cache) + layout.offset(block, token % layout.block_tokens, kv_head, 0));
  }

  const DecodeTwinCase& call_;
  float scale_log2_;
};

template <typename Format>
DecodeTwinResult predict(const DecodeTwinCase& call, const Execution& execution) {
  const Predictor<Format> predictor(call);
  const std::int32_t group = call.q_heads / call.kv_heads;
  const auto head_tiles = static_cast<std::int32_t>(ceil_div(group, Order::kHeadTile));
  const std::int32_t items = call.kv_heads * head_tiles;
  std::vector<std::int64_t> item_begin(static_cast<std::size_t>(call.batch));  // of the sequence's first item
  std::int64_t total = 0;
  for (std::int32_t s = 0; s < call.batch; ++s) {
    item_begin[s] = total;
    total += static_cast<std::int64_t>(visible_tiles(call.contexts[s], call.window_tokens).tiles) * items;
  }
  const std::int32_t parts_used =
      used_parts(total, call.parts, static_cast<std::int64_t>(call.batch) * items);
  DecodeTwinResult result;
  result.out.assign(static_cast<std::size_t>(call.batch) * call.q_heads * call.dims, 0);
  result.lse.assign(static_cast<std::size_t>(call.batch) * call.q_heads, kMinusInfinity);
  // One query head of one sequence at a time; nobody waits for anybody.
  const std::int64_t rows = static_cast<std::int64_t>(call.batch) * call.q_heads;
  parallel_for(rows, execution.threads, [&](std::int64_t row, int) {
    const auto s = static_cast<std::int32_t>(row / call.q_heads);
    const auto q_head = static_cast<std::int32_t>(row % call.q_heads);
    const VisibleTiles visible = visible_tiles(call.contexts[s], call.window_tokens);
    if (visible.tiles == 0) return;
    const std::int32_t item = q_head / group * head_tiles + q_head % group / Order::kHeadTile;
    const std::int64_t begin = item_begin[s] + static_cast<std::int64_t>(item) * visible.tiles;
    // The item's pieces, each merged from its warps; then the pieces.
    std::vector<Running> pieces;
    const ItemParts parts = item_parts(total, parts_used, begin, visible.tiles);
    for (std::int32_t part = parts.first; part <= parts.last; ++part) {
      const auto from =
          static_cast<std::int32_t>(std::max(part_begin(total, parts_used, part), begin) - begin);
      const auto to = static_cast<std::int32_t>(
          std::min(part_begin(total, parts_used, part + 1), begin + visible.tiles) - begin);
      std::vector<Running> warps;
      for (std::int32_t warp = 0; warp < Order::kWarps; ++warp)
        warps.push_back(predictor.walk(s, q_head, visible, from + warp, to));
      pieces.push_back(merged(warps, call.dims));
    }
    const Running all = pieces.size() == 1 ? pieces[0] : merged(pieces, call.dims);
    for (std::int32_t d = 0; d < call.dims; ++d)
      result.out[static_cast<std::size_t>(row * call.dims + d)] =
          predictor.round(exact::multiply(all.out[static_cast<std::size_t>(d)], exact::divide(1.0f, all.l)));
    result.lse[static_cast<std::size_t>(row)] =
        exact::multiply(exact::add(all.m, exact::log2_positive(all.l)), Order::kLn2);
  });
  return result;
}

}  // namespace

DecodeTwinResult predict_paged_decode(const DecodeTwinCase& call, const Execution& execution) {
  return call.type == ElementType::kFp16 ? predict<Fp16>(call, execution) : predict<Bf16>(call, execution);
}

std::optional<DecodeTwinResult> predict_as_decode(const PagedAttentionCase& problem, ElementType output,
                                                  std::int32_t parts, const Execution& execution) {
  const ElementType type = problem.q.type;
  const std::int64_t batch = problem.batch();
  if ((type != ElementType::kBf16 && type != ElementType::kFp16) || problem.keys.type != type ||
      problem.values.type != type || output != type || problem.soft_cap != 0 || problem.q.shape[0] != batch)
    return std::nullopt;
  for (std::int64_t b = 0; b <= batch; ++b)
    if (problem.q_begin[b] != b) return std::nullopt;
  std::vector<std::int32_t> contexts(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batch; ++b) contexts[static_cast<std::size_t>(b)] = problem.contexts[b];
  DecodeTwinCase call;
  call.type = type;
  call.batch = static_cast<std::int32_t>(batch);
  call.q_heads = static_cast<std::int32_t>(problem.q.shape[1]);
  call.kv_heads = problem.keys.layout.heads;
  call.dims = static_cast<std::int32_t>(problem.q.shape[2]);
  call.q = static_cast<const std::uint16_t*>(static_cast<const void*>(problem.q.data));
  call.q_row_stride = problem.q.stride[0];
  call.q_head_stride = problem.q.stride[1];
  call.keys = problem.keys.data;
  call.values = problem.values.data;
  call.key_layout = problem.keys.layout;
  call.value_layout = problem.values.layout;
  call.key_table = problem.keys.table;
  call.value_table = problem.values.table;
  call.contexts = contexts.data();
  call.softmax_scale = static_cast<float>(problem.softmax_scale);
  call.window_tokens = problem.window_tokens;
  call.parts = parts;
  return predict_paged_decode(call, execution);
}

}  // namespace assay
