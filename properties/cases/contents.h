// From a case to a call: its operands, and every byte of its inputs.
//
// Poison is what dead bytes hold: tails of blocks, blocks of nobody, gaps of strided views, dead table
// entries. There are two poisons, and a correct kernel cannot tell them apart:
//
//              first                          second
//   cache      0xff: NaN keys, NaN scales     0x7e: keys of 448, scales of 8.5e37
//   q          0x7f: NaN                      0x7e: 448
//   weights    NaN                            3e38
//   tables     -1, INT_MAX in turn            a foreign block (full of the poison above)
//   contexts   INT_MAX                        -1
//   outputs    a NaN with a payload           another one
//   floats     0xff: NaN in q, keys, values,  0x7b: 6e4 in fp16, 1e36 in bf16 and fp32
//              parts and rows of the others
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"
#include "properties/cases/kernel_case.h"
#include "properties/cases/operands.h"

namespace assay::properties {

enum class Poison : std::uint8_t { kFirst, kSecond };

// Tensors larger than this exist only where something lies (Operand::islands).
inline constexpr std::int64_t kDenseBytes = std::int64_t{64} << 20;

[[nodiscard]] Operands operands_of(const KernelCase& kernel_case);

// The bits an output element holds before the call, low bytes for short types.
[[nodiscard]] std::uint32_t output_poison(Poison poison);
// The byte that fills what lies around a tensor inside its pages, and the workspace.
[[nodiscard]] std::uint8_t margin_poison(Poison poison);

// data[i] points at tensor i of the operands (writable here; null when it spans nothing).
using TensorPointers = std::vector<std::byte*>;

// Values are drawn once, and written as often as wanted.
class CaseContents {
 public:
  virtual ~CaseContents() = default;
  // Every byte of every input.
  virtual void fill_inputs(Poison poison, const TensorPointers& data) const = 0;
};
[[nodiscard]] std::unique_ptr<CaseContents> make_contents(const KernelCase& kernel_case,
                                                          const Operands& operands);

// Every output element, and the gaps between them.
void fill_outputs(const Operands& operands, Poison poison, const TensorPointers& data);

// The golden model's view of the same bytes.
[[nodiscard]] PagedMqaLogitsCase golden_view(const PagedMqaParameters& parameters,
                                             const TensorPointers& data);
[[nodiscard]] MqaLogitsCase golden_view(const MqaParameters& parameters, const TensorPointers& data);
[[nodiscard]] PagedAttentionCase golden_view(const PagedAttentionParameters& parameters,
                                             const TensorPointers& data);

// The block id that dead table entries may name: not one that a table names, inside the pool; -1: none.
[[nodiscard]] std::int64_t foreign_block(const Pool& pool);

}  // namespace assay::properties
