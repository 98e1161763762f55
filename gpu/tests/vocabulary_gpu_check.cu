// The vocabulary gives the same bits on the device as on the host: random streams, float formats, layouts,
// schedules, the declared exponential and logarithm. Exit: 0 all equal, 1 something differs, 77 no device.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "gpu/tests/device_harness.h"
#include "model/core/attention_order.h"
#include "model/core/float_formats.h"
#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

constexpr int kFacts = 14;

// Everything that is compared, for one index.
ASSAY_HOST_DEVICE void facts_of(std::uint64_t index, std::uint64_t* facts) {
  const RandomStream stream(7, "vocabulary");
  const RandomStream child = stream.child(index);
  const std::uint32_t bits = stream.u32(index);
  // Every fp32 pattern is a candidate, and so is every double near one.
  const double wide =
      static_cast<double>(bit_cast<float>(bits)) * (1.0 + static_cast<double>(index % 5) * 0x1p-30);
  int fact = 0;
  facts[fact++] = stream.u64(index);
  facts[fact++] = stream.below(index, 1 + index * 977);
  facts[fact++] = bit_cast<std::uint32_t>(stream.uniform(index));
  facts[fact++] = bit_cast<std::uint32_t>(child.normal(index));
  facts[fact++] = E4M3::encode(wide) | E5M2::encode(wide) << 8 |
                  std::uint64_t{Bf16::encode(wide, Overflow::kInfinity)} << 16 |
                  std::uint64_t{Fp16::encode(wide)} << 32 | std::uint64_t{E8M0::encode(wide)} << 48 |
                  std::uint64_t{E8M0::encode_up(wide)} << 56;
  facts[fact++] = bit_cast<std::uint64_t>(E4M3::decode(static_cast<std::uint8_t>(bits)));
  facts[fact++] = bit_cast<std::uint64_t>(E5M2::decode(static_cast<std::uint8_t>(bits)));
  facts[fact++] = bit_cast<std::uint64_t>(Bf16::decode(static_cast<std::uint16_t>(bits)));
  facts[fact++] = bit_cast<std::uint64_t>(Fp16::decode(static_cast<std::uint16_t>(bits)));
  facts[fact++] = quantise_e4m3(stream.normal(index), e4m3_scale_of(stream.uniform(index)));
  const PagedLayout layout = make_paged_layout(PagedOrder::kHnd, 16, 8, 128, 2, 1'039'680);
  facts[fact++] = static_cast<std::uint64_t>(
      layout.offset(static_cast<std::int64_t>(bits >> 8), bits & 15, bits >> 4 & 7, bits & 127));
  facts[fact++] = static_cast<std::uint64_t>(
      part_begin(static_cast<std::int64_t>(bits), 132, static_cast<std::int32_t>(index % 133)));
  facts[fact++] = bit_cast<std::uint32_t>(exact::exp2_nonpositive(-126.0f * stream.uniform(index)));
  facts[fact++] =
      bit_cast<std::uint32_t>(exact::log2_positive(exact::fused(1e3f, stream.uniform(index), 1e-3f)));
}

__global__ void device_facts(std::uint64_t* facts, int count) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
    facts_of(static_cast<std::uint64_t>(i), facts + static_cast<std::int64_t>(i) * kFacts);
}

int run() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device: nothing checked\n");
    return 77;
  }
  constexpr int kCount = 2'000'000;
  const DeviceArray<std::uint64_t> device(static_cast<std::size_t>(kCount) * kFacts);
  device_facts<<<1024, 128>>>(device.get(), kCount);
  cuda(cudaGetLastError(), "launch");
  cuda(cudaDeviceSynchronize(), "facts");
  const std::vector<std::uint64_t> got = device.to_host();
  std::int64_t wrong[kFacts] = {};
  std::uint64_t expected[kFacts];
  for (int i = 0; i < kCount; ++i) {
    facts_of(static_cast<std::uint64_t>(i), expected);
    for (int f = 0; f < kFacts; ++f) {
      if (got[static_cast<std::size_t>(i) * kFacts + f] == expected[f]) continue;
      if (wrong[f]++ == 0)
        std::printf("fact %d, index %d: host %016llx, device %016llx\n", f, i,
                    static_cast<unsigned long long>(expected[f]),
                    static_cast<unsigned long long>(got[static_cast<std::size_t>(i) * kFacts + f]));
    }
  }
  std::int64_t all = 0;
  for (const std::int64_t count : wrong) all += count;
  std::printf("vocabulary: %d indices, %d facts each, %lld differ between host and device\n", kCount, kFacts,
              static_cast<long long>(all));
  return all == 0 ? 0 : 1;
}

}  // namespace
}  // namespace assay

int main() {
  try {
    return assay::run();
  } catch (const assay::Error& error) {
    std::fprintf(stderr, "vocabulary_gpu_check: %s\n", error.what());
    return 5;
  }
}
