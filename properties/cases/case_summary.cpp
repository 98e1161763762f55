// What a case is, in a line and in two numbers.
#include <fmt/format.h>

#include "properties/cases/attention_case.h"
#include "properties/cases/cache_write_case.h"
#include "properties/cases/cache_write_contents.h"
#include "properties/cases/merge_case.h"

namespace assay::properties {

std::int64_t sequences_of(const KernelCase& kernel_case) {
  if (const auto* p = std::get_if<PagedMqaParameters>(&kernel_case.parameters)) return p->batch();
  if (const auto* p = std::get_if<MqaParameters>(&kernel_case.parameters)) return p->rows();
  if (const auto* p = std::get_if<PagedAttentionParameters>(&kernel_case.parameters)) return p->batch();
  if (const auto* p = std::get_if<MergeParameters>(&kernel_case.parameters)) return p->rows();
  if (const auto* p = std::get_if<CacheWriteParameters>(&kernel_case.parameters)) return p->rows();
  return static_cast<std::int64_t>(std::get<ScheduleParameters>(kernel_case.parameters).contexts.size());
}

std::int64_t blocks_of(const KernelCase& kernel_case) {
  if (const auto* p = std::get_if<PagedMqaParameters>(&kernel_case.parameters))
    return static_cast<std::int64_t>(p->pool.physical.size());
  if (const auto* p = std::get_if<PagedAttentionParameters>(&kernel_case.parameters))
    return static_cast<std::int64_t>(p->pool.physical.size());
  if (const auto* p = std::get_if<CacheWriteParameters>(&kernel_case.parameters))
    return static_cast<std::int64_t>(blocks_named(*p).size());
  return 0;
}

std::string summary_of(const KernelCase& kernel_case) {
  std::string text = name_of(kernel_case.operation());
  if (const auto* p = std::get_if<PagedMqaParameters>(&kernel_case.parameters)) {
    std::int64_t tokens = 0;
    for (std::int32_t b = 0; b < p->batch(); ++b) tokens += p->length(b);
    text += fmt::format(": {} sequences x {} queries, {} tokens in {} blocks of {}, {} heads x {}, {}{}",
                        p->batch(), p->next_n, tokens, p->pool.physical.size(), p->pool.block_tokens,
                        p->heads, p->dims, name_of(p->output), p->clean ? ", clean" : "");
  } else if (const auto* m = std::get_if<MqaParameters>(&kernel_case.parameters)) {
    text += fmt::format(": {} queries, {} keys, {} heads x {}, {}{}{}", m->rows(), m->keys, m->heads, m->dims,
                        name_of(m->output), m->clean ? ", clean" : "", m->compressed ? ", compressed" : "");
  } else if (const auto* a = std::get_if<PagedAttentionParameters>(&kernel_case.parameters)) {
    text += attention_summary(*a);
  } else if (const auto* merge = std::get_if<MergeParameters>(&kernel_case.parameters)) {
    text += merge_summary(*merge);
  } else if (const auto* write = std::get_if<CacheWriteParameters>(&kernel_case.parameters)) {
    text += cache_write_summary(*write);
  } else {
    const auto& s = std::get<ScheduleParameters>(kernel_case.parameters);
    text += fmt::format(": {} sequences, {} parts of units of {}", s.contexts.size(), s.parts, s.unit_tokens);
  }
  text += fmt::format("; lane {}", name_of(kernel_case.lane));
  if (kernel_case.relation != Relation::kNone) text += fmt::format(", {}", name_of(kernel_case.relation));
  return text;
}

}  // namespace assay::properties
