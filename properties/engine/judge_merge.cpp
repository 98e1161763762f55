// Merge: golden with a bound for every element.
//
//   w_a = e^(lse_a - lse),  out = w_a a + w_b b
//   B     = u (8 + 2 |lse|) (w_a |a| + w_b |b|) + w_a w_b |a - b| (16 u + 4 u (|lse_a| + |lse_b|)) + f (1 + |a| + |b|)
//   B_lse = 4 u (|lse_a| + |lse_b| + |lse|) + 8 u                                    u = 2^-24, f = 2^-126
//
// An error e of lse_a - lse_b (a kernel may go through base 2: relative errors of both lses) moves the weights
// by w_a w_b e against each other; one that takes e^(lse_i - lse) with its rounded lse, and does not divide, moves
// both by u |lse|. Subnormal numbers may be flushed to 0. A part with lse = -inf is not looked at. In the exact
// lane, where both parts are there, B is 0.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "model/bounds/comparison.h"
#include "model/golden/merge.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {
namespace {

constexpr double kU32 = 0x1p-24, kSmallestNormal = 0x1p-126;
constexpr std::int64_t kLooked = 1024;  // elements of a gap that are looked at

struct Part {
  std::vector<double> out;
  double lse = 0;
  [[nodiscard]] bool empty() const { return lse == -INFINITY; }
};

class MergeJudge final : public CaseJudge {
 public:
  MergeJudge(const KernelCase& kernel_case, const Operands&)
      : case_(kernel_case),
        p_(std::get<MergeParameters>(kernel_case.parameters)),
        bytes_(bytes_of(p_.output)) {
    for (std::int64_t row = 0; row < p_.rows(); ++row) {
      for (std::int64_t head = 0; head < p_.heads; ++head) {
        const std::int64_t at = (row * p_.row_strides[2] + head * p_.head_strides[2]) * bytes_;
        must_write_.push_back({kOut, at, at + p_.dims * bytes_});
      }
      must_write_.push_back({kLse, row * p_.lse_strides[2] * 4, (row * p_.lse_strides[2] + p_.heads) * 4});
    }
  }

  [[nodiscard]] Judgement judge(const TensorPointers& data, const Claims&, Poison poison) const override {
    ComparisonReport out({"query", "head", "dim"}), lse({"query", "head", ""});
    Part parts[2];
    std::vector<double> merged(static_cast<std::size_t>(p_.dims));
    for (std::int64_t row = 0; row < p_.rows(); ++row)
      for (std::int64_t head = 0; head < p_.heads; ++head) {
        for (std::size_t i = 0; i < 2; ++i) load(data, i, row, head, parts[i]);
        std::fill(merged.begin(), merged.end(), 0.0);
        double total = -INFINITY;
        for (const Part& part : parts) merge_row(merged.data(), total, part.out.data(), part.lse, p_.dims);
        compare(data, row, head, parts, merged, total, out, lse);
      }
    Judgement judgement;
    judgement.elements = out.count() + lse.count();
    judgement.headroom = std::max(out.worst_headroom(), lse.worst_headroom());
    judgement.rows = p_.rows();
    for (const auto& [name, report] : {std::pair{"out", &out}, std::pair{"lse", &lse}})
      if (!report->passed()) {
        judgement.status = Status::kIncorrectNumerical;
        judgement.text = fmt::format("{}: {}", name, report->summary());
        judgement.row = report->worst()->at[0];
        return judgement;
      }
    check_gaps(data, poison, judgement);
    return judgement;
  }

  [[nodiscard]] std::string place_of(std::int64_t tensor, std::int64_t byte) const override {
    if (tensor == kLse)
      return fmt::format("lse of query {}, head {}", byte / 4 / p_.lse_strides[2],
                         byte / 4 % p_.lse_strides[2]);
    const std::int64_t element = byte / bytes_, in_row = element % p_.row_strides[2];
    return fmt::format("out of query {}, head {}, dim {}", element / p_.row_strides[2],
                       in_row / p_.head_strides[2], in_row % p_.head_strides[2]);
  }

 private:
  enum Tensor : std::int64_t { kOut = 4, kLse = 5 };

  void load(const TensorPointers& data, std::size_t part, std::int64_t row, std::int64_t head,
            Part& to) const {
    to.lse = load_element(data[2 * part + 1] + (row * p_.lse_strides[part] + head) * 4, ElementType::kFp32);
    to.out.resize(static_cast<std::size_t>(p_.dims));
    decode_row(
        data[2 * part] + (row * p_.row_strides[part] + head * p_.head_strides[part]) * bytes_of(p_.part_type),
        p_.part_type, p_.dims, to.out.data());
  }

  void compare(const TensorPointers& data, std::int64_t row, std::int64_t head, const Part (&parts)[2],
               const std::vector<double>& merged, double total, ComparisonReport& out,
               ComparisonReport& lse) const {
    const bool exact = case_.lane == Lane::kExact && total == 0;
    const double finite = std::isfinite(total) ? std::fabs(total) : 0.0;
    double weight[2], lses = 0;
    for (int i = 0; i < 2; ++i) {
      weight[i] = parts[i].empty() ? 0.0 : std::exp(parts[i].lse - total);
      lses += parts[i].empty() ? 0.0 : std::fabs(parts[i].lse);
    }
    const std::byte* got = data[kOut] + (row * p_.row_strides[2] + head * p_.head_strides[2]) * bytes_;
    for (std::size_t d = 0; d < merged.size(); ++d) {
      double size = 0, apart = 0, flushed = kSmallestNormal;
      for (int i = 0; i < 2; ++i) {
        if (parts[i].empty()) continue;
        size += weight[i] * std::fabs(parts[i].out[d]);
        flushed += kSmallestNormal * std::fabs(parts[i].out[d]);
      }
      if (!parts[0].empty() && !parts[1].empty())
        apart = weight[0] * weight[1] * std::fabs(parts[0].out[d] - parts[1].out[d]);
      const double bound = exact ? 0.0 : kU32 * ((8 + 2 * finite) * size + apart * (16 + 4 * lses)) + flushed;
      out.add({row, head, static_cast<std::int64_t>(d)}, exact ? round_to(p_.output, merged[d]) : merged[d],
              bound, load_element(got + static_cast<std::int64_t>(d) * bytes_, p_.output), p_.output);
    }
    lse.add({row, head, 0}, total, 4 * kU32 * (lses + finite) + 8 * kU32,
            load_element(data[kLse] + (row * p_.lse_strides[2] + head) * 4, ElementType::kFp32),
            ElementType::kFp32);
  }

  void check_gaps(const TensorPointers& data, Poison poison, Judgement& judgement) const {
    const std::uint32_t canary = output_poison(poison);
    const auto look = [&](Tensor tensor, std::int64_t begin, std::int64_t end, std::int64_t bytes) {
      for (std::int64_t at = begin; at < std::min(end, begin + kLooked); ++at)
        if (std::memcmp(data[static_cast<std::size_t>(tensor)] + at * bytes, &canary,
                        static_cast<std::size_t>(bytes)) != 0 &&
            judgement.status == Status::kPassed) {
          judgement.status = Status::kIncorrectMask;
          judgement.text = fmt::format("{}, in a gap, was written", place_of(tensor, at * bytes));
        }
    };
    for (std::int64_t row = 0; row < p_.rows(); ++row) {
      const std::int64_t begin = row * p_.row_strides[2], head = p_.head_strides[2];
      for (std::int64_t h = 0; h + 1 < p_.heads; ++h)
        look(kOut, begin + h * head + p_.dims, begin + (h + 1) * head, bytes_);
      if (row + 1 == p_.rows()) continue;
      look(kOut, begin + (p_.heads - 1) * head + p_.dims, begin + p_.row_strides[2], bytes_);
      look(kLse, row * p_.lse_strides[2] + p_.heads, (row + 1) * p_.lse_strides[2], 4);
    }
  }

  const KernelCase& case_;
  const MergeParameters& p_;
  std::int64_t bytes_;
};

}  // namespace

std::unique_ptr<CaseJudge> make_merge_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<MergeJudge>(kernel_case, operands);
}

}  // namespace assay::properties
