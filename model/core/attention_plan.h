// Which tiles of which items a CTA works on, computed by the CTA itself from the context lengths.
//
//   items of a sequence   kv_heads * head_tiles, all with the same tiles
//   line                  sequences in batch order; inside a sequence item by item; inside an item tile by tile
//   part p                of used_parts(): [total * p / parts, total * (p + 1) / parts) of the line    (model/core/schedule.h)
//
// The same functions run on the host in the twin and in tests.
#pragma once

#include <cstdint>

#include "model/core/attention_order.h"
#include "model/core/host_device.h"
#include "model/core/paged_layout.h"
#include "model/core/schedule.h"

namespace assay {

// The visible tokens of a sequence, as tiles: tile j covers tokens first_token + 16 j and on.
struct VisibleTiles {
  std::int32_t first_token = 0;  // a multiple of the tile
  std::int32_t begin_token = 0;  // first visible token, inside the first tile
  std::int32_t end_token = 0;    // the context
  std::int32_t tiles = 0;
};

[[nodiscard]] ASSAY_HOST_DEVICE constexpr VisibleTiles visible_tiles(std::int32_t context,
                                                                     std::int32_t window_tokens) {
  VisibleTiles visible;
  if (context <= 0) return visible;
  visible.end_token = context;
  visible.begin_token = window_tokens > 0 && window_tokens < context ? context - window_tokens : 0;
  visible.first_token = visible.begin_token / AttentionOrder::kTileTokens * AttentionOrder::kTileTokens;
  visible.tiles =
      static_cast<std::int32_t>(ceil_div(context - visible.first_token, AttentionOrder::kTileTokens));
  return visible;
}

// How many of the launch's CTAs share the work. A part with fewer than kLeastTiles costs more to merge than it
// saves. And where nearly all parts (nine of ten) come out as the same number for every item, that many are
// used: equal lengths then split every item alike, and no part carries the ends of two. At least 1, so that
// the formulas below hold for no work too.
constexpr std::int64_t kLeastTiles = 2 * AttentionOrder::kWarps;
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int32_t used_parts(std::int64_t total, std::int32_t parts,
                                                                  std::int64_t items) {
  const std::int64_t most = total / kLeastTiles;
  if (most < parts) return most < 1 ? 1 : static_cast<std::int32_t>(most);
  if (items < 1 || items > parts) return parts;
  const auto even = static_cast<std::int32_t>(parts / items * items);
  return even * 10 >= parts * 9 ? even : parts;
}

// A run of tiles of one item.
struct AttentionPiece {
  std::int32_t sequence = 0;
  std::int32_t item = 0;  // inside the sequence
  std::int32_t tile_begin = 0, tile_end = 0;
  std::int32_t tiles = 0;  // of the whole item
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr bool whole() const {
    return tile_begin == 0 && tile_end == tiles;
  }
};

// Walks the pieces of one part. `remaining` counts the part's tiles that are not yet in a finished piece.
struct PieceWalk {
  AttentionPiece piece;
  VisibleTiles visible;
  std::int64_t remaining = 0;
  std::int64_t line = 0;  // where the piece begins on the batch's line of tiles

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr bool done() const { return remaining <= 0; }

  // Begins at tile `tile` of item `item` of `sequence`, with `count` tiles to go.
  ASSAY_HOST_DEVICE constexpr void start(const std::int32_t* contexts, std::int32_t window_tokens,
                                         std::int32_t sequence, std::int32_t item, std::int32_t tile,
                                         std::int64_t line_begin, std::int64_t count) {
    remaining = count;
    line = line_begin;
    if (count <= 0) return;
    visible = visible_tiles(contexts[sequence], window_tokens);
    piece = {sequence, item, tile, tile, visible.tiles};
    set_end();
  }
  ASSAY_HOST_DEVICE constexpr void advance(const std::int32_t* contexts, std::int32_t window_tokens,
                                           std::int32_t items) {
    remaining -= piece.tile_end - piece.tile_begin;
    line += piece.tile_end - piece.tile_begin;
    if (remaining <= 0) return;
    piece.tile_begin = 0;
    if (++piece.item == items) {
      piece.item = 0;
      do {
        visible = visible_tiles(contexts[++piece.sequence], window_tokens);
      } while (visible.tiles == 0);
      piece.tiles = visible.tiles;
    }
    set_end();
  }

 private:
  ASSAY_HOST_DEVICE constexpr void set_end() {
    const std::int64_t left = piece.tiles - piece.tile_begin;
    piece.tile_end = piece.tile_begin + static_cast<std::int32_t>(left < remaining ? left : remaining);
  }
};

// Where the parts of an item are: parts first .. last work on it (usually one).
struct ItemParts {
  std::int32_t first = 0, last = 0;
  bool first_starts_part = false;  // the item begins exactly where part `first` begins
};
[[nodiscard]] ASSAY_HOST_DEVICE constexpr ItemParts item_parts(std::int64_t total, std::int32_t parts,
                                                               std::int64_t item_begin, std::int32_t tiles) {
  ItemParts result;
  result.first = part_of(total, parts, item_begin);
  result.last = part_of(total, parts, item_begin + tiles - 1);
  result.first_starts_part = part_begin(total, parts, result.first) == item_begin;
  return result;
}

// A part leaves at most two unfinished pieces: its first (slot 0) and its last (slot 1).
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int32_t scratch_slot(const ItemParts& item,
                                                                    std::int32_t part) {
  const bool first_piece = part != item.first || item.first_starts_part;
  return 2 * part + (first_piece ? 0 : 1);
}

}  // namespace assay
