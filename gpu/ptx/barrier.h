// Barriers in shared memory (mbarrier), one instruction, one function.
//
// A barrier's phase ends when its arrivals are there and the bytes announced to it have come. Phase n has parity
// n % 2: waiting for parity p returns once the latest phase of that parity is over; a fresh barrier counts as if a
// phase of parity 1 were over.
#pragma once

#include <cstdint>

namespace assay::ptx {

__device__ __forceinline__ void init_barrier(std::uint64_t& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier))),
               "r"(arrivals)
               : "memory");
}
// By the thread that initialised, before the CTA's barrier: the copy engine sees the barriers.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(std::uint64_t& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier)))
               : "memory");
}
__device__ __forceinline__ void arrive_and_expect(std::uint64_t& barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier))),
               "r"(bytes)
               : "memory");
}
// One arrival, once this thread's cp.async so far have come; it is one of the barrier's counted arrivals.
__device__ __forceinline__ void arrive_after_copies(std::uint64_t& barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier)))
               : "memory");
}
__device__ __forceinline__ void wait_parity(std::uint64_t& barrier, int parity) {
  asm volatile(
      "{.reg .pred done;\n"
      "again_%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished_%=;\n"
      "bra again_%=;\n"
      "finished_%=:\n}" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(&barrier))),
      "r"(parity)
      : "memory");
}

// True in one lane of the warp, always the same; the compiler knows it is one. All lanes take part.
__device__ __forceinline__ bool elected() {
  std::uint32_t own;
  asm volatile("{.reg .pred p; elect.sync _|p, 0xffffffff; selp.b32 %0, 1, 0, p;}" : "=r"(own));
  return own != 0;
}

// Registers per thread of this warpgroup from here on; all its warps take part.
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// A stage of a ring and the parity of the round it is in.
template <int kStages>
struct RingPosition {
  int stage = 0, round = 0;  // round: parity
  __device__ __forceinline__ void advance(int by = 1) {
    stage += by;
    if (stage >= kStages) {
      stage -= kStages;
      round ^= 1;
    }
  }
};

}  // namespace assay::ptx
