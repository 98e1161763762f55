// The inside of the golden MQA logits: exact dot products, tile by tile, for whoever wants to look at
// them before the sum over heads (the logits themselves; the error bound, which needs every head's
// magnitude; a test that prints one head).
//
//   keys: kTileKeys tokens are gathered and decoded into a double panel [keys, D]
//   dots = panel * q^T by one Eigen product; nothing larger than a tile is ever held
#pragma once

#include <cstdint>
#include <functional>

#include "model/golden/mqa_logits.h"

namespace assay {

inline constexpr std::int64_t kTileKeys = 256;

// What is computed beside the dot products.
struct TileNeeds {
  bool magnitudes = false;  // sum_d |q k|
  bool peaks = false;       // max_d |q k|
};

// Queries first_row .. first_row + queries against keys [key_begin, key_begin + keys). Rows of the
// panels: (query * heads + head) * stride + key. A tile may hold keys outside a row's own range.
struct MqaTile {
  std::int64_t first_row = 0;
  int queries = 0, heads = 0;
  std::int64_t key_begin = 0;
  int keys = 0;
  std::int64_t stride = 0;
  const double* dots = nullptr;
  const double* magnitudes = nullptr;
  const double* peaks = nullptr;
  const double* key_scales = nullptr;  // [keys]
  bool may_hold_nan = false;           // false: no dot product of the tile is NaN
};

// The golden logits of one query of a tile, into sums[keys]: weights[heads] in double.
void sum_heads(const MqaTile& tile, int query, const double* weights, ReluOfNan rule, double* sums);

// Counts the NaN dot products of one query among the tile's keys [inside.begin, inside.end).
void count_nan_products(const MqaTile& tile, int query, const KeyRange& inside, LogitsReport& report);
void merge_reports(LogitsReport& into, const LogitsReport& other);

// Called from several threads at once, for disjoint (row, key) rectangles; worker < execution.threads.
using TileVisitor = std::function<void(const MqaTile&, int worker)>;

// Both validate first. Tiles cover every (row, key) inside the rows' ranges exactly once.
void visit_tiles(const PagedMqaLogitsCase& problem, const TileNeeds& needs, const Execution& execution,
                 const TileVisitor& visit);
void visit_tiles(const MqaLogitsCase& problem, const TileNeeds& needs, const Execution& execution,
                 const TileVisitor& visit);

}  // namespace assay
