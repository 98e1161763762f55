// How fast the golden model is, beside Eigen's own double product of the same sizes in the same run.
//
//   logits     B sequences: panel [ctx, D] * q^T [D, H]; the product alone is eigen_logits
//   attention  per sequence and KV head: [ctx, D] * [D, 8] and [D, ctx] * [ctx, 8]
//
// Counters: GFLOP/s (2 * B * ctx * H * D, and 4 * B * ctx * Hq * D); `of_eigen`, the best round against
// the best round of the Eigen product that alternates with it, same threads, same run;
// `of_eigen_median`, the median of the ratios of neighbouring rounds; `scratch_MB`, by how much the peak
// of resident memory grew while the golden model ran.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include "model/core/philox.h"
#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"
#include "model/golden/parallel.h"

namespace assay {
namespace {

constexpr std::int32_t kBlockTokens = 64;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<std::int32_t> shuffled(std::int32_t count) {
  const RandomStream random(1, "blocks");
  std::vector<std::int32_t> ids(count);
  for (std::int32_t i = 0; i < count; ++i) ids[i] = i;
  for (std::int32_t i = count - 1; i > 0; --i) std::swap(ids[i], ids[random.below(i, i + 1)]);
  return ids;
}

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Eigen alone: `count` products [tokens, dims] * [dims, rows] on doubles that are already there. Every
// thread has its own operands of the full size.
class EigenProducts {
 public:
  EigenProducts(std::int64_t tokens, std::int64_t dims, std::int64_t rows, int threads, bool second)
      : second_(second) {
    for (int i = 0; i < threads; ++i) {
      keys_.push_back(RowMajor::Random(tokens, dims));
      rows_.push_back(Eigen::MatrixXd::Random(dims, rows));
      dots_.push_back(Eigen::MatrixXd::Zero(tokens, rows));
      sums_.push_back(Eigen::MatrixXd::Zero(dims, rows));
    }
  }
  void run(std::int64_t count) {
    parallel_for(count, static_cast<int>(keys_.size()), [&](std::int64_t, int w) {
      dots_[w].noalias() = keys_[w] * rows_[w];
      if (second_) sums_[w].noalias() = keys_[w].transpose() * dots_[w];
      benchmark::DoNotOptimize(sums_[w].data());
      benchmark::ClobberMemory();
    });
  }

 private:
  bool second_;
  std::vector<RowMajor> keys_;
  std::vector<Eigen::MatrixXd> rows_, dots_, sums_;
};

// Kilobytes of a line of /proc/self/status.
double memory_kb(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.compare(0, key.size(), key) == 0) return std::stod(line.substr(key.size() + 1));
  return 0;
}

// Eigen plans its own products by the machine's caches; the golden model fixes other sizes.
struct CacheSizes {
  std::ptrdiff_t l1 = Eigen::l1CacheSize(), l2 = Eigen::l2CacheSize(), l3 = Eigen::l3CacheSize();
  void use() const { Eigen::setCpuCacheSizes(l1, l2, l3); }
};
const CacheSizes kMachine;

// Alternates the two and reports the golden rate and its ratio; the best of the rounds on both sides,
// because others share the machine.
void compare(benchmark::State& state, double flops, const std::function<void()>& golden,
             const std::function<void()>& eigen) {
  double best_golden = std::numeric_limits<double>::infinity(), best_eigen = best_golden;
  std::ofstream("/proc/self/clear_refs") << "5";  // resets the peak
  const double resident = memory_kb("VmRSS:");
  golden();
  state.counters["scratch_MB"] = (memory_kb("VmHWM:") - resident) / 1024;
  const CacheSizes fixed;
  std::vector<double> ratios;
  for (auto _ : state) {
    const double seconds = seconds_of(golden);
    best_golden = std::min(best_golden, seconds);
    kMachine.use();
    const double beside = seconds_of(eigen);
    fixed.use();
    best_eigen = std::min(best_eigen, beside);
    ratios.push_back(beside / seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["GFLOP/s"] = flops / best_golden * 1e-9;
  state.counters["eigen_GFLOP/s"] = flops / best_eigen * 1e-9;
  state.counters["of_eigen"] = best_eigen / best_golden;
  std::sort(ratios.begin(), ratios.end());
  state.counters["of_eigen_median"] = ratios[ratios.size() / 2];
}

// Arguments: threads, batch, context, heads, dims.
void paged_mqa_logits_bench(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(0));
  const std::int64_t batch = state.range(1), context = state.range(2), heads = state.range(3),
                     dims = state.range(4);
  const FusedIndexLayout layout = make_fused_index_layout(kBlockTokens, static_cast<std::int32_t>(dims));
  const std::int32_t per_sequence = static_cast<std::int32_t>(ceil_div(context, kBlockTokens));
  const std::vector<std::int32_t> table = shuffled(static_cast<std::int32_t>(batch) * per_sequence);
  std::vector<std::uint8_t> cache(table.size() * layout.block_stride), q(batch * heads * dims);
  const RandomStream random(2, "codes");
  for (std::size_t i = 0; i < cache.size(); i += 4) {
    const std::uint32_t codes = random.u32(i / 4) & 0xbfbfbfbfu;  // finite, below 2
    std::memcpy(&cache[i], &codes, 4);
  }
  for (std::size_t block = 0; block < table.size(); ++block)
    for (std::int32_t slot = 0; slot < kBlockTokens; ++slot) {
      const float scale = 1.0f + random.uniform(block);
      std::memcpy(&cache[layout.scale_offset(static_cast<std::int64_t>(block), slot)], &scale, 4);
    }
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<std::uint8_t>(random.child(1).u32(i) & 0xbf);
  std::vector<float> weights(batch * heads);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = random.child(2).normal(i);
  const std::vector<std::int32_t> contexts(batch, static_cast<std::int32_t>(context));
  PagedMqaLogitsCase problem;
  problem.q = compact_view<4>(q.data(), ElementType::kE4M3, {batch, 1, heads, dims});
  problem.weights = compact_view<2>(weights.data(), ElementType::kFp32, {batch, heads});
  problem.cache = {cache.data(), layout, static_cast<std::int64_t>(table.size())};
  problem.table = {table.data(), per_sequence, per_sequence};
  problem.contexts = {contexts.data(), batch, 0, 1, 1};
  std::vector<double> logits(batch * context);
  EigenProducts eigen(context, dims, heads, threads, false);
  compare(
      state, 2.0 * static_cast<double>(batch * context * heads * dims),
      [&] {
        paged_mqa_logits(problem, compact_result<2>(logits.data(), {batch, context}), {}, {threads});
      },
      [&] { eigen.run(batch); });
}
BENCHMARK(paged_mqa_logits_bench)
    ->Name("paged_mqa_logits")
    ->ArgNames({"threads", "B", "ctx", "H", "D"})
    ->Args({1, 64, 8192, 64, 128})
    ->Args({2, 64, 8192, 64, 128})
    ->Args({2, 64, 8192, 32, 128})
    ->UseManualTime()
    ->Iterations(9)
    ->Unit(benchmark::kMillisecond);

// Arguments: threads, batch, context, query heads, KV heads, dims.
void paged_attention_bench(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(0));
  const std::int64_t batch = state.range(1), context = state.range(2), heads = state.range(3);
  const std::int32_t kv_heads = static_cast<std::int32_t>(state.range(4)),
                     dims = static_cast<std::int32_t>(state.range(5));
  const PagedLayout layout = make_paged_layout(PagedOrder::kNhd, kBlockTokens, kv_heads, dims, 2);
  const std::int32_t per_sequence = static_cast<std::int32_t>(ceil_div(context, kBlockTokens));
  const std::vector<std::int32_t> table = shuffled(static_cast<std::int32_t>(batch) * per_sequence);
  const std::size_t elements = table.size() * layout.block_stride / 2;
  std::vector<std::uint16_t> keys(elements), values(elements), q(batch * heads * dims);
  const RandomStream random(3, "elements");
  // Between 2^-2 and 2 in magnitude, any sign: bf16 codes made from random bits.
  const auto code = [](std::uint32_t bits) { return static_cast<std::uint16_t>(0x3e80u + (bits & 0x81ffu)); };
  for (std::size_t i = 0; i < elements; i += 2) {
    const std::uint32_t bits = random.u32(i / 2);
    keys[i] = code(bits);
    keys[i + 1] = code(bits >> 16);
    values[i] = code(bits >> 8);
    values[i + 1] = code(bits >> 3);
  }
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = code(random.child(1).u32(i));
  std::vector<std::int32_t> q_begin, contexts(batch, static_cast<std::int32_t>(context));
  for (std::int32_t b = 0; b <= batch; ++b) q_begin.push_back(b);
  PagedAttentionCase problem;
  problem.q = compact_view<3>(q.data(), ElementType::kBf16, {batch, heads, dims});
  problem.q_begin = {q_begin.data(), batch + 1, 1};
  problem.contexts = {contexts.data(), batch, 1};
  const std::int64_t blocks = static_cast<std::int64_t>(table.size());
  problem.keys = {keys.data(), ElementType::kBf16, layout, blocks, {table.data(), per_sequence, per_sequence},
                  {}};
  problem.values = {
      values.data(), ElementType::kBf16, layout, blocks, {table.data(), per_sequence, per_sequence}, {}};
  problem.softmax_scale = 0.08838834764;
  std::vector<double> out(batch * heads * dims), lse(batch * heads);
  EigenProducts eigen(context, dims, heads / kv_heads, threads, true);
  compare(
      state, 4.0 * static_cast<double>(batch * context * heads * dims),
      [&] {
        paged_attention(problem, compact_result<3>(out.data(), {batch, heads, dims}),
                        compact_result<2>(lse.data(), {batch, heads}), {threads});
      },
      [&] { eigen.run(batch * kv_heads); });
}
BENCHMARK(paged_attention_bench)
    ->Name("paged_attention")
    ->ArgNames({"threads", "B", "ctx", "Hq", "Hkv", "D"})
    ->Args({1, 16, 8192, 64, 8, 128})
    ->Args({2, 16, 8192, 64, 8, 128})
    ->UseManualTime()
    ->Iterations(9)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace assay
