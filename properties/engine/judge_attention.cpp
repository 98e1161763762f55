// Paged attention: golden with its bound, for out and lse; in the exact lane out to the bit; gaps untouched. In
// the address lane a wrong output *is* the V row of some slot, so the report names block and slot.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/bounds/attention_bound.h"
#include "model/core/check.h"
#include "model/twin/attention_decode_twin.h"
#include "properties/cases/attention_values.h"
#include "properties/engine/judge_parts.h"

namespace assay::properties {
namespace {

constexpr std::int64_t kLooked = 1024;  // elements of a gap that are looked at
// The twin of paged decode in 264 parts, as arithmetic= names it.
constexpr const char* kDecodeTwinName = "hopper-paged-decode-264";
constexpr std::int32_t kDecodeTwinParts = 264;

class AttentionJudge final : public CaseJudge {
 public:
  AttentionJudge(const KernelCase& kernel_case, const Operands& operands)
      : case_(kernel_case),
        p_(std::get<PagedAttentionParameters>(kernel_case.parameters)),
        lse_(static_cast<std::int64_t>(operands.tensors.size()) - 1),
        out_(lse_ - 1),
        bytes_(bytes_of(p_.output)),
        head_bytes_(p_.dims * bytes_) {
    // Row by row, out before lse: every row is as many bytes.
    const bool compact = p_.out_head_stride == p_.dims;
    for (std::int64_t row = 0; row < p_.rows(); ++row) {
      const std::int64_t begin = row * p_.out_row_stride * bytes_;
      if (compact) must_write_.push_back({out_, begin, begin + p_.heads * head_bytes_});
      for (std::int64_t head = 0; !compact && head < p_.heads; ++head) {
        const std::int64_t at = begin + head * p_.out_head_stride * bytes_;
        must_write_.push_back({out_, at, at + head_bytes_});
      }
      must_write_.push_back({lse_, row * p_.lse_stride * 4, (row * p_.lse_stride + p_.heads) * 4});
    }
  }

  [[nodiscard]] Judgement judge(const TensorPointers& data, const Claims& claims,
                                Poison poison) const override {
    const PagedAttentionCase problem = golden_view(p_, data);
    const TensorView<3> out{data[static_cast<std::size_t>(out_)],
                            p_.output,
                            {p_.rows(), p_.heads, p_.dims},
                            {p_.out_row_stride, p_.out_head_stride, 1}};
    const TensorView<2> lse{
        data[static_cast<std::size_t>(lse_)], ElementType::kFp32, {p_.rows(), p_.heads}, {p_.lse_stride, 1}};
    Arithmetic arithmetic = claims.bound;
    if (claims.p_is_query_type) arithmetic.p_type = p_.q_type;
    const AttentionComparison result = judge_attention(problem, out, lse, arithmetic, {1});
    Judgement judgement;
    judgement.elements = result.out.count() + result.lse.count();
    judgement.headroom = std::max(result.out.worst_headroom(), result.lse.worst_headroom());
    judgement.rows = p_.rows();
    for (const auto& [name, report] : {std::pair{"out", &result.out}, std::pair{"lse", &result.lse}})
      if (!report->passed()) {
        judgement.status = Status::kIncorrectNumerical;
        judgement.text = fmt::format("{}: {}", name, report->summary());
        judgement.row = report->worst()->at[0];
        explain(out, judgement);
        return judgement;
      }
    if (case_.lane == Lane::kExact && p_.soft_cap == 0 && case_.overrides.empty())
      check_exact(problem, out, judgement);
    if (judgement.status == Status::kPassed && claims.arithmetic == kDecodeTwinName)
      check_twin(problem, data, judgement);
    if (judgement.status == Status::kPassed) check_gaps(data, poison, judgement);
    return judgement;
  }

  [[nodiscard]] std::string place_of(std::int64_t tensor, std::int64_t byte) const override {
    if (tensor == lse_)
      return fmt::format("lse of query {}, head {}", byte / 4 / p_.lse_stride, byte / 4 % p_.lse_stride);
    const std::int64_t element = byte / bytes_, in_row = element % p_.out_row_stride;
    return fmt::format("out of query {}, head {}, dim {}", element / p_.out_row_stride,
                       in_row / p_.out_head_stride, in_row % p_.out_head_stride);
  }

 private:
  [[nodiscard]] double element(const TensorView<3>& out, std::int64_t row, std::int64_t head,
                               std::int64_t dim) const {
    return load_element(out.address({row, head, dim}), p_.output);
  }

  // Bits of out and lse, where the twin predicts: one query per sequence, 16-bit types, no soft cap.
  void check_twin(const PagedAttentionCase& problem, const TensorPointers& data, Judgement& judgement) const {
    const std::optional<DecodeTwinResult> twin = predict_as_decode(problem, p_.output, kDecodeTwinParts, {1});
    if (!twin) return;
    const std::byte* out = data[static_cast<std::size_t>(out_)];
    const std::byte* lse = data[static_cast<std::size_t>(lse_)];
    const auto differs = [&](std::int64_t row, std::int64_t head, const char* what, double expected,
                             double got) {
      judgement.status = Status::kClaimFalse;
      judgement.row = row;
      judgement.text =
          fmt::format("arithmetic={}: query {}, head {}, {}: expected {:.9g} by the twin, got {:.9g}",
                      kDecodeTwinName, row, head, what, expected, got);
    };
    for (std::int64_t row = 0; row < p_.rows(); ++row)
      for (std::int64_t head = 0; head < p_.heads; ++head) {
        const std::size_t at = static_cast<std::size_t>(row * p_.heads + head);
        float value = 0;
        std::memcpy(&value, lse + (row * p_.lse_stride + head) * 4, 4);
        if (std::memcmp(&value, &twin->lse[at], 4) != 0 && !(std::isnan(value) && std::isnan(twin->lse[at])))
          return differs(row, head, "lse", static_cast<double>(twin->lse[at]), static_cast<double>(value));
        for (std::int64_t d = 0; d < p_.dims; ++d) {
          const std::byte* got = out + (row * p_.out_row_stride + head * p_.out_head_stride + d) * bytes_;
          const std::uint16_t* want =
              &twin->out[at * static_cast<std::size_t>(p_.dims) + static_cast<std::size_t>(d)];
          if (std::memcmp(got, want, 2) == 0) continue;
          const double expected = load_element(want, p_.output), value_got = load_element(got, p_.output);
          if (std::isnan(expected) && std::isnan(value_got)) continue;
          return differs(row, head, fmt::format("dim {}", d).c_str(), expected, value_got);
        }
      }
    judgement.twin_elements += p_.rows() * p_.heads * (p_.dims + 1);
  }

  // One token has all the weight: nothing is rounded but the output.
  void check_exact(const PagedAttentionCase& problem, const TensorView<3>& out, Judgement& judgement) const {
    std::vector<double> want(static_cast<std::size_t>(p_.rows() * p_.heads * p_.dims)),
        lse(static_cast<std::size_t>(p_.rows() * p_.heads));
    (void)paged_attention(problem, compact_result<3>(want.data(), {p_.rows(), p_.heads, p_.dims}),
                          compact_result<2>(lse.data(), {p_.rows(), p_.heads}), {1});
    std::size_t at = 0;
    for (std::int64_t row = 0; row < p_.rows(); ++row)
      for (std::int64_t head = 0; head < p_.heads; ++head)
        for (std::int64_t d = 0; d < p_.dims; ++d, ++at) {
          const double expected = round_to(p_.output, want[at]), got = element(out, row, head, d);
          if (expected == got) continue;
          judgement.status = Status::kIncorrectNumerical;
          judgement.text = fmt::format("query {}, head {}, dim {}: expected exactly {:.9g}, got {:.9g}", row,
                                       head, d, expected, got);
          judgement.row = row;
          return;
        }
  }

  // In the address lane: the first row that is another slot's V row.
  void explain(const TensorView<3>& out, Judgement& judgement) const {
    if (case_.lane != Lane::kAddress || !case_.overrides.empty()) return;
    const AttentionValues values(case_.lane, case_.seed, p_.heads, p_.kv_heads, p_.dims, p_.softmax_scale);
    std::vector<double> got(static_cast<std::size_t>(p_.dims));
    std::int64_t row = 0;
    for (std::int32_t b = 0; b < p_.batch(); ++b)
      for (std::int32_t i = 0; i < p_.queries[static_cast<std::size_t>(b)]; ++i, ++row) {
        const PagedAttentionParameters::Tokens seen = p_.visible(b, i);
        if (seen.begin == seen.end) continue;
        for (std::int32_t head = 0; head < p_.heads; ++head) {
          for (std::int32_t d = 0; d < p_.dims; ++d)
            got[static_cast<std::size_t>(d)] = element(out, row, head, d);
          const std::optional<ValueAddress> address = value_address(got.data(), p_.dims);
          if (!address) continue;
          const std::int64_t token = seen.begin + values.target(p_.row_content[static_cast<std::size_t>(row)],
                                                                head, seen.end - seen.begin);
          if (name_block(row, b, head, token, *address, judgement)) return;
        }
      }
  }
  // False: it is the row that should be there.
  bool name_block(std::int64_t row, std::int32_t sequence, std::int32_t head, std::int64_t token,
                  const ValueAddress& got, Judgement& judgement) const {
    const std::int64_t tokens = p_.pool.block_tokens;
    const std::int32_t kv_head = head / (p_.heads / p_.kv_heads);
    const auto logical = static_cast<std::size_t>(
        p_.pool.tables[static_cast<std::size_t>(sequence)][static_cast<std::size_t>(token / tokens)]);
    const bool same_head = got.kv_head < 0 || got.kv_head == kv_head;
    if (same_head && got.slot == p_.pool.content[logical] * tokens + token % tokens) return false;
    const std::vector<std::int64_t> places = p_.value_pool().physical;
    for (std::size_t l = 0; l < p_.pool.content.size(); ++l)
      if (p_.pool.content[l] == got.slot / tokens) {
        judgement.status = Status::kWrongBlock;
        judgement.row = row;
        judgement.text = fmt::format(
            "query {} (sequence {}), head {}, token {}: v_table says block {} slot {}; the kernel's output "
            "is "
            "V of block {} slot {}{}",
            row, sequence, head, token, places[logical], token % tokens, places[l], got.slot % tokens,
            same_head ? "" : fmt::format(", KV head {} instead of {}", got.kv_head, kv_head));
        return true;
      }
    return false;
  }

  // Between heads and between rows nobody may write.
  void check_gaps(const TensorPointers& data, Poison poison, Judgement& judgement) const {
    const std::uint32_t canary = output_poison(poison);
    const auto look = [&](std::int64_t tensor, std::int64_t begin, std::int64_t end, std::int64_t bytes) {
      const std::byte* memory = data[static_cast<std::size_t>(tensor)];
      for (std::int64_t at = begin; at < std::min(end, begin + kLooked); ++at)
        if (std::memcmp(memory + at * bytes, &canary, static_cast<std::size_t>(bytes)) != 0 &&
            judgement.status == Status::kPassed) {
          judgement.status = Status::kIncorrectMask;
          judgement.text = fmt::format("{}, in a gap, was written", place_of(tensor, at * bytes));
        }
    };
    for (std::int64_t row = 0; row < p_.rows(); ++row) {
      const bool last_row = row + 1 == p_.rows();
      const std::int64_t begin = row * p_.out_row_stride;
      for (std::int64_t head = 0; head + 1 < p_.heads; ++head)
        look(out_, begin + head * p_.out_head_stride + p_.dims, begin + (head + 1) * p_.out_head_stride,
             bytes_);
      if (last_row) continue;
      look(out_, begin + (p_.heads - 1) * p_.out_head_stride + p_.dims, begin + p_.out_row_stride, bytes_);
      look(lse_, row * p_.lse_stride + p_.heads, (row + 1) * p_.lse_stride, 4);
    }
  }

  const KernelCase& case_;
  const PagedAttentionParameters& p_;
  std::int64_t lse_, out_;  // tensors
  std::int64_t bytes_, head_bytes_;
};

}  // namespace

std::unique_ptr<CaseJudge> make_attention_judge(const KernelCase& kernel_case, const Operands& operands) {
  return std::make_unique<AttentionJudge>(kernel_case, operands);
}

}  // namespace assay::properties
