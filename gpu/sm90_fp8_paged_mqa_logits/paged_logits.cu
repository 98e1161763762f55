// Formula and limits: paged_logits.h. Bytes, operations, versions: docs/kernels/fp8_paged_mqa_logits.md.
//
//   bytes  per token: D of keys, 4 of scale, 4 per query row of logits. Floor: bytes / 4.38 TB/s.
//
//   grid      one CTA per SM with an equal range of the batch's 64-token units: its line, numbered from 0
//   producers three warps have the copy engine fill a ring of units, a fourth a ring of queries; then they clean
//   math      warpgroup g of M takes units g, g + M, ...; nobody waits for all threads
//   unit      S[64 tokens, next_n * heads] = K[64, D] Q^T   D/32 wgmma m64nNk32, both operands in shared memory
//             a quad of lanes holds a token's scores: relu, weights and sums in registers; the totals of two tokens
//             (and two rows) are summed and shared out in 2 (3) shuffles, every lane stores what it is left with
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "gpu/ptx/barrier.h"
#include "gpu/ptx/copy.h"
#include "gpu/ptx/tensor_copy.h"
#include "gpu/ptx/wgmma_e4m3.h"
#include "gpu/sm90_fp8_mqa_logits/reduction.h"
#include "gpu/sm90_fp8_paged_mqa_logits/few_tokens.h"
#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

constexpr int kUnitTokens = 64;
constexpr std::int64_t kFewTokens = 98304;  // up to here few_tokens.cu is faster
constexpr int kUnitProducers = 3;           // warps
using logits::kAllLanes;

// What a unit of the line is; written by the producer, read by the warpgroup that takes it.
struct UnitHeader {
  std::int32_t query;  // how many sequences the line had before this one
  std::int32_t sequence;
  std::int32_t token;  // first
};

template <int kHeads, int kDims, int kNextN>
struct Plan {
  static constexpr int kColumns = kHeads * kNextN;  // N of the instruction
  static constexpr int kGroups = kColumns <= 128 ? 4 : 2;
  // Weights stay in registers, or are read from shared memory for every unit.
  static constexpr bool kWeightsStay = kColumns != 128;
  static constexpr int kThreads = (kGroups + 1) * 128;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kMathRegisters = kGroups == 4 ? 104 : 232;
  static constexpr int kOtherRegisters = kGroups == 4 ? 64 : 40;
  // A group may be a whole line of one-unit sequences ahead of another: one query more than groups.
  static constexpr int kQueries = kGroups + 1;
  static constexpr int kKeyBytes = kUnitTokens * kDims;
  static constexpr int kQueryBytes = kColumns * kDims;
  static constexpr int kBudget = 227 * 1024 - 2048 - kQueries * (kQueryBytes + kColumns * 4 + 64);
  static constexpr int kFit = kBudget / (kKeyBytes + kUnitTokens * 4 + 32);
  static constexpr int kStages = kFit < 16 ? kFit : 16;
  static_assert(kStages >= 2 * kGroups);

  struct Shared {
    unsigned char query[kQueries][kQueryBytes];  // swizzled, [kColumns][kDims]
    unsigned char keys[kStages][kKeyBytes];      // swizzled, [64][kDims]
    float scales[kStages][kUnitTokens];
    float weights[kQueries][kColumns];
    std::int32_t limits[kQueries][4];
    UnitHeader headers[kStages];
    std::uint64_t unit_full[kStages], unit_empty[kStages];
    std::uint64_t query_full[kQueries], query_empty[kQueries];
    std::int64_t warp_units[kWarps];
    std::int64_t start_prefix;
    std::int32_t start_sequence;
  };
  static_assert(sizeof(Shared) <= 227 * 1024);
};

// The tokens a sequence has: what the schedule counts.
__device__ __forceinline__ std::int32_t context_of(const PagedLogits& p, std::int32_t sequence) {
  const std::int32_t* row = p.contexts + sequence * p.context_stride;
  return max(0, p.context_columns == 0 ? row[0] : row[p.context_columns - 1]);
}
// First column of row (sequence, i) that is not written.
__device__ __forceinline__ std::int32_t limit_of(const PagedLogits& p, std::int32_t sequence,
                                                 std::int32_t i) {
  const std::int32_t* row = p.contexts + sequence * p.context_stride;
  return max(0, p.context_columns == 0 ? row[0] - p.next_n + i + 1 : row[i]);
}
__device__ __forceinline__ std::int32_t units_of(std::int32_t tokens) {
  return (tokens + kUnitTokens - 1) / kUnitTokens;
}

// A position on the CTA's line.
struct Walk {
  std::int32_t sequence = 0, unit = 0, tokens = 0;  // tokens of the sequence
  std::int64_t remaining = 0;

  __device__ __forceinline__ void advance(const PagedLogits& p) {
    --remaining;
    ++unit;
    if (unit * kUnitTokens >= tokens && remaining > 0) {
      unit = 0;
      do {
        tokens = context_of(p, ++sequence);
      } while (tokens == 0);
    }
  }
};

// Every thread sums a run of the batch; scans lay the sums end to end; the owner of this part's first unit finds
// the sequence. Arrivals: all threads, twice.
template <int kThreads, typename Shared>
__device__ Walk find_own_range(const PagedLogits& p, Shared& shared) {
  const int run = (p.batch + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * run, p.batch), end = min(begin + run, p.batch);
  std::int64_t units = 0;
  for (int s = begin; s < end; ++s) units += units_of(context_of(p, s));
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  std::int64_t before = units;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const std::int64_t other = __shfl_up_sync(kAllLanes, before, step);
    if (lane >= step) before += other;
  }
  if (lane == 31) shared.warp_units[warp] = before;
  before -= units;
  __syncthreads();
  std::int64_t total = 0;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) {
    before += w < warp ? shared.warp_units[w] : 0;
    total += shared.warp_units[w];
  }
  Walk walk;
  const std::int64_t line_begin = part_begin(total, p.parts, blockIdx.x);
  walk.remaining = part_begin(total, p.parts, blockIdx.x + 1) - line_begin;
  if (walk.remaining == 0) return walk;
  if (line_begin >= before && line_begin < before + units) {
    std::int64_t prefix = before;
    int s = begin;
    for (;; ++s) {
      const std::int64_t own = units_of(context_of(p, s));
      if (line_begin < prefix + own) break;
      prefix += own;
    }
    shared.start_sequence = s;
    shared.start_prefix = prefix;
  }
  __syncthreads();
  walk.sequence = shared.start_sequence;
  walk.unit = static_cast<std::int32_t>(line_begin - shared.start_prefix);
  walk.tokens = context_of(p, walk.sequence);
  return walk;
}

struct Maps {
  CUtensorMap keys;   // [blocks][block_tokens][D]
  CUtensorMap query;  // [batch * next_n][heads][D]
};

// Warp `part` of three fills the ring of units: those of the line with index % 3 == part. A box is what of a unit lies
// in one block: 64 tokens, or a block if that is less.
template <int kHeads, int kDims, int kNextN>
__device__ __forceinline__ void produce_units(const PagedLogits& p, const Maps& maps,
                                              typename Plan<kHeads, kDims, kNextN>::Shared& shared, Walk walk,
                                              int part) {
  using P = Plan<kHeads, kDims, kNextN>;
  const int lane = threadIdx.x % 32;
  const int box_tokens = min(kUnitTokens, p.layout.block_tokens), boxes = kUnitTokens / box_tokens;
  const std::uint64_t once = ptx::evict_first();
  std::int32_t query = 0, sequence = walk.sequence;
  std::int32_t ids_sequence = -1, ids_begin = 0, ids_end = 0;
  std::int32_t id = 0, slot = 0;  // lane l: where box l from ids_begin on lies
  const unsigned char* scales = nullptr;
  ptx::RingPosition<P::kStages> at;
  const auto step = [&] {
    walk.advance(p);
    if (walk.sequence != sequence) {
      sequence = walk.sequence;
      ++query;
    }
  };
  const auto steps = [&](int count) {
#pragma unroll 1
    for (int i = 0; i < count && walk.remaining > 0; ++i) step();
    at.advance(count);
  };
  steps(part);
  while (walk.remaining > 0) {
    if (walk.sequence != ids_sequence || walk.unit >= ids_end) {
      ids_sequence = walk.sequence;
      ids_begin = walk.unit;
      ids_end = walk.unit + 32 / boxes;
      const int token = walk.unit * kUnitTokens + lane * box_tokens;
      if (token < walk.tokens && lane < walk.remaining * boxes) {
        id = p.table.block(walk.sequence, token / p.layout.block_tokens);
        slot = token % p.layout.block_tokens;
        scales = p.cache + p.layout.scale_offset(id, slot);
      }
    }
    const int stage = at.stage, first = walk.unit * kUnitTokens;
    ptx::wait_parity(shared.unit_empty[stage], at.round ^ 1);
    if (boxes == 1) {
      const int owner = walk.unit - ids_begin;
      const std::int32_t unit_id = __shfl_sync(kAllLanes, id, owner),
                         unit_slot = __shfl_sync(kAllLanes, slot, owner);
      const std::uint64_t unit_scales =
          __shfl_sync(kAllLanes, reinterpret_cast<std::uint64_t>(scales), owner);
      if (ptx::elected()) {
        shared.headers[stage] = {query, sequence, first};
        ptx::arrive_and_expect(shared.unit_full[stage], kUnitTokens * (kDims + 4));
        ptx::copy_box(shared.keys[stage], maps.keys, shared.unit_full[stage], 0, unit_slot, unit_id, once);
        ptx::copy_bytes(shared.scales[stage], reinterpret_cast<const void*>(unit_scales), kUnitTokens * 4,
                        shared.unit_full[stage], once);
      }
    } else {
      const int live = min(boxes, (walk.tokens - first + box_tokens - 1) / box_tokens);
      if (lane == 0) {
        shared.headers[stage] = {query, sequence, first};
        ptx::arrive_and_expect(shared.unit_full[stage], live * box_tokens * (kDims + 4));
      }
      const int box = lane - (walk.unit - ids_begin) * boxes;
      if (box >= 0 && box < live) {
        ptx::copy_box(shared.keys[stage] + box * box_tokens * kDims, maps.keys, shared.unit_full[stage], 0,
                      slot, id, once);
        ptx::copy_bytes(&shared.scales[stage][box * box_tokens], scales, box_tokens * 4,
                        shared.unit_full[stage], once);
      }
    }
    __syncwarp();
    steps(kUnitProducers);
  }
}

// The warp that fills the ring of queries: a sequence after the other.
template <int kHeads, int kDims, int kNextN>
__device__ __forceinline__ void produce_queries(const PagedLogits& p, const Maps& maps,
                                                typename Plan<kHeads, kDims, kNextN>::Shared& shared,
                                                Walk walk) {
  using P = Plan<kHeads, kDims, kNextN>;
  const int lane = threadIdx.x % 32;
  const std::uint64_t once = ptx::evict_first();
  ptx::RingPosition<P::kQueries> at;
  for (; walk.remaining > 0; at.advance()) {
    const std::int32_t sequence = walk.sequence;
    ptx::wait_parity(shared.query_empty[at.stage], at.round ^ 1);
    if (ptx::elected()) {
      ptx::arrive_and_expect(shared.query_full[at.stage], P::kQueryBytes);
      ptx::copy_box(shared.query[at.stage], maps.query, shared.query_full[at.stage], 0, 0, sequence * kNextN,
                    once);
    }
#pragma unroll
    for (int i = 0; i < P::kColumns / 32; ++i) {
      const int column = i * 32 + lane;
      ptx::copy_async_4(
          ptx::shared_address(&shared.weights[at.stage][column]),
          p.weights + (static_cast<std::int64_t>(sequence) * kNextN + column / kHeads) * p.weights_stride +
              column % kHeads);
    }
    if (lane < kNextN) shared.limits[at.stage][lane] = limit_of(p, sequence, lane);
    ptx::arrive_after_copies(shared.query_full[at.stage]);
    ptx::arrive(shared.query_full[at.stage]);                // the limit
    const int rest = units_of(walk.tokens) - walk.unit - 1;  // units of this sequence after this one
    if (walk.remaining <= rest) break;
    walk.unit += rest;
    walk.remaining -= rest;
    walk.advance(p);
  }
}

// -inf from the limit to `columns`; rows shared out over the CTAs and their four warps beside the math.
template <int kNextN, typename Output>
__device__ __forceinline__ void clean_rows(const PagedLogits& p, int warp) {
  for (std::int64_t row = blockIdx.x * 4 + warp; row < static_cast<std::int64_t>(p.batch) * kNextN;
       row += gridDim.x * 4) {
    const std::int32_t limit =
        limit_of(p, static_cast<std::int32_t>(row / kNextN), static_cast<std::int32_t>(row % kNextN));
#pragma unroll 8
    for (std::int64_t t = limit + static_cast<std::int64_t>(threadIdx.x % 32); t < p.columns; t += 32)
      logits::store<Output>(p.logits, row * p.logits_stride + t, bit_cast<float>(0xff800000u));
  }
}

// Some of a unit's query rows: their scores, weights and limits.
template <int kHeads, int kDims, int kNextN, int kRows>
struct Side {
  using P = Plan<kHeads, kDims, kNextN>;
  float score[kRows * kHeads / 2];
  float weights[kRows][kHeads / 4];
  std::int32_t limit[kRows];

  __device__ __forceinline__ void load(const typename P::Shared& shared, int stage, int first_row) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int a = 0; a < kHeads / 4; a += 2) {
        const float2 two = *reinterpret_cast<const float2*>(
            &shared.weights[stage][(first_row + i) * kHeads +
                                   LogitsReduction::head_of_accumulator(threadIdx.x % 4, a)]);
        weights[i][a] = two.x;
        weights[i][a + 1] = two.y;
      }
      limit[i] = shared.limits[stage][first_row + i];
    }
  }
  __device__ __forceinline__ void start(std::uint64_t key_tile, std::uint64_t query_tile) {
#pragma unroll
    for (int k = 0; k < kDims; k += 32)
      ptx::WgmmaE4M3<kRows * kHeads>::multiply_add(score, ptx::advanced(key_tile, k),
                                                   ptx::advanced(query_tile, k), k > 0);
    ptx::commit_group();
  }
  // row: of the logits, this side's first; token: this thread's.
  template <typename Output>
  __device__ __forceinline__ void reduce(const PagedLogits& p, std::int64_t row, std::int32_t token,
                                         float scale) const {
    const int half = threadIdx.x % 2, odd = threadIdx.x / 2 % 2;
#pragma unroll
    for (int i = 0; i + 1 < kRows; i += 2) {
      const float logit =
          logits::logit_of_two(logits::own_share<kHeads>(score, i, weights[i], half),
                               logits::own_share<kHeads>(score, i + 1, weights[i + 1], half), odd, scale);
      if (token < (odd == 0 ? limit[i] : limit[i + 1]))
        logits::store<Output>(p.logits, (row + i + odd) * p.logits_stride + token, logit);
    }
    if constexpr (kRows % 2 == 1) {
      constexpr int i = kRows - 1;
      const float logit = logits::logit_of_one(logits::own_share<kHeads>(score, i, weights[i], half), scale);
      if (odd == 0 && token < limit[i])
        logits::store<Output>(p.logits, (row + i) * p.logits_stride + token, logit);
    }
  }
};

// A warpgroup's view of the rings.
template <int kHeads, int kDims, int kNextN>
struct Reader {
  using P = Plan<kHeads, kDims, kNextN>;
  typename P::Shared& shared;
  ptx::RingPosition<P::kStages> at;
  ptx::RingPosition<P::kQueries> query_at;
  std::int32_t query = 0;

  __device__ __forceinline__ UnitHeader wait_unit() {
    ptx::wait_parity(shared.unit_full[at.stage], at.round);
    return shared.headers[at.stage];
  }
  __device__ __forceinline__ void release_unit(int stage) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) ptx::arrive(shared.unit_empty[stage]);
  }
  // Where this unit's query is, once it is there.
  __device__ __forceinline__ int wait_query() {
    ptx::wait_parity(shared.query_full[query_at.stage], query_at.round);
    return query_at.stage;
  }
  // This warp needs nothing of the queries before `wanted` any more.
  __device__ __forceinline__ void move_to_query(std::int32_t wanted) {
#pragma unroll 1
    for (; query < wanted; ++query, query_at.advance())
      if (threadIdx.x % 32 == 0) ptx::arrive(shared.query_empty[query_at.stage]);
  }
  __device__ __forceinline__ std::uint64_t key_tile(int stage) const {
    return ptx::tile_descriptor<kDims>(ptx::shared_address(shared.keys[stage]));
  }
  __device__ __forceinline__ std::uint64_t query_tile(int stage) const {
    return ptx::tile_descriptor<kDims>(ptx::shared_address(shared.query[stage]));
  }
};

template <int kHeads, int kDims, int kNextN, typename Output>
__device__ __forceinline__ void multiply(const PagedLogits& p,
                                         typename Plan<kHeads, kDims, kNextN>::Shared& shared, int group,
                                         std::int64_t units) {
  using P = Plan<kHeads, kDims, kNextN>;
  const int own_token = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4 + threadIdx.x % 2 * 8;
  if (group >= units) return;
  Reader<kHeads, kDims, kNextN> ring{shared, {}, {}};
  ring.at.advance(group);
  std::int64_t left = (units - group + P::kGroups - 1) / P::kGroups;  // own units

  // 256 columns are two sides of query rows: while one is reduced the tensor core has the other.
  constexpr int kSides = P::kColumns == 256 ? 2 : 1, kRows = kNextN / kSides;
  constexpr std::uint64_t kSecond = kRows * kHeads * kDims >> 4;  // of a descriptor
  Side<kHeads, kDims, kNextN, kRows> first, second;
  std::uint64_t query_tile = 0;
  std::int32_t loaded = -1;
  int loaded_from = 0;  // stage
  for (; left > 0; --left, ring.at.advance(P::kGroups)) {
    const UnitHeader header = ring.wait_unit();
    const int stage = ring.at.stage;
    if (header.query != loaded) {
      ring.move_to_query(header.query);
      const int from = ring.wait_query();
      loaded_from = from;
      if constexpr (P::kWeightsStay) first.load(shared, from, 0);
      if constexpr (kSides == 2) second.load(shared, from, kRows);
      query_tile = ring.query_tile(from);
      loaded = header.query;
    }
    const std::int64_t row = static_cast<std::int64_t>(header.sequence) * kNextN;
    const std::int32_t token = header.token + own_token;
    const float scale = shared.scales[stage][own_token];
    ptx::fence_operands();
    first.start(ring.key_tile(stage), query_tile);
    if constexpr (kSides == 2) {
      second.start(ring.key_tile(stage), query_tile + kSecond);
      ptx::wait_group<1>();
      first.template reduce<Output>(p, row, token, scale);
    }
    ptx::wait_group<0>();
    ring.release_unit(stage);
    if constexpr (kSides == 2) {
      second.template reduce<Output>(p, row + kRows, token, scale);
    } else {
      if constexpr (!P::kWeightsStay) first.load(shared, loaded_from, 0);
      first.template reduce<Output>(p, row, token, scale);
    }
  }
}

template <int kHeads, int kDims, int kNextN, typename Output>
__global__ void __launch_bounds__((Plan<kHeads, kDims, kNextN>::kThreads), 1)
    sm90_fp8_paged_mqa_logits(const __grid_constant__ PagedLogits p, const __grid_constant__ Maps maps) {
  using P = Plan<kHeads, kDims, kNextN>;
  extern __shared__ __align__(1024) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename P::Shared*>(memory);
  static_assert(P::kStages <= 32 && P::kQueries <= 32);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < P::kStages) {
    ptx::init_barrier(shared.unit_full[thread], 1);
    ptx::init_barrier(shared.unit_empty[thread], 4);
    ptx::fence_barrier_init();
  } else if (thread >= 32 && thread < 32 + P::kQueries) {
    ptx::init_barrier(shared.query_full[thread - 32], 1 + 64);  // announced; every lane's copies and limit
    ptx::init_barrier(shared.query_empty[thread - 32], P::kGroups * 4);
    ptx::fence_barrier_init();
  }
  const Walk walk = find_own_range<P::kThreads>(p, shared);  // its barriers also publish these
  const int group = threadIdx.x / 128;
  if (group == P::kGroups) {
    ptx::give_registers<P::kOtherRegisters>();
    const int warp = thread / 32 % 4;
    if (warp < kUnitProducers) {
      produce_units<kHeads, kDims, kNextN>(p, maps, shared, walk, warp);
    } else {
      produce_queries<kHeads, kDims, kNextN>(p, maps, shared, walk);
    }
    if (p.clean) clean_rows<kNextN, Output>(p, warp);
  } else {
    ptx::take_registers<P::kMathRegisters>();
    multiply<kHeads, kDims, kNextN, Output>(p, shared, group, walk.remaining);
  }
}

// ---- host -------------------------------------------------------------------------------------------

constexpr std::uint64_t kMostBlocks = 0x7fffffff;  // ids are int32; how many there are is not told

std::string shape_of(const PagedLogits& c) {
  return "sm90_fp8_paged_mqa_logits batch=" + std::to_string(c.batch) +
         " next_n=" + std::to_string(c.next_n) + " heads=" + std::to_string(c.heads) +
         " dims=" + std::to_string(c.dims);
}
void check_cuda(cudaError_t status, const PagedLogits& call, const char* what) {
  if (status == cudaSuccess) return;
  throw EnvironmentError(shape_of(call) + ": " + what, "cudaSuccess",
                         std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")");
}

template <int kHeads, int kDims, int kNextN, typename Output>
void launch(PagedLogits call, void* stream) {
  using P = Plan<kHeads, kDims, kNextN>;
  constexpr int kBytes = sizeof(typename P::Shared);
  const auto kernel = sm90_fp8_paged_mqa_logits<kHeads, kDims, kNextN, Output>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), call,
             "shared memory");
  if (call.parts == 0) {
    int device = 0;
    check_cuda(cudaGetDevice(&device), call, "device");
    check_cuda(cudaDeviceGetAttribute(&call.parts, cudaDevAttrMultiProcessorCount, device), call, "SM count");
  }
  const auto dims = static_cast<std::uint64_t>(kDims);
  const auto box_tokens = static_cast<std::uint32_t>(std::min(kUnitTokens, call.layout.block_tokens));
  const Maps maps{ptx::tensor_map({call.cache,
                                   {dims, static_cast<std::uint64_t>(call.layout.block_tokens), kMostBlocks},
                                   {dims, static_cast<std::uint64_t>(call.layout.block_stride)},
                                   {box_tokens, 1}},
                                  shape_of(call)),
                  ptx::tensor_map({call.q,
                                   {dims, kHeads, static_cast<std::uint64_t>(call.batch) * kNextN},
                                   {dims, static_cast<std::uint64_t>(call.q_row_stride)},
                                   {kHeads, kNextN}},
                                  shape_of(call))};
  kernel<<<call.parts, P::kThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(call, maps);
  check_cuda(cudaGetLastError(), call, "launch");
}

template <int kHeads, int kDims, int kNextN>
void launch_typed(const PagedLogits& call, void* stream) {
  call.type == ElementType::kFp32 ? launch<kHeads, kDims, kNextN, float>(call, stream)
                                  : launch<kHeads, kDims, kNextN, std::uint16_t>(call, stream);
}
template <int kHeads, int kDims>
void launch_rows(const PagedLogits& call, void* stream) {
  switch (call.next_n) {
    case 1: return launch_typed<kHeads, kDims, 1>(call, stream);
    case 2: return launch_typed<kHeads, kDims, 2>(call, stream);
    case 4: return launch_typed<kHeads, kDims, 4>(call, stream);
    default: break;
  }
  if constexpr (kHeads == 64) {
    if (call.next_n == 3) return launch_typed<kHeads, kDims, 3>(call, stream);
  }
  throw InputError(shape_of(call), "next_n 1, 2, 4 (3 with 64 heads)", std::to_string(call.next_n));
}
template <int kHeads>
void launch_dims(const PagedLogits& call, void* stream) {
  switch (call.dims) {
    case 32: return launch_rows<kHeads, 32>(call, stream);
    case 64: return launch_rows<kHeads, 64>(call, stream);
    default: return launch_rows<kHeads, 128>(call, stream);
  }
}

}  // namespace

void validate(const PagedLogits& c) {
  const auto want = [&](bool holds, const char* what, const char* expected, std::int64_t got) {
    if (!holds) throw InputError(shape_of(c) + ": " + what, expected, std::to_string(got));
  };
  want(c.batch >= 0, "batch", "0 or more", c.batch);
  want(c.heads == 32 || c.heads == 64, "heads", "32 or 64", c.heads);
  want(c.dims == 32 || c.dims == 64 || c.dims == 128, "dims", "32, 64 or 128", c.dims);
  want(c.next_n == 1 || c.next_n == 2 || c.next_n == 4 || (c.next_n == 3 && c.heads == 64), "next_n",
       "1, 2, 4 (3 with 64 heads)", c.next_n);
  want(c.context_columns == 0 || c.context_columns == c.next_n, "context columns", "0 or next_n",
       c.context_columns);
  want(c.type == ElementType::kFp32 || c.type == ElementType::kBf16, "logits", "fp32 or bf16",
       static_cast<int>(c.type));
  validate(c.layout, shape_of(c) + ": index cache");
  want(c.layout.dims == c.dims, "cache dims", "dims", c.layout.dims);
  want(c.layout.block_tokens == 16 || c.layout.block_tokens == 32 || c.layout.block_tokens % kUnitTokens == 0,
       "block tokens", "16, 32 or a multiple of 64", c.layout.block_tokens);
  want(c.layout.block_stride % 16 == 0, "block stride", "a multiple of 16 bytes", c.layout.block_stride);
  want(c.q_row_stride % 16 == 0 && c.q_row_stride >= static_cast<std::int64_t>(c.heads) * c.dims,
       "q row stride", "a multiple of 16 bytes that holds heads * dims", c.q_row_stride);
  want(reinterpret_cast<std::uintptr_t>(c.q) % 16 == 0 && reinterpret_cast<std::uintptr_t>(c.cache) % 16 == 0,
       "addresses of q and cache", "multiples of 16", 0);
  want(c.logits_stride >= c.columns, "logits stride", "columns or more", c.logits_stride);
  want(c.parts >= 0, "parts", "0 or more", c.parts);
}

void launch_paged_logits(const PagedLogits& call, void* stream) {
  validate(call);
  if (call.batch == 0) return;
  // How many tokens there are is known on the device only; the width of the logits bounds them.
  if (call.layout.block_tokens % kUnitTokens == 0 &&
      call.batch * call.columns * std::max(64, call.next_n * call.heads) <= kFewTokens * 64)
    return launch_few_tokens(call, stream);
  call.heads == 32 ? launch_dims<32>(call, stream) : launch_dims<64>(call, stream);
}

}  // namespace assay
