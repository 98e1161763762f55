// Paged decode attention, pipelined. Formula and limits: decode.h; order of arithmetic:
// model/core/attention_order.h; bytes, operations and versions: docs/kernels/paged_attention.md.
//
//   bytes  per (token, KV head): 2 * D * 2; everything else is small. Floor: bytes / 4.38 TB/s.
//
//   grid   one CTA of 4 warps per SM. A CTA takes an equal range of the batch's tiles; a warp takes every
//          fourth 16-token tile of a piece and works alone: its own ring of shared memory (cp.async, zero
//          fill for dead tokens), its own running softmax. Warps meet once per piece, to merge.
//   tile   S^T[16 tokens, 8 heads] = K[16, D] Q^T[D, 8]       D/16 mma.m16n8k16, K by ldmatrix
//          O^T[D, 8 heads]        += V^T[D, 16] P[16, 8]      D/16 mma.m16n8k16, V by ldmatrix.trans
//          so that the heads, of which there are few, stand on the short side of the instruction.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "gpu/sm90_paged_attention/decode.h"
#include "model/core/attention_plan.h"
#include "model/core/check.h"

namespace assay {
namespace {

using Order = AttentionOrder;
constexpr int kTile = Order::kTileTokens;
constexpr int kWarps = Order::kWarps;
constexpr int kHeads = Order::kHeadTile;
constexpr int kThreads = kWarps * 32;
constexpr int kStages = 3;
constexpr int kMostParts = 264;  // CTAs that share the work
constexpr int kCtasPerSm = 2;    // one merges while the other streams

// Shared memory of a CTA. Rows of K and V are swizzled: 16-byte chunk c of token row r lies at c ^ (r & 7),
// so that ldmatrix meets no bank twice. Rows of partial outputs are padded by 4 floats for the same reason.
template <int kDims>
struct DecodeShared {
  static constexpr int kRowBytes = kDims * 2;
  static constexpr int kTileBytes = kTile * kRowBytes;
  static constexpr int kPaddedDims = kDims + 4;
  struct Stage {
    unsigned char keys[kTileBytes];
    unsigned char values[kTileBytes];
  };
  struct Partial {
    float out[kHeads][kPaddedDims];
    float m[kHeads], l[kHeads];
  };
  // What the last CTA of an item needs of the other parts, [part of the item][head].
  struct Pieces {
    float factor[kMostParts][kHeads];
    float l[kMostParts][kHeads];
    float largest[kWarps][kHeads];
  };
  Stage ring[kWarps][kStages];
  union {
    Partial partial[kWarps];
    Pieces pieces;
  };
  std::int64_t warp_tiles[kWarps];
  std::int64_t start_prefix;  // tiles before start_sequence
  std::int32_t start_sequence;
  std::int32_t is_last;
};
static_assert(kCtasPerSm * (sizeof(DecodeShared<128>) + 1024) <= 233472,
              "228 KB of an SM, 1 KB reserved per CTA");

struct DecodeParams {
  PagedDecode call;
  std::int32_t block_shift;               // log2 of a block's tokens
  std::int32_t group, head_tiles, items;  // query heads per KV head; tiles of them; items per sequence
  float scale_log2;
  float* scratch;
  std::int32_t* counters;
};

// ---- one instruction, one function ------------------------------------------------------------------

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}
// 16 bytes to shared memory; `live` false writes zeros and reads nothing.
__device__ __forceinline__ void copy_async_16(std::uint32_t to, const void* from, bool live) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(live ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
__device__ __forceinline__ void load_matrices(std::uint32_t (&a)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&a)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
               : "r"(address)
               : "memory");
}
// The 8 x 8 matrix of 16-bit values that a warp holds, transposed.
__device__ __forceinline__ std::uint32_t transpose_8x8(std::uint32_t rows) {
  std::uint32_t columns;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(columns) : "r"(rows));
  return columns;
}

struct Bf16Element {
  static __device__ __forceinline__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4],
                                                      std::uint32_t b0, std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  static __device__ __forceinline__ std::uint32_t pack(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }
};
struct Fp16Element {
  static __device__ __forceinline__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4],
                                                      std::uint32_t b0, std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  static __device__ __forceinline__ std::uint32_t pack(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }
};

// ---- the plan of a CTA ------------------------------------------------------------------------------

// A CTA's share of the batch's line of tiles.
struct OwnRange {
  PieceWalk walk;
  std::int64_t total = 0;
  std::int32_t parts = 1;
};

// Every thread sums a run of the batch; scans inside the warps and over the warps lay the sums end to end; the
// thread whose run holds this part's first tile finds the sequence. Arrivals: all threads, twice.
template <int kDims>
__device__ OwnRange find_own_range(const DecodeParams& p, DecodeShared<kDims>& shared) {
  const PagedDecode& call = p.call;
  const int run = static_cast<int>(ceil_div(call.batch, kThreads));
  const int begin = threadIdx.x * run, end = min(begin + run, call.batch);
  std::int64_t tiles = 0;
  for (int s = begin; s < end; ++s) tiles += visible_tiles(call.contexts[s], call.window_tokens).tiles;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::int64_t before = tiles;  // inclusive scan of the warp first
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const std::int64_t other = __shfl_up_sync(0xffffffffu, before, step);
    if (lane >= step) before += other;
  }
  if (lane == 31) shared.warp_tiles[warp] = before;
  before -= tiles;
  __syncthreads();
  OwnRange range;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    before += w < warp ? shared.warp_tiles[w] : 0;
    range.total += shared.warp_tiles[w];
  }
  range.total *= p.items;
  range.parts = used_parts(range.total, call.parts, static_cast<std::int64_t>(call.batch) * p.items);
  if (blockIdx.x >= range.parts) return range;
  const std::int64_t line_begin = part_begin(range.total, range.parts, blockIdx.x);
  const std::int64_t line_end = part_begin(range.total, range.parts, blockIdx.x + 1);
  if (line_begin >= before * p.items && line_begin < (before + tiles) * p.items) {
    std::int64_t prefix = before;
    int s = begin;
    for (;; ++s) {
      const std::int64_t own = visible_tiles(call.contexts[s], call.window_tokens).tiles;
      if (line_begin < (prefix + own) * p.items) break;
      prefix += own;
    }
    shared.start_sequence = s;
    shared.start_prefix = prefix;
  }
  __syncthreads();
  if (line_end > line_begin) {
    const VisibleTiles visible = visible_tiles(call.contexts[shared.start_sequence], call.window_tokens);
    const auto inside = static_cast<std::uint32_t>(line_begin - shared.start_prefix * p.items);
    const auto per_item = static_cast<std::uint32_t>(visible.tiles);
    range.walk.start(call.contexts, call.window_tokens, shared.start_sequence,
                     static_cast<int>(inside / per_item), static_cast<int>(inside % per_item), line_begin,
                     line_end - line_begin);
  }
  return range;
}

// ---- producer: a warp's own stream of tiles ---------------------------------------------------------

// Walks the warp's tiles ahead of the consumer. Block ids come 32 tiles at a time, one lane each.
template <int kDims>
struct TileLoader {
  using Shared = DecodeShared<kDims>;
  const DecodeParams& p;
  PieceWalk walk;
  int warp, lane;
  int tile;       // next tile of this warp in the current piece
  int ids_begin;  // the tile that lane 0's ids belong to
  std::int32_t key_block, value_block;

  __device__ TileLoader(const DecodeParams& params, const PieceWalk& start, int warp_index, int lane_index)
      : p(params), walk(start), warp(warp_index), lane(lane_index) {
    enter_piece();
  }

  __device__ void enter_piece() {
    while (!walk.done()) {
      tile = walk.piece.tile_begin + warp;
      if (tile < walk.piece.tile_end) break;
      walk.advance(p.call.contexts, p.call.window_tokens, p.items);
    }
    if (walk.done()) return;
    fetch_ids();
    prefetch_query();
  }

  // The item's query rows, 128 bytes a lane, into L2: the consumer will want them when it gets here.
  __device__ void prefetch_query() {
    constexpr int kLines = Shared::kRowBytes / 128;
    const int head = walk.piece.item % p.head_tiles * kHeads + lane / kLines;
    if (lane >= kHeads * kLines || head >= p.group) return;
    const auto* row = static_cast<const char*>(p.call.q) +
                      (walk.piece.sequence * p.call.q_row_stride +
                       (walk.piece.item / p.head_tiles * p.group + head) * p.call.q_head_stride) *
                          2;
    asm volatile("prefetch.global.L2 [%0];" ::"l"(row + lane % kLines * 128));
  }

  __device__ void fetch_ids() {
    ids_begin = tile;
    const int own = tile + lane * kWarps;
    if (own < walk.piece.tile_end) {
      const std::int64_t block = (walk.visible.first_token + own * kTile) >> p.block_shift;
      key_block = p.call.key_table.block(walk.piece.sequence, block);
      value_block = p.call.value_table.block(walk.piece.sequence, block);
    }
  }

  // Starts the copies of the next tile into `stage`; at the end of the range an empty group is committed,
  // so that the consumer's count of pending groups stays true.
  __device__ void load_next(typename Shared::Stage& stage) {
    if (!walk.done()) {
      const int index = (tile - ids_begin) / kWarps;
      const std::int64_t keys = __shfl_sync(0xffffffffu, key_block, index);
      const std::int64_t values = __shfl_sync(0xffffffffu, value_block, index);
      const int token = walk.visible.first_token + tile * kTile;
      const int slot = token & (p.call.key_layout.block_tokens - 1);
      const int head = walk.piece.item / p.head_tiles;
      copy_rows(stage.keys, p.call.keys, p.call.key_layout, keys, slot, head, token);
      copy_rows(stage.values, p.call.values, p.call.value_layout, values, slot, head, token);
      tile += kWarps;
      if (tile >= walk.piece.tile_end) {
        walk.advance(p.call.contexts, p.call.window_tokens, p.items);
        enter_piece();
      } else if ((tile - ids_begin) / kWarps == 32) {
        fetch_ids();
      }
    }
    commit_copies();
  }

  __device__ void copy_rows(unsigned char* to, const void* cache, const PagedLayout& layout,
                            std::int64_t block, int slot, int head, int token) {
    constexpr int kChunks = Shared::kRowBytes / 16;  // of a row
    constexpr int kRowsAtOnce = 32 / kChunks;
    const int chunk = lane % kChunks;
    int row = lane / kChunks;
    const char* from =
        static_cast<const char*>(cache) + layout.offset(block, slot + row, head, 0) + chunk * 16;
#pragma unroll
    for (int i = 0; i < kTile / kRowsAtOnce; ++i) {
      const bool live = token + row >= walk.visible.begin_token && token + row < walk.visible.end_token;
      copy_async_16(shared_address(to) + row * Shared::kRowBytes + (chunk ^ (row & 7)) * 16, from, live);
      row += kRowsAtOnce;
      from += kRowsAtOnce * layout.slot_stride;
    }
  }
};

// ---- consumer: a warp's running softmax -------------------------------------------------------------

constexpr std::uint32_t kMinusInfinity = 0xff800000u;

template <int kDims, typename Element>
struct TileConsumer {
  using Shared = DecodeShared<kDims>;
  static constexpr int kSteps = kDims / 16;
  int lane, row, column;  // this lane holds tile rows row, row + 8 and heads column, column + 1
  std::uint32_t query[kSteps][2];
  float out[kSteps][4];
  float m[2], l[2];

  __device__ explicit TileConsumer(int lane_index)
      : lane(lane_index), row(lane_index / 4), column(lane_index % 4 * 2) {}

  // Query head `row` of the item, as operand B; heads beyond the group are zero.
  __device__ void begin_item(const DecodeParams& p, const AttentionPiece& piece) {
    const int kv_head = piece.item / p.head_tiles, in_group = piece.item % p.head_tiles * kHeads + row;
    const bool live = in_group < p.group;
    const auto* q = static_cast<const std::uint16_t*>(p.call.q) + piece.sequence * p.call.q_row_stride +
                    (kv_head * p.group + in_group) * p.call.q_head_stride;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      query[k][0] = live ? *reinterpret_cast<const std::uint32_t*>(q + k * 16 + column) : 0;
      query[k][1] = live ? *reinterpret_cast<const std::uint32_t*>(q + k * 16 + column + 8) : 0;
      out[k][0] = out[k][1] = out[k][2] = out[k][3] = 0.0f;
    }
    m[0] = m[1] = bit_cast<float>(kMinusInfinity);
    l[0] = l[1] = 0.0f;
  }

  __device__ void consume(const typename Shared::Stage& stage, float scale_log2, int token,
                          const VisibleTiles& visible) {
    // Scores of this tile.
    float score[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const std::uint32_t keys = shared_address(stage.keys);
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      std::uint32_t a[4];
      const int token_row = lane % 8 + lane / 8 % 2 * 8, chunk = k * 2 + lane / 16;
      load_matrices(a, keys + token_row * Shared::kRowBytes + (chunk ^ (token_row & 7)) * 16);
      Element::multiply_add(score, a, query[k][0], query[k][1]);
    }
    const bool live_low = token + row >= visible.begin_token && token + row < visible.end_token;
    const bool live_high = token + row + 8 >= visible.begin_token && token + row + 8 < visible.end_token;
    const float dead = bit_cast<float>(kMinusInfinity);
    float x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      x[i] = (i < 2 ? live_low : live_high) ? exact::multiply(score[i], scale_log2) : dead;

    // Running maximum per head, then the weights.
    float p[4], alpha[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = fmaxf(x[h], x[h + 2]);
#pragma unroll
      for (int step = 4; step <= 16; step *= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
      const float next = fmaxf(m[h], largest);
      alpha[h] = merge_factor(m[h], next);
      const float base = next == dead ? 0.0f : next;
      p[h] = exact::exp2_nonpositive(exact::add(x[h], -base));
      p[h + 2] = exact::exp2_nonpositive(exact::add(x[h + 2], -base));
      l[h] = exact::fused(l[h], alpha[h], exact::add(p[h], p[h + 2]));
      m[h] = next;
    }
    const std::uint32_t b0 = transpose_8x8(Element::pack(p[0], p[1]));
    const std::uint32_t b1 = transpose_8x8(Element::pack(p[2], p[3]));

    const std::uint32_t values = shared_address(stage.values);
#pragma unroll
    for (int d = 0; d < kSteps; ++d) {
      std::uint32_t a[4];
      const int token_row = lane % 8 + lane / 16 * 8, chunk = d * 2 + lane / 8 % 2;
      load_matrices_transposed(a, values + token_row * Shared::kRowBytes + (chunk ^ (token_row & 7)) * 16);
      out[d][0] = exact::multiply(out[d][0], alpha[0]);
      out[d][1] = exact::multiply(out[d][1], alpha[1]);
      out[d][2] = exact::multiply(out[d][2], alpha[0]);
      out[d][3] = exact::multiply(out[d][3], alpha[1]);
      Element::multiply_add(out[d], a, b0, b1);
    }
  }

  __device__ void leave(typename Shared::Partial& partial) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float sum = l[h];
#pragma unroll
      for (int step = 4; step <= 16; step *= 2)
        sum = exact::add(sum, __shfl_xor_sync(0xffffffffu, sum, step));
      if (row == 0) {
        partial.m[column + h] = m[h];
        partial.l[column + h] = sum;
      }
    }
#pragma unroll
    for (int d = 0; d < kSteps; ++d) {
      partial.out[column][d * 16 + row] = out[d][0];
      partial.out[column + 1][d * 16 + row] = out[d][1];
      partial.out[column][d * 16 + row + 8] = out[d][2];
      partial.out[column + 1][d * 16 + row + 8] = out[d][3];
    }
  }
};

// ---- merging ----------------------------------------------------------------------------------------

// A slot of scratch: out [8][D], then m [8], l [8].
template <int kDims>
__device__ __forceinline__ float* slot_address(float* scratch, int slot) {
  return scratch + static_cast<std::int64_t>(slot) * kHeads * (kDims + 2);
}

// Four dimensions of a query head's result. l and m are the merged ones.
template <typename Element>
__device__ __forceinline__ void write_result(const DecodeParams& p, const AttentionPiece& piece, int head,
                                             int dim, const float4& out, float m, float l) {
  const int kv_head = piece.item / p.head_tiles, in_group = piece.item % p.head_tiles * kHeads + head;
  if (in_group >= p.group) return;
  const int q_head = kv_head * p.group + in_group;
  auto* to = static_cast<std::uint16_t*>(p.call.out) + piece.sequence * p.call.out_row_stride +
             q_head * p.call.out_head_stride + dim;
  const float reciprocal = exact::divide(1.0f, l);
  const std::uint32_t low =
      Element::pack(exact::multiply(out.x, reciprocal), exact::multiply(out.y, reciprocal));
  const std::uint32_t high =
      Element::pack(exact::multiply(out.z, reciprocal), exact::multiply(out.w, reciprocal));
  *reinterpret_cast<uint2*>(to) = make_uint2(low, high);
  if (dim == 0 && p.call.lse != nullptr)
    p.call.lse[static_cast<std::int64_t>(piece.sequence) * p.call.q_heads + q_head] =
        exact::multiply(exact::add(m, exact::log2_positive(l)), Order::kLn2);
}

__device__ __forceinline__ void add_scaled(float4& out, const float4& part, float factor) {
  out.x = exact::fused(part.x, factor, out.x);
  out.y = exact::fused(part.y, factor, out.y);
  out.z = exact::fused(part.z, factor, out.z);
  out.w = exact::fused(part.w, factor, out.w);
}

// How the threads of a CTA share an item's [8 heads][D]: four dimensions of head first_head, first_head +
// kHeadStep ... each.
template <int kDims>
struct MergeShare {
  static constexpr int kThreadsPerHead = kDims / 4;
  static constexpr int kHeadStep = kThreads / kThreadsPerHead;
  int first_head = threadIdx.x / kThreadsPerHead;
  int dim = threadIdx.x % kThreadsPerHead * 4;
};

// All threads: merges the warps of a piece; finishes the item, or leaves a partial in scratch.
template <int kDims, typename Element>
__device__ void merge_warps(const DecodeParams& p, const DecodeShared<kDims>& shared,
                            const AttentionPiece& piece, float* slot) {
  const MergeShare<kDims> share;
#pragma unroll
  for (int head = share.first_head; head < kHeads; head += MergeShare<kDims>::kHeadStep) {
    float m = shared.partial[0].m[head];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) m = fmaxf(m, shared.partial[w].m[head]);
    float4 out = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float l = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float factor = merge_factor(shared.partial[w].m[head], m);
      add_scaled(out, *reinterpret_cast<const float4*>(&shared.partial[w].out[head][share.dim]), factor);
      l = exact::fused(shared.partial[w].l[head], factor, l);
    }
    if (slot == nullptr) {
      write_result<Element>(p, piece, head, share.dim, out, m, l);
    } else {
      *reinterpret_cast<float4*>(slot + head * kDims + share.dim) = out;
      if (share.dim == 0) {
        slot[kHeads * kDims + head] = m;
        slot[kHeads * (kDims + 1) + head] = l;
      }
    }
  }
}

// All threads of the CTA that came last: merges the item's pieces, in the order of their parts. First the
// factors, one (part, head) a thread, through shared memory; then every thread its own four dimensions, all
// loads independent. Arrivals: all threads, three times.
template <int kDims, typename Element>
__device__ void merge_pieces(const DecodeParams& p, DecodeShared<kDims>& shared, const AttentionPiece& piece,
                             const ItemParts& item) {
  constexpr int kGroups = kThreads / kHeads;
  auto& pieces = shared.pieces;
  const int count = item.last - item.first + 1;
  const int own_head = threadIdx.x % kHeads, group = threadIdx.x / kHeads;
  float largest = bit_cast<float>(kMinusInfinity);
  for (int i = group; i < count; i += kGroups) {
    const float* other =
        slot_address<kDims>(p.scratch, scratch_slot(item, item.first + i)) + kHeads * kDims + own_head;
    const float m = __ldcg(other);
    pieces.factor[i][own_head] = m;
    pieces.l[i][own_head] = __ldcg(other + kHeads);
    largest = fmaxf(largest, m);
  }
#pragma unroll
  for (int step = kHeads; step < 32; step *= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
  pieces.largest[threadIdx.x / 32][own_head] = largest;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kWarps; ++w) largest = fmaxf(largest, pieces.largest[w][own_head]);
  for (int i = group; i < count; i += kGroups)
    pieces.factor[i][own_head] = merge_factor(pieces.factor[i][own_head], largest);
  __syncthreads();

  using Share = MergeShare<kDims>;
  constexpr int kOwnHeads = kHeads / Share::kHeadStep;
  const Share share;
  float4 out[kOwnHeads];
  float l[kOwnHeads];
#pragma unroll
  for (int h = 0; h < kOwnHeads; ++h) {
    out[h] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    l[h] = 0.0f;
  }
#pragma unroll 16
  for (int i = 0; i < count; ++i) {
    const float* other = slot_address<kDims>(p.scratch, scratch_slot(item, item.first + i)) + share.dim;
#pragma unroll
    for (int h = 0; h < kOwnHeads; ++h) {
      const int head = share.first_head + h * Share::kHeadStep;
      const float factor = pieces.factor[i][head];
      add_scaled(out[h], __ldcg(reinterpret_cast<const float4*>(other + head * kDims)), factor);
      l[h] = exact::fused(pieces.l[i][head], factor, l[h]);
    }
  }
#pragma unroll
  for (int h = 0; h < kOwnHeads; ++h) {
    const int head = share.first_head + h * Share::kHeadStep;
    float m = bit_cast<float>(kMinusInfinity);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) m = fmaxf(m, pieces.largest[w][head]);
    write_result<Element>(p, piece, head, share.dim, out[h], m, l[h]);
  }
  __syncthreads();  // the partials may be written again
}

// All threads, at the end of a piece. Arrivals: all threads; the last __syncthreads frees the partials.
template <int kDims, typename Element>
__device__ void finish_piece(const DecodeParams& p, DecodeShared<kDims>& shared, const OwnRange& range,
                             const PieceWalk& walk) {
  const AttentionPiece& piece = walk.piece;
  __syncthreads();  // the warps' partials are there
  if (piece.whole()) {
    merge_warps<kDims, Element>(p, shared, piece, nullptr);
    __syncthreads();
    return;
  }
  const ItemParts item = item_parts(range.total, range.parts, walk.line - piece.tile_begin, piece.tiles);
  merge_warps<kDims, Element>(p, shared, piece,
                              slot_address<kDims>(p.scratch, scratch_slot(item, blockIdx.x)));
  // Count this CTA's partial and see whether it was the last: the barrier orders the CTA's writes before
  // thread 0's fence, the fence before its addition.
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    std::int32_t* counter = p.counters + static_cast<std::int64_t>(piece.sequence) * p.items + piece.item;
    const int arrived = atomicAdd(counter, 1);
    shared.is_last = arrived == item.last - item.first;
    if (shared.is_last) *counter = 0;  // nobody else comes
    __threadfence();
  }
  __syncthreads();
  if (shared.is_last) merge_pieces<kDims, Element>(p, shared, piece, item);
}

// Sequences that see nothing: out = 0, lse = -inf. Shared out over the CTAs.
__device__ void write_empty_sequences(const DecodeParams& p) {
  const PagedDecode& call = p.call;
  for (int s = blockIdx.x; s < call.batch; s += gridDim.x) {
    if (call.contexts[s] > 0) continue;
    for (int i = threadIdx.x; i < call.q_heads * call.dims; i += kThreads) {
      const int head = i / call.dims, dim = i % call.dims;
      static_cast<std::uint16_t*>(call.out)[s * call.out_row_stride + head * call.out_head_stride + dim] = 0;
      if (dim == 0 && call.lse != nullptr)
        call.lse[static_cast<std::int64_t>(s) * call.q_heads + head] = bit_cast<float>(kMinusInfinity);
    }
  }
}

template <int kDims, typename Element>
__global__ void __launch_bounds__(kThreads, kCtasPerSm)
    sm90_paged_decode(const __grid_constant__ DecodeParams p) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<DecodeShared<kDims>*>(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  OwnRange range = find_own_range<kDims>(p, shared);
  PieceWalk& walk = range.walk;
  auto& ring = shared.ring[warp];
  TileLoader<kDims> loader(p, walk, warp, lane);
  for (int stage = 0; stage < kStages; ++stage) loader.load_next(ring[stage]);

  TileConsumer<kDims, Element> consumer(lane);
  int stage = 0;
  for (; !walk.done(); walk.advance(p.call.contexts, p.call.window_tokens, p.items)) {
    consumer.begin_item(p, walk.piece);
    for (int tile = walk.piece.tile_begin + warp; tile < walk.piece.tile_end; tile += kWarps) {
      wait_copies<kStages - 1>();
      __syncwarp();  // every lane's copies of this stage are there
      consumer.consume(ring[stage], p.scale_log2, walk.visible.first_token + tile * kTile, walk.visible);
      __syncwarp();  // every lane has read it
      loader.load_next(ring[stage]);
      stage = stage + 1 == kStages ? 0 : stage + 1;
    }
    consumer.leave(shared.partial[warp]);
    finish_piece<kDims, Element>(p, shared, range, walk);
  }
  wait_copies<0>();
  write_empty_sequences(p);
}

// ---- host -------------------------------------------------------------------------------------------

void check_cuda(cudaError_t status, const PagedDecode& call, const char* what) {
  if (status == cudaSuccess) return;
  throw EnvironmentError(
      "sm90_paged_decode batch=" + std::to_string(call.batch) + " heads=" + std::to_string(call.q_heads) +
          "/" + std::to_string(call.kv_heads) + " dims=" + std::to_string(call.dims) + ": " + what,
      "cudaSuccess", std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")");
}

DecodeParams params_of(const PagedDecode& call, const PagedDecodeWorkspace& workspace) {
  DecodeParams p;
  p.call = call;
  p.block_shift = __builtin_ctz(static_cast<unsigned>(call.key_layout.block_tokens));
  p.group = call.q_heads / call.kv_heads;
  p.head_tiles = static_cast<std::int32_t>(ceil_div(p.group, kHeads));
  p.items = call.kv_heads * p.head_tiles;
  p.scale_log2 = call.softmax_scale * Order::kLog2E;
  p.scratch = static_cast<float*>(workspace.scratch);
  p.counters = workspace.counters;
  return p;
}

template <int kDims, typename Element>
void launch(const PagedDecode& call, const PagedDecodeWorkspace& workspace, void* stream) {
  constexpr int kBytes = sizeof(DecodeShared<kDims>);
  const auto kernel = sm90_paged_decode<kDims, Element>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), call,
             "shared memory of a CTA");
  kernel<<<call.parts, kThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(params_of(call, workspace));
  check_cuda(cudaGetLastError(), call, "launch");
}

}  // namespace

std::size_t paged_decode_scratch_bytes(const PagedDecode& call, std::int32_t parts) {
  return static_cast<std::size_t>(parts) * 2 * kHeads * static_cast<std::size_t>(call.dims + 2) *
         sizeof(float);
}

std::size_t paged_decode_counter_count(const PagedDecode& call) {
  const auto group = call.q_heads / call.kv_heads;
  return static_cast<std::size_t>(call.batch) * call.kv_heads *
         static_cast<std::size_t>(ceil_div(group, kHeads));
}

void validate(const PagedDecode& call) {
  const auto want = [](bool holds, const char* place, const char* expected, std::int64_t got) {
    if (!holds) throw InputError(std::string("paged decode: ") + place, expected, std::to_string(got));
  };
  want(call.type == ElementType::kBf16 || call.type == ElementType::kFp16, "type", "bf16 or fp16",
       static_cast<int>(call.type));
  want(call.dims == 64 || call.dims == 128, "dims", "64 or 128", call.dims);
  want(call.batch >= 0, "batch", "0 or more", call.batch);
  want(call.kv_heads > 0, "kv_heads", "1 or more", call.kv_heads);
  want(call.q_heads > 0 && call.q_heads % call.kv_heads == 0, "q_heads", "a multiple of kv_heads",
       call.q_heads);
  want(call.window_tokens >= 0, "window_tokens", "0 (none) or more", call.window_tokens);
  for (const PagedLayout* layout : {&call.key_layout, &call.value_layout}) {
    validate(*layout, layout == &call.key_layout ? "paged decode: keys" : "paged decode: values");
    want(layout->block_tokens >= kTile && (layout->block_tokens & (layout->block_tokens - 1)) == 0,
         "block tokens", "a power of two from 16 on", layout->block_tokens);
    want(layout->heads == call.kv_heads, "cache heads", "kv_heads", layout->heads);
    want(layout->dims == call.dims, "cache dims", "dims", layout->dims);
    want(layout->element_bytes == 2, "element bytes", "2", layout->element_bytes);
    want(layout->block_stride % 16 == 0 && layout->slot_stride % 16 == 0 && layout->head_stride % 16 == 0,
         "cache strides", "multiples of 16 bytes", layout->slot_stride);
  }
  want(call.key_layout.block_tokens == call.value_layout.block_tokens, "block tokens of K and V", "the same",
       call.value_layout.block_tokens);
  want(call.out_row_stride % 4 == 0 && call.out_head_stride % 4 == 0, "out strides",
       "multiples of 4 elements", call.out_head_stride);
  want(call.q_row_stride % 2 == 0 && call.q_head_stride % 2 == 0, "q strides", "even numbers of elements",
       call.q_head_stride);
}

void launch_paged_decode(const PagedDecode& given, const PagedDecodeWorkspace& workspace, void* stream) {
  validate(given);
  if (given.batch == 0) return;
  PagedDecode call = given;
  if (call.parts == 0) {
    int device = 0;
    check_cuda(cudaGetDevice(&device), call, "device");
    check_cuda(cudaDeviceGetAttribute(&call.parts, cudaDevAttrMultiProcessorCount, device), call, "SM count");
  }
  if (workspace.scratch_bytes < paged_decode_scratch_bytes(call, call.parts))
    throw InputError("paged decode: scratch bytes",
                     std::to_string(paged_decode_scratch_bytes(call, call.parts)),
                     std::to_string(workspace.scratch_bytes));
  if (workspace.counter_count < paged_decode_counter_count(call))
    throw InputError("paged decode: counters", std::to_string(paged_decode_counter_count(call)),
                     std::to_string(workspace.counter_count));
  const bool bf16 = call.type == ElementType::kBf16;
  if (call.dims == 128) {
    bf16 ? launch<128, Bf16Element>(call, workspace, stream)
         : launch<128, Fp16Element>(call, workspace, stream);
  } else {
    bf16 ? launch<64, Bf16Element>(call, workspace, stream)
         : launch<64, Fp16Element>(call, workspace, stream);
  }
}

}  // namespace assay
