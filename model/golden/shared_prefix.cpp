#include "model/golden/shared_prefix.h"

#include <algorithm>
#include <map>
#include <utility>

#include "model/golden/attention_rows.h"

namespace assay {
namespace {

using Ids = std::pair<std::int32_t, std::int32_t>;  // K id, V id

struct Open {  // sequences that agree up to `block`
  std::int32_t block = 0;
  std::vector<std::int32_t> sequences;
};

}  // namespace

std::vector<SharedSegment> find_shared_prefixes(const BlockTableView& keys, const BlockTableView& values,
                                                const std::vector<std::int64_t>& full_blocks,
                                                std::int32_t max_levels) {
  const auto ids = [&](std::int32_t sequence, std::int32_t block) {
    return Ids{keys.block(sequence, block), values.block(sequence, block)};
  };
  const auto agree = [&](const std::vector<std::int32_t>& sequences, std::int32_t block) {
    if (block >= full_blocks[sequences.front()]) return false;
    const Ids first = ids(sequences.front(), block);
    return std::all_of(sequences.begin(), sequences.end(), [&](std::int32_t sequence) {
      return block < full_blocks[sequence] && ids(sequence, block) == first;
    });
  };
  std::vector<SharedSegment> segments;
  Open all;
  for (std::size_t b = 0; b < full_blocks.size(); ++b) all.sequences.push_back(static_cast<std::int32_t>(b));
  std::vector<Open> open{std::move(all)};
  for (std::int32_t level = 0; level < max_levels && !open.empty(); ++level) {
    std::vector<Open> next;
    std::vector<SharedSegment> found;
    for (const Open& group : open) {
      std::map<Ids, std::vector<std::int32_t>> parts;
      for (const std::int32_t sequence : group.sequences)
        if (group.block < full_blocks[sequence]) parts[ids(sequence, group.block)].push_back(sequence);
      for (auto& [first, sequences] : parts) {
        if (sequences.size() < 2) continue;
        std::int32_t end = group.block + 1;
        while (agree(sequences, end)) ++end;
        next.push_back({end, sequences});
        found.push_back({level, group.block, end, std::move(sequences)});
      }
    }
    std::sort(found.begin(), found.end(), [](const SharedSegment& a, const SharedSegment& b) {
      return a.sequences.front() < b.sequences.front();
    });
    segments.insert(segments.end(), found.begin(), found.end());
    open = std::move(next);
  }
  return segments;
}

std::vector<SharedSegment> find_shared_prefixes(const PagedAttentionCase& problem, std::int32_t max_levels) {
  validate(problem);
  std::vector<std::int64_t> full_blocks;
  for (std::int64_t b = 0; b < problem.batch(); ++b)
    full_blocks.push_back(problem.contexts[b] / problem.keys.layout.block_tokens);
  return find_shared_prefixes(problem.keys.table, problem.values.table, full_blocks, max_levels);
}

AttentionReport cascade_attention(const PagedAttentionCase& problem, const ResultView<3>& out,
                                  const ResultView<2>& lse, const Execution& execution,
                                  std::int32_t max_levels) {
  begin_attention(problem, out, lse);
  const std::int64_t block_tokens = problem.keys.layout.block_tokens;
  std::vector<std::int64_t> covered(problem.batch(), 0);  // tokens done, per sequence
  AttentionWork work;
  const std::int32_t together = heads_at_once(problem, problem.batch(), execution);
  std::int32_t level = 0;
  for (const SharedSegment& segment : find_shared_prefixes(problem, max_levels)) {
    if (segment.level != level) {  // rows of one level are disjoint; levels follow each other
      run_work(problem, work, out, lse, execution);
      work = {};
      level = segment.level;
    }
    append_work(problem, segment.sequences,
                {segment.block_begin * block_tokens, segment.block_end * block_tokens}, 1, work);
    for (const std::int32_t sequence : segment.sequences)
      covered[sequence] = segment.block_end * block_tokens;
  }
  run_work(problem, work, out, lse, execution);
  work = {};
  for (std::int32_t sequence = 0; sequence < problem.batch(); ++sequence)
    append_work(problem, {sequence}, {covered[sequence], problem.contexts[sequence]}, together, work);
  run_work(problem, work, out, lse, execution);
  return report_of(out, lse);
}

}  // namespace assay
