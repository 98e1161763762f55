// Checks the prefill's FP8 MQA logits on a GPU, then times them.
//
//   prefill_logits_gpu_check --check    correctness only
//   prefill_logits_gpu_check            correctness, then times
//
// Every element of the logits buffer is compared: live ones with a twin that runs on the device (the tensor core's
// step and the declared reduction), the others with -inf or the poison. On small cases the CPU's twin predicts the
// whole buffer too, and the naive kernel agrees within rounding. Keys and scales that no row sees are NaN. A twin
// with one weight changed must be noticed. Exit: 0 all right, 1 something is wrong, 77 no device (skipped).
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "gpu/sm90_fp8_mqa_logits/mqa_logits.h"
#include "gpu/tests/device_harness.h"
#include "gpu/tests/kernel_timer.h"
#include "model/core/logits_reduction.h"
#include "model/core/philox.h"
#include "model/twin/mqa_logits_twin.h"
#include "model/twin/tensor_core.h"

namespace assay {
namespace {

enum class Ranges { kCausal, kRandom, kEmpty };

struct Shape {
  std::string name;
  int rows, tokens, heads = 64, dims = 128;
  Ranges ranges = Ranges::kRandom;
  bool clean = false, compressed = false;
  ElementType type = ElementType::kFp32;
  bool specials = false;
  int gap_bytes = 0;  // between keys, and between query rows
  int parts = 0;
};

__global__ void fill_codes(std::uint8_t* to, std::int64_t count, RandomStream stream, bool specials) {
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const auto index = static_cast<std::uint64_t>(i);
    const auto code = static_cast<std::uint8_t>(stream.u32(index));
    to[i] = !specials ? E4M3::encode(static_cast<double>(stream.normal(index)) * 8) : code;
  }
}

struct Problem {
  explicit Problem(const Shape& given)
      : shape(given),
        columns(given.tokens),
        row_stride((columns + 63) / 64 * 64 + 64),
        q(static_cast<std::size_t>(given.rows) * (given.heads * given.dims + given.gap_bytes)),
        keys(static_cast<std::size_t>(given.tokens) * (given.dims + given.gap_bytes)),
        weights(static_cast<std::size_t>(given.rows) * given.heads),
        scales(static_cast<std::size_t>(given.tokens)),
        starts(make_ranges(given, false)),
        ends(make_ranges(given, true)),
        logits(static_cast<std::size_t>(given.rows * row_stride) *
               static_cast<std::size_t>(bytes_of(given.type))) {
    fill_codes<<<512, 256>>>(q.get(), static_cast<std::int64_t>(q.count()), RandomStream(2, "q"), false);
    fill_codes<<<512, 256>>>(keys.get(), static_cast<std::int64_t>(keys.count()), RandomStream(2, "keys"),
                             given.specials);
    cuda(cudaDeviceSynchronize(), "filling");
    const RandomStream weight_stream(2, "weights"), scale_stream(2, "scales");
    std::vector<float> host_weights(weights.count()), host_scales(scales.count());
    for (std::size_t i = 0; i < host_weights.size(); ++i) {
      host_weights[i] = weight_stream.normal(i);
      if (given.specials && i % 97 == 0) host_weights[i] = i % 2 ? INFINITY : i % 3 ? 1e-42f : 1e36f;
    }
    const int key_stride = given.dims + given.gap_bytes;
    const std::vector<std::int32_t> first = starts.to_host(), last = ends.to_host();
    std::vector<int> seen(static_cast<std::size_t>(given.tokens) + 1);
    for (std::size_t m = 0; m < first.size(); ++m) {
      if (last[m] <= first[m]) continue;
      ++seen[static_cast<std::size_t>(first[m])];
      --seen[static_cast<std::size_t>(last[m])];
      live += last[m] - first[m];
    }
    int depth = 0;
    for (std::size_t t = 0; t < host_scales.size(); ++t) {
      host_scales[t] = std::ldexp(1.0f + scale_stream.uniform(t), static_cast<int>(t % 24) - 12);
      if (given.specials && t % 37 == 5) host_scales[t] = NAN;
      depth += seen[t];
      if (depth > 0) continue;
      host_scales[t] = NAN;
      cuda(cudaMemset(keys.get() + static_cast<std::int64_t>(t) * key_stride, 0x7f, given.dims), "dead key");
    }
    weights.copy_from(host_weights);
    scales.copy_from(host_scales);
    call.rows = given.rows;
    call.tokens = given.tokens;
    call.heads = given.heads;
    call.dims = given.dims;
    call.q = q.get();
    call.q_row_stride = given.heads * given.dims + given.gap_bytes;
    call.weights = weights.get();
    call.weights_stride = given.heads;
    call.keys = keys.get();
    call.key_stride = key_stride;
    call.scales = scales.get();
    call.starts = starts.get();
    call.ends = ends.get();
    call.logits = logits.get();
    call.type = given.type;
    call.logits_stride = row_stride;
    call.columns = columns;
    call.clean = given.clean;
    call.compressed = given.compressed;
    call.parts = given.parts;
  }

  Shape shape;
  std::int64_t columns, row_stride;
  DeviceArray<std::uint8_t> q, keys;
  DeviceArray<float> weights, scales;
  DeviceArray<std::int32_t> starts, ends;
  DeviceArray<std::uint8_t> logits;
  std::int64_t live = 0;
  MqaLogits call;

 private:
  static std::vector<std::int32_t> make_ranges(const Shape& s, bool want_ends) {
    const RandomStream stream(2, "ranges");
    std::vector<std::int32_t> result;
    for (int m = 0; m < s.rows; ++m) {
      std::int32_t begin = 0, end = s.tokens - s.rows + m + 1;
      if (s.ranges == Ranges::kRandom) {
        const auto at = static_cast<std::uint64_t>(m);
        begin = static_cast<std::int32_t>(stream.below(2 * at, static_cast<std::uint64_t>(s.tokens)));
        end = static_cast<std::int32_t>(stream.below(2 * at + 1, static_cast<std::uint64_t>(s.tokens) + 1));
      }
      if (s.ranges == Ranges::kEmpty) end = 0;
      result.push_back(want_ends ? end : begin);
    }
    return result;
  }
};

struct Mismatches {
  unsigned long long wrong, checked, first;
};

// `broken`: the canary, a twin that sees head 0 a little heavier.
template <int kHeads>
__global__ void check_against_twin(MqaLogits p, bool broken, Mismatches* result) {
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t begin = p.starts[row], end = p.ends[row], shift = p.compressed ? begin : 0;
  for (std::int64_t c = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; c < p.logits_stride;
       c += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t at = row * p.logits_stride + c, t = c + shift;
    const bool fp32 = p.type == ElementType::kFp32, live = c < p.columns && t >= begin && t < end;
    const std::uint32_t got = fp32 ? static_cast<const std::uint32_t*>(p.logits)[at]
                                   : static_cast<const std::uint16_t*>(p.logits)[at];
    std::uint32_t expected = fp32 ? 0xeeeeeeeeu : 0xeeeeu;  // the poison
    if (live) {
      float total[4];
      for (int lane = 0; lane < 4; ++lane) {
        float score[kHeads / 4], weight[kHeads / 4];
        for (int a = 0; a < kHeads / 4; ++a) {
          const int head = LogitsReduction::head_of_accumulator(lane, a);
          score[a] = tensor_core_dot<E4M3>(p.keys + t * p.key_stride,
                                           p.q + row * p.q_row_stride + head * p.dims, p.dims);
          weight[a] = p.weights[row * p.weights_stride + head] * (broken && head == 0 ? 1.0001f : 1.0f);
        }
        total[lane] = lane_total<kHeads>(score, weight);
      }
      const float logit = quad_logit(total, p.scales[t]);
      expected = fp32 ? fp32_output_bits(logit) : bf16_output_bits(logit);
      atomicAdd(&result->checked, 1ull);
    } else if (p.clean && c < p.columns) {
      expected = fp32 ? 0xff800000u : 0xff80u;
    }
    if (got == expected) continue;
    if (atomicAdd(&result->wrong, 1ull) == 0) result->first = static_cast<unsigned long long>(at);
  }
}

Mismatches device_twin(const Problem& problem, bool broken) {
  const DeviceArray<Mismatches> result(std::vector<Mismatches>(1));
  const dim3 grid(64, static_cast<unsigned>(problem.call.rows));
  if (problem.call.heads == 32) {
    check_against_twin<32><<<grid, 128>>>(problem.call, broken, result.get());
  } else {
    check_against_twin<64><<<grid, 128>>>(problem.call, broken, result.get());
  }
  cuda(cudaDeviceSynchronize(), "device twin");
  return result.to_host()[0];
}

std::vector<std::uint8_t> run(const Problem& problem) {
  cuda(cudaMemset(problem.logits.get(), 0xee, problem.logits.count()), "poison");
  launch_mqa_logits(problem.call, nullptr);
  cuda(cudaDeviceSynchronize(), problem.shape.name.c_str());
  return problem.logits.to_host();
}

// Bytes that differ from the CPU twin's prediction, over the whole buffer.
std::size_t cpu_twin(const Problem& problem, const std::vector<std::uint8_t>& got) {
  const Shape& s = problem.shape;
  if (s.gap_bytes != 0) return 0;
  const auto q = problem.q.to_host(), keys = problem.keys.to_host();
  const auto weights = problem.weights.to_host(), scales = problem.scales.to_host();
  const auto starts = problem.starts.to_host(), ends = problem.ends.to_host();
  MqaLogitsCase twin;
  twin.q = compact_view<3>(q.data(), ElementType::kE4M3, {s.rows, s.heads, s.dims});
  twin.keys = compact_view<2>(keys.data(), ElementType::kE4M3, {s.tokens, s.dims});
  twin.key_scales = compact_view<1>(scales.data(), ElementType::kFp32, {s.tokens});
  twin.weights = compact_view<2>(weights.data(), ElementType::kFp32, {s.rows, s.heads});
  twin.starts = {starts.data(), s.rows, 1};
  twin.ends = {ends.data(), s.rows, 1};
  std::vector<std::uint8_t> expected(got.size(), 0xee);
  LogitsOptions options;
  options.clean = s.clean;
  options.compressed = s.compressed;
  Execution execution;
  execution.threads = 8;
  twin::predict_mqa_logits(twin, {expected.data(), s.type, s.rows, problem.columns, problem.row_stride},
                           options, execution);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < got.size(); ++i) wrong += got[i] != expected[i];
  return wrong;
}

double naive_error(const Problem& problem, const std::vector<std::uint8_t>& fast) {
  launch_naive_mqa_logits(problem.call, nullptr);
  cuda(cudaDeviceSynchronize(), "naive");
  const std::vector<std::uint8_t> naive = problem.logits.to_host();
  double largest = 1e-30, error = 0;
  for (std::size_t i = 0; i + 3 < naive.size(); i += 4) {
    float a, b;
    std::memcpy(&a, &naive[i], 4);
    std::memcpy(&b, &fast[i], 4);
    if (!(std::fabs(a) < 1e27f) || !(std::fabs(b) < 1e27f)) continue;  // -inf, poison
    error = std::max(error, static_cast<double>(std::fabs(a - b)));
    largest = std::max(largest, static_cast<double>(std::fabs(a)));
  }
  return error / largest;
}

unsigned long long logits_checked = 0;

bool check_case(const Shape& shape, bool small) {
  const Problem problem(shape);
  const std::vector<std::uint8_t> first = run(problem);
  const Mismatches twin = device_twin(problem, false);
  logits_checked += twin.checked;
  const bool noticed = !small || shape.ranges == Ranges::kEmpty || device_twin(problem, true).wrong > 0;
  const bool repeats = run(problem) == first && run(problem) == first;
  const std::size_t cpu_wrong = small ? cpu_twin(problem, first) : 0;
  const double error =
      small && shape.type == ElementType::kFp32 && !shape.specials ? naive_error(problem, first) : 0;
  const bool good = twin.wrong == 0 && repeats && noticed && cpu_wrong == 0 && error < 1e-2;
  std::printf(
      "%-34s %10llu logits  device twin: %llu wrong  cpu twin: %zu bytes  naive %.1e  repeat %s%s  %s\n",
      shape.name.c_str(), twin.checked, twin.wrong, cpu_wrong, error, repeats ? "equal" : "DIFFERS",
      noticed ? "" : "  CANARY UNNOTICED", good ? "PASS" : "FAIL");
  if (twin.wrong > 0)
    std::printf("    first at row %lld column %lld\n",
                static_cast<long long>(twin.first) / static_cast<long long>(problem.row_stride),
                static_cast<long long>(twin.first) % static_cast<long long>(problem.row_stride));
  std::fflush(stdout);
  return good;
}

bool check_all() {
  bool good = true;
  int turn = 0;
  const auto fp32 = ElementType::kFp32, bf16 = ElementType::kBf16;
  for (const int heads : {32, 64})
    for (const int dims : {32, 64, 128})
      for (const bool compressed : {false, true})
        for (const auto type : {fp32, bf16}) {
          Shape s{"H" + std::to_string(heads) + " D" + std::to_string(dims) +
                      (compressed ? " compressed" : "") + (type == fp32 ? " fp32" : " bf16"),
                  37, 701, heads, dims};
          s.compressed = compressed;
          s.type = type;
          s.clean = turn++ % 3 != 0;
          good = check_case(s, true) && good;
        }
  good = check_case({"one row, one token", 1, 1, 64, 128, Ranges::kCausal, true}, true) && good;
  good = check_case({"rows past the tile", 9, 130, 32, 128, Ranges::kCausal, true}, true) && good;
  good = check_case({"every row empty", 20, 300, 64, 128, Ranges::kEmpty, true}, true) && good;
  good = check_case({"specials", 64, 1000, 64, 128, Ranges::kRandom, true, false, fp32, true}, true) && good;
  good = check_case({"specials bf16 H32", 64, 1000, 32, 64, Ranges::kRandom, true, true, bf16, true}, true) &&
         good;
  good =
      check_case({"strided", 33, 500, 64, 128, Ranges::kRandom, true, false, fp32, false, 16}, true) && good;
  good = check_case({"7 parts", 50, 900, 64, 128, Ranges::kRandom, true, false, fp32, false, 0, 7}, true) &&
         good;
  good = check_case({"2048 x 8192 H64 random", 2048, 8192, 64, 128, Ranges::kRandom, true}, false) && good;
  good = check_case({"2048 x 8192 H32 causal", 2048, 8192, 32, 128, Ranges::kCausal, true}, false) && good;
  std::printf("%llu logits equal their twin in every bit: %s\n", logits_checked, good ? "yes" : "NO");
  return good;
}

void time_case(int rows, int tokens, int heads, int dims, bool clean,
               const DeviceArray<unsigned char>& flush) {
  const std::string name = std::to_string(rows) + " x " + std::to_string(tokens) + " H" +
                           std::to_string(heads) + " D" + std::to_string(dims) + (clean ? " clean" : "");
  const Problem problem({name, rows, tokens, heads, dims, Ranges::kCausal, clean});
  KernelTimer& timer = KernelTimer::instance();
  (void)timer.take("mqa_logits");
  const Times times = time_of([&] { launch_mqa_logits(problem.call, nullptr); }, flush, 30);
  std::vector<std::int64_t> own = timer.take("sm90_fp8_mqa_logits");
  std::sort(own.begin(), own.end());
  const double kernel_us = own.empty() ? 0 : static_cast<double>(own[own.size() / 2]) / 1000;
  const double best = kernel_us > 0 ? kernel_us : times.median;
  const double flops = 2.0 * static_cast<double>(problem.live) * heads * dims;
  std::printf("%-28s kernel %9.1f us   event %9.1f us (min %9.1f)   %7.0f TFLOPS  %5.1f %%\n", name.c_str(),
              kernel_us, times.median, times.least, flops / best * 1e-6, flops / best * 1e-6 / 1413 * 100);
  std::fflush(stdout);
}

void time_all() {
  const DeviceArray<unsigned char> flush(std::size_t{512} << 20);
  const KernelTimer& timer = KernelTimer::instance();
  std::printf(
      "\nprefill logits, fp32, causal, 512 MB flush, median of 30, live operations, percent of 1413; %s\n",
      timer.available() ? "kernel: activity records" : ("no kernel times: " + timer.reason()).c_str());
  for (const int heads : {64, 32})
    for (const bool clean : {false, true})
      for (const auto& [rows, tokens] : std::vector<std::pair<int, int>>{
               {2048, 4096}, {2048, 8192}, {2048, 65536}, {8192, 8192}, {8192, 65536}})
        time_case(rows, tokens, heads, 128, clean, flush);
  for (const int heads : {64, 32})
    for (const int dims : {64, 32}) time_case(8192, 65536, heads, dims, false, flush);
}

int main_of(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device: nothing checked, nothing timed\n");
    return 77;
  }
  const bool only_check = argc > 1 && std::string(argv[1]) == "--check";
  (void)KernelTimer::instance();  // before the first launch
  const bool good = check_all();
  if (!only_check) time_all();
  std::printf("%s\n", good ? "prefill logits: all checks passed" : "prefill logits: CHECKS FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  try {
    return assay::main_of(argc, argv);
  } catch (const assay::Error& error) {
    std::fprintf(stderr, "prefill_logits_gpu_check: %s\n", error.what());
    return 5;
  }
}
