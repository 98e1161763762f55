#include "tools/bench/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

namespace assay::tools {
namespace {

constexpr int kSlices = 6;

using Clock = std::chrono::steady_clock;

// The best rate of several slices; `work` returns how much it did.
double best_rate(double slice_seconds, const std::function<double()>& work) {
  double best = 0;
  for (int slice = 0; slice < kSlices; ++slice) {
    const auto begin = Clock::now();
    double done = 0, seconds = 0;
    do {
      done += work();
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (seconds < slice_seconds);
    best = std::max(best, done / seconds);
  }
  return best;
}

// A store that the compiler must keep.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

// 32 bytes at once, whatever the widest register of this build is.
using Words = std::uint64_t __attribute__((vector_size(32)));
using Floats = float __attribute__((vector_size(32)));

double read_all(const std::vector<std::uint64_t>& words) {
  const std::uint64_t* at = words.data();
  const std::uint64_t* end = at + words.size() / 16 * 16;
  Words a{}, b{}, c{}, d{};
  for (Words next; at != end; at += 16) {
    std::memcpy(&next, at, sizeof next), a += next;
    std::memcpy(&next, at + 4, sizeof next), b += next;
    std::memcpy(&next, at + 8, sizeof next), c += next;
    std::memcpy(&next, at + 12, sizeof next), d += next;
  }
  keep(a + b + c + d);
  return static_cast<double>((end - words.data()) * 8);
}

// Ten chains in registers: enough to hide the latency of a multiply-add on two ports.
double multiply_add() {
  constexpr int kRounds = 4096;
  Floats factor{}, s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{};
  factor += 0.999f;
  const auto step = [&factor](Floats& sum) {
    for (int lane = 0; lane < 8; ++lane) sum[lane] = __builtin_fmaf(sum[lane], factor[lane], 1.0f);
  };
  for (int round = 0; round < kRounds; ++round)
    step(s0), step(s1), step(s2), step(s3), step(s4), step(s5), step(s6), step(s7), step(s8), step(s9);
  keep(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9);
  return 2.0 * 8 * 10 * kRounds;
}

double over_threads(unsigned threads, const std::function<double()>& rate) {
  std::vector<double> rates(threads);
  std::vector<std::thread> workers;
  for (unsigned i = 1; i < threads; ++i) workers.emplace_back([&rates, &rate, i] { rates[i] = rate(); });
  rates[0] = rate();
  for (std::thread& worker : workers) worker.join();
  double sum = 0;
  for (const double r : rates) sum += r;
  return sum;
}

std::string cpu_line(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::int64_t flush_bytes() {
  const std::int64_t cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return std::clamp(2 * cache, std::int64_t{64} << 20, std::int64_t{256} << 20);
}

Ceilings cpu_ceilings(std::int64_t working_bytes, bool cold, double slice_seconds) {
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  const std::int64_t all = cold ? std::max(working_bytes, flush_bytes()) : working_bytes;
  const auto words = static_cast<std::size_t>(std::max<std::int64_t>(all / threads, 4096) / 8);
  Ceilings ceilings;
  ceilings.bytes_per_second = over_threads(threads, [&] {
    const std::vector<std::uint64_t> buffer(words, 1);
    (void)read_all(buffer);
    return best_rate(slice_seconds, [&] { return read_all(buffer); });
  });
  ceilings.operations_per_second =
      over_threads(threads, [&] { return best_rate(slice_seconds, multiply_add); });
  const std::string on = std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  ceilings.memory_from = "reading " + std::to_string(words * 8 * threads) + " bytes again and again, " + on;
  ceilings.arithmetic_from = "fp32 multiply-adds in registers, " + on;
  return ceilings;
}

std::string cpu_name() { return cpu_line("model name"); }

double cpu_clock_mhz() {
  const std::string text = cpu_line("cpu MHz");
  return text.empty() ? 0 : std::strtod(text.c_str(), nullptr);
}

}  // namespace assay::tools
