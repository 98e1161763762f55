#include "model/golden/mqa_tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

#include "model/golden/panel.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

// Rows of dot products that one Eigen product makes at least, when there are so many queries.
constexpr std::int64_t kPanelRows = 512;
// Keys per work item: long enough that decoding q once per item costs nothing.
constexpr std::int64_t kItemKeys = 8 * kTileKeys;

// Queries that look at the same keys: rows first_row .. first_row + queries, keys [begin, end).
struct Group {
  std::int64_t sequence = 0, first_query = 0, first_row = 0;
  int queries = 0;
  KeyRange keys;
};

bool holds_nan_code(const std::byte* codes, std::int64_t count) {
  unsigned found = 0;
  for (std::int64_t i = 0; i < count; ++i)
    found |= static_cast<unsigned>((std::to_integer<unsigned>(codes[i]) & 0x7fu) == 0x7fu);
  return found != 0;
}

// One worker's panels. Everything is sized once, for the largest tile.
struct Scratch {
  Panel q, q_magnitude, keys, key_magnitude, key_scales, dots, magnitudes, peaks;
  bool q_holds_nan = false;

  Scratch(std::int64_t rows, std::int64_t dims, const TileNeeds& needs)
      : q(rows * dims), keys(kTileKeys * dims), key_scales(kTileKeys), dots(rows * kTileKeys) {
    if (needs.magnitudes || needs.peaks) {
      q_magnitude.resize(rows * dims);
      key_magnitude.resize(kTileKeys * dims);
    }
    if (needs.magnitudes) magnitudes.resize(rows * kTileKeys);
    if (needs.peaks) peaks.resize(rows * kTileKeys);
  }
  static std::int64_t bytes(std::int64_t rows, std::int64_t dims) {
    // Twice the panels of q and keys, three panels of results, the transposed keys of peaks(), and
    // what Eigen packs for one product.
    return 8 * (3 * rows * dims + 5 * kTileKeys * dims + 3 * rows * kTileKeys);
  }
};

void take_magnitudes(const Panel& from, std::int64_t count, Panel& to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = std::fabs(from[i]);
}

// The two cases differ in how a group's q rows and a tile's keys are fetched; `Source` knows.
struct PagedSource {
  const PagedMqaLogitsCase& c;
  std::int64_t heads() const { return c.q.shape[2]; }
  std::int64_t dims() const { return c.q.shape[3]; }
  const std::byte* q_row(const Group& group, int query, std::int64_t head) const {
    return c.q.address({group.sequence, group.first_query + query, head, 0});
  }
  const std::byte* key(const Group& group, std::int64_t position, double& scale) const {
    const FusedIndexLayout& layout = c.cache.layout;
    const std::int64_t block = c.table.block(group.sequence, position / layout.block_tokens);
    const std::int32_t slot = static_cast<std::int32_t>(position % layout.block_tokens);
    const std::byte* data = static_cast<const std::byte*>(c.cache.data);
    float stored = 0;
    std::memcpy(&stored, data + layout.scale_offset(block, slot), sizeof stored);
    scale = static_cast<double>(stored);
    return data + layout.key_offset(block, slot);
  }
  std::vector<Group> groups() const {
    std::vector<Group> result;
    const std::int64_t next_n = c.q.shape[1];
    const std::int64_t at_once = std::max<std::int64_t>(1, kPanelRows / heads());
    for (std::int64_t b = 0; b < c.q.shape[0]; ++b)
      for (std::int64_t i = 0; i < next_n; i += at_once) {
        Group group{b, i, b * next_n + i, static_cast<int>(std::min(at_once, next_n - i)), {}};
        for (int j = 0; j < group.queries; ++j)
          group.keys.end = std::max(group.keys.end, mqa_row_range(c, group.first_row + j).end);
        if (group.keys.end > 0) result.push_back(group);
      }
    return result;
  }
};

struct PrefillSource {
  const MqaLogitsCase& c;
  std::int64_t heads() const { return c.q.shape[1]; }
  std::int64_t dims() const { return c.q.shape[2]; }
  const std::byte* q_row(const Group& group, int query, std::int64_t head) const {
    return c.q.address({group.first_row + query, head, 0});
  }
  const std::byte* key(const Group&, std::int64_t position, double& scale) const {
    scale = load_element(c.key_scales.address({position}), c.key_scales.type);
    return c.keys.address({position, 0});
  }
  std::vector<Group> groups() const {
    std::vector<Group> result;
    const std::int64_t at_once = std::max<std::int64_t>(1, kPanelRows / heads());
    for (std::int64_t m = 0; m < c.q.shape[0]; m += at_once) {
      Group group{0, m, m, static_cast<int>(std::min(at_once, c.q.shape[0] - m)), {c.keys.shape[0], 0}};
      for (int j = 0; j < group.queries; ++j) {
        const KeyRange range = mqa_row_range(c, m + j);
        if (range.begin >= range.end) continue;
        group.keys.begin = std::min(group.keys.begin, range.begin);
        group.keys.end = std::max(group.keys.end, range.end);
      }
      if (group.keys.begin < group.keys.end) result.push_back(group);
    }
    return result;
  }
};

template <typename Source>
void load_queries(const Source& source, const Group& group, Scratch& scratch) {
  const std::int64_t heads = source.heads(), dims = source.dims();
  scratch.q_holds_nan = false;
  for (int query = 0; query < group.queries; ++query)
    for (std::int64_t head = 0; head < heads; ++head) {
      const std::byte* row = source.q_row(group, query, head);
      decode_row(row, ElementType::kE4M3, dims, &scratch.q[(query * heads + head) * dims]);
      scratch.q_holds_nan = scratch.q_holds_nan || holds_nan_code(row, dims);
    }
  if (!scratch.q_magnitude.empty())
    take_magnitudes(scratch.q, group.queries * heads * dims, scratch.q_magnitude);
}

template <typename Source>
void visit_tile(const Source& source, const Group& group, std::int64_t begin, std::int64_t end,
                const TileNeeds& needs, Scratch& scratch, const TileVisitor& visit, int worker) {
  const std::int64_t dims = source.dims(), keys = end - begin, rows = group.queries * source.heads();
  bool nan = scratch.q_holds_nan;
  for (std::int64_t t = 0; t < keys; ++t) {
    const std::byte* row = source.key(group, begin + t, scratch.key_scales[t]);
    decode_row(row, ElementType::kE4M3, dims, &scratch.keys[t * dims]);
    nan = nan || holds_nan_code(row, dims);
  }
  panel::dots(scratch.keys.data(), keys, scratch.q.data(), rows, dims, scratch.dots.data(), kTileKeys);
  if (!scratch.key_magnitude.empty()) take_magnitudes(scratch.keys, keys * dims, scratch.key_magnitude);
  if (needs.magnitudes)
    panel::dots(scratch.key_magnitude.data(), keys, scratch.q_magnitude.data(), rows, dims,
                scratch.magnitudes.data(), kTileKeys);
  if (needs.peaks)
    panel::peaks(scratch.key_magnitude.data(), keys, scratch.q_magnitude.data(), rows, dims,
                 scratch.peaks.data(), kTileKeys);
  MqaTile tile;
  tile.first_row = group.first_row;
  tile.queries = group.queries;
  tile.heads = static_cast<int>(source.heads());
  tile.key_begin = begin;
  tile.keys = static_cast<int>(keys);
  tile.stride = kTileKeys;
  tile.dots = scratch.dots.data();
  tile.magnitudes = needs.magnitudes ? scratch.magnitudes.data() : nullptr;
  tile.peaks = needs.peaks ? scratch.peaks.data() : nullptr;
  tile.key_scales = scratch.key_scales.data();
  tile.may_hold_nan = nan;
  visit(tile, worker);
}

template <typename Source>
void visit_all(const Source& source, const TileNeeds& needs, const Execution& execution,
               const TileVisitor& visit) {
  const std::vector<Group> groups = source.groups();
  int queries = 1;
  std::vector<std::int64_t> item_ends;  // inclusive prefix sum of work items
  std::int64_t items = 0;
  for (const Group& group : groups) {
    queries = std::max(queries, group.queries);
    items += ceil_div(group.keys.end - group.keys.begin, kItemKeys);
    item_ends.push_back(items);
  }
  const std::int64_t rows = queries * source.heads();
  const int workers = workers_within_scratch(execution.threads, Scratch::bytes(rows, source.dims()));
  std::vector<Scratch> scratch;
  for (int worker = 0; worker < std::min<std::int64_t>(workers, std::max<std::int64_t>(items, 1)); ++worker)
    scratch.emplace_back(rows, source.dims(), needs);
  parallel_for(items, static_cast<int>(scratch.size()), [&](std::int64_t item, int worker) {
    const std::int64_t index = std::upper_bound(item_ends.begin(), item_ends.end(), item) - item_ends.begin();
    const Group& group = groups[index];
    const std::int64_t chunk = item - (index == 0 ? 0 : item_ends[index - 1]);
    const std::int64_t begin = group.keys.begin + chunk * kItemKeys;
    const std::int64_t end = std::min(begin + kItemKeys, group.keys.end);
    load_queries(source, group, scratch[worker]);
    for (std::int64_t tile = begin; tile < end; tile += kTileKeys)
      visit_tile(source, group, tile, std::min(tile + kTileKeys, end), needs, scratch[worker], visit, worker);
  });
}

}  // namespace

void sum_heads(const MqaTile& tile, int query, const double* weights, ReluOfNan rule, double* sums) {
  std::fill(sums, sums + tile.keys, 0.0);
  for (int head = 0; head < tile.heads; ++head) {
    const double weight = weights[head];
    const double* dots = tile.dots + (static_cast<std::int64_t>(query) * tile.heads + head) * tile.stride;
    if (rule == ReluOfNan::kNan && tile.may_hold_nan) {
      for (int t = 0; t < tile.keys; ++t) sums[t] += weight * (dots[t] <= 0 ? 0.0 : dots[t]);
    } else {
      for (int t = 0; t < tile.keys; ++t) sums[t] += weight * (dots[t] > 0 ? dots[t] : 0.0);
    }
  }
  for (int t = 0; t < tile.keys; ++t) sums[t] *= tile.key_scales[t];
}

void count_nan_products(const MqaTile& tile, int query, const KeyRange& inside, LogitsReport& report) {
  if (!tile.may_hold_nan) return;
  const std::int64_t row = tile.first_row + query;
  for (std::int64_t t = inside.begin; t < inside.end; ++t)
    for (int head = 0; head < tile.heads; ++head) {
      const double dot = tile.dots[(static_cast<std::int64_t>(query) * tile.heads + head) * tile.stride + t];
      if (!std::isnan(dot)) continue;
      ++report.nan_products;
      const LogitsReport::Place place{row, head, tile.key_begin + t};
      const auto order = [](const LogitsReport::Place& p) { return std::tie(p.row, p.position, p.head); };
      if (!report.first_nan || order(place) < order(*report.first_nan)) report.first_nan = place;
    }
}

void merge_reports(LogitsReport& into, const LogitsReport& other) {
  into.elements += other.elements;
  into.nan_products += other.nan_products;
  if (!other.first_nan) return;
  const auto order = [](const LogitsReport::Place& p) { return std::tie(p.row, p.position, p.head); };
  if (!into.first_nan || order(*other.first_nan) < order(*into.first_nan)) into.first_nan = other.first_nan;
}

void visit_tiles(const PagedMqaLogitsCase& problem, const TileNeeds& needs, const Execution& execution,
                 const TileVisitor& visit) {
  validate(problem);
  visit_all(PagedSource{problem}, needs, execution, visit);
}

void visit_tiles(const MqaLogitsCase& problem, const TileNeeds& needs, const Execution& execution,
                 const TileVisitor& visit) {
  validate(problem);
  visit_all(PrefillSource{problem}, needs, execution, visit);
}

}  // namespace assay
