// Checks FP8 MQA logits on a GPU, then times them, and prints one table.
//
//   logits_gpu_check --check    correctness only
//   logits_gpu_check --time     correctness, then times (default)
//
// Correctness: every logit against a twin that runs on the device (the tensor core's step and the declared
// reduction, model/twin and model/core), that twin against the CPU's on every small case; the naive kernel within
// rounding; dead bytes NaN, outputs poisoned, what need not be written untouched or -inf, repeated launches and
// renamed blocks equal in every bit. Exit: 0 all right, 1 something is wrong, 77 no device (skipped).
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "gpu/sm90_fp8_paged_mqa_logits/paged_logits.h"
#include "gpu/tests/device_harness.h"
#include "gpu/tests/kernel_timer.h"
#include "model/core/logits_reduction.h"
#include "model/core/philox.h"
#include "model/twin/mqa_logits_twin.h"
#include "model/twin/tensor_core.h"

namespace assay {
namespace {

enum class Lane { kGaussian, kAllCodes, kSpecials };

struct Shape {
  const char* name;
  int next_n = 1, heads = 64, dims = 128, block_tokens = 64;
  std::vector<std::int32_t> contexts;  // [batch], or [batch * next_n] when two_dimensional
  bool two_dimensional = false, clean = false;
  ElementType type = ElementType::kFp32;
  Lane lane = Lane::kGaussian;
  std::int64_t block_gap_bytes = 0;
  int parts = 0;
  int batch() const { return static_cast<int>(contexts.size()) / (two_dimensional ? next_n : 1); }
  int context(int sequence) const {
    return two_dimensional ? contexts[static_cast<std::size_t>((sequence + 1) * next_n - 1)]
                           : contexts[static_cast<std::size_t>(sequence)];
  }
};

__global__ void fill_bytes(std::uint8_t* to, std::int64_t count, std::uint8_t value) {
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x)
    to[i] = value;
}

__device__ std::uint8_t drawn_code(const RandomStream& stream, std::uint64_t index, Lane lane) {
  if (lane == Lane::kGaussian) return E4M3::encode(static_cast<double>(stream.normal(index)) * 8);
  const auto code = static_cast<std::uint8_t>(stream.u32(index));
  if (lane == Lane::kSpecials) return code;  // NaN too
  return E4M3::is_nan(code) ? 0x7e : code;
}

// Keys and scales of the live tokens; a token's contents depend on its sequence and position alone.
__global__ void fill_live(std::uint8_t* cache, FusedIndexLayout layout, const std::int32_t* ids,
                          int max_blocks, const std::int32_t* tokens, RandomStream keys, RandomStream scales,
                          Lane lane) {
  const int sequence = blockIdx.y;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       i < static_cast<std::int64_t>(tokens[sequence]) * layout.dims;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const auto token = static_cast<std::int32_t>(i / layout.dims),
               dim = static_cast<std::int32_t>(i % layout.dims);
    const std::int64_t block =
        ids[static_cast<std::int64_t>(sequence) * max_blocks + token / layout.block_tokens];
    const int slot = token % layout.block_tokens;
    const RandomStream own = keys.child(static_cast<std::uint64_t>(sequence));
    cache[layout.key_offset(block, slot, dim)] = drawn_code(own, static_cast<std::uint64_t>(i), lane);
    if (dim == 0) {
      const RandomStream own_scales = scales.child(static_cast<std::uint64_t>(sequence));
      const auto t = static_cast<std::uint64_t>(token);
      float scale =
          ldexpf(1.0f + own_scales.uniform(t), static_cast<int>(own_scales.below(t + (1u << 30), 24)) - 12);
      if (lane == Lane::kSpecials && token % 37 == 5) scale = 0.0f;
      if (lane == Lane::kSpecials && token % 37 == 11) scale = __int_as_float(0x7fc00000);
      *reinterpret_cast<float*>(cache + layout.scale_offset(block, slot)) = scale;
    }
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
  Problem(const Shape& given, std::uint64_t table_seed)
      : shape(given),
        layout(layout_of(given)),
        max_blocks(most_blocks(given)),
        blocks(all_blocks(given)),
        ids(table(table_seed)),
        columns(most_tokens(given)),
        row_stride((columns + 255) / 256 * 256 + 64),
        cache(static_cast<std::size_t>(blocks * layout.block_stride)),
        q(static_cast<std::size_t>(given.batch()) * given.next_n * given.heads * given.dims),
        weights(static_cast<std::size_t>(given.batch()) * given.next_n * given.heads),
        ids_device(ids),
        contexts(given.contexts),
        logits(static_cast<std::size_t>(given.batch() * given.next_n * row_stride) *
               static_cast<std::size_t>(bytes_of(given.type))) {
    fill_bytes<<<1024, 256>>>(cache.get(), static_cast<std::int64_t>(cache.count()), 0x7f);
    const int batch = shape.batch();
    std::vector<std::int32_t> lengths;
    for (int s = 0; s < batch; ++s) lengths.push_back(shape.context(s));
    const DeviceArray<std::int32_t> tokens(lengths);
    if (batch > 0)
      fill_live<<<dim3(64, static_cast<unsigned>(batch)), 256>>>(
          cache.get(), layout, ids_device.get(), max_blocks, tokens.get(), RandomStream(1, "keys"),
          RandomStream(1, "scales"), shape.lane);
    std::vector<std::uint8_t> host_q(q.count());
    const RandomStream stream(1, "q"), weight_stream(1, "weights");
    for (std::size_t i = 0; i < host_q.size(); ++i) {
      const auto code = static_cast<std::uint8_t>(stream.u32(i));
      host_q[i] = shape.lane == Lane::kGaussian ? E4M3::encode(static_cast<double>(stream.normal(i)) * 8)
                                                : (E4M3::is_nan(code) ? std::uint8_t{0x7e} : code);
    }
    std::vector<float> host_weights(weights.count());
    for (std::size_t i = 0; i < host_weights.size(); ++i) host_weights[i] = weight_stream.normal(i);
    if (shape.lane == Lane::kSpecials)
      for (std::size_t i = 0; i < host_weights.size(); i += 97)
        host_weights[i] = i % 2 ? INFINITY : i % 3 ? 1e-42f : 1e36f;
    q.copy_from(host_q);
    weights.copy_from(host_weights);
    cuda(cudaDeviceSynchronize(), "filling the cache");
    call.batch = batch;
    call.next_n = shape.next_n;
    call.heads = shape.heads;
    call.dims = shape.dims;
    call.q = q.get();
    call.q_row_stride = static_cast<std::int64_t>(shape.heads) * shape.dims;
    call.weights = weights.get();
    call.weights_stride = shape.heads;
    call.cache = cache.get();
    call.layout = layout;
    call.table = {ids_device.get(), max_blocks, max_blocks};
    call.contexts = contexts.get();
    call.context_columns = shape.two_dimensional ? shape.next_n : 0;
    call.context_stride = shape.two_dimensional ? shape.next_n : 1;
    call.logits = logits.get();
    call.type = shape.type;
    call.logits_stride = row_stride;
    call.columns = columns;
    call.clean = shape.clean;
    call.parts = shape.parts;
  }
  std::int64_t live_tokens() const {
    std::int64_t sum = 0;
    for (int s = 0; s < shape.batch(); ++s) sum += shape.context(s);
    return sum;
  }
  double live_bytes() const {
    const auto tokens = static_cast<double>(live_tokens());
    return tokens * (shape.dims + 4) + tokens * shape.next_n * bytes_of(shape.type) +
           static_cast<double>(q.count()) + static_cast<double>(weights.count()) * 4;
  }

  Shape shape;
  FusedIndexLayout layout;
  int max_blocks;
  std::int64_t blocks;
  std::vector<std::int32_t> ids;
  std::int64_t columns, row_stride;
  DeviceArray<std::uint8_t> cache, q;
  DeviceArray<float> weights;
  DeviceArray<std::int32_t> ids_device, contexts;
  DeviceArray<std::uint8_t> logits;
  PagedLogits call;

 private:
  static FusedIndexLayout layout_of(const Shape& s) {
    const FusedIndexLayout compact = make_fused_index_layout(s.block_tokens, s.dims);
    return make_fused_index_layout(s.block_tokens, s.dims, compact.block_stride + s.block_gap_bytes);
  }
  static std::int64_t most_tokens(const Shape& s) {
    std::int64_t most = 1;
    for (int i = 0; i < s.batch(); ++i) most = std::max<std::int64_t>(most, s.context(i));
    return most;
  }
  static int most_blocks(const Shape& s) {
    return static_cast<int>(ceil_div(most_tokens(s), s.block_tokens));
  }
  static std::int64_t all_blocks(const Shape& s) {
    std::int64_t sum = 1;
    for (int i = 0; i < s.batch(); ++i) sum += ceil_div(s.context(i), s.block_tokens);
    return sum;
  }
  std::vector<std::int32_t> table(std::uint64_t seed) const {
    const std::vector<std::int32_t> free = shuffled(blocks, seed);
    std::vector<std::int32_t> entries(static_cast<std::size_t>(shape.batch()) * max_blocks, 0x7fffffff);
    std::size_t next = 0;
    for (int s = 0; s < shape.batch(); ++s)
      for (std::int64_t b = 0; b < ceil_div(shape.context(s), shape.block_tokens); ++b)
        entries[static_cast<std::size_t>(s) * max_blocks + static_cast<std::size_t>(b)] = free[next++];
    return entries;
  }
};

// ---- the twin on the device: a thread per logit -----------------------------------------------------

struct Mismatches {
  unsigned long long wrong, checked, first;
};

template <int kHeads>
__global__ void check_against_twin(PagedLogits p, Mismatches* result) {
  const std::int64_t row = blockIdx.y;
  const auto sequence = static_cast<std::int32_t>(row / p.next_n),
             i = static_cast<std::int32_t>(row % p.next_n);
  const std::int32_t* context = p.contexts + sequence * p.context_stride;
  const std::int64_t limit = p.context_columns == 0 ? context[0] - p.next_n + i + 1 : context[i];
  for (std::int64_t t = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; t < p.logits_stride;
       t += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t at = row * p.logits_stride + t;
    const std::uint32_t got = p.type == ElementType::kFp32 ? static_cast<const std::uint32_t*>(p.logits)[at]
                                                           : static_cast<const std::uint16_t*>(p.logits)[at];
    std::uint32_t expected = p.type == ElementType::kFp32 ? 0xeeeeeeeeu : 0xeeeeu;  // the poison
    if (t < limit) {
      const auto slot = static_cast<std::int32_t>(t % p.layout.block_tokens);
      const std::int64_t block = p.table.block(sequence, t / p.layout.block_tokens);
      const std::uint8_t* key = p.cache + p.layout.key_offset(block, slot);
      float total[4];
      for (int lane = 0; lane < 4; ++lane) {
        float score[kHeads / 4], weight[kHeads / 4];
        for (int a = 0; a < kHeads / 4; ++a) {
          const int head = LogitsReduction::head_of_accumulator(lane, a);
          score[a] = tensor_core_dot<E4M3>(key, p.q + row * p.q_row_stride + head * p.dims, p.dims);
          weight[a] = p.weights[row * p.weights_stride + head];
        }
        total[lane] = lane_total<kHeads>(score, weight);
      }
      const float logit =
          quad_logit(total, *reinterpret_cast<const float*>(p.cache + p.layout.scale_offset(block, slot)));
      expected = p.type == ElementType::kFp32 ? fp32_output_bits(logit) : bf16_output_bits(logit);
    } else if (p.clean && t < p.columns) {
      expected = p.type == ElementType::kFp32 ? 0xff800000u : 0xff80u;
    }
    atomicAdd(&result->checked, t < limit ? 1ull : 0ull);
    if (got == expected) continue;
    if (atomicAdd(&result->wrong, 1ull) == 0) result->first = static_cast<unsigned long long>(at);
  }
}

std::vector<std::uint8_t> run(const Problem& problem) {
  cuda(cudaMemset(problem.logits.get(), 0xee, problem.logits.count()), "poison");
  launch_paged_logits(problem.call, nullptr);
  cuda(cudaDeviceSynchronize(), problem.shape.name);
  return problem.logits.to_host();
}

Mismatches device_twin(const Problem& problem) {
  const DeviceArray<Mismatches> result(std::vector<Mismatches>(1));
  cuda(cudaMemset(result.get(), 0, sizeof(Mismatches)), "zero");
  const dim3 grid(256, static_cast<unsigned>(problem.call.batch * problem.call.next_n));
  if (problem.call.batch > 0) {
    if (problem.call.heads == 32) {
      check_against_twin<32><<<grid, 128>>>(problem.call, result.get());
    } else {
      check_against_twin<64><<<grid, 128>>>(problem.call, result.get());
    }
  }
  cuda(cudaDeviceSynchronize(), "device twin");
  return result.to_host()[0];
}

// Bytes that differ from the CPU twin's prediction, over the whole logits buffer.
std::size_t cpu_twin(const Problem& problem, const std::vector<std::uint8_t>& got) {
  const std::vector<std::uint8_t> cache = problem.cache.to_host(), q = problem.q.to_host();
  const std::vector<float> weights = problem.weights.to_host();
  const Shape& s = problem.shape;
  const std::int64_t rows = static_cast<std::int64_t>(s.batch()) * s.next_n;
  PagedMqaLogitsCase twin;
  twin.q = compact_view<4>(q.data(), ElementType::kE4M3, {s.batch(), s.next_n, s.heads, s.dims});
  twin.weights = compact_view<2>(weights.data(), ElementType::kFp32, {rows, s.heads});
  twin.cache = {cache.data(), problem.layout, problem.blocks};
  twin.table = {problem.ids.data(), problem.max_blocks, problem.max_blocks};
  twin.contexts.data = s.contexts.data();
  twin.contexts.batch = s.batch();
  twin.contexts.columns = s.two_dimensional ? s.next_n : 0;
  twin.contexts.row_stride = s.two_dimensional ? s.next_n : 1;
  std::vector<std::uint8_t> expected(got.size(), 0xee);
  LogitsOptions options;
  options.clean = s.clean;
  Execution execution;
  execution.threads = 8;
  twin::predict_paged_mqa_logits(twin, {expected.data(), s.type, rows, problem.columns, problem.row_stride},
                                 options, execution);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < got.size(); ++i) wrong += got[i] != expected[i];
  return wrong;
}

unsigned long long logits_checked = 0;

bool check_case(const Shape& shape, bool small) {
  const Problem problem(shape, 1);
  const std::vector<std::uint8_t> first = run(problem);
  const Mismatches twin = device_twin(problem);
  logits_checked += twin.checked;
  bool repeats = true;
  for (int i = 0; i < 3; ++i) repeats = repeats && run(problem) == first;
  bool renames = true;
  std::size_t cpu_wrong = 0;
  double naive_error = 0;
  if (small) {
    const Problem renamed(shape, 2);
    renames = run(renamed) == first;
    cpu_wrong = cpu_twin(problem, first);
    if (shape.type == ElementType::kFp32 && shape.lane == Lane::kGaussian && shape.batch() > 0) {
      launch_naive_paged_logits(problem.call, nullptr);
      cuda(cudaDeviceSynchronize(), "naive");
      const std::vector<std::uint8_t> naive = problem.logits.to_host();
      double largest = 0;
      for (std::size_t i = 0; i + 3 < naive.size(); i += 4) {
        float a, b;
        std::memcpy(&a, &naive[i], 4);
        std::memcpy(&b, &first[i], 4);
        if (!(std::fabs(a) < 1e27f) || !(std::fabs(b) < 1e27f)) continue;  // -inf, poison
        naive_error = std::max(naive_error, static_cast<double>(std::fabs(a - b)));
        largest = std::max(largest, static_cast<double>(std::fabs(a)));
      }
      naive_error = largest == 0 ? 0 : naive_error / largest;
    }
  }
  const bool good = twin.wrong == 0 && repeats && renames && cpu_wrong == 0 && naive_error < 1e-2;
  std::printf(
      "%-30s %11llu logits  device twin: %llu wrong  cpu twin: %zu bytes  naive %.1e  repeat %s  renamed %s  "
      "%s\n",
      shape.name, twin.checked, twin.wrong, cpu_wrong, naive_error, repeats ? "equal" : "DIFFERS",
      renames ? "equal" : "DIFFERS", good ? "PASS" : "FAIL");
  if (twin.wrong > 0)
    std::printf("    first at row %lld column %lld\n",
                static_cast<long long>(twin.first) / static_cast<long long>(problem.row_stride),
                static_cast<long long>(twin.first) % static_cast<long long>(problem.row_stride));
  std::fflush(stdout);
  return good;
}

std::vector<std::int32_t> lengths(int batch, int context) {
  const RandomStream stream(11, "contexts");
  std::vector<std::int32_t> result;
  for (int i = 0; i < batch; ++i)
    result.push_back(static_cast<std::int32_t>(
        context * (0.7 + 0.6 * static_cast<double>(stream.uniform(static_cast<std::uint64_t>(i))))));
  return result;
}

// Short sequences and none, beside a long one: more columns in all than the form for few tokens takes.
std::vector<std::int32_t> one_long() {
  std::vector<std::int32_t> contexts;
  for (int i = 0; i < 70; ++i) contexts.push_back(i % 7 == 3 ? 0 : 4 + i * 5);
  contexts[40] = 1500;
  return contexts;
}

bool check_all() {
  const std::vector<std::int32_t> borders{0, 1, 63, 64, 65, 127, 128, 129, 0, 255, 256, 257, 1000};
  bool good = true;
  const auto bf16 = ElementType::kBf16;
  const auto fp32 = ElementType::kFp32;
  for (const int heads : {32, 64})
    for (const int dims : {32, 64, 128})
      for (const int next_n : {1, 2, 4}) {
        const std::string name =
            "H" + std::to_string(heads) + " D" + std::to_string(dims) + " next_n " + std::to_string(next_n);
        std::vector<std::int32_t> contexts = borders;
        for (std::int32_t& c : contexts) c = c == 0 ? 0 : std::max(c, next_n);
        good = check_case({name.c_str(), next_n, heads, dims, 64, contexts, false, next_n == 2,
                           dims == 64 ? bf16 : fp32},
                          true) &&
               good;
      }
  good = check_case({"next_n 3, 2-D contexts",
                     3,
                     64,
                     128,
                     64,
                     {5, 7, 9, 0, 0, 0, 130, 100, 200, 64, 65, 66},
                     true,
                     true},
                    true) &&
         good;
  good = check_case({"next_n 2, 2-D contexts", 2, 64, 128, 64, {300, 500, 0, 1, 63, 64}, true, true}, true) &&
         good;
  good = check_case({"block 128", 1, 64, 128, 128, borders, false, true}, true) && good;
  good = check_case({"block 32", 1, 64, 128, 32, borders, false, true}, true) && good;
  good = check_case({"block 32, next_n 2", 2, 64, 64, 32, borders, false, true, bf16}, true) && good;
  good = check_case({"block 16, H32 D32", 1, 32, 32, 16, borders, false, true}, true) && good;
  good = check_case({"one long of 70", 2, 64, 128, 64, one_long(), false, true}, true) && good;
  good = check_case({"specials, one long", 1, 64, 128, 64, one_long(), false, true, fp32, Lane::kSpecials},
                    true) &&
         good;
  good = check_case({"next_n 4, one long", 4, 32, 64, 64, one_long(), false, true, bf16}, true) && good;
  good = check_case({"all codes", 1, 64, 128, 64, borders, false, true, fp32, Lane::kAllCodes}, true) && good;
  good = check_case({"specials", 2, 64, 128, 64, borders, false, true, fp32, Lane::kSpecials}, true) && good;
  good =
      check_case({"specials bf16 H32", 1, 32, 64, 64, borders, false, true, bf16, Lane::kSpecials}, true) &&
      good;
  good = check_case({"all zero", 1, 64, 128, 64, {0, 0, 0}, false, true}, true) && good;
  good = check_case({"empty batch", 1, 64, 128, 64, {}}, true) && good;
  good = check_case({"7 parts", 1, 64, 128, 64, borders, false, true, fp32, Lane::kGaussian, 0, 7}, true) &&
         good;
  good = check_case({"1 MB block stride",
                     1,
                     64,
                     128,
                     64,
                     {100'000, 60'000, 70'000},
                     false,
                     false,
                     fp32,
                     Lane::kGaussian,
                     1'002'240 - 8448},
                    false) &&
         good;
  good = check_case({"32768 rows", 1, 32, 32, 64, lengths(32768, 100), false, false, bf16}, false) && good;
  good = check_case({"B=64 x 64k H64 D128", 1, 64, 128, 64, lengths(64, 65536)}, false) && good;
  good = check_case({"B=256 x 64k H32 D128 nn2", 2, 32, 128, 64, lengths(256, 65536)}, false) && good;
  good = check_case({"B=64 x 64k H64 D64 all codes", 1, 64, 64, 64, lengths(64, 65536), false, false, fp32,
                     Lane::kAllCodes},
                    false) &&
         good;
  std::printf("%llu logits equal their twin in every bit: %s\n", logits_checked, good ? "yes" : "NO");
  return good;
}

void time_case(int batch, int context, int next_n, int heads, const DeviceArray<unsigned char>& flush) {
  const std::string name = "paged B=" + std::to_string(batch) + " x " + std::to_string(context) + " nn" +
                           std::to_string(next_n) + " H" + std::to_string(heads);
  const Problem problem({name.c_str(), next_n, heads, 128, 64, lengths(batch, context)}, 1);
  KernelTimer& timer = KernelTimer::instance();
  (void)timer.take("paged_mqa_logits");
  const Times times = time_of([&] { launch_paged_logits(problem.call, nullptr); }, flush, 30);
  std::vector<std::int64_t> own = timer.take("sm90_fp8_paged_mqa_logits");
  std::sort(own.begin(), own.end());
  const double kernel_us = own.empty() ? 0 : static_cast<double>(own[own.size() / 2]) / 1000;
  const double best = kernel_us > 0 ? kernel_us : times.median;
  std::printf("%-30s kernel %8.1f us   event %8.1f us (min %8.1f)   %6.3f TB/s  %5.1f %%\n", name.c_str(),
              kernel_us, times.median, times.least, problem.live_bytes() / best * 1e-6,
              problem.live_bytes() / best * 1e-6 / 4.38 * 100);
  std::fflush(stdout);
}

void time_all() {
  const DeviceArray<unsigned char> flush(std::size_t{512} << 20);
  const KernelTimer& timer = KernelTimer::instance();
  std::printf(
      "\npaged logits, D=128, block 64, fp32 logits, contexts U(0.7, 1.3) * avg, 512 MB flush, median of 30; "
      "%s\n",
      timer.available() ? "kernel: activity records" : ("no kernel times: " + timer.reason()).c_str());
  for (const int batch : {1, 4, 16, 64, 256})
    for (const int context : {1024, 8192, 65536})
      for (const auto& [next_n, heads] : std::vector<std::pair<int, int>>{{1, 32}, {1, 64}, {2, 32}, {2, 64}})
        time_case(batch, context, next_n, heads, flush);
  time_case(4096, 8192, 1, 64, flush);
  time_case(4096, 8192, 2, 64, flush);
}

int main_of(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device: nothing checked, nothing timed\n");
    return 77;
  }
  const bool only_check = argc > 1 && std::string(argv[1]) == "--check";
  (void)KernelTimer::instance();  // before the first launch
  const bool short_times = argc > 1 && std::string(argv[1]) == "--time-long";
  const bool good = check_all();
  if (short_times) {
    const DeviceArray<unsigned char> flush(std::size_t{512} << 20);
    for (const int next_n : {1, 2}) {
      time_case(1, 1024, next_n, 64, flush);
      time_case(4, 65536, next_n, 64, flush);
      time_case(16, 8192, next_n, 64, flush);
      time_case(64, 1024, next_n, 64, flush);
      time_case(256, 1024, next_n, 64, flush);
      time_case(64, 8192, next_n, 64, flush);
      time_case(256, 65536, next_n, 64, flush);
    }
  } else if (!only_check) {
    time_all();
  }
  std::printf("%s\n", good ? "logits: all checks passed" : "logits: CHECKS FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  try {
    return assay::main_of(argc, argv);
  } catch (const assay::Error& error) {
    std::fprintf(stderr, "logits_gpu_check: %s\n", error.what());
    return 5;
  }
}
