// Formula and limits: mqa_logits.h. Bytes, operations, versions: docs/kernels/fp8_mqa_logits.md.
//
//   tile       256 / heads query rows: their heads are the 256 columns of the scores
//   unit       S[64 tokens, 256] = K[64, D] Q^T, two sides of D/32 wgmma m64n128k32, operands in shared memory
//   grid       one CTA per SM with an equal range of all tiles' units: its line, numbered from 0
//   producers  two warps fill a ring of units, a third a ring of tiles' queries, a fourth cleans meanwhile
//   math       two warpgroups take units in turns; while one side is reduced the tensor core has the other side or
//              the other warpgroup
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "gpu/ptx/barrier.h"
#include "gpu/ptx/copy.h"
#include "gpu/ptx/tensor_copy.h"
#include "gpu/ptx/wgmma_e4m3.h"
#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "gpu/sm90_fp8_mqa_logits/reduction.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

using logits::kAllLanes;

constexpr int kUnitTokens = 64;
constexpr int kGroups = 2;  // of math
constexpr int kThreads = (kGroups + 1) * 128;
constexpr int kWarps = kThreads / 32;
constexpr int kMathRegisters = 232, kOtherRegisters = 40;
constexpr int kUnitProducers = 2;  // warps
constexpr int kColumns = 256;
constexpr int kTiles =
    kGroups + 1;  // in the ring: a group may be a line of one-unit tiles ahead of the other

template <int kHeads>
constexpr int kTileRows = kColumns / kHeads;

// What a unit of the line is; written by the producer, read by the warpgroup that takes it.
struct UnitHeader {
  std::int32_t query;  // how many tiles the line had before this one
  std::int32_t tile;
  std::int32_t token;  // first
};

template <int kDims>
constexpr int kStages = std::min(16, (227 * 1024 - 2048 - kTiles * (kColumns * (kDims + 4) + 64)) /
                                         (kUnitTokens * (kDims + 4) + 32));

template <int kHeads, int kDims>
struct Shared {
  unsigned char query[kTiles][kColumns * kDims];            // swizzled, [256][kDims]
  unsigned char keys[kStages<kDims>][kUnitTokens * kDims];  // swizzled, [64][kDims]
  float scales[kStages<kDims>][kUnitTokens];
  float weights[kTiles][kColumns];
  std::int32_t start[kTiles][kTileRows<kHeads>], end[kTiles][kTileRows<kHeads>];
  UnitHeader headers[kStages<kDims>];
  std::uint64_t unit_full[kStages<kDims>], unit_empty[kStages<kDims>];
  std::uint64_t query_full[kTiles], query_empty[kTiles];
  std::int64_t warp_units[kWarps];
  std::int64_t start_prefix;
  std::int32_t start_tile;
};
static_assert(sizeof(Shared<32, 128>) <= 227 * 1024);

struct Maps {
  CUtensorMap keys;   // [1][tokens][D]
  CUtensorMap query;  // [rows][heads][D]
};

struct Range {
  std::int32_t begin = 0, end = 0;
};
__device__ __forceinline__ Range range_of(const MqaLogits& p, std::int32_t row) {
  const std::int32_t begin = max(0, p.starts[row]), end = min(p.tokens, p.ends[row]);
  return begin < end ? Range{begin, end} : Range{};
}
// First unit of a tile, and how many: from the least start to the largest end of its rows.
template <int kRows>
__device__ __forceinline__ Range units_of_tile(const MqaLogits& p, std::int32_t tile) {
  std::int32_t begin = 0x7fffffff, end = 0;
  for (std::int32_t row = tile * kRows; row < min(p.rows, (tile + 1) * kRows); ++row) {
    const Range own = range_of(p, row);
    if (own.begin == own.end) continue;
    begin = min(begin, own.begin);
    end = max(end, own.end);
  }
  if (end == 0) return {};
  return {begin / kUnitTokens, (end + kUnitTokens - 1) / kUnitTokens};
}

// A CTA's position on the line of units: tile after tile.
template <int kRows>
struct Walk {
  std::int32_t tile = 0, unit = 0, unit_end = 0;
  std::int64_t remaining = 0;

  __device__ __forceinline__ void advance(const MqaLogits& p) {
    --remaining;
    ++unit;
    if (unit == unit_end && remaining > 0) {
      do {
        const Range units = units_of_tile<kRows>(p, ++tile);
        unit = units.begin;
        unit_end = units.end;
      } while (unit == unit_end);
    }
  }
};

// Every thread sums a run of the tiles; scans lay the sums end to end; the owner of this part's first unit finds
// the tile. Arrivals: all threads.
template <int kRows, typename Memory>
__device__ Walk<kRows> find_own_range(const MqaLogits& p, Memory& shared) {
  const int tiles = (p.rows + kRows - 1) / kRows;
  const int run = (tiles + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * run, tiles), end = min(begin + run, tiles);
  std::int64_t units = 0;
  for (int t = begin; t < end; ++t) {
    const Range own = units_of_tile<kRows>(p, t);
    units += own.end - own.begin;
  }
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::int64_t before = units;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const std::int64_t other = __shfl_up_sync(0xffffffffu, before, step);
    if (lane >= step) before += other;
  }
  if (lane == 31) shared.warp_units[warp] = before;
  before -= units;
  __syncthreads();
  std::int64_t total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    before += w < warp ? shared.warp_units[w] : 0;
    total += shared.warp_units[w];
  }
  Walk<kRows> walk;
  const std::int64_t line_begin = part_begin(total, p.parts, blockIdx.x);
  walk.remaining = part_begin(total, p.parts, blockIdx.x + 1) - line_begin;
  if (walk.remaining == 0) return walk;
  if (line_begin >= before && line_begin < before + units) {
    std::int64_t prefix = before;
    int t = begin;
    for (;; ++t) {
      const Range own = units_of_tile<kRows>(p, t);
      if (line_begin < prefix + own.end - own.begin) break;
      prefix += own.end - own.begin;
    }
    shared.start_tile = t;
    shared.start_prefix = prefix;
  }
  __syncthreads();
  walk.tile = shared.start_tile;
  const Range own = units_of_tile<kRows>(p, walk.tile);
  walk.unit = own.begin + static_cast<std::int32_t>(line_begin - shared.start_prefix);
  walk.unit_end = own.end;
  return walk;
}

// Warp `part` of two fills the ring of units: those of the line with index % 2 == part. Tokens past the last are zero.
template <int kHeads, int kDims>
__device__ __forceinline__ void produce_units(const MqaLogits& p, const Maps& maps,
                                              Shared<kHeads, kDims>& shared, Walk<kTileRows<kHeads>> walk,
                                              int part) {
  const int lane = threadIdx.x % 32;
  const std::uint64_t again = ptx::evict_last();
  std::int32_t query = 0, tile = walk.tile;
  ptx::RingPosition<kStages<kDims>> at;
  const auto steps = [&](int count) {
#pragma unroll 1
    for (int i = 0; i < count && walk.remaining > 0; ++i) {
      walk.advance(p);
      if (walk.tile != tile) {
        tile = walk.tile;
        ++query;
      }
    }
    at.advance(count);
  };
  steps(part);
  while (walk.remaining > 0) {
    const int stage = at.stage, first = walk.unit * kUnitTokens;
    ptx::wait_parity(shared.unit_empty[stage], at.round ^ 1);
    if (ptx::elected()) {
      shared.headers[stage] = {query, tile, first};
      ptx::arrive_and_expect(shared.unit_full[stage], kUnitTokens * kDims);
      ptx::copy_box(shared.keys[stage], maps.keys, shared.unit_full[stage], 0, first, 0, again);
    }
#pragma unroll
    for (int i = lane; i < kUnitTokens; i += 32) {
      const bool live = first + i < p.tokens;
      ptx::copy_async_4(ptx::shared_address(&shared.scales[stage][i]), p.scales + (live ? first + i : 0),
                        live);
    }
    ptx::arrive_after_copies(shared.unit_full[stage]);
    steps(kUnitProducers);
  }
}

// The warp that fills the ring of tiles: queries, weights, ranges of the rows. Rows past the last are zero and empty.
template <int kHeads, int kDims>
__device__ __forceinline__ void produce_queries(const MqaLogits& p, const Maps& maps,
                                                Shared<kHeads, kDims>& shared, Walk<kTileRows<kHeads>> walk) {
  constexpr int kRows = kTileRows<kHeads>;
  const int lane = threadIdx.x % 32;
  const std::uint64_t once = ptx::evict_first();
  ptx::RingPosition<kTiles> at;
  for (; walk.remaining > 0; at.advance()) {
    const std::int32_t first_row = walk.tile * kRows;
    ptx::wait_parity(shared.query_empty[at.stage], at.round ^ 1);
    if (ptx::elected()) {
      ptx::arrive_and_expect(shared.query_full[at.stage], kColumns * kDims);
      ptx::copy_box(shared.query[at.stage], maps.query, shared.query_full[at.stage], 0, 0, first_row, once);
    }
#pragma unroll
    for (int column = lane; column < kColumns; column += 32) {
      const std::int32_t row = first_row + column / kHeads;
      const bool live = row < p.rows;
      ptx::copy_async_4(ptx::shared_address(&shared.weights[at.stage][column]),
                        p.weights + (live ? row : 0) * p.weights_stride + column % kHeads, live);
    }
    if (lane < kRows) {
      const Range own = first_row + lane < p.rows ? range_of(p, first_row + lane) : Range{};
      shared.start[at.stage][lane] = own.begin;
      shared.end[at.stage][lane] = own.end;
    }
    ptx::arrive_after_copies(shared.query_full[at.stage]);
    ptx::arrive(shared.query_full[at.stage]);        // the ranges
    const int rest = walk.unit_end - walk.unit - 1;  // units of this tile after this one
    if (walk.remaining <= rest) break;
    walk.unit += rest;
    walk.remaining -= rest;
    walk.advance(p);
  }
}

// -inf outside every row's range, rows shared out over the CTAs; one warp.
template <typename Output>
__device__ __forceinline__ void clean_rows(const MqaLogits& p) {
  const float outside = bit_cast<float>(0xff800000u);
  const std::int64_t lane = threadIdx.x % 32;
  for (std::int32_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    Range own = range_of(p, row);
    if (p.compressed) own = {0, own.end - own.begin};
    const std::int64_t at = row * p.logits_stride,
                       before = min(static_cast<std::int64_t>(own.begin), p.columns);
#pragma unroll 4
    for (std::int64_t t = lane; t < before; t += 32) logits::store<Output>(p.logits, at + t, outside);
#pragma unroll 8
    for (std::int64_t t = own.end + lane; t < p.columns; t += 32)
      logits::store<Output>(p.logits, at + t, outside);
  }
}

// Half of a tile's rows: their scores and weights.
template <int kHeads, int kDims>
struct Side {
  static constexpr int kRows = kTileRows<kHeads> / 2;
  float score[kRows * kHeads / 2];
  float weights[kRows][kHeads / 4];

  __device__ __forceinline__ void load(const float* from) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int a = 0; a < kHeads / 4; a += 2) {
        const float2 two = *reinterpret_cast<const float2*>(
            from + i * kHeads + LogitsReduction::head_of_accumulator(threadIdx.x % 4, a));
        weights[i][a] = two.x;
        weights[i][a + 1] = two.y;
      }
    }
  }
  __device__ __forceinline__ void start(std::uint64_t key_tile, std::uint64_t query_tile) {
#pragma unroll
    for (int k = 0; k < kDims; k += 32)
      ptx::WgmmaE4M3<kRows * kHeads>::multiply_add(score, ptx::advanced(key_tile, k),
                                                   ptx::advanced(query_tile, k), k > 0);
    ptx::commit_group();
  }
  // row: this side's first; begin, end: of this side's rows.
  template <typename Output>
  __device__ __forceinline__ void reduce(const MqaLogits& p, std::int64_t row, const std::int32_t* begin,
                                         const std::int32_t* end, std::int32_t token, float scale) const {
    const int half = threadIdx.x % 2, odd = threadIdx.x / 2 % 2;
#pragma unroll
    for (int i = 0; i < kRows; i += 2) {
      const float logit =
          logits::logit_of_two(logits::own_share<kHeads>(score, i, weights[i], half),
                               logits::own_share<kHeads>(score, i + 1, weights[i + 1], half), odd, scale);
      const std::int32_t first = begin[i + odd];
      const std::int64_t column = p.compressed ? token - first : token;
      if (token >= first && token < end[i + odd] && column < p.columns)
        logits::store<Output>(p.logits, (row + i + odd) * p.logits_stride + column, logit);
    }
  }
};

template <int kHeads, int kDims, typename Output>
__device__ __forceinline__ void multiply(const MqaLogits& p, Shared<kHeads, kDims>& shared, int group,
                                         std::int64_t units) {
  constexpr int kRows = kTileRows<kHeads>;
  constexpr std::uint64_t kSecond = kColumns / 2 * kDims >> 4;  // of a descriptor
  const int own_token = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4 + threadIdx.x % 2 * 8;
  Side<kHeads, kDims> first, second;
  ptx::RingPosition<kStages<kDims>> at;
  ptx::RingPosition<kTiles> query_at;
  std::int32_t query = 0, loaded = -1;
  std::uint64_t query_tile = 0;
  at.advance(group);
  for (std::int64_t u = group; u < units; u += kGroups, at.advance(kGroups)) {
    const int stage = at.stage;
    ptx::wait_parity(shared.unit_full[stage], at.round);
    const UnitHeader header = shared.headers[stage];
    if (header.query != loaded) {
      // This warp needs nothing of the tiles before any more.
#pragma unroll 1
      for (; query < header.query; ++query, query_at.advance()) {
        __syncwarp();
        if (threadIdx.x % 32 == 0) ptx::arrive(shared.query_empty[query_at.stage]);
      }
      ptx::wait_parity(shared.query_full[query_at.stage], query_at.round);
      first.load(shared.weights[query_at.stage]);
      second.load(shared.weights[query_at.stage] + kColumns / 2);
      query_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.query[query_at.stage]));
      loaded = header.query;
    }
    const std::uint64_t key_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.keys[stage]));
    ptx::fence_operands();
    first.start(key_tile, query_tile);
    second.start(key_tile, query_tile + kSecond);
    const float scale = shared.scales[stage][own_token];
    const std::int32_t token = header.token + own_token;
    const std::int64_t row = header.tile * static_cast<std::int64_t>(kRows);
    const std::int32_t *begin = shared.start[query_at.stage], *end = shared.end[query_at.stage];
    ptx::wait_group<1>();
    first.template reduce<Output>(p, row, begin, end, token, scale);
    ptx::wait_group<0>();
    __syncwarp();
    if (threadIdx.x % 32 == 0) ptx::arrive(shared.unit_empty[stage]);
    second.template reduce<Output>(p, row + kRows / 2, begin + kRows / 2, end + kRows / 2, token, scale);
  }
}

template <int kHeads, int kDims, typename Output>
__global__ void __launch_bounds__(kThreads, 1)
    sm90_fp8_mqa_logits(const __grid_constant__ MqaLogits p, const __grid_constant__ Maps maps) {
  extern __shared__ __align__(1024) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kHeads, kDims>*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kStages<kDims>) {
    ptx::init_barrier(shared.unit_full[thread], 1 + 32);  // announced; every lane's scales
    ptx::init_barrier(shared.unit_empty[thread], 4);
    ptx::fence_barrier_init();
  } else if (thread >= 32 && thread < 32 + kTiles) {
    ptx::init_barrier(shared.query_full[thread - 32], 1 + 64);  // announced; every lane's weights and ranges
    ptx::init_barrier(shared.query_empty[thread - 32], kGroups * 4);
    ptx::fence_barrier_init();
  }
  const auto walk = find_own_range<kTileRows<kHeads>>(p, shared);
  __syncthreads();  // also publishes the barriers
  const int group = thread / 128, warp = thread / 32 % 4;
  if (group == kGroups) {
    ptx::give_registers<kOtherRegisters>();
    if (warp < kUnitProducers) {
      produce_units<kHeads, kDims>(p, maps, shared, walk, warp);
    } else if (warp == kUnitProducers) {
      produce_queries<kHeads, kDims>(p, maps, shared, walk);
    } else if (p.clean) {
      clean_rows<Output>(p);
    }
  } else {
    ptx::take_registers<kMathRegisters>();
    multiply<kHeads, kDims, Output>(p, shared, group, walk.remaining);
  }
}

// ---- host -------------------------------------------------------------------------------------------

std::string shape_of(const MqaLogits& c) {
  return "sm90_fp8_mqa_logits rows=" + std::to_string(c.rows) + " tokens=" + std::to_string(c.tokens) +
         " heads=" + std::to_string(c.heads) + " dims=" + std::to_string(c.dims);
}
void check_cuda(cudaError_t status, const MqaLogits& call, const char* what) {
  if (status == cudaSuccess) return;
  throw EnvironmentError(shape_of(call) + ": " + what, "cudaSuccess",
                         std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")");
}

template <int kHeads, int kDims, typename Output>
void launch(MqaLogits call, void* stream) {
  constexpr int kBytes = sizeof(Shared<kHeads, kDims>);
  const auto kernel = sm90_fp8_mqa_logits<kHeads, kDims, Output>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), call,
             "shared memory");
  if (call.parts == 0) {
    int device = 0;
    check_cuda(cudaGetDevice(&device), call, "device");
    check_cuda(cudaDeviceGetAttribute(&call.parts, cudaDevAttrMultiProcessorCount, device), call, "SM count");
  }
  const auto dims = static_cast<std::uint64_t>(kDims);
  const Maps maps{ptx::tensor_map({call.keys,
                                   {dims, static_cast<std::uint64_t>(std::max(1, call.tokens)), 1},
                                   {static_cast<std::uint64_t>(call.key_stride),
                                    static_cast<std::uint64_t>(call.key_stride)},
                                   {kUnitTokens, 1}},
                                  shape_of(call)),
                  ptx::tensor_map({call.q,
                                   {dims, kHeads, static_cast<std::uint64_t>(call.rows)},
                                   {dims, static_cast<std::uint64_t>(call.q_row_stride)},
                                   {kHeads, kTileRows<kHeads>}},
                                  shape_of(call))};
  kernel<<<call.parts, kThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(call, maps);
  check_cuda(cudaGetLastError(), call, "launch");
}

template <int kHeads, int kDims>
void launch_typed(const MqaLogits& call, void* stream) {
  call.type == ElementType::kFp32 ? launch<kHeads, kDims, float>(call, stream)
                                  : launch<kHeads, kDims, std::uint16_t>(call, stream);
}
template <int kHeads>
void launch_dims(const MqaLogits& call, void* stream) {
  switch (call.dims) {
    case 32: return launch_typed<kHeads, 32>(call, stream);
    case 64: return launch_typed<kHeads, 64>(call, stream);
    default: return launch_typed<kHeads, 128>(call, stream);
  }
}

}  // namespace

void validate(const MqaLogits& c) {
  const auto want = [&](bool holds, const char* what, const char* expected, std::int64_t got) {
    if (!holds) throw InputError(shape_of(c) + ": " + what, expected, std::to_string(got));
  };
  want(c.rows >= 0, "rows", "0 or more", c.rows);
  want(c.tokens >= 0 && c.tokens <= 0x7fffffff - 2 * kUnitTokens, "tokens", "0 to 2^31 - 129", c.tokens);
  want(c.heads == 32 || c.heads == 64, "heads", "32 or 64", c.heads);
  want(c.dims == 32 || c.dims == 64 || c.dims == 128, "dims", "32, 64 or 128", c.dims);
  want(c.type == ElementType::kFp32 || c.type == ElementType::kBf16, "logits", "fp32 or bf16",
       static_cast<int>(c.type));
  want(c.q_row_stride % 16 == 0 && c.q_row_stride >= static_cast<std::int64_t>(c.heads) * c.dims,
       "q row stride", "a multiple of 16 bytes that holds heads * dims", c.q_row_stride);
  want(c.key_stride % 16 == 0 && c.key_stride >= c.dims, "key stride", "a multiple of 16 bytes, dims or more",
       c.key_stride);
  want(reinterpret_cast<std::uintptr_t>(c.q) % 16 == 0 && reinterpret_cast<std::uintptr_t>(c.keys) % 16 == 0,
       "addresses of q and keys", "multiples of 16", 0);
  want(c.columns >= 0, "columns", "0 or more", c.columns);
  want(c.logits_stride >= c.columns, "logits stride", "columns or more", c.logits_stride);
  want(c.parts >= 0, "parts", "0 or more", c.parts);
}

void launch_mqa_logits(const MqaLogits& call, void* stream) {
  validate(call);
  if (call.rows == 0) return;
  call.heads == 32 ? launch_dims<32>(call, stream) : launch_dims<64>(call, stream);
}

}  // namespace assay
