// Logits, paged and prefill: golden with its bound, then names for what went wrong. In the address lane
// a wrong logit *is* the number of the slot that was read, so the report names block and slot.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/bounds/mqa_bound.h"
#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/twin/mqa_logits_twin.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {
namespace {

// Columns behind a row's last one that are looked at; rows may lie gigabytes apart.
constexpr std::int64_t kLooked = 1024;

Status status_of(ElementClass element) {
  switch (element) {
    case ElementClass::kPass: return Status::kPassed;
    case ElementClass::kMaskBroken:
    case ElementClass::kStrayWrite: return Status::kIncorrectMask;
    default: return Status::kIncorrectNumerical;
  }
}

// What both operations share; P is PagedMqaParameters or MqaParameters.
template <typename P>
class LogitsJudge : public CaseJudge {
 public:
  LogitsJudge(const KernelCase& kernel_case, const Operands& operands)
      : case_(kernel_case), p_(std::get<P>(kernel_case.parameters)), output_(operands.tensors.size() - 1) {
    bytes_ = bytes_of(p_.output);
    for (std::int64_t row = 0; row < p_.rows(); ++row) {
      const KeyRange range = p_.clean ? KeyRange{0, p_.columns} : columns_of(row);
      const std::int64_t base = row * p_.logits_stride;
      if (range.begin < range.end)
        must_write_.push_back(
            {static_cast<std::int64_t>(output_), (base + range.begin) * bytes_, (base + range.end) * bytes_});
    }
  }

  [[nodiscard]] Judgement judge(const TensorPointers& data, const Claims& claims,
                                Poison poison) const override {
    const auto problem = golden_view(p_, data);
    const TensorView<2> got{data[output_], p_.output, {p_.rows(), p_.columns}, {p_.logits_stride, 1}};
    LogitsJudgement rules;
    rules.outside = p_.clean ? OutsideRule::kClean : OutsideRule::kUntouched;
    rules.may_write_unit = claims.may_write_unit;
    rules.canary = output_poison(poison);
    if constexpr (std::is_same_v<P, MqaParameters>) rules.compressed = p_.compressed;
    rules.exact = is_exact(case_.lane) && case_.overrides.empty();
    const LogitsComparison result = judge_logits(problem, got, claims.bound, rules, {1});
    Judgement judgement;
    judgement.elements = result.bound.count();
    judgement.headroom = result.bound.worst_headroom();
    if (!result.bound.passed()) {
      const ElementFinding& worst = *result.bound.worst();
      judgement.status = status_of(worst.element);
      judgement.text = result.bound.summary();
      judgement.row = worst.at[0];
      judgement.rows = p_.rows();
      explain(worst, judgement);
      return judgement;
    }
    check_gaps(data[output_], claims, poison, judgement);
    if (judgement.status == Status::kPassed && claims.arithmetic == kMqaTwinName)
      check_twin(problem, data, judgement);
    return judgement;
  }

  [[nodiscard]] std::string place_of(std::int64_t, std::int64_t byte) const override {
    const std::int64_t element = byte / bytes_;
    return fmt::format("row {}, column {}", element / p_.logits_stride, element % p_.logits_stride);
  }

 private:
  // Columns [begin, end) that the row's logits occupy.
  [[nodiscard]] KeyRange columns_of(std::int64_t row) const {
    if constexpr (std::is_same_v<P, PagedMqaParameters>) {
      return {0, p_.limit(row)};
    } else {
      const std::int64_t start = p_.starts[row], end = std::max<std::int64_t>(start, p_.ends[row]);
      return p_.compressed ? KeyRange{0, end - start} : KeyRange{start, end};
    }
  }

  // Between the columns and the next row nobody may write, but for the rest of a row's last unit.
  void check_gaps(const std::byte* logits, const Claims& claims, Poison poison, Judgement& judgement) const {
    if (p_.columns == 0) return;  // a tensor without elements has no gaps either
    const std::uint32_t canary = output_poison(poison);
    for (std::int64_t row = 0; row + 1 < p_.rows(); ++row) {
      const std::int64_t unit_end =
          ceil_div(columns_of(row).end, claims.may_write_unit) * claims.may_write_unit;
      for (std::int64_t column = std::max(p_.columns, unit_end);
           column < std::min(p_.logits_stride, p_.columns + kLooked); ++column)
        if (std::memcmp(logits + (row * p_.logits_stride + column) * bytes_, &canary,
                        static_cast<std::size_t>(bytes_)) != 0) {
          judgement.status = Status::kIncorrectMask;
          judgement.text = fmt::format("row {}: column {} lies beyond the row's {} columns and was written",
                                       row, column, p_.columns);
          return;
        }
    }
  }

  template <typename Problem>
  void check_twin(const Problem& problem, const TensorPointers& data, Judgement& judgement) const {
    // Compact: rows of the output may lie gigabytes apart.
    std::vector<std::byte> predicted(
        static_cast<std::size_t>(std::max<std::int64_t>(p_.rows() * p_.columns, 1) * bytes_));
    const twin::LogitsTarget target{predicted.data(), p_.output, p_.rows(), p_.columns, p_.columns};
    LogitsOptions options{p_.clean, false};
    if constexpr (std::is_same_v<P, MqaParameters>) options.compressed = p_.compressed;
    try {
      if constexpr (std::is_same_v<P, PagedMqaParameters>)
        twin::predict_paged_mqa_logits(problem, target, options, {1});
      else
        twin::predict_mqa_logits(problem, target, options, {1});
    } catch (const InputError&) {
      return;  // a shape that the twin does not predict: its elements stay uncounted
    }
    for (const Segment& segment : must_write_) {
      const std::int64_t row = segment.begin / bytes_ / p_.logits_stride;
      const std::byte* expected =
          predicted.data() + segment.begin - row * (p_.logits_stride - p_.columns) * bytes_;
      const std::byte* got = data[output_] + segment.begin;
      const std::int64_t size = segment.end - segment.begin;
      judgement.twin_elements += size / bytes_;
      if (std::memcmp(got, expected, static_cast<std::size_t>(size)) == 0) continue;
      std::int64_t byte = 0;
      while (std::memcmp(got + byte, expected + byte, static_cast<std::size_t>(bytes_)) == 0) byte += bytes_;
      judgement.status = Status::kClaimFalse;
      judgement.text =
          fmt::format("arithmetic={}: {}: expected {:.9g} by the twin, got {:.9g}", kMqaTwinName,
                      place_of(segment.tensor, segment.begin + byte),
                      load_element(expected + byte, p_.output), load_element(got + byte, p_.output));
      return;
    }
  }

  // In the address lane, which slot does a wrong logit come from?
  void explain(const ElementFinding& worst, Judgement& judgement) const {
    if (case_.lane != Lane::kAddress || case_.weight_exponent != 0 ||
        judgement.status != Status::kIncorrectNumerical)
      return;
    if (!(worst.got >= 0) || worst.got != std::floor(worst.got) || worst.got > 1 << 24) return;
    const auto slot = static_cast<std::int64_t>(worst.got) - 1;
    const std::int64_t row = worst.at[0], position = worst.at[1];
    if constexpr (std::is_same_v<P, PagedMqaParameters>) {
      const std::int64_t tokens = p_.pool.block_tokens;
      const auto& table = p_.pool.tables[static_cast<std::size_t>(row / p_.next_n)];
      const std::int64_t expected =
          p_.pool.physical[static_cast<std::size_t>(table[static_cast<std::size_t>(position / tokens)])];
      const std::string said =
          fmt::format("row {} (sequence {}), token {}: block_table says block {} slot {}", row,
                      row / p_.next_n, position, expected, position % tokens);
      if (slot < 0) {
        judgement.text = said + "; the kernel found nothing there";
        return;
      }
      for (std::size_t l = 0; l < p_.pool.content.size(); ++l)
        if (p_.pool.content[l] == slot / tokens) {
          judgement.status = Status::kWrongBlock;
          judgement.text =
              fmt::format("{}; the kernel read block {} slot {}", said, p_.pool.physical[l], slot % tokens);
          return;
        }
    } else if (slot >= 0 && slot < p_.keys) {
      judgement.status = Status::kWrongBlock;
      judgement.text = fmt::format("row {}, key {}: the kernel read key {}", row, position, slot);
    }
  }

  const KernelCase& case_;
  const P& p_;
  std::size_t output_;
  std::int64_t bytes_ = 4;
};

}  // namespace

std::unique_ptr<CaseJudge> make_paged_mqa_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<LogitsJudge<PagedMqaParameters>>(kernel_case, operands);
}
std::unique_ptr<CaseJudge> make_mqa_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<LogitsJudge<MqaParameters>>(kernel_case, operands);
}

}  // namespace assay::properties
