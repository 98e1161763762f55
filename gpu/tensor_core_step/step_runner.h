// One tensor-core step per question, on the device: what `assay calibrate` and the check program ask.
//
//   answer[i] = one instruction over 32 bytes of K:  a[i] . b[i] + accumulator[i]
//
// Every question gets an element of an accumulator of its own; the other elements of the instruction are
// filled with the neighbours' operands, so that nothing is accidentally zero. Host pointers, plain bytes, no
// CUDA type; the expected answers are model/twin/probes.h's business.
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"

namespace assay {

enum class StepInstruction : std::uint8_t {
  kWgmma,    // wgmma.mma_async m64n8, both operands in shared memory (sm_90a)
  kMmaSync,  // mma.sync m16n8, operands in registers
};

// a, b: [count, 32] bytes, codes as they lie along K. accumulators, answers: [count] fp32 bits.
// Types: two fp8 types (mixed or not), or bf16 twice, or fp16 twice; others throw InputError. Throws
// EnvironmentError when there is no device or it refuses.
void run_tensor_core_steps(StepInstruction instruction, ElementType type_a, ElementType type_b,
                           const std::uint8_t* a, const std::uint8_t* b, const std::uint32_t* accumulators,
                           std::uint32_t* answers, std::int64_t count);

// The device's name, or an empty string where there is none.
[[nodiscard]] const char* step_device_name();

}  // namespace assay
