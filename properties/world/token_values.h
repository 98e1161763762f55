// What a token's name looks like in numbers, and what a query asks: every value is a draw of Philox under the
// name, so any token can be made alone, in the pool or in the logical sequence, in the same bits.
//
//   key row       D integers in [-127, 127] times a factor of the token's own: rows differ in every element and
//                 in their scale
//   quantised     scale = max(amax, 1e-4) / 448, code = e4m3(x / scale): written out here once more, so that
//                 the logical sequence does not come from the cache writer that fills the pool
//   keys, values  of attention: D integers in [-127, 127] times 2^-7 per KV head, exact in bf16
//   query         H x D e4m3 codes between 2^-4 and 2^3 in size, no NaN; weights of both signs
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"
#include "properties/world/token_names.h"

namespace assay::properties {

class TokenValues {
 public:
  TokenValues(std::uint64_t seed, std::int32_t heads, std::int32_t dims)
      : seed_(seed), heads_(heads), dims_(dims) {}

  [[nodiscard]] std::int32_t heads() const { return heads_; }
  [[nodiscard]] std::int32_t dims() const { return dims_; }

  // The index key of a token before quantisation: [dims].
  void key_row(TokenName name, float* row) const;
  // The same after it: codes [dims], and the scale is returned.
  float quantised_key(TokenName name, std::uint8_t* codes) const;
  // Attention: key and value of a token for one KV head, bf16, [dims] each.
  void attention_rows(TokenName name, std::int32_t kv_head, std::uint16_t* key, std::uint16_t* value) const;
  // Attention: a query that looks at everything a little, bf16 [dims].
  void broad_query(TokenName name, std::int32_t head, std::uint16_t* query) const;
  // Queries and weights of the row in which the token `name` asks: codes [heads, dims], weights [heads].
  void query(TokenName name, std::uint8_t* codes, float* weights) const;

 private:
  std::uint64_t seed_;
  std::int32_t heads_, dims_;
};

}  // namespace assay::properties
