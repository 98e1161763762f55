// A kernel's claims, read from its descriptor. Claims select how strictly a kernel is judged; each one is
// checked, and a false one is a failure. What a kernel does not claim is not held against it.
//
//   determinism=bitwise        repeat runs are equal in every bit, whatever lies in dead memory
//   batch-invariant            a sequence alone gives the bits it gives in a batch
//   split-invariant            queries one by one give the bits they give together
//   block-renaming-invariant   other physical block ids give the same bits
//   arithmetic=NAME            equals the twin NAME in every bit
//   acc=fp32|fp8tc|bf16tc      accumulator of the products: selects the bound
//   p=bf16|fp16|e4m3|fp32|q    attention: the type in which probabilities meet V; q: that of the queries
//   unit=N                     logits: columns past a row's limit may be written up to a multiple of N
//   align=N                    tensors must begin at multiples of N bytes
#pragma once

#include <cstdint>
#include <string>

#include "model/bounds/arithmetic.h"

namespace assay::properties {

// The schedule's unit of the contract (docs/contracts.md section 3): what a kernel that says nothing may write.
inline constexpr std::int64_t kDefaultMayWriteUnit = 256;
inline constexpr const char* kMqaTwinName = "hopper-e4m3-mqa-logits";

struct Claims {
  bool bitwise = false, batch_invariant = false, split_invariant = false, renaming_invariant = false;
  std::string arithmetic;  // "" = none
  Arithmetic bound;
  bool p_is_query_type = false;  // bound.p_type is then the case's to say
  std::int64_t may_write_unit = kDefaultMayWriteUnit;
  std::int32_t alignment_bytes = 1;
};

// Throws InputError(place, what is known, the word): a misspelt claim would never be checked.
[[nodiscard]] Claims parse_claims(const std::string& text, const std::string& place);

}  // namespace assay::properties
