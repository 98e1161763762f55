// Formula and limits: mqa_logits.h. Bytes, operations, versions: docs/kernels/fp8_mqa_logits.md.
//
//   tile   256 / heads query rows: their heads are the 256 columns of one instruction
//   unit   S[64 tokens, 256] = K[64, D] Q^T         D/32 wgmma m64n256k32, both operands in shared memory
//   grid   two CTAs of one warpgroup per SM, each with an equal range of all tiles' units and a ring of its own:
//          while one multiplies, the other reduces
//
// Four totals of a quad (two rows, two tokens) are summed and shared out in three shuffles, not eight; every lane
// is left with the one it stores.
#include <cuda_runtime.h>

#include <string>

#include "gpu/ptx/copy.h"
#include "gpu/ptx/wgmma_e4m3.h"
#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

constexpr int kUnitTokens = 64;
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kColumns = 256;  // N of the instruction
constexpr int kCtasPerSm = 2;
constexpr int kStages = 8;

template <int kHeads>
constexpr int kTileRows = kColumns / kHeads;

template <int kHeads, int kDims>
struct Shared {
  unsigned char query[kColumns * kDims];             // swizzled, [256][kDims]
  unsigned char keys[kStages][kUnitTokens * kDims];  // swizzled, [64][kDims]
  float scales[kStages][kUnitTokens];
  std::int32_t start[kTileRows<kHeads>], end[kTileRows<kHeads>];
  std::int64_t warp_units[kWarps];
  std::int64_t start_prefix;
  std::int32_t start_tile;
};
static_assert(sizeof(Shared<32, 128>) <= 113 * 1024, "two CTAs per SM");

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

// Starts the copies of the walk's unit and moves on. Tokens past the last read nothing and become zero.
template <int kRows, int kDims, typename Memory>
__device__ __forceinline__ void load_next(const MqaLogits& p, Memory& shared, Walk<kRows>& walk, int stage) {
  if (walk.remaining > 0) {
    constexpr int kChunks = kDims / 16, kRowsAtOnce = kThreads / kChunks;
    const int chunk = threadIdx.x % kChunks;
    const std::int32_t first = walk.unit * kUnitTokens;
    int row = threadIdx.x / kChunks;
    const std::uint32_t to = ptx::shared_address(shared.keys[stage]);
#pragma unroll
    for (int i = 0; i < kUnitTokens / kRowsAtOnce; ++i) {
      const bool live = first + row < p.tokens;
      ptx::copy_async_16(to + row * kDims + ptx::swizzled_chunk<kDims>(row, chunk) * 16,
                         p.keys + (live ? first + row : 0) * p.key_stride + chunk * 16, live);
      row += kRowsAtOnce;
    }
    if (threadIdx.x < kUnitTokens) {
      const auto token = first + static_cast<std::int32_t>(threadIdx.x);
      const bool live = token < p.tokens;
      ptx::copy_async_4(ptx::shared_address(&shared.scales[stage][threadIdx.x]),
                        p.scales + (live ? token : 0), live);
    }
    walk.advance(p);
  }
  ptx::commit_copies();
}

// A tile's queries, swizzled; this thread's share of the weights; the rows' ranges. Rows past the last are zero.
// Arrivals: all threads; nobody may still be reading the tile before.
template <int kHeads, int kDims, typename Memory>
__device__ __forceinline__ void load_tile(const MqaLogits& p, Memory& shared, std::int32_t tile,
                                          float (&weights)[kTileRows<kHeads>][kHeads / 4]) {
  constexpr int kRows = kTileRows<kHeads>, kChunks = kDims / 16;
  for (int i = threadIdx.x; i < kColumns * kChunks; i += kThreads) {
    const int column = i / kChunks, chunk = i % kChunks;
    const std::int32_t row = tile * kRows + column / kHeads;
    uint4 bytes = make_uint4(0, 0, 0, 0);
    if (row < p.rows)
      bytes = __ldg(
          reinterpret_cast<const uint4*>(p.q + row * p.q_row_stride + column % kHeads * kDims + chunk * 16));
    *reinterpret_cast<uint4*>(shared.query + column * kDims +
                              ptx::swizzled_chunk<kDims>(column, chunk) * 16) = bytes;
  }
  const int quad_lane = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const std::int32_t row = tile * kRows + i;
#pragma unroll
    for (int a = 0; a < kHeads / 4; ++a)
      weights[i][a] =
          row < p.rows
              ? __ldg(p.weights + row * p.weights_stride + LogitsReduction::head_of_accumulator(quad_lane, a))
              : 0.0f;
  }
  if (threadIdx.x < kRows) {
    const std::int32_t row = tile * kRows + static_cast<std::int32_t>(threadIdx.x);
    const Range own = row < p.rows ? range_of(p, row) : Range{};
    shared.start[threadIdx.x] = own.begin;
    shared.end[threadIdx.x] = own.end;
  }
  ptx::fence_async_shared();
  __syncthreads();
}

template <typename Output>
__device__ __forceinline__ void store(void* logits, std::int64_t at, float value);
template <>
__device__ __forceinline__ void store<float>(void* logits, std::int64_t at, float value) {
  __stcs(static_cast<std::uint32_t*>(logits) + at, fp32_output_bits(value));
}
template <>
__device__ __forceinline__ void store<std::uint16_t>(void* logits, std::int64_t at, float value) {
  static_cast<std::uint16_t*>(logits)[at] = bf16_output_bits(value);
}

// -inf outside every row's range, rows shared out over the CTAs.
template <typename Output>
__device__ void clean_rows(const MqaLogits& p) {
  const float outside = bit_cast<float>(0xff800000u);
  for (std::int32_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    Range own = range_of(p, row);
    if (p.compressed) own = {0, own.end - own.begin};
    const std::int64_t at = row * p.logits_stride;
    for (std::int64_t t = threadIdx.x; t < min(static_cast<std::int64_t>(own.begin), p.columns);
         t += kThreads)
      store<Output>(p.logits, at + t, outside);
    for (std::int64_t t = own.end + static_cast<std::int64_t>(threadIdx.x); t < p.columns; t += kThreads)
      store<Output>(p.logits, at + t, outside);
  }
}

template <int kHeads, int kDims, typename Output>
__global__ void __launch_bounds__(kThreads, kCtasPerSm)
    sm90_fp8_mqa_logits(const __grid_constant__ MqaLogits p) {
  constexpr int kRows = kTileRows<kHeads>;
  extern __shared__ __align__(1024) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kHeads, kDims>*>(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  // One CTA of an SM cleans while the other multiplies.
  const bool cleans_first = blockIdx.x < gridDim.x / 2;
  if (p.clean && cleans_first) clean_rows<Output>(p);

  Walk<kRows> walk = find_own_range<kRows>(p, shared);
  Walk<kRows> ahead = walk;
  for (int stage = 0; stage < kStages; ++stage) load_next<kRows, kDims>(p, shared, ahead, stage);

  float weights[kRows][kHeads / 4];
  std::int32_t loaded_tile = -1;
  const std::uint64_t query_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.query));
  const int half = lane % 2, odd = lane / 2 % 2;
  for (int stage = 0; walk.remaining > 0; walk.advance(p), stage = stage + 1 == kStages ? 0 : stage + 1) {
    if (walk.tile != loaded_tile) {
      load_tile<kHeads, kDims>(p, shared, walk.tile, weights);
      loaded_tile = walk.tile;
    }
    ptx::wait_copies<kStages - 1>();
    ptx::fence_async_shared();
    __syncthreads();  // every thread's copies of this unit are there

    float score[kColumns / 2];
    const std::uint64_t key_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.keys[stage]));
    ptx::fence_operands();
#pragma unroll
    for (int k = 0; k < kDims; k += 32)
      ptx::WgmmaE4M3<kColumns>::multiply_add(score, ptx::advanced(key_tile, k), ptx::advanced(query_tile, k),
                                             k > 0);
    ptx::commit_group();
    const int own_token = warp * 16 + lane / 4 + half * 8;
    const float scale = shared.scales[stage][own_token];
    ptx::wait_group<0>();
    __syncthreads();  // everybody's products are done: the stage may be filled again
    load_next<kRows, kDims>(p, shared, ahead, stage);

    const std::int32_t token = walk.unit * kUnitTokens + own_token;
#pragma unroll
    for (int i = 0; i < kRows; i += 2) {
      float pair[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float total[2];
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) {
          float own[kHeads / 4];
#pragma unroll
          for (int a = 0; a < kHeads / 4; ++a)
            own[a] = score[(i + r) * kHeads / 2 + a / 2 * 4 + upper * 2 + a % 2];
          total[upper] = lane_total<kHeads>(own, weights[i + r]);
        }
        const float sent = half == 0 ? total[1] : total[0], kept = half == 0 ? total[0] : total[1];
        pair[r] = exact::add(kept, __shfl_xor_sync(0xffffffffu, sent, 1));
      }
      const float sent = odd == 0 ? pair[1] : pair[0], kept = odd == 0 ? pair[0] : pair[1];
      const float logit = exact::multiply(exact::add(kept, __shfl_xor_sync(0xffffffffu, sent, 2)), scale);
      const std::int32_t begin = shared.start[i + odd];
      const std::int64_t column = p.compressed ? token - begin : token;
      if (token >= begin && token < shared.end[i + odd] && column < p.columns)
        store<Output>(p.logits,
                      (walk.tile * static_cast<std::int64_t>(kRows) + i + odd) * p.logits_stride + column,
                      logit);
    }
    // The ranges may be replaced only when everybody has read them.
    if (walk.remaining > 1 && walk.unit + 1 == walk.unit_end) __syncthreads();
  }
  ptx::wait_copies<0>();
  if (p.clean && !cleans_first) clean_rows<Output>(p);
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
    call.parts *= kCtasPerSm;
  }
  kernel<<<call.parts, kThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(call);
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
