// Cache write: every named slot holds what golden writes, to the bit; everything else keeps every bit. In the
// address lane a row at a wrong slot says whose it is.
//
// A NaN may have any payload, but for copies: those are bit for bit.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/core/check.h"
#include "model/golden/cache_write.h"
#include "properties/cases/cache_write_contents.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {
namespace {

// One run of must-write bytes: a row of a cache, or its scale.
struct Written {
  std::int64_t token = 0;
  std::int32_t head = 0;
  bool value = false, scale = false;
};

class CacheWriteJudge final : public CaseJudge {
 public:
  CacheWriteJudge(const KernelCase& kernel_case, const Operands& operands)
      : case_(kernel_case),
        p_(std::get<CacheWriteParameters>(kernel_case.parameters)),
        operands_(operands),
        cache_(static_cast<std::int64_t>(operands.inputs())) {
    for (std::int64_t t = 0; t < p_.rows(); ++t) {
      const std::int64_t slot = p_.slots[static_cast<std::size_t>(t)];
      if (slot < 0) continue;
      const std::int64_t block = slot / p_.block_tokens;
      const auto place = static_cast<std::int32_t>(slot % p_.block_tokens);
      if (p_.index_keys) {
        const FusedIndexLayout layout = p_.fused();
        add(cache_, layout.key_offset(block, place), p_.dims, {t, 0, false, false});
        add(cache_, layout.scale_offset(block, place), 4, {t, 0, false, true});
        continue;
      }
      for (const bool value : {false, true})
        for (std::int32_t head = 0; head < p_.heads; ++head) {
          const PagedLayout layout = p_.layout(value);
          add(cache_ + (value ? 1 : 0), layout.offset(block, place, head, 0), p_.dims * layout.element_bytes,
              {t, head, value, false});
          if (!p_.row_scales) continue;
          const std::int64_t stride = value ? p_.value_scale_stride : p_.scale_block_stride;
          add(cache_ + (value ? 3 : 2), (block * stride + place * p_.heads + head) * 4, 4,
              {t, head, value, true});
        }
    }
  }

  [[nodiscard]] Judgement judge(const TensorPointers& data, const Claims&, Poison poison) const override {
    Judgement judgement;
    judgement.rows = p_.rows();
    check_rest(data, poison, judgement);
    if (judgement.status == Status::kWrongBlock) return judgement;
    const Expected expected = expect(data);
    for (std::size_t i = 0; i < must_write_.size(); ++i) {
      const Segment& segment = must_write_[i];
      const std::byte* got = data[static_cast<std::size_t>(segment.tensor)] + segment.begin;
      const std::byte* want = expected.of(written_[i], p_);
      const ElementType type = written_[i].scale ? ElementType::kFp32 : p_.cache_type;
      const int bytes = bytes_of(type);
      for (std::int64_t at = 0; at < segment.end - segment.begin; at += bytes) {
        ++judgement.elements;
        if (judgement.status == Status::kPassed && !same(got + at, want + at, type))
          accuse(i, at / bytes, got, want, judgement);
      }
    }
    return judgement;
  }

  [[nodiscard]] std::string place_of(std::int64_t tensor, std::int64_t byte) const override {
    const std::string name = operands_.tensors[static_cast<std::size_t>(tensor)].name;
    if (p_.index_keys) {
      const FusedIndexLayout::Inverse at = p_.fused().inverse(byte);
      return fmt::format("{} block {}{} of slot {}", name, at.block,
                         at.part == FusedIndexLayout::Inverse::Part::kScale ? ", scale" : "", at.slot);
    }
    if (tensor >= cache_ + 2) {
      const std::int64_t stride = tensor == cache_ + 2 ? p_.scale_block_stride : p_.value_scale_stride;
      const std::int64_t in_block = byte / 4 % stride;
      return fmt::format("{} block {} slot {}, head {}", name, byte / 4 / stride, in_block / p_.heads,
                         in_block % p_.heads);
    }
    const PagedLayout::Inverse at = p_.layout(tensor == cache_ + 1).inverse(byte);
    return fmt::format("{} block {} slot {}, head {}, dim {}", name, at.at.block, at.at.slot, at.at.head,
                       at.at.dim);
  }

 private:
  // What golden writes into a cache in which token t has slot t.
  struct Expected {
    std::vector<std::byte> rows[2];    // [T, heads, dims]; index keys: [T, dims], then scales
    std::vector<float> row_scales[2];  // [T, heads]
    [[nodiscard]] const std::byte* of(const Written& written, const CacheWriteParameters& p) const {
      const std::int64_t row = written.token * p.heads + written.head;
      if (!written.scale) return rows[written.value].data() + row * p.dims * bytes_of(p.cache_type);
      if (p.index_keys) return rows[0].data() + p.rows() * p.dims + written.token * 4;
      return reinterpret_cast<const std::byte*>(&row_scales[written.value][static_cast<std::size_t>(row)]);
    }
  };

  void add(std::int64_t tensor, std::int64_t begin, std::int64_t bytes, const Written& written) {
    must_write_.push_back({tensor, begin, begin + bytes});
    written_.push_back(written);
  }

  [[nodiscard]] Expected expect(const TensorPointers& data) const {
    Expected expected;
    const std::int64_t tokens = p_.rows();
    if (tokens == 0) return expected;
    std::vector<std::int64_t> slots;
    for (std::int64_t t = 0; t < tokens; ++t)
      slots.push_back(p_.slots[static_cast<std::size_t>(t)] < 0 ? -1 : t);
    const SlotView view{slots.data(), tokens};
    if (p_.index_keys) {
      const FusedIndexLayout layout = make_fused_index_layout(static_cast<std::int32_t>(tokens), p_.dims);
      expected.rows[0].resize(static_cast<std::size_t>(layout.block_bytes()));
      write_index_cache({data[0], p_.row_type, {tokens, p_.dims}, {p_.row_stride, 1}}, view,
                        expected.rows[0].data(), layout, 1);
      return expected;
    }
    for (const std::size_t half : {0u, 1u}) {
      CacheTarget target;
      target.type = p_.cache_type;
      target.layout = make_paged_layout(PagedOrder::kNhd, static_cast<std::int32_t>(tokens), p_.heads,
                                        p_.dims, bytes_of(p_.cache_type));
      target.blocks = 1;
      expected.rows[half].resize(static_cast<std::size_t>(target.layout.block_stride));
      target.data = expected.rows[half].data();
      if (p_.row_scales) {
        expected.row_scales[half].resize(static_cast<std::size_t>(tokens * p_.heads));
        target.row_scales = expected.row_scales[half].data();
        target.scale_slot_stride = p_.heads;
        target.scale_head_stride = 1;
      }
      write_cache(
          {data[half], p_.row_type, {tokens, p_.heads, p_.dims}, {p_.row_stride, p_.row_head_stride, 1}},
          view, target);
    }
    return expected;
  }

  [[nodiscard]] bool same(const std::byte* got, const std::byte* want, ElementType type) const {
    if (std::memcmp(got, want, static_cast<std::size_t>(bytes_of(type))) == 0) return true;
    const bool copies = p_.row_type == p_.cache_type && !p_.quantises();
    return !copies && std::isnan(load_element(got, type)) && std::isnan(load_element(want, type));
  }

  void accuse(std::size_t index, std::int64_t dim, const std::byte* got, const std::byte* want,
              Judgement& judgement) const {
    const Written& written = written_[index];
    const ElementType type = written.scale ? ElementType::kFp32 : p_.cache_type;
    judgement.status = Status::kIncorrectNumerical;
    judgement.row = written.token;
    judgement.text = fmt::format(
        "{} (token {}): expected {:.9g}, got {:.9g}",
        place_of(must_write_[index].tensor, must_write_[index].begin + dim * bytes_of(type)), written.token,
        load_element(want + dim * bytes_of(type), type), load_element(got + dim * bytes_of(type), type));
    if (written.scale) return;
    if (const std::string whose = whose_row(got); !whose.empty() && whose != whose_row(want)) {
      judgement.status = Status::kWrongBlock;
      judgement.text = fmt::format("{}: belongs to token {}, head {}; holds {}",
                                   place_of(must_write_[index].tensor, must_write_[index].begin),
                                   written.token, written.head, whose);
    }
  }

  // In the address lane: "token 3, head 1 of v"; "" when it is no row of this call.
  [[nodiscard]] std::string whose_row(const std::byte* row) const {
    if (case_.lane != Lane::kAddress) return "";
    std::vector<double> elements(static_cast<std::size_t>(p_.dims));
    decode_row(row, p_.cache_type, p_.dims, elements.data());
    if (std::fabs(elements[0]) != (p_.quantises() ? 448.0 : 1.0)) return "";  // poison is as even as a row
    const std::optional<RowAddress> address = row_address(elements.data(), p_.dims);
    if (!address) return "";
    const auto token = std::find(p_.row_content.begin(), p_.row_content.end(), address->content);
    if (token == p_.row_content.end()) return "";
    const auto index = token - p_.row_content.begin();
    if (address->head < 0) return fmt::format("token {}", index);  // too few dims to say more
    return fmt::format("token {}, head {} of {}", index, address->head, address->value ? "v" : "k");
  }

  // Bytes of nobody hold what they held before the call.
  void check_rest(const TensorPointers& data, Poison poison, Judgement& judgement) const {
    for (std::size_t i = static_cast<std::size_t>(cache_); i < operands_.tensors.size(); ++i) {
      const Operand& tensor = operands_.tensors[i];
      std::vector<ByteRange> ours;
      for (const Segment& segment : must_write_)
        if (segment.tensor == static_cast<std::int64_t>(i)) ours.push_back({segment.begin, segment.end});
      std::sort(ours.begin(), ours.end(),
                [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
      std::vector<ByteRange> there = tensor.islands;
      if (there.empty() && tensor.span_bytes > 0) there.push_back({0, tensor.span_bytes});
      auto next = ours.begin();
      for (const ByteRange& range : there) {
        std::int64_t at = range.begin;
        for (; next != ours.end() && next->begin < range.end; ++next) {
          look(data, i, at, next->begin, poison, judgement);
          at = next->end;
        }
        look(data, i, at, range.end, poison, judgement);
      }
    }
  }

  void look(const TensorPointers& data, std::size_t tensor, std::int64_t begin, std::int64_t end,
            Poison poison, Judgement& judgement) const {
    const std::uint32_t canary = output_poison(poison);
    const auto bytes = static_cast<std::int64_t>(operands_.tensors[tensor].type.bytes());
    if (judgement.status != Status::kPassed) return;
    for (std::int64_t at = begin; at < end; at += bytes) {
      if (std::memcmp(data[tensor] + at, &canary, static_cast<std::size_t>(bytes)) == 0) continue;
      judgement.status = Status::kIncorrectMask;
      judgement.text = fmt::format("{}: no token of this call belongs there; it was written",
                                   place_of(static_cast<std::int64_t>(tensor), at));
      name_stray(data[tensor], tensor, at, judgement);
      return;
    }
  }
  // A whole row of ours at somebody else's slot?
  void name_stray(const std::byte* memory, std::size_t tensor, std::int64_t at, Judgement& judgement) const {
    const auto index = static_cast<std::int64_t>(tensor);
    if (index >= cache_ + 2) return;
    std::int64_t row = 0;
    if (p_.index_keys) {
      const FusedIndexLayout::Inverse inverse = p_.fused().inverse(at);
      if (inverse.part != FusedIndexLayout::Inverse::Part::kKey) return;
      row = p_.fused().key_offset(inverse.block, inverse.slot);
    } else {
      const PagedLayout layout = p_.layout(index == cache_ + 1);
      const PagedLayout::Inverse inverse = layout.inverse(at);
      if (!inverse.inside) return;
      row = layout.offset(inverse.at.block, inverse.at.slot, inverse.at.head, 0);
    }
    const std::string whose = whose_row(memory + row);
    if (whose.empty()) return;
    judgement.status = Status::kWrongBlock;
    judgement.text =
        fmt::format("{}: no token of this call belongs there; it holds {}", place_of(index, row), whose);
  }

  const KernelCase& case_;
  const CacheWriteParameters& p_;
  const Operands& operands_;
  std::int64_t cache_;            // the first output
  std::vector<Written> written_;  // [must_write_]
};

}  // namespace

std::unique_ptr<CaseJudge> make_cache_write_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<CacheWriteJudge>(kernel_case, operands);
}

}  // namespace assay::properties
