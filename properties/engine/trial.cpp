#include "properties/engine/trial.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "model/golden/tensor.h"
#include "properties/engine/judge.h"
#include "properties/engine/relations.h"
#include "properties/workers/protocol.h"

namespace assay::properties {
namespace {

constexpr std::uint64_t kNullPages = 1 << 16;  // a fault below is a null pointer with an offset

// FNV-1a over 8-byte words: fast enough for every input of every case.
std::uint64_t hash_words(const std::byte* data, std::int64_t bytes, std::uint64_t hash) {
  std::int64_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, data + at, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  return fnv1a(data + at, static_cast<std::size_t>(bytes - at), hash);
}

// What must hold around one execution: the memory of a case while a worker runs it.
class CaseRun {
 public:
  CaseRun(WorkerProcess& worker, const KernelCase& kernel_case, std::int32_t alignment_bytes, Check left_out)
      : left_out_(left_out),
        worker_(worker),
        case_(kernel_case),
        operands_(operands_of(kernel_case)),
        contents_(make_contents(kernel_case, operands_)),
        judge_(make_judge(kernel_case, operands_)) {
    worker_.tensors().place(operands_, case_.guard_in_front,
                            std::max(alignment_bytes, case_.alignment_bytes));
  }

  [[nodiscard]] Outcome load() {
    const Reply reply = worker_.load(operands_);
    if (reply.kind == ReplyKind::kUnsupported) return {.status = Status::kUnsupported, .text = reply.text};
    if (reply.kind != ReplyKind::kOk) return failed(reply);
    worker_.tensors().place_workspace(reply.workspace_bytes, case_.guard_in_front);
    return {};
  }

  // Fills everything, runs once, looks at the memory around. `first`: plan, too.
  [[nodiscard]] Outcome run(Poison poison, bool plan) {
    SharedTensors& tensors = worker_.tensors();
    tensors.fill_margins(margin_poison(poison));
    contents_->fill_inputs(poison, tensors.data());
    fill_outputs(operands_, poison, tensors.data());
    if (plan && tensors.workspace().pages > 0)
      std::memset(tensors.workspace_data(), margin_poison(poison),
                  static_cast<std::size_t>(tensors.workspace_bytes()));
    const std::uint64_t before = hash_inputs();
    const Reply reply = worker_.run(plan, margin_poison(poison), left_out_ != Check::kHiddenValues);
    if (left_out_ == Check::kExit && reply.left_by_itself) {
      left_ = true;
      return {};
    }
    if (reply.kind == ReplyKind::kUnsupported) return {.status = Status::kUnsupported, .text = reply.text};
    witness_ += reply.witness;
    if (reply.kind != ReplyKind::kOk) return failed(reply);
    if (reply.touched_tensor >= 0 && left_out_ != Check::kMargins)
      return {.status = Status::kOobWrite,
              .text = fmt::format("a write {}", around(reply.touched_tensor, reply.touched_offset))};
    if (hash_inputs() != before)
      return {.status = Status::kInputModified, .text = "an input's bytes changed during run()"};
    if (const SharedTensors::Touched touched = tensors.touched_margin(margin_poison(poison));
        touched.tensor >= 0 && left_out_ != Check::kMargins)
      return {.status = Status::kOobWrite,
              .text = fmt::format("a write {}", around(touched.tensor, touched.offset))};
    return {};
  }

  // Must-write bytes, segment after segment.
  [[nodiscard]] std::vector<std::byte> written() const {
    std::vector<std::byte> bytes;
    for (const Segment& segment : judge_->must_write()) {
      const std::byte* data = worker_.tensors().data()[static_cast<std::size_t>(segment.tensor)];
      bytes.insert(bytes.end(), data + segment.begin, data + segment.end);
    }
    return bytes;
  }
  // The first element where two runs differ.
  [[nodiscard]] std::string first_difference(const std::vector<std::byte>& a,
                                             const std::vector<std::byte>& b) const {
    std::int64_t at = 0;
    for (const Segment& segment : judge_->must_write())
      for (std::int64_t byte = segment.begin; byte < segment.end; ++byte, ++at)
        if (a[static_cast<std::size_t>(at)] != b[static_cast<std::size_t>(at)])
          return judge_->place_of(segment.tensor, byte);
    return "";
  }
  // An element that still holds the poison of both runs was never written.
  [[nodiscard]] std::string first_unwritten(const std::vector<std::byte>& first,
                                            const std::vector<std::byte>& second) const {
    const std::uint32_t one = output_poison(Poison::kFirst), two = output_poison(Poison::kSecond);
    std::size_t at = 0;
    for (const Segment& segment : judge_->must_write()) {
      const int bytes = operands_.tensors[static_cast<std::size_t>(segment.tensor)].type.bytes();
      const auto size = static_cast<std::size_t>(bytes);
      for (std::int64_t byte = segment.begin; byte < segment.end; byte += bytes, at += size)
        if (std::memcmp(&first[at], &one, size) == 0 && std::memcmp(&second[at], &two, size) == 0)
          return judge_->place_of(segment.tensor, byte);
    }
    return "";
  }

  [[nodiscard]] const CaseJudge& judge() const { return *judge_; }
  [[nodiscard]] const Operands& operands() const { return operands_; }
  [[nodiscard]] std::int64_t witness() const { return witness_; }
  [[nodiscard]] bool left() const { return left_; }

 private:
  [[nodiscard]] std::uint64_t hash_inputs() const {
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (std::size_t i = 0; i < operands_.tensors.size(); ++i) {
      const Operand& tensor = operands_.tensors[i];
      const std::byte* data = worker_.tensors().data()[i];
      if (tensor.is_output || data == nullptr) continue;
      if (tensor.islands.empty()) hash = hash_words(data, tensor.span_bytes, hash);
      for (const ByteRange& island : tensor.islands)
        hash = hash_words(data + island.begin, island.end - island.begin, hash);
    }
    return hash;
  }

  [[nodiscard]] std::string name_of_tensor(std::int64_t tensor) const {
    const auto count = static_cast<std::int64_t>(operands_.tensors.size());
    return tensor >= 0 && tensor < count ? operands_.tensors[static_cast<std::size_t>(tensor)].name
                                         : "the workspace";
  }
  [[nodiscard]] std::string around(std::int64_t tensor, std::int64_t offset) const {
    const auto count = static_cast<std::int64_t>(operands_.tensors.size());
    const std::int64_t span = tensor >= 0 && tensor < count
                                  ? operands_.tensors[static_cast<std::size_t>(tensor)].span_bytes
                                  : worker_.tensors().workspace_bytes();
    const std::string name = name_of_tensor(tensor);
    if (offset < 0) return fmt::format("{} bytes before {}", -offset, name);
    if (offset >= span) return fmt::format("{} bytes behind the end of {}", offset - span, name);
    return fmt::format("at byte {} of {}", offset, name);
  }

  [[nodiscard]] Outcome failed(const Reply& reply) const {
    Outcome outcome;
    outcome.text = reply.text;
    const Fault& fault = reply.fault;
    if (reply.kind == ReplyKind::kTimeout) {
      outcome.status = Status::kTimeout;
    } else if (reply.device_fault) {
      const bool illegal = reply.text.find("IllegalAddress") != std::string::npos ||
                           reply.text.find("MisalignedAddress") != std::string::npos;
      outcome.status = illegal ? Status::kOobRead : Status::kRuntimeError;
      if (illegal) outcome.text += " (a read or a write: the device does not say; compute-sanitizer does)";
    } else if (reply.kind == ReplyKind::kDied && fault.signal != 0 && fault.tensor >= 0) {
      const auto count = static_cast<std::int64_t>(operands_.tensors.size());
      const bool is_input =
          fault.tensor < count && !operands_.tensors[static_cast<std::size_t>(fault.tensor)].is_output;
      const bool inside = fault.tensor < count && fault.offset >= 0 &&
                          fault.offset < operands_.tensors[static_cast<std::size_t>(fault.tensor)].span_bytes;
      outcome.status = !fault.is_write      ? Status::kOobRead
                       : is_input && inside ? Status::kInputModified
                                            : Status::kOobWrite;
      const bool hidden = reply.phase == kPlanning && inside && !fault.is_write;
      outcome.text =
          fmt::format("{} {}{}", fault.is_write ? "a write" : "a read", around(fault.tensor, fault.offset),
                      hidden ? ": plan() may look at integer tensors only" : "");
    } else if (reply.kind == ReplyKind::kDied && (fault.signal == SIGSEGV || fault.signal == SIGBUS) &&
               fault.address >= kNullPages && !fault.in_stack) {
      outcome.status = fault.is_write ? Status::kOobWrite : Status::kOobRead;
      outcome.text = fault.address == kNoAddress
                         ? "an access at an address that no process can have"
                         : fmt::format("a {} at {:#x}, far from every tensor",
                                       fault.is_write ? "write" : "read", fault.address);
    } else {
      outcome.status = Status::kRuntimeError;
    }
    return outcome;
  }

  Check left_out_;
  bool left_ = false;  // the process is gone, and that is overlooked
  WorkerProcess& worker_;
  const KernelCase& case_;
  Operands operands_;
  std::unique_ptr<CaseContents> contents_;
  std::unique_ptr<CaseJudge> judge_;
  std::int64_t witness_ = 0;
};

// Rows of the second case against the first's. All logits of a must-write row.
std::string logits_breach(const KernelCase& first, const std::vector<std::byte>& expected,
                          const KernelCase& second_case, const std::vector<std::byte>& got,
                          const RelatedCase& related) {
  const auto output = [](const KernelCase& c) {
    return std::visit(
        [](const auto& p) {
          using P = std::decay_t<decltype(p)>;
          if constexpr (std::is_same_v<P, PagedMqaParameters> || std::is_same_v<P, MqaParameters>)
            return p.output;
          else
            return ElementType::kFp32;
        },
        c.parameters);
  };
  const ElementType type = output(first);
  const auto bytes = static_cast<std::size_t>(bytes_of(type));
  // Must-write columns of one row, counted in elements.
  const auto row_elements = [](const KernelCase& c, std::int64_t row) -> std::int64_t {
    if (const auto* p = std::get_if<PagedMqaParameters>(&c.parameters))
      return p->clean ? p->columns : p->limit(row);
    const auto& p = std::get<MqaParameters>(c.parameters);
    return p.clean ? p.columns
                   : std::max<std::int64_t>(0, std::int64_t{p.ends[static_cast<std::size_t>(row)]} -
                                                   p.starts[static_cast<std::size_t>(row)]);
  };
  const auto rows = [](const KernelCase& c) {
    if (const auto* p = std::get_if<PagedMqaParameters>(&c.parameters)) return p->rows();
    return std::get<MqaParameters>(c.parameters).rows();
  };
  std::size_t a = 0, b = 0;
  for (std::int64_t row = 0; row < related.row_begin; ++row)
    a += static_cast<std::size_t>(row_elements(first, row)) * bytes;
  for (std::int64_t row = 0; row < rows(second_case); ++row)
    for (std::int64_t i = 0; i < row_elements(second_case, row); ++i, a += bytes, b += bytes) {
      const double one = load_element(&expected[a], type) * related.factor, two = load_element(&got[b], type);
      const bool same = related.factor == 1
                            ? std::memcmp(&expected[a], &got[b], bytes) == 0
                            : one == two || (std::isnan(one) && std::isnan(two)) || std::isinf(one) ||
                                  std::abs(one) > 1e38 || std::abs(one) < 1e-30;
      if (!same)
        return fmt::format("row {}, element {}: {:.9g} before, {:.9g} after", row + related.row_begin, i, one,
                           two);
    }
  return "";
}

// Bytes of the second case against those of the first that begin at `begin`.
std::string rows_breach(const CaseRun& second, const std::vector<std::byte>& first, std::int64_t begin) {
  const std::vector<std::byte> got = second.written();
  const std::vector<std::byte> expected(first.begin() + begin,
                                        first.begin() + begin + static_cast<std::int64_t>(got.size()));
  const std::string place = second.first_difference(expected, got);
  return place.empty() ? "" : place + " of the second case differs";
}

Outcome with_digest(Outcome outcome, const std::vector<std::byte>& written) {
  const auto status = static_cast<unsigned char>(outcome.status);
  outcome.digest =
      fnv1a(&status, 1,
            hash_words(written.data(), static_cast<std::int64_t>(written.size()), 0xcbf29ce484222325ull));
  return outcome;
}

Outcome relate(WorkerProcess& worker, const KernelCase& kernel_case, const Claims& claims,
               const std::vector<std::byte>& first, Check left_out, Outcome outcome) {
  if (!obliges(claims, kernel_case.relation)) return outcome;
  const std::optional<RelatedCase> related = related_case(kernel_case);
  if (!related) return outcome;
  CaseRun second(worker, related->second, claims.alignment_bytes, left_out);
  Outcome result = second.load();
  if (result.status == Status::kPassed) result = second.run(Poison::kFirst, true);
  outcome.witness += second.witness();
  if (result.status == Status::kUnsupported)
    return outcome;  // the second may be a shape that the kernel declines
  if (result.status != Status::kPassed) {
    outcome.status = result.status;
    outcome.text = fmt::format("after {}: {}", name_of(kernel_case.relation), result.text);
    return outcome;
  }
  outcome.relation_checked = true;
  const std::string breach =
      related->row_bytes == 0 ? logits_breach(kernel_case, first, related->second, second.written(), *related)
                              : rows_breach(second, first, related->row_begin * related->row_bytes);
  if (breach.empty()) return outcome;
  // Wrong by itself says more than different, and never written more than wrong.
  const Judgement judgement = second.judge().judge(worker.tensors().data(), claims, Poison::kFirst);
  const std::vector<std::byte> got = second.written();
  std::string unwritten;
  if (left_out != Check::kUnwritten && second.run(Poison::kSecond, true).status == Status::kPassed)
    unwritten = second.first_unwritten(got, second.written());
  if (!unwritten.empty()) {
    outcome.status = Status::kUnwritten;
    outcome.text = fmt::format("after {}: {} still holds what it held before the call",
                               name_of(kernel_case.relation), unwritten);
    outcome.relation_checked = false;
  } else if (judgement.status != Status::kPassed && left_out != Check::kGolden) {
    outcome.status = judgement.status;
    outcome.text = fmt::format("after {}: {}", name_of(kernel_case.relation), judgement.text);
    outcome.relation_checked = false;
  } else {
    outcome.status = Status::kClaimFalse;
    outcome.text =
        fmt::format("{}: {}: {}", claim_behind(kernel_case.relation), name_of(kernel_case.relation), breach);
  }
  return outcome;
}

}  // namespace

Outcome try_case(WorkerProcess& worker, const KernelCase& kernel_case, Check left_out) {
  const KernelDescription* kernel = worker.find(kernel_case.operation());
  if (kernel == nullptr)
    return {.status = Status::kUnsupported, .text = "the kernel does not offer this operation"};
  Claims claims = parse_claims(kernel->claims, "claims of " + kernel->name);
  if (left_out == Check::kTwin) claims.arithmetic.clear();
  CaseRun execution(worker, kernel_case, claims.alignment_bytes, left_out);
  Outcome outcome = execution.load();
  if (outcome.status == Status::kPassed) outcome = execution.run(Poison::kFirst, true);
  outcome.witness = execution.witness();
  if (outcome.status != Status::kPassed || execution.left()) return with_digest(std::move(outcome), {});
  const std::vector<std::byte> first = execution.written();
  Judgement judgement = execution.judge().judge(worker.tensors().data(), claims, Poison::kFirst);
  const bool overlooked =
      left_out == Check::kGolden || (left_out == Check::kEveryRow && judgement.row != judgement.rows - 1);
  if (overlooked) judgement.status = Status::kPassed;

  const auto end = [&](Status status, const std::string& text) {
    outcome.status = status;
    outcome.text = text;
    outcome.headroom = judgement.headroom;
    outcome.elements = judgement.elements;
    outcome.twin_elements = judgement.twin_elements;
    outcome.witness = execution.witness();
    return with_digest(outcome, first);
  };

  const Outcome again =
      execution.run(left_out == Check::kSecondPoison ? Poison::kFirst : Poison::kSecond, true);
  if (again.status != Status::kPassed) return end(again.status, again.text);
  const std::vector<std::byte> second = execution.written();
  if (const std::string place = execution.first_unwritten(first, second);
      !place.empty() && left_out != Check::kUnwritten) {
    // A row that lies elsewhere says more than the place where it is missing.
    if (judgement.status == Status::kWrongBlock) return end(judgement.status, judgement.text);
    return end(Status::kUnwritten, place + " still holds what it held before the call");
  }
  if (first != second) {
    const std::string place = execution.first_difference(first, second);
    const Outcome third = execution.run(Poison::kFirst, true);
    if (third.status != Status::kPassed) return end(third.status, third.text);
    const bool repeats = execution.written() == first;
    if (repeats) return end(Status::kPoisonLeak, place + " depends on bytes that belong to nobody");
    if (claims.bitwise)
      return end(Status::kNondeterministic, place + " differs between runs; claimed determinism=bitwise");
    // Not claimed: the second run must then be right by itself.
    const Judgement other = execution.judge().judge(worker.tensors().data(), claims, Poison::kFirst);
    if (other.status != Status::kPassed) return end(other.status, other.text);
  }
  if (judgement.status != Status::kPassed) return end(judgement.status, judgement.text);
  outcome = end(Status::kPassed, "");
  const std::uint64_t digest = outcome.digest;
  if (left_out == Check::kRelation) return outcome;
  outcome = relate(worker, kernel_case, claims, first, left_out, std::move(outcome));
  if (outcome.status == Status::kPassed)
    outcome.digest = digest;
  else
    outcome = with_digest(std::move(outcome), first);
  return outcome;
}

const char* name_of(Check check) {
  switch (check) {
    case Check::kNone: return "none";
    case Check::kMargins: return "margins";
    case Check::kUnwritten: return "output-poison";
    case Check::kSecondPoison: return "second-poison";
    case Check::kGolden: return "golden";
    case Check::kEveryRow: return "every-row";
    case Check::kTwin: return "twin";
    case Check::kRelation: return "relations";
    case Check::kExit: return "exit";
    case Check::kHiddenValues: return "hidden-values";
  }
  return "?";
}

Diagnosis diagnose(WorkerProcess& worker, const KernelCase& kernel_case) {
  Diagnosis result{try_case(worker, kernel_case), kernel_case};
  const bool numerical =
      result.outcome.status == Status::kIncorrectNumerical || result.outcome.status == Status::kClaimFalse;
  // A row that is missing here, or that nobody asked for, may be one that went astray.
  const bool astray =
      kernel_case.operation() == Operation::kCacheWrite &&
      (result.outcome.status == Status::kUnwritten || result.outcome.status == Status::kIncorrectMask);
  if (!(numerical || astray) || kernel_case.lane == Lane::kAddress) return result;
  KernelCase named = kernel_case;
  named.lane = Lane::kAddress;
  named.weight_exponent = 0;
  named.overrides.clear();
  // Content ids as small as the lane can tell apart.
  Pool* pool = nullptr;
  std::int64_t limit = 0;
  if (auto* paged = std::get_if<PagedMqaParameters>(&named.parameters)) {
    pool = &paged->pool;
    limit = address_limit(paged->heads, paged->dims);
  } else if (auto* attention = std::get_if<PagedAttentionParameters>(&named.parameters)) {
    pool = &attention->pool;
    limit = std::int64_t{1} << std::min(attention->dims, 24);
    attention->soft_cap = 0;
  } else if (auto* write = std::get_if<CacheWriteParameters>(&named.parameters)) {
    std::iota(write->row_content.begin(), write->row_content.end(), std::int64_t{0});
  } else {
    return result;
  }
  if (pool != nullptr) {
    std::iota(pool->content.begin(), pool->content.end(), std::int64_t{0});
    if (static_cast<std::int64_t>(pool->content.size() + 1) * pool->block_tokens >= limit) return result;
  }
  Outcome outcome = try_case(worker, named);
  if (outcome.status != Status::kWrongBlock) return result;
  outcome.witness += result.outcome.witness;
  return {std::move(outcome), std::move(named)};
}

}  // namespace assay::properties
