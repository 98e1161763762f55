// The shapes that `assay bench` times, as one word that a person can type and a machine can key on:
//
//   paged-mqa-logits,B=4,ctx=1024,H=32,D=64,next_n=1,block=64,out=fp32
//   mqa-logits,M=32,ctx=512,H=32,D=64,out=fp32
//   paged-attention,B=4,ctx=512,H=8,Hkv=2,D=64,next_n=1,block=64,out=bf16     (causal; bf16 caches)
//   schedule-metadata,B=256,ctx=65536,parts=132,unit=256
//   merge,T=64,H=8,D=64,out=bf16                         (fp32 parts)
//   cache-write,T=256,Hkv=2,D=64,block=64                (bf16)
//
// Keys left out take the defaults above. A shape and a seed make an ordinary case (properties/cases): the
// same operands, contents and judges as everywhere else, so what is timed is what is verified.
//
//   live bytes   every byte that the operation must read or write once: its floor, not its traffic
//   operations   2 H (D + 1) per logit: products, relu-weighted sum; 4 H D per query and visible token of
//                attention; 1 per sequence and part of a schedule; 4 per output of a merge; none of a write
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "properties/cases/kernel_case.h"

namespace assay::tools {

struct BenchShape {
  properties::Operation operation = properties::Operation::kMqaLogits;
  std::int32_t batch = 4, queries = 32, context_tokens = 512;
  std::int32_t heads = 32, kv_heads = 2, dims = 64, next_n = 1, block_tokens = 64;
  std::int32_t parts = 132, unit_tokens = 256;
  ElementType output = ElementType::kFp32;
  friend bool operator==(const BenchShape&, const BenchShape&) = default;
};

// Throws InputError(place, what is known, the word).
[[nodiscard]] BenchShape shape_from_text(const std::string& text, const std::string& place);
[[nodiscard]] std::string text_of(const BenchShape& shape);

// Shapes with a name; operations share names. Those for devices take a CPU kernel minutes, and are as large as
// judging them on the CPU allows.
struct NamedShape {
  const char* name;
  const char* text;
  bool for_devices;
};
[[nodiscard]] const std::vector<NamedShape>& named_shapes();

// The named shapes of an operation for this kind of machine. Empty: the operation cannot be timed.
[[nodiscard]] std::vector<BenchShape> default_shapes(properties::Operation operation, bool on_device = false);

// Words: "default", names (commas between them), or texts of shapes, where one value may be a range of doublings
// (ctx=128..1024); of the given operations only. InputError
// for a word that means nothing, or no shape of these operations.
[[nodiscard]] std::vector<BenchShape> shapes_from_words(const std::vector<std::string>& words,
                                                        const std::vector<properties::Operation>& operations,
                                                        bool on_device);

// Gaussian contents, shuffled block ids, no gaps. The seed changes values only.
[[nodiscard]] properties::KernelCase case_of(const BenchShape& shape, std::uint64_t seed);

struct BenchWork {
  std::int64_t live_bytes = 0;
  double operations = 0;
  std::int64_t query_tokens = 0;  // rows of queries: what a user calls tokens per second; 0: there are none
};
[[nodiscard]] BenchWork work_of(const BenchShape& shape);

}  // namespace assay::tools
