// Checks paged decode attention on a GPU, then times it, and prints one table.
//
//   attention_gpu_check --check    correctness only
//   attention_gpu_check --time     correctness, then times (default)
//
// Correctness: mma.sync against the tensor-core step; every bit of out and lse against the twin; every element
// against the golden model; dead bytes poisoned with NaN, outputs poisoned, repeated launches and renamed
// blocks equal in every bit. Exit: 0 all right, 1 something is wrong, 77 no device (reported as skipped).
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gpu/sm90_paged_attention/decode.h"
#include "gpu/tests/device_harness.h"
#include "model/core/check.h"
#include "model/core/philox.h"
#include "model/golden/paged_attention.h"
#include "model/twin/attention_decode_twin.h"
#include "model/twin/probes.h"

namespace assay {
namespace {

// ---- the instruction --------------------------------------------------------------------------------

// One mma.sync per warp; only element (0, 0) of the result is looked at: row 0 of A times column 0 of B.
template <bool kFp16>
__global__ void run_probes(const std::uint16_t* a, const std::uint16_t* b, const float* c, float* result,
                           int count) {
  const int probe = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (probe >= count) return;
  std::uint32_t fa[4] = {0, 0, 0, 0}, fb[2] = {0, 0};
  if (lane < 4) {
    const auto* words_a = reinterpret_cast<const std::uint32_t*>(a + probe * 16);
    const auto* words_b = reinterpret_cast<const std::uint32_t*>(b + probe * 16);
    fa[0] = words_a[lane];
    fa[2] = words_a[lane + 4];
    fb[0] = words_b[lane];
    fb[1] = words_b[lane + 4];
  }
  float d[4] = {lane == 0 ? c[probe] : 0.0f, 0.0f, 0.0f, 0.0f};
  if constexpr (kFp16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  }
  if (lane == 0) result[probe] = d[0];
}

// The step done as two of eight products each, for comparison.
template <typename Format>
float two_halves(const std::uint16_t* a, const std::uint16_t* b, float c, const StepRule& rule) {
  std::uint16_t half[16] = {};
  std::copy(a, a + 8, half);
  c = tensor_core_step<Format>(half, b, c, rule);
  std::fill(half, half + 8, std::uint16_t{0});
  std::copy(a + 8, a + 16, half + 8);
  return tensor_core_step<Format>(half, b, c, rule);
}

template <typename Format>
bool check_instruction(ElementType type) {
  std::vector<twin::StepProbe> probes = twin::step_probes({type, type});
  const auto random = twin::random_step_probes({type, type}, 7, 200'000);
  probes.insert(probes.end(), random.begin(), random.end());
  std::vector<std::uint16_t> a(probes.size() * 16), b(probes.size() * 16);
  std::vector<float> c(probes.size());
  for (std::size_t i = 0; i < probes.size(); ++i) {
    std::memcpy(&a[i * 16], probes[i].a.data(), 32);
    std::memcpy(&b[i * 16], probes[i].b.data(), 32);
    c[i] = bit_cast<float>(probes[i].accumulator);
  }
  const DeviceArray<std::uint16_t> da(a), db(b);
  const DeviceArray<float> dc(c), dr(probes.size());
  const int count = static_cast<int>(probes.size());
  run_probes<std::is_same_v<Format, Fp16>>
      <<<(count + 3) / 4, 128>>>(da.get(), db.get(), dc.get(), dr.get(), count);
  cuda(cudaDeviceSynchronize(), "probes");
  const std::vector<float> got = dr.to_host();
  std::size_t wrong = 0, wrong_halves[3] = {0, 0, 0}, shown = 0;
  const StepRule rules[3] = {{24, 23}, {25, 23}, {26, 23}};
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const std::uint32_t bits = bit_cast<std::uint32_t>(got[i]);
    if (bits != probes[i].expected) {
      ++wrong;
      if (++shown <= 3)
        std::printf("  probe %zu '%s': expected %08x, got %08x\n", i, probes[i].question, probes[i].expected,
                    bits);
    }
    for (int r = 0; r < 3; ++r)
      wrong_halves[r] +=
          bits != bit_cast<std::uint32_t>(two_halves<Format>(&a[i * 16], &b[i * 16], c[i], rules[r]));
  }
  std::printf(
      "mma.sync %s: %zu probes, %zu differ from one step of 16; from two steps of 8: %zu %zu %zu (24, 25, 26 "
      "bits)\n",
      name_of(type), probes.size(), wrong, wrong_halves[0], wrong_halves[1], wrong_halves[2]);
  return wrong == 0;
}

// ---- cases ------------------------------------------------------------------------------------------

struct Shape {
  const char* name;
  ElementType type = ElementType::kBf16;
  int q_heads = 64, kv_heads = 8, dims = 128, block_tokens = 16;
  PagedOrder order = PagedOrder::kNhd;
  std::vector<std::int32_t> contexts;
  int window = 0;
  int parts = 0;
  std::int64_t block_gap_bytes = 0;
  bool separate_ids = false;  // K and V have tables of their own
};

// A case on the device: pools full of NaN but for the live tokens.
struct Case {
  Shape shape;
  std::int64_t blocks = 0;
  int max_blocks = 0;
  std::vector<std::int32_t> key_ids, value_ids;  // [batch, max_blocks]
  PagedLayout layout;
  PagedDecode call;
};

__global__ void fill_codes(std::uint16_t* to, std::int64_t count, std::uint16_t code) {
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x)
    to[i] = code;
}

// Live tokens of one cache get normals from the stream, scaled; coordinates address the draw, so that
// renaming blocks does not change a sequence's contents.
__global__ void fill_live(std::uint16_t* cache, PagedLayout layout, const std::int32_t* ids, int max_blocks,
                          const std::int32_t* contexts, RandomStream stream, float scale, bool fp16) {
  const int sequence = blockIdx.y;
  const std::int64_t per_token = static_cast<std::int64_t>(layout.heads) * layout.dims;
  const std::int64_t count = contexts[sequence] * per_token;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const auto token = static_cast<std::int32_t>(i / per_token);
    const auto head = static_cast<std::int32_t>(i % per_token / layout.dims),
               dim = static_cast<std::int32_t>(i % layout.dims);
    const std::int64_t block = ids[sequence * max_blocks + token / layout.block_tokens];
    const float value = stream.child(sequence).normal(static_cast<std::uint64_t>(i)) * scale;
    cache[layout.offset(block, token % layout.block_tokens, head, dim) / 2] =
        fp16 ? __half_as_ushort(__float2half_rn(value)) : __bfloat16_as_ushort(__float2bfloat16_rn(value));
  }
}

std::vector<std::int32_t> shuffled(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  const RandomStream stream(seed, "block ids");
  for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[stream.below(i, i)]);
  return ids;
}

class Problem {
 public:
  Problem(const Shape& shape, std::uint64_t table_seed)
      : shape_(shape),
        layout_(layout_of(shape)),
        batch_(static_cast<int>(shape.contexts.size())),
        max_blocks_(max_blocks_of(shape)),
        blocks_(blocks_of(shape)),
        key_ids_(ids(table_seed)),
        value_ids_(shape.separate_ids ? ids(table_seed + 1000) : key_ids_),
        keys(static_cast<std::size_t>(blocks_ * layout_.block_stride / 2)),
        values(keys.count()),
        q(static_cast<std::size_t>(batch_) * shape.q_heads * shape.dims),
        out(q.count()),
        lse(static_cast<std::size_t>(batch_) * shape.q_heads),
        key_table(key_ids_),
        value_table(value_ids_),
        contexts(shape.contexts) {
    const std::uint16_t nan = shape.type == ElementType::kFp16 ? Fp16::kNan : Bf16::kNan;
    const bool fp16 = shape.type == ElementType::kFp16;
    fill_codes<<<1024, 256>>>(keys.get(), static_cast<std::int64_t>(keys.count()), nan);
    fill_codes<<<1024, 256>>>(values.get(), static_cast<std::int64_t>(values.count()), nan);
    if (batch_ > 0) {
      const dim3 grid(64, static_cast<unsigned>(batch_));
      fill_live<<<grid, 256>>>(keys.get(), layout_, key_table.get(), max_blocks_, contexts.get(),
                               RandomStream(1, "keys"), 1.0f, fp16);
      fill_live<<<grid, 256>>>(values.get(), layout_, value_table.get(), max_blocks_, contexts.get(),
                               RandomStream(1, "values"), 1.0f, fp16);
    }
    std::vector<std::uint16_t> host_q(q.count());
    const RandomStream stream(1, "q");
    for (std::size_t i = 0; i < host_q.size(); ++i) {
      const double x = static_cast<double>(stream.normal(i));
      host_q[i] = fp16 ? Fp16::encode(x) : Bf16::encode(x);
    }
    q.copy_from(host_q);
    cuda(cudaDeviceSynchronize(), "filling the pools");
    call.type = shape.type;
    call.batch = batch_;
    call.q_heads = shape.q_heads;
    call.kv_heads = shape.kv_heads;
    call.dims = shape.dims;
    call.q = q.get();
    call.q_head_stride = call.out_head_stride = shape.dims;
    call.q_row_stride = call.out_row_stride = static_cast<std::int64_t>(shape.q_heads) * shape.dims;
    call.keys = keys.get();
    call.values = values.get();
    call.key_layout = call.value_layout = layout_;
    call.key_table = {key_table.get(), max_blocks_, max_blocks_};
    call.value_table = {value_table.get(), max_blocks_, max_blocks_};
    call.contexts = contexts.get();
    call.softmax_scale = 1.0f / std::sqrt(static_cast<float>(shape.dims));
    call.window_tokens = shape.window;
    call.out = out.get();
    call.lse = lse.get();
    cudaDeviceProp properties;
    cuda(cudaGetDeviceProperties(&properties, 0), "device");
    call.parts = shape.parts > 0 ? shape.parts : 2 * properties.multiProcessorCount;
  }

  std::int64_t live_bytes() const {
    std::int64_t bytes = 0;
    for (const std::int32_t context : shape_.contexts) bytes += 4LL * context * shape_.kv_heads * shape_.dims;
    return bytes + static_cast<std::int64_t>(q.count()) * 4 + static_cast<std::int64_t>(lse.count()) * 4;
  }
  const Shape& shape() const { return shape_; }
  const PagedLayout& layout() const { return layout_; }
  const std::vector<std::int32_t>& key_ids() const { return key_ids_; }
  const std::vector<std::int32_t>& value_ids() const { return value_ids_; }
  int max_blocks() const { return max_blocks_; }
  std::int64_t blocks() const { return blocks_; }

 private:
  static PagedLayout layout_of(const Shape& s) {
    PagedLayout layout = make_paged_layout(s.order, s.block_tokens, s.kv_heads, s.dims, 2);
    layout.block_stride += s.block_gap_bytes;
    return layout;
  }
  static int max_blocks_of(const Shape& s) {
    std::int64_t most = 1;
    for (const std::int32_t context : s.contexts) most = std::max(most, ceil_div(context, s.block_tokens));
    return static_cast<int>(most);
  }
  static std::int64_t blocks_of(const Shape& s) {
    std::int64_t sum = 1;
    for (const std::int32_t context : s.contexts) sum += ceil_div(context, s.block_tokens);
    return sum;
  }
  // Tables of shuffled ids; dead entries hold what no kernel may use.
  std::vector<std::int32_t> ids(std::uint64_t seed) const {
    const std::vector<std::int32_t> free = shuffled(blocks_, seed);
    std::vector<std::int32_t> table(static_cast<std::size_t>(batch_) * max_blocks_, 0x7fffffff);
    std::size_t next = 0;
    for (int s = 0; s < batch_; ++s)
      for (std::int64_t b = 0; b < ceil_div(shape_.contexts[s], shape_.block_tokens); ++b)
        table[static_cast<std::size_t>(s) * max_blocks_ + b] = free[next++];
    return table;
  }

  Shape shape_;
  PagedLayout layout_;
  int batch_, max_blocks_;
  std::int64_t blocks_;
  std::vector<std::int32_t> key_ids_, value_ids_;

 public:
  DeviceArray<std::uint16_t> keys, values, q, out;
  DeviceArray<float> lse;
  DeviceArray<std::int32_t> key_table, value_table, contexts;
  PagedDecode call;
};

struct Workspace {
  explicit Workspace(const PagedDecode& call)
      : scratch(paged_decode_scratch_bytes(call, call.parts)),
        counters(paged_decode_counter_count(call) + 1) {
    cuda(cudaMemset(scratch.get(), 0xff, scratch.count()), "poison scratch");
    cuda(cudaMemset(counters.get(), 0, counters.count() * 4), "zero counters");
  }
  PagedDecodeWorkspace view() const {
    return {scratch.get(), scratch.count(), counters.get(), counters.count()};
  }
  DeviceArray<unsigned char> scratch;
  DeviceArray<std::int32_t> counters;
};

struct Output {
  std::vector<std::uint16_t> out;
  std::vector<float> lse;
};
Output run(const Problem& problem, const Workspace& workspace) {
  cuda(cudaMemset(problem.out.get(), 0xee, problem.out.count() * 2), "poison out");
  cuda(cudaMemset(problem.lse.get(), 0xee, problem.lse.count() * 4), "poison lse");
  launch_paged_decode(problem.call, workspace.view(), nullptr);
  cuda(cudaDeviceSynchronize(), problem.shape().name);
  return {problem.out.to_host(), problem.lse.to_host()};
}
bool same_bits(const Output& a, const Output& b) {
  return a.out == b.out && std::memcmp(a.lse.data(), b.lse.data(), a.lse.size() * 4) == 0;
}

std::size_t check_twin(const Problem& problem, const Output& got) {
  const std::vector<std::uint16_t> keys = problem.keys.to_host(), values = problem.values.to_host(),
                                   q = problem.q.to_host();
  DecodeTwinCase twin;
  twin.type = problem.call.type;
  twin.batch = problem.call.batch;
  twin.q_heads = problem.call.q_heads;
  twin.kv_heads = problem.call.kv_heads;
  twin.dims = problem.call.dims;
  twin.q = q.data();
  twin.q_row_stride = problem.call.q_row_stride;
  twin.q_head_stride = problem.call.q_head_stride;
  twin.keys = keys.data();
  twin.values = values.data();
  twin.key_layout = twin.value_layout = problem.layout();
  twin.key_table = {problem.key_ids().data(), problem.max_blocks(), problem.max_blocks()};
  twin.value_table = {problem.value_ids().data(), problem.max_blocks(), problem.max_blocks()};
  twin.contexts = problem.shape().contexts.data();
  twin.softmax_scale = problem.call.softmax_scale;
  twin.window_tokens = problem.call.window_tokens;
  twin.parts = problem.call.parts;
  const DecodeTwinResult expected =
      predict_paged_decode(twin, {static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))});
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < got.out.size(); ++i)
    if (got.out[i] != expected.out[i] && ++wrong <= 2)
      std::printf("  out[%zu]: twin %04x, got %04x\n", i, expected.out[i], got.out[i]);
  for (std::size_t i = 0; i < got.lse.size(); ++i)
    if (bit_cast<std::uint32_t>(got.lse[i]) != bit_cast<std::uint32_t>(expected.lse[i]) && ++wrong <= 4)
      std::printf("  lse[%zu]: twin %a, got %a\n", i, static_cast<double>(expected.lse[i]),
                  static_cast<double>(got.lse[i]));
  return wrong;
}

// Largest error of out and lse against the golden model.
struct GoldenErrors {
  double out = 0, lse = 0;
};
GoldenErrors check_golden(const Problem& problem, const Output& got) {
  const std::vector<std::uint16_t> keys = problem.keys.to_host(), values = problem.values.to_host(),
                                   q = problem.q.to_host();
  const std::int64_t batch = problem.call.batch, heads = problem.call.q_heads, dims = problem.call.dims;
  std::vector<std::int32_t> q_begin(static_cast<std::size_t>(batch) + 1);
  for (std::size_t i = 0; i < q_begin.size(); ++i) q_begin[i] = static_cast<std::int32_t>(i);
  PagedAttentionCase golden;
  golden.q = compact_view<3>(q.data(), problem.call.type, {batch, heads, dims});
  golden.q_begin = {q_begin.data(), batch + 1};
  golden.contexts = {problem.shape().contexts.data(), batch};
  const auto view = [&](const std::vector<std::uint16_t>& data, const std::vector<std::int32_t>& ids) {
    PagedCacheView cache;
    cache.data = data.data();
    cache.type = problem.call.type;
    cache.layout = problem.layout();
    cache.blocks = problem.blocks();
    cache.table = {ids.data(), problem.max_blocks(), problem.max_blocks()};
    return cache;
  };
  golden.keys = view(keys, problem.key_ids());
  golden.values = view(values, problem.value_ids());
  golden.softmax_scale = static_cast<double>(problem.call.softmax_scale);
  golden.window_tokens = problem.call.window_tokens;
  std::vector<double> out(got.out.size()), lse(got.lse.size());
  (void)paged_attention(golden, compact_result<3>(out.data(), {batch, heads, dims}),
                        compact_result<2>(lse.data(), {batch, heads}), {});
  GoldenErrors errors;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double x =
        problem.call.type == ElementType::kFp16 ? Fp16::decode(got.out[i]) : Bf16::decode(got.out[i]);
    const double error = std::fabs(x - out[i]);
    errors.out = std::max(errors.out, std::isnan(error) ? HUGE_VAL : error);
  }
  for (std::size_t i = 0; i < lse.size(); ++i) {
    if (std::isinf(lse[i]) && static_cast<double>(got.lse[i]) == lse[i]) continue;
    const double error = std::fabs(static_cast<double>(got.lse[i]) - lse[i]);
    errors.lse = std::max(errors.lse, std::isnan(error) ? HUGE_VAL : error);
  }
  return errors;
}

bool check_case(const Shape& shape) {
  const Problem problem(shape, 1), renamed(shape, 2);
  const Workspace workspace(problem.call);
  const Output first = run(problem, workspace);
  bool repeats = true;
  for (int i = 0; i < 3; ++i) repeats = repeats && same_bits(first, run(problem, workspace));
  const bool renames = same_bits(first, run(renamed, workspace));
  const std::vector<std::int32_t> counters = workspace.counters.to_host();
  const bool counters_zero =
      std::all_of(counters.begin(), counters.end(), [](std::int32_t c) { return c == 0; });
  const std::size_t twin_wrong = check_twin(problem, first);
  const GoldenErrors errors = check_golden(problem, first);
  // bf16 P has 8 bits; the mean of n(0,1) values over the context is far below 1.
  const bool close = errors.out < (shape.type == ElementType::kFp16 ? 4e-3 : 3e-2) && errors.lse < 1e-5;
  const bool good = repeats && renames && counters_zero && twin_wrong == 0 && close;
  std::printf(
      "%-26s twin: %zu bits wrong  golden: out %.2e lse %.2e  repeat %s  renamed %s  counters %s  %s\n",
      shape.name, twin_wrong, errors.out, errors.lse, repeats ? "equal" : "DIFFERS",
      renames ? "equal" : "DIFFERS", counters_zero ? "zero" : "LEFT", good ? "PASS" : "FAIL");
  std::fflush(stdout);
  return good;
}

std::vector<std::int32_t> lengths(int batch, int context, double low = 0.7, double high = 1.3) {
  const RandomStream stream(11, "contexts");
  std::vector<std::int32_t> result;
  for (int i = 0; i < batch; ++i)
    result.push_back(static_cast<std::int32_t>(
        context * (low + (high - low) * static_cast<double>(stream.uniform(static_cast<std::uint64_t>(i))))));
  return result;
}

bool check_all() {
  bool good = check_instruction<Bf16>(ElementType::kBf16);
  good = check_instruction<Fp16>(ElementType::kFp16) && good;
  const auto bf16 = ElementType::kBf16;
  const auto fp16 = ElementType::kFp16;
  const auto nhd = PagedOrder::kNhd;
  const auto hnd = PagedOrder::kHnd;
  const std::vector<Shape> shapes{
      {"one token", bf16, 8, 1, 128, 16, nhd, {1}},
      {"boundaries", bf16, 64, 8, 128, 16, nhd, {0, 1, 15, 16, 17, 63, 64, 65, 0, 255, 256, 257}},
      {"boundaries hnd 64", bf16, 32, 8, 128, 64, hnd, {63, 64, 65, 0, 127, 128, 129, 1}},
      {"all zero", bf16, 64, 8, 128, 16, nhd, {0, 0, 0}},
      {"split over all parts", bf16, 8, 1, 128, 16, nhd, {5000}},
      {"long beside short", bf16, 16, 2, 128, 32, nhd, {3000, 16, 17, 40}},
      {"fp16", fp16, 32, 8, 128, 16, nhd, {300, 77, 1000}},
      {"dims 64", bf16, 32, 8, 64, 16, nhd, {300, 77, 1000, 0}},
      {"fp16 dims 64 hnd", fp16, 16, 4, 64, 32, hnd, {300, 77, 1000, 0}},
      {"group 7", bf16, 28, 4, 128, 16, nhd, {500, 33}},
      {"group 1", bf16, 8, 8, 128, 16, nhd, {500, 33}},
      {"group 20", bf16, 40, 2, 128, 16, nhd, {500, 33}},
      {"window 100", bf16, 16, 2, 128, 16, nhd, {1000, 50, 100, 101, 117}, 100},
      {"strided, own ids", bf16, 16, 2, 128, 16, nhd, {300, 77, 500}, 0, 0, 4096, true},
      {"block 128", bf16, 16, 2, 128, 128, hnd, {300, 77, 500}},
      {"fewer tiles than parts", bf16, 16, 2, 128, 16, nhd, {300, 77, 500}},
      {"one part", bf16, 16, 2, 128, 16, nhd, {300, 0, 77}, 0, 1},
      {"seven parts", bf16, 16, 2, 128, 16, nhd, {300, 0, 77, 900}, 0, 7},
  };
  for (const Shape& shape : shapes) good = check_case(shape) && good;
  // 64-bit addresses: a pool of 8 GB whose blocks lie a megabyte apart.
  good =
      check_case(
          {"1 MB block stride", bf16, 16, 2, 128, 16, nhd, {40'000, 3000, 9000}, 0, 0, 1'039'680 - 8192}) &&
      good;
  return good;
}

// ---- time -------------------------------------------------------------------------------------------

void time_case(const Shape& shape, const DeviceArray<unsigned char>& flush, bool basic = false) {
  const Problem problem(shape, 1);
  const Workspace workspace(problem.call);
  const Times times =
      time_of([&] { launch_paged_decode(problem.call, workspace.view(), nullptr); }, flush, 30);
  const double bytes = static_cast<double>(problem.live_bytes());
  std::printf("%-34s %10.1f %10.1f %8.3f %7.1f %%", shape.name, times.median, times.least,
              bytes / times.median * 1e-6, bytes / times.median * 1e-6 / 4.38 * 100);
  if (basic) {
    const Times slow = time_of([&] { launch_basic_paged_decode(problem.call, nullptr); }, flush, 5);
    std::printf("   basic %.1f us (%.1fx)", slow.median, slow.median / times.median);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void time_all() {
  const DeviceArray<unsigned char> flush(std::size_t{512} << 20);
  std::printf("\npaged decode, D=128, shuffled blocks, 512 MB flush, event intervals, median of 30\n");
  std::printf("%-34s %10s %10s %8s %9s\n", "case", "median us", "min us", "TB/s", "of 4.38");
  const auto bf16 = ElementType::kBf16;
  const auto nhd = PagedOrder::kNhd;
  std::vector<std::string> names;
  names.reserve(64);
  for (const int block : {16, 64})
    for (const auto& [batch, context] : std::vector<std::pair<int, int>>{{1, 1024},
                                                                         {1, 8192},
                                                                         {1, 65536},
                                                                         {4, 1024},
                                                                         {4, 8192},
                                                                         {4, 65536},
                                                                         {16, 1024},
                                                                         {16, 8192},
                                                                         {16, 65536},
                                                                         {64, 1024},
                                                                         {64, 8192},
                                                                         {256, 1024},
                                                                         {256, 8192}}) {
      names.push_back("64/8 block " + std::to_string(block) + " B=" + std::to_string(batch) + " x " +
                      std::to_string(context));
      time_case({names.back().c_str(), bf16, 64, 8, 128, block, nhd,
                 std::vector<std::int32_t>(static_cast<std::size_t>(batch), context)},
                flush, block == 16 && batch == 16 && context >= 8192);
    }
  time_case({"64/8 block 16 hnd B=16 x 8192", bf16, 64, 8, 128, 16, PagedOrder::kHnd,
             std::vector<std::int32_t>(16, 8192)},
            flush);
  time_case({"64/8 mixed B=64 x 8192", bf16, 64, 8, 128, 16, nhd, lengths(64, 8192, 0.1, 1.9)}, flush);
  std::vector<std::int32_t> skewed(64, 2048);
  skewed[0] = 131072;
  time_case({"64/8 1 x 128k + 63 x 2k", bf16, 64, 8, 128, 16, nhd, skewed}, flush);
  time_case({"32/32 B=64 x 8192", bf16, 32, 32, 128, 16, nhd, std::vector<std::int32_t>(64, 8192)}, flush);
  time_case({"32/32 B=1 x 8192", bf16, 32, 32, 128, 16, nhd, std::vector<std::int32_t>(1, 8192)}, flush);
}

int main_of(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device: nothing checked, nothing timed\n");
    return 77;
  }
  const bool only_check = argc > 1 && std::string(argv[1]) == "--check";
  const bool good = check_all();
  if (!only_check) time_all();
  std::printf("%s\n", good ? "attention: all checks passed" : "attention: CHECKS FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  try {
    return assay::main_of(argc, argv);
  } catch (const assay::Error& error) {
    std::fprintf(stderr, "attention_gpu_check: %s\n", error.what());
    return 5;
  }
}
