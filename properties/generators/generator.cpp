#include "properties/generators/generator.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "model/core/paged_layout.h"
#include "properties/generators/generator_parts.h"

namespace assay::properties {
namespace {

// Between `low` and `high` percent, or off altogether, or always: the tails are where swarms differ.
std::int64_t weight(Draws& draws, std::int64_t low, std::int64_t high) {
  const std::int64_t kind = draws.in(0, 8);
  return kind == 0 ? 0 : kind == 1 ? std::min<std::int64_t>(100, 2 * high) : draws.in(low, high + 1);
}

struct Shape {
  std::int32_t heads, dims;
};
Shape draw_shape(Draws& draws, const GeneratorOptions& options) {
  if (draws.percent(options.odd_shapes_percent))
    return {draws.pick<std::int32_t>({1, 8, 16, 24, 48, 128}),
            draws.pick<std::int32_t>({4, 16, 48, 96, 192, 256})};
  return {draws.percent(60) ? 32 : 64, draws.pick<std::int32_t>({32, 32, 64, 128, 128})};
}

void draw_output(Draws& draws, const Swarm& swarm, std::int64_t widest, ElementType& type,
                 std::int64_t& columns, std::int64_t& stride, bool& clean) {
  type = draws.percent(65) ? ElementType::kFp32 : ElementType::kBf16;
  columns = widest + draws.pick<std::int64_t>({0, 0, 1, 5, 64});
  stride =
      draws.percent(50) ? round_up(std::max<std::int64_t>(columns, 1), 256) : columns + gap(draws, swarm);
  clean = draws.percent(40);
}

PagedMqaParameters draw_paged(Draws& draws, const GeneratorOptions& options, const Swarm& swarm) {
  PagedMqaParameters p;
  const Shape shape = draw_shape(draws, options);
  p.heads = shape.heads;
  p.dims = shape.dims;
  p.next_n = draws.percent(swarm.several_queries)
                 ? static_cast<std::int32_t>(draws.pick<std::int64_t>({2, 2, 2, 3, 4, 5}))
                 : 1;
  p.pool.block_tokens =
      static_cast<std::int32_t>(draws.pick<std::int64_t>({64, 64, 64, 64, 64, 32, 16, 128, 1}));
  const std::int32_t batch = draw_batch(draws, swarm);
  const std::int64_t per_token = std::int64_t{p.heads} * p.dims * p.next_n * std::max(batch, 1);
  const std::int64_t most =
      std::clamp<std::int64_t>(2 * options.products / per_token, 3, p.pool.block_tokens == 1 ? 300 : 1100);
  std::vector<std::int32_t> lengths(static_cast<std::size_t>(batch), 0);
  if (!draws.percent(swarm.all_zero))
    for (std::int32_t& length : lengths)
      length = draw_length(draws, swarm, p.pool.block_tokens, p.next_n, most);
  p.contexts_2d = draws.percent(30);
  for (const std::int32_t length : lengths)
    for (std::int32_t i = 0; i < (p.contexts_2d ? p.next_n : 1); ++i)
      p.contexts.push_back(
          p.contexts_2d && i + 1 < p.next_n ? static_cast<std::int32_t>(draws.in(0, length + 1)) : length);
  p.contexts_stride = (p.contexts_2d ? p.next_n : 1) + (draws.percent(swarm.strides) ? draws.in(0, 4) : 0);
  draw_tables(draws, swarm, p.pool, lengths);
  draw_places(draws, p.pool, make_fused_index_layout(p.pool.block_tokens, p.dims).block_bytes(),
              draws.percent(options.sparse_percent));
  draw_table_width(draws, swarm, p.pool);
  p.row_content.resize(static_cast<std::size_t>(p.rows()));
  std::iota(p.row_content.begin(), p.row_content.end(), std::int64_t{0});
  p.q_head_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);  // kernels like heads compact
  p.q_row_stride = p.heads * p.q_head_stride + gap(draws, swarm);
  p.q_sequence_stride = p.next_n * p.q_row_stride + (draws.percent(30) ? gap(draws, swarm) : 0);
  p.weights_stride = p.heads + gap(draws, swarm) / 4;
  std::int64_t widest = 0;
  for (std::int64_t row = 0; row < p.rows(); ++row) widest = std::max(widest, p.limit(row));
  draw_output(draws, swarm, widest, p.output, p.columns, p.logits_stride, p.clean);
  // Rows so far apart that the last one begins past 2^31 or 2^32 bytes.
  if (p.rows() > 1 && draws.percent(options.sparse_percent))
    p.logits_stride = round_up(draws.pick<std::int64_t>({std::int64_t{1} << 31, std::int64_t{1} << 32}) /
                                       (bytes_of(p.output) * (p.rows() - 1)) +
                                   draws.in(1, 4096),
                               16);
  return p;
}

MqaParameters draw_prefill(Draws& draws, const GeneratorOptions& options, const Swarm& swarm) {
  MqaParameters p;
  const Shape shape = draw_shape(draws, options);
  p.heads = shape.heads;
  p.dims = shape.dims;
  const std::int64_t rows = draws.pick<std::int64_t>({0, 1, 2, 3, 4, 5, 7, 8, 17, 33});
  const std::int64_t most = std::clamp<std::int64_t>(
      2 * options.products / (std::int64_t{p.heads} * p.dims * std::max<std::int64_t>(rows, 1)), 3, 1100);
  p.keys = draws.percent(swarm.all_zero) ? 0 : draw_length(draws, swarm, 64, 1, most);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t begin = draws.in(0, p.keys + 1), end = draws.in(0, p.keys + 1);
    if (begin > end && !draws.percent(swarm.zero_lengths)) std::swap(begin, end);  // else: an empty row
    if (draws.percent(40)) begin = 0;
    if (draws.percent(20)) end = p.keys;
    p.starts.push_back(static_cast<std::int32_t>(begin));
    p.ends.push_back(static_cast<std::int32_t>(end));
    p.row_content.push_back(row);
  }
  p.q_head_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);  // kernels like heads compact
  p.q_row_stride = p.heads * p.q_head_stride + gap(draws, swarm);
  p.key_stride = p.dims + gap(draws, swarm);
  p.weights_stride = p.heads + gap(draws, swarm) / 4;
  p.compressed = draws.percent(40);
  std::int64_t widest = p.compressed ? 0 : p.keys;
  for (std::int64_t row = 0; row < rows; ++row)
    if (p.compressed)
      widest = std::max<std::int64_t>(
          widest, p.ends[static_cast<std::size_t>(row)] - p.starts[static_cast<std::size_t>(row)]);
  draw_output(draws, swarm, widest, p.output, p.columns, p.logits_stride, p.clean);
  return p;
}

ScheduleParameters draw_schedule(Draws& draws, const Swarm& swarm) {
  ScheduleParameters p;
  p.unit_tokens = static_cast<std::int32_t>(draws.pick<std::int64_t>({256, 256, 256, 64, 512, 1}));
  p.parts = static_cast<std::int32_t>(
      draws.pick<std::int64_t>({1, 2, 48, 78, 108, 114, 132, 132, 148, draws.in(1, 201)}));
  const std::int64_t batch = draws.pick<std::int64_t>({0, 1, 2, 31, 32, 33, 64, 96, 255, 257, 992, 993});
  // Around as many units as parts is where a schedule is most likely to be wrong.
  const std::int64_t most =
      draws.pick<std::int64_t>({1, 300, 4096, 65536}) * (p.unit_tokens == 1 ? 1 : 4) / 4 + 1;
  for (std::int64_t b = 0; b < batch; ++b)
    p.contexts.push_back(draw_length(draws, swarm, p.unit_tokens, 1, most));
  if (draws.percent(2 * swarm.all_zero)) std::fill(p.contexts.begin(), p.contexts.end(), 0);
  if (batch > 0 && draws.percent(10)) {  // exactly one that has work
    std::fill(p.contexts.begin(), p.contexts.end(), 0);
    p.contexts[static_cast<std::size_t>(draws.in(0, batch))] =
        static_cast<std::int32_t>(draws.in(1, most + 1));
  }
  p.contexts_stride = draws.percent(swarm.strides) ? draws.in(1, 5) : 1;
  return p;
}

std::vector<Lane> draw_lanes(Draws& draws, Operation operation) {
  std::vector<Lane> lanes;
  for (const Lane lane : lanes_of(operation))
    if (draws.percent(60)) lanes.push_back(lane);
  return lanes.empty() ? lanes_of(operation) : lanes;
}

}  // namespace

Swarm draw_swarm(std::uint64_t seed, std::int64_t group) {
  Draws draws(RandomStream(seed, "swarm").child(static_cast<std::uint64_t>(group)));
  Swarm swarm;
  swarm.lanes = draw_lanes(draws, Operation::kPagedMqaLogits);
  swarm.relations.push_back(Relation::kNone);
  for (const Relation relation : kRelations)
    if (draws.percent(70)) swarm.relations.push_back(relation);
  swarm.boundary_lengths = weight(draws, 30, 70);
  swarm.zero_lengths = weight(draws, 5, 25);
  swarm.all_zero = weight(draws, 1, 5);
  swarm.many_sequences = weight(draws, 2, 10);
  swarm.several_queries = weight(draws, 20, 60);
  swarm.shared_blocks = weight(draws, 15, 50);
  swarm.tight_tables = weight(draws, 30, 70);
  swarm.strides = weight(draws, 20, 50);
  swarm.odd_strides = weight(draws, 2, 10);
  swarm.guard_in_front = weight(draws, 10, 40);
  // New features are drawn last, so that the cases of older seeds stay what they were.
  swarm.attention_lanes = draw_lanes(draws, Operation::kPagedAttention);
  swarm.windows = weight(draws, 10, 40);
  return swarm;
}

KernelCase generate_case(const GeneratorOptions& options, std::uint64_t seed, std::int64_t index) {
  const Swarm swarm = draw_swarm(seed, index / kCasesPerSwarm);
  Draws draws(RandomStream(seed, "case").child(static_cast<std::uint64_t>(index)));
  KernelCase kernel_case;
  switch (draws.pick(options.operations)) {
    case Operation::kPagedMqaLogits: kernel_case.parameters = draw_paged(draws, options, swarm); break;
    case Operation::kMqaLogits: kernel_case.parameters = draw_prefill(draws, options, swarm); break;
    case Operation::kScheduleMetadata: kernel_case.parameters = draw_schedule(draws, swarm); break;
    case Operation::kPagedAttention: kernel_case.parameters = draw_attention(draws, options, swarm); break;
    case Operation::kMerge: kernel_case.parameters = draw_merge(draws, swarm); break;
    case Operation::kCacheWrite: kernel_case.parameters = draw_cache_write(draws, options, swarm); break;
  }
  const Operation operation = kernel_case.operation();
  const bool attention = operation == Operation::kPagedAttention;
  const bool few_lanes = operation == Operation::kMerge || operation == Operation::kCacheWrite;
  kernel_case.lane = draws.pick(few_lanes   ? lanes_of(operation)
                                : attention ? swarm.attention_lanes
                                            : swarm.lanes);
  if (attention) fit_to_lane(std::get<PagedAttentionParameters>(kernel_case.parameters), kernel_case.lane);
  kernel_case.seed = draws.word();
  kernel_case.guard_in_front = draws.percent(swarm.guard_in_front);
  kernel_case.alignment_bytes = static_cast<std::int32_t>(draws.pick<std::int64_t>({1, 16, 16, 256}));
  kernel_case.relation = draws.pick(swarm.relations);
  if (const std::int64_t sequences = sequences_of(kernel_case);
      sequences > 0 && kernel_case.relation == Relation::kRowAlone)
    kernel_case.relation_sequence = static_cast<std::int32_t>(draws.in(0, sequences));
  validate(kernel_case, "generated case");
  return kernel_case;
}

}  // namespace assay::properties
