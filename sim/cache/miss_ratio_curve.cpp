#include "sim/cache/miss_ratio_curve.h"

#include <algorithm>
#include <string>

#include "model/core/check.h"
#include "sim/cache/content_chain.h"
#include "sim/cache/stack_depth.h"

namespace assay {
namespace {

CurvePoint& at_depth(std::vector<CurvePoint>& histogram, std::int64_t depth) {
  const auto index = static_cast<std::size_t>(depth);
  if (index >= histogram.size()) histogram.resize(index + 1);
  return histogram[index];
}

// Adds one prompt's blocks, by the capacity each of them needs, before any of them is touched.
void count_prompt(const StackDepth& stack, const std::vector<ContentId>& contents, std::int64_t input_tokens,
                  std::int64_t block_tokens, std::vector<CurvePoint>& histogram) {
  std::int64_t needed = 0;
  bool reachable = true;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (!stack.seen(contents[i])) {
      reachable = false;
      continue;
    }
    const std::int64_t depth = stack.depth(contents[i]);
    ++at_depth(histogram, depth).any_block_hits;
    if (!reachable) continue;
    needed = std::max(needed, depth);
    const std::int64_t tokens =
        std::min(block_tokens, input_tokens - static_cast<std::int64_t>(i) * block_tokens);
    CurvePoint& point = at_depth(histogram, needed);
    ++point.block_hits;
    point.token_hits += tokens;
    point.full_block_hits += tokens == block_tokens ? 1 : 0;
  }
}

}  // namespace

CurvePoint MissRatioCurve::at(std::int64_t capacity_blocks) const {
  if (capacity_blocks < 0)
    throw InputError("capacity_blocks", "at least 0 (0 = unlimited)", std::to_string(capacity_blocks));
  if (points.empty()) return {};
  const auto index = static_cast<std::size_t>(capacity_blocks);
  return capacity_blocks == 0 || index >= points.size() ? points.back() : points[index];
}

std::int64_t MissRatioCurve::saturation_blocks() const {
  std::size_t last = points.size();
  while (last > 1 && points[last - 2].block_hits == points.back().block_hits) --last;
  return last == 0 ? 0 : static_cast<std::int64_t>(last) - 1;
}

MissRatioCurve miss_ratio_curve(RequestSource& requests, const MissRatioCurveOptions& options) {
  if (options.policy != CachePolicy::kLru && options.policy != CachePolicy::kLruPromptOrder)
    throw InputError("the policy of a one-pass curve", "lru or lru-prompt-order",
                     cache_policy_name(options.policy));
  ContentChain chain(requests.header().hash_tokens, options.block_tokens);
  StackDepth stack;
  MissRatioCurve curve;
  Request request;
  std::vector<ContentId> contents;
  for (;;) {
    if (options.interrupted && options.interrupted->load(std::memory_order_relaxed)) {
      curve.partial = true;
      break;
    }
    if (!requests.next(request)) break;
    contents.clear();
    chain.append(request, contents);
    stack.grow(chain.content_count());
    count_prompt(stack, contents, request.input_tokens, options.block_tokens, curve.points);
    if (options.policy == CachePolicy::kLru) std::reverse(contents.begin(), contents.end());
    for (const ContentId content : contents) stack.touch(content);
    ++curve.requests;
    curve.block_references += static_cast<std::int64_t>(contents.size());
    curve.full_block_references += request.input_tokens / options.block_tokens;
    curve.token_references += request.input_tokens;
  }
  curve.unique_blocks = chain.content_count();
  for (std::size_t i = 1; i < curve.points.size(); ++i) {
    const CurvePoint& before = curve.points[i - 1];
    CurvePoint& point = curve.points[i];
    point.block_hits += before.block_hits;
    point.any_block_hits += before.any_block_hits;
    point.token_hits += before.token_hits;
    point.full_block_hits += before.full_block_hits;
  }
  return curve;
}

}  // namespace assay
