// The form of the paged logits for few tokens: small CTAs of one warpgroup, four to two per SM, each with a ring of
// its own filled by cp.async. It begins 0.5 to 1.3 us sooner than the form of paged_logits.cu, which it equals in
// every bit, and is left behind from about 100,000 tokens on. Only blocks of 64 tokens or a multiple.
#include <cuda_runtime.h>

#include <string>

#include "gpu/ptx/copy.h"
#include "gpu/ptx/wgmma_e4m3.h"
#include "gpu/sm90_fp8_paged_mqa_logits/few_tokens.h"
#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

constexpr int kUnitTokens = 64;
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

// What a shape costs and how many CTAs of it share an SM.
template <int kHeads, int kDims, int kNextN>
struct Plan {
  static constexpr int kColumns = kHeads * kNextN;  // N of the instruction
  static constexpr int kCtasPerSm = kColumns <= 64 ? 4 : kColumns <= 128 ? 3 : 2;
  static constexpr int kKeyBytes = kUnitTokens * kDims;
  static constexpr int kQueryBytes = kColumns * kDims;
  // Deep enough for 64 KB in flight per SM, small enough for the SM's 227 KB.
  static constexpr int kBudget = 227 * 1024 / kCtasPerSm - 2048 - kQueryBytes;
  static constexpr int kFit = kBudget / (kKeyBytes + kUnitTokens * 4);
  static constexpr int kStages = kFit < 8 ? kFit : 8;
  static_assert(kStages >= 3);

  struct Shared {
    unsigned char query[kQueryBytes];        // swizzled, [kColumns][kDims]
    unsigned char keys[kStages][kKeyBytes];  // swizzled, [64][kDims]
    float scales[kStages][kUnitTokens];
    std::int64_t warp_units[kWarps];
    std::int64_t start_prefix;
    std::int32_t start_sequence;
  };
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

// A CTA's position on the line of units.
struct Walk {
  std::int32_t sequence = 0, unit = 0, units = 0;  // units of the sequence
  std::int64_t remaining = 0;

  __device__ __forceinline__ void advance(const PagedLogits& p) {
    --remaining;
    ++unit;
    if (unit == units && remaining > 0) {
      unit = 0;
      do {
        units = units_of(context_of(p, ++sequence));
      } while (units == 0);
    }
  }
};

// Every thread sums a run of the batch; scans lay the sums end to end; the owner of this part's first unit finds
// the sequence. Arrivals: all threads, twice.
template <typename Shared>
__device__ Walk find_own_range(const PagedLogits& p, Shared& shared) {
  const int run = (p.batch + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * run, p.batch), end = min(begin + run, p.batch);
  std::int64_t units = 0;
  for (int s = begin; s < end; ++s) units += units_of(context_of(p, s));
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
  walk.units = units_of(context_of(p, walk.sequence));
  return walk;
}

// Producer half of a CTA: all threads copy, `Plan::kStages` units ahead of the consumer.
template <int kHeads, int kDims, int kNextN>
struct UnitLoader {
  using P = Plan<kHeads, kDims, kNextN>;
  const PagedLogits& p;
  typename P::Shared& shared;
  Walk walk;
  int lane;
  std::int32_t block = 0;  // lane l: id of unit ids_begin + l
  std::int32_t ids_begin = 0;

  __device__ UnitLoader(const PagedLogits& call, typename P::Shared& memory, const Walk& start)
      : p(call), shared(memory), walk(start), lane(threadIdx.x % 32) {
    if (walk.remaining > 0) fetch_ids();
  }
  __device__ __forceinline__ void fetch_ids() {
    ids_begin = walk.unit;
    const int own = walk.unit + lane;
    if (own < walk.units && lane < walk.remaining)
      block = p.table.block(walk.sequence, own * kUnitTokens / p.layout.block_tokens);
  }
  // Starts the copies of the next unit; past the end an empty group keeps the count of groups true.
  __device__ __forceinline__ void load_next(int stage) {
    if (walk.remaining > 0) {
      const std::int64_t id = __shfl_sync(0xffffffffu, block, walk.unit - ids_begin);
      const int slot = walk.unit * kUnitTokens % p.layout.block_tokens;
      constexpr int kChunks = kDims / 16, kRowsAtOnce = kThreads / kChunks;
      const int chunk = threadIdx.x % kChunks;
      int row = threadIdx.x / kChunks;
      const std::uint8_t* from = p.cache + p.layout.key_offset(id, slot + row) + chunk * 16;
      const std::uint32_t to = ptx::shared_address(shared.keys[stage]);
#pragma unroll
      for (int i = 0; i < kUnitTokens / kRowsAtOnce; ++i) {
        ptx::copy_async_16(to + row * kDims + ptx::swizzled_chunk<kDims>(row, chunk) * 16, from);
        row += kRowsAtOnce;
        from += kRowsAtOnce * kDims;
      }
      if (threadIdx.x < kUnitTokens / 4)
        ptx::copy_async_16(ptx::shared_address(&shared.scales[stage][threadIdx.x * 4]),
                           p.cache + p.layout.scale_offset(id, slot + static_cast<int>(threadIdx.x) * 4));
      const std::int32_t sequence = walk.sequence;
      walk.advance(p);
      if (walk.remaining > 0 && (walk.sequence != sequence || walk.unit - ids_begin == 32)) fetch_ids();
    }
    ptx::commit_copies();
  }
};

// A sequence's queries, swizzled, and this thread's share of the weights.
template <int kHeads, int kDims, int kNextN>
struct Query {
  using P = Plan<kHeads, kDims, kNextN>;
  float weights[kNextN][kHeads / 4];
  std::int32_t limit[kNextN];

  // Arrivals: all threads; nobody may still be reading the query of the sequence before.
  __device__ __forceinline__ void load(const PagedLogits& p, typename P::Shared& shared,
                                       std::int32_t sequence) {
    constexpr int kChunks = kDims / 16;
    for (int i = threadIdx.x; i < P::kColumns * kChunks; i += kThreads) {
      const int row = i / kChunks, chunk = i % kChunks;
      const std::uint8_t* from =
          p.q + (static_cast<std::int64_t>(sequence) * kNextN + row / kHeads) * p.q_row_stride +
          row % kHeads * kDims + chunk * 16;
      *reinterpret_cast<uint4*>(shared.query + row * kDims + ptx::swizzled_chunk<kDims>(row, chunk) * 16) =
          __ldg(reinterpret_cast<const uint4*>(from));
    }
    const int quad_lane = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < kNextN; ++i) {
      const float* row = p.weights + (static_cast<std::int64_t>(sequence) * kNextN + i) * p.weights_stride;
#pragma unroll
      for (int a = 0; a < kHeads / 4; ++a)
        weights[i][a] = __ldg(row + LogitsReduction::head_of_accumulator(quad_lane, a));
      limit[i] = limit_of(p, sequence, i);
    }
    ptx::fence_async_shared();
    __syncthreads();
  }
};

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

// -inf from the limit to `columns`, a row at a time, shared out over the CTAs.
template <typename Output>
__device__ void clean_rows(const PagedLogits& p) {
  for (std::int64_t row = blockIdx.x; row < static_cast<std::int64_t>(p.batch) * p.next_n; row += gridDim.x) {
    const std::int32_t limit =
        limit_of(p, static_cast<std::int32_t>(row / p.next_n), static_cast<std::int32_t>(row % p.next_n));
    for (std::int64_t t = limit + static_cast<std::int64_t>(threadIdx.x); t < p.columns; t += kThreads)
      store<Output>(p.logits, row * p.logits_stride + t, bit_cast<float>(0xff800000u));
  }
}

template <int kHeads, int kDims, int kNextN, typename Output>
__global__ void __launch_bounds__(kThreads, (Plan<kHeads, kDims, kNextN>::kCtasPerSm))
    sm90_fp8_paged_mqa_logits_few(const __grid_constant__ PagedLogits p) {
  using P = Plan<kHeads, kDims, kNextN>;
  extern __shared__ __align__(1024) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename P::Shared*>(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  Walk walk = find_own_range(p, shared);
  UnitLoader<kHeads, kDims, kNextN> loader(p, shared, walk);
  for (int stage = 0; stage < P::kStages; ++stage) loader.load_next(stage);

  Query<kHeads, kDims, kNextN> query;
  std::int32_t loaded_sequence = -1;
  const std::uint64_t query_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.query));
  for (int stage = 0; walk.remaining > 0; walk.advance(p), stage = stage + 1 == P::kStages ? 0 : stage + 1) {
    if (walk.sequence != loaded_sequence) {
      query.load(p, shared, walk.sequence);
      loaded_sequence = walk.sequence;
    }
    ptx::wait_copies<P::kStages - 1>();
    ptx::fence_async_shared();
    __syncthreads();  // every thread's copies of this unit are there

    float score[P::kColumns / 2];
    const std::uint64_t key_tile = ptx::tile_descriptor<kDims>(ptx::shared_address(shared.keys[stage]));
    ptx::fence_operands();
#pragma unroll
    for (int k = 0; k < kDims; k += 32)
      ptx::WgmmaE4M3<P::kColumns>::multiply_add(score, ptx::advanced(key_tile, k),
                                                ptx::advanced(query_tile, k), k > 0);
    ptx::commit_group();
    const int row = warp * 16 + lane / 4;
    const float scale[2] = {shared.scales[stage][row], shared.scales[stage][row + 8]};
    ptx::wait_group<0>();
    __syncthreads();  // everybody's products are done: the stage may be filled again
    loader.load_next(stage);

    const std::int32_t token = walk.unit * kUnitTokens + row;
#pragma unroll
    for (int i = 0; i < kNextN; ++i) {
      float total[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float own[kHeads / 4];
#pragma unroll
        for (int a = 0; a < kHeads / 4; ++a) own[a] = score[i * kHeads / 2 + a / 2 * 4 + half * 2 + a % 2];
        total[half] = lane_total<kHeads>(own, query.weights[i]);
        total[half] = exact::add(total[half], __shfl_xor_sync(0xffffffffu, total[half], 1));
        total[half] = exact::add(total[half], __shfl_xor_sync(0xffffffffu, total[half], 2));
        total[half] = exact::multiply(total[half], scale[half]);
      }
      // Lanes 0 and 1 of the quad store one row each (lanes 2 and 3 for odd query rows).
      const int half = lane % 2;
      if ((lane % 4) / 2 == i % 2 && token + half * 8 < query.limit[i])
        store<Output>(
            p.logits,
            (static_cast<std::int64_t>(walk.sequence) * kNextN + i) * p.logits_stride + token + half * 8,
            half == 0 ? total[0] : total[1]);
    }
  }
  ptx::wait_copies<0>();
  if (p.clean) clean_rows<Output>(p);
}

// ---- host -------------------------------------------------------------------------------------------

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
  const auto kernel = sm90_fp8_paged_mqa_logits_few<kHeads, kDims, kNextN, Output>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), call,
             "shared memory");
  if (call.parts == 0) {
    int device = 0;
    check_cuda(cudaGetDevice(&device), call, "device");
    check_cuda(cudaDeviceGetAttribute(&call.parts, cudaDevAttrMultiProcessorCount, device), call, "SM count");
    call.parts *= P::kCtasPerSm;
  }
  kernel<<<call.parts, kThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(call);
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

void launch_few_tokens(const PagedLogits& call, void* stream) {
  call.heads == 32 ? launch_dims<32>(call, stream) : launch_dims<64>(call, stream);
}

}  // namespace assay
