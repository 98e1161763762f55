#include "properties/world/pool_shadow.h"

#include <fmt/format.h>

#include "model/core/check.h"

namespace assay::properties {

void PoolShadow::write(const LiveStep& live, const NamesOf& names) {
  for (const LiveSequence& s : live.sequences) {
    const RequestNames& tokens = names(s.request);
    for (std::int64_t position = s.computed_before; position < s.computed_before + s.written; ++position)
      write_token(s, position, tokens.at(position), live.step);
  }
}

void PoolShadow::write_token(const LiveSequence& s, std::int64_t position, TokenName name,
                             std::int64_t step) {
  const auto index = static_cast<std::size_t>(position / block_tokens_);
  ASSAY_CHECK(index < s.write_table.size(), "a token is computed that its sequence has no block for");
  const std::int32_t block = s.write_table[index];
  ASSAY_CHECK_GE(block, 0);
  ASSAY_CHECK_LT(static_cast<std::size_t>(block), blocks_.size());
  auto& contents = blocks_[static_cast<std::size_t>(block)];
  if (!contents) contents = std::make_unique<SlotContent[]>(static_cast<std::size_t>(block_tokens_));
  const std::int64_t slot = position % block_tokens_;
  SlotContent& content = contents[static_cast<std::size_t>(slot)];
  const SlotContent written{name, step, static_cast<std::int32_t>(s.request),
                            static_cast<std::int32_t>(position)};
  if (content.name != kNoToken && content.step == step && double_writes_++ == 0)
    first_double_write_ = DoubleWrite{step, block, slot, content, written};
  content = written;
}

std::string describe(const SlotContent& content) {
  if (content.name == kNoToken) return "nothing was ever written there";
  return fmt::format("token {} of request {}, written in step {}", content.position, content.request,
                     content.step);
}

}  // namespace assay::properties
