#include "properties/cases/merge_contents.h"

#include <cstring>
#include <limits>

#include "properties/cases/element_draws.h"
#include "properties/cases/elements.h"
#include "properties/cases/fills.h"

namespace assay::properties {
namespace {

class MergeContents final : public CaseContents {
 public:
  MergeContents(const KernelCase& kernel_case, const Operands& operands)
      : p_(std::get<MergeParameters>(kernel_case.parameters)),
        operands_(operands),
        values_(kernel_case.lane, kernel_case.seed, p_.heads, p_.dims) {}

  void fill_inputs(Poison poison, const TensorPointers& data) const override {
    std::vector<float> row(static_cast<std::size_t>(p_.dims));
    for (int part = 0; part < 2; ++part) {
      const auto index = static_cast<std::size_t>(part);
      std::byte *out = data[2 * index], *lse = data[2 * index + 1];
      fill_bytes(out, operands_.tensors[2 * index], float_poison(poison));
      fill_bytes(lse, operands_.tensors[2 * index + 1], float_poison(poison));
      for (std::int64_t r = 0; r < p_.rows(); ++r)
        for (std::int32_t h = 0; h < p_.heads; ++h) {
          const std::int64_t content = p_.row_content[static_cast<std::size_t>(r)];
          const float own = values_.lse(part, content, h);
          std::memcpy(lse + (r * p_.lse_strides[index] + h) * 4, &own, 4);
          if (own == -std::numeric_limits<float>::infinity()) continue;  // its out stays poison
          values_.out(part, content, h, row.data());
          std::byte* to =
              out + (r * p_.row_strides[index] + h * p_.head_strides[index]) * bytes_of(p_.part_type);
          for (std::size_t d = 0; d < row.size(); ++d)
            store_element(to + static_cast<std::int64_t>(d) * bytes_of(p_.part_type), p_.part_type,
                          static_cast<double>(row[d]), Overflow::kSaturate);
        }
    }
  }

 private:
  const MergeParameters& p_;
  const Operands& operands_;
  MergeValues values_;
};

}  // namespace

MergeValues::MergeValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims)
    : lane_(lane),
      heads_(heads),
      dims_(dims),
      outs_{{seed, "merge out a"}, {seed, "merge out b"}},
      lses_{{seed, "merge lse a"}, {seed, "merge lse b"}} {}

float MergeValues::lse(int part, std::int64_t content, std::int32_t head) const {
  const auto index = static_cast<std::uint64_t>(content * heads_ + head);
  const PhiloxBlock block = lses_[part].block(index);
  if (block.word[0] % 8 == 0) return -std::numeric_limits<float>::infinity();
  const float normal = normal_of(block.word[1]);
  switch (lane_) {
    case Lane::kUniform: return normal_of(lses_[0].block(index).word[1]);
    case Lane::kHeavyTail: return 25.0f * normal;
    case Lane::kExact: {
      const bool heavy = (lses_[0].block(index).word[2] % 2 == 0) == (part == 0);
      return heavy ? 0.0f : normal - 150.0f;
    }
    default: return 2.0f * normal;
  }
}

void MergeValues::out(int part, std::int64_t content, std::int32_t head, float* row) const {
  draw_row(outs_[part], content * heads_ + head, dims_, row, [&](std::uint32_t bits, std::int32_t) -> float {
    switch (lane_) {
      case Lane::kUniform: return static_cast<float>(integer_in(bits, 8));
      case Lane::kHeavyTail: return normal_of(bits) * power_of(bits * 2654435761u, 1.4f);
      case Lane::kExact: return static_cast<float>(2 * integer_in(bits, 511) + 1);
      default: return normal_of(bits);
    }
  });
}

Operands operands(const MergeParameters& p) {
  Operands call;
  call.operation = Operation::kMerge;
  const std::vector<std::int64_t> outs{p.rows(), p.heads, p.dims}, lses{p.rows(), p.heads};
  const char* names[3][2] = {{"out_a", "lse_a"}, {"out_b", "lse_b"}, {"out", "lse"}};
  for (std::size_t i = 0; i < 3; ++i) {
    call.tensors.push_back(make_operand(names[i][0], i == 2, data_type_of(i == 2 ? p.output : p.part_type),
                                        outs, {p.row_strides[i], p.head_strides[i], 1}));
    call.tensors.push_back(make_operand(names[i][1], i == 2, kFloat32, lses, {p.lse_strides[i], 1}));
  }
  return call;
}

std::unique_ptr<CaseContents> make_merge_contents(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<MergeContents>(kernel_case, operands);
}

}  // namespace assay::properties
