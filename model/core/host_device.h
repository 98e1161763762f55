// One word for "this function is the same on host and device", so that index arithmetic and float
// formats are written once and tested on a CPU before a GPU ever runs them.
#pragma once

#if defined(__CUDACC__)
#define ASSAY_HOST_DEVICE __host__ __device__
#else
#define ASSAY_HOST_DEVICE
#endif

namespace assay {

// Reads the bytes of `from` as a To. The builtin is constexpr in both of nvcc's passes, which
// std::bit_cast is not.
template <typename To, typename From>
[[nodiscard]] ASSAY_HOST_DEVICE constexpr To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs equal sizes");
  return __builtin_bit_cast(To, from);
}

}  // namespace assay
