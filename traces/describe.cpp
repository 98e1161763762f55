#include "traces/describe.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace assay {
namespace {

void count_octave(std::vector<std::int64_t>& octaves, std::uint64_t value) {
  const auto slot = static_cast<std::size_t>(std::bit_width(value));
  if (slot >= octaves.size()) octaves.resize(slot + 1);
  ++octaves[slot];
}

void count_name(std::map<std::string, std::int64_t>& names, const std::string& name) {
  if (name.empty()) return;
  const auto found = names.find(name);
  if (found != names.end()) {
    ++found->second;
  } else if (names.size() < TraceStatistics::kNames) {
    names.emplace(name, 1);
  } else {
    ++names["..."];
  }
}

[[nodiscard]] std::int64_t second_of(std::int64_t ns) {  // rounded down, also before zero
  return ns >= 0 ? ns / 1000000000 : -((-(ns + 1)) / 1000000000) - 1;
}

}  // namespace

void TraceStatistics::add(const Request& request, std::int32_t hash_tokens) {
  ++requests;
  input.add(request.input_tokens);
  output.add(request.output_tokens);
  no_input += request.input_tokens == 0 ? 1 : 0;
  no_output += request.output_tokens == 0 ? 1 : 0;
  with_session += request.session.empty() && request.chat < 0 ? 0 : 1;
  count_name(kinds, request.kind);
  count_name(models, request.model);
  if (request.has_arrival) {
    add_time(request);
  } else {
    ++no_arrival;
  }
  if (hash_tokens > 0) add_ids(request, hash_tokens);
}

void TraceStatistics::add_time(const Request& request) {
  const std::int64_t now = request.arrival_ns;
  if (!any_time_) {
    any_time_ = true;
    first_ns = last_ns = origin_ns_ = now;
  } else {
    first_ns = std::min(first_ns, now);
    last_ns = std::max(last_ns, now);
    if (now < previous_ns_) {
      ++backwards;
    } else {
      equal_times += now == previous_ns_ ? 1 : 0;
      const double gap = (static_cast<double>(now) - static_cast<double>(previous_ns_)) * 1e-9;
      ++gaps_;
      const double delta = gap - gap_mean_s;  // Welford: stable over millions of gaps
      gap_mean_s += delta / static_cast<double>(gaps_);
      gap_squares_ += delta * (gap - gap_mean_s);
    }
  }
  previous_ns_ = now;
  ++seconds_[second_of(now)].requests;
}

void TraceStatistics::touch(Block& block, std::uint32_t now_ms) {
  if (recency_.full()) {
    blocks_.for_each([&](std::int64_t, Block& other) { other.position = recency_.rank(other.position); });
    recency_.renumbered();
  }
  if (block.uses == 0) {
    block.position = recency_.first_touch();
    ++reuse.unique;
  } else {
    count_octave(reuse.distance_octaves, recency_.distance(block.position));
    count_octave(reuse.time_octaves_ms, now_ms >= block.last_ms ? now_ms - block.last_ms : 0);
    block.position = recency_.touch_again(block.position);
  }
  if (block.uses != UINT32_MAX) ++block.uses;
  block.last_ms = now_ms;
}

void TraceStatistics::add_ids(const Request& request, std::int32_t hash_tokens) {
  with_ids += request.hash_ids.empty() ? 0 : 1;
  const std::int64_t g = hash_tokens;
  const auto count = static_cast<std::int64_t>(request.hash_ids.size());
  // Milliseconds wrap after 49 days; a wrapped gap counts as 0.
  const std::uint64_t since =
      static_cast<std::uint64_t>(request.arrival_ns) - static_cast<std::uint64_t>(origin_ns_);
  const auto now_ms = static_cast<std::uint32_t>(since / 1000000);
  reuse.references += count;
  reuse.full_references += g > 0 ? request.input_tokens / g : 0;
  std::int64_t hit_tokens = 0;
  bool leading = true;
  // A prompt's hits are against what came before the request: look up all, then touch all.
  for (std::int64_t i = 0; i < count; ++i) {
    const Block* block = blocks_.find(request.hash_ids[static_cast<std::size_t>(i)]);
    const bool hit = block != nullptr;
    reuse.any_block_hits += hit ? 1 : 0;
    leading = leading && hit;
    if (!leading) continue;
    const std::int64_t tokens = std::min(g, request.input_tokens - i * g);
    ++reuse.block_hits;
    reuse.full_hits += tokens == g ? 1 : 0;
    hit_tokens += tokens;
  }
  for (const std::int64_t id : request.hash_ids) touch(blocks_[id], now_ms);
  reuse.token_hits += hit_tokens;
  if (request.input_tokens > 0)
    ratio_sum_ += static_cast<double>(hit_tokens) / static_cast<double>(request.input_tokens);
  if (request.input_tokens > UINT32_MAX) {
    reuse.half_known = false;
  } else {
    halves_.push_back(
        {static_cast<std::uint32_t>(request.input_tokens), static_cast<std::uint32_t>(hit_tokens)});
  }
}

void TraceStatistics::finish() {
  if (gaps_ > 0 && gap_mean_s > 0.0)
    gap_cv = std::sqrt(gap_squares_ / static_cast<double>(gaps_)) / gap_mean_s;
  if (any_time_) finish_time();
  if (with_ids > 0) finish_reuse();
}

void TraceStatistics::finish_time() {
  const std::int64_t first = second_of(first_ns), last = second_of(last_ns);
  std::int64_t busy = 0;
  over_time.assign(kTimeSlots, 0);
  seconds_.for_each([&](std::int64_t second, const Second& slot) {
    per_second.add(slot.requests);
    ++busy;
    const double part = static_cast<double>(second - first) / (static_cast<double>(last - first) + 1.0);
    const auto index = static_cast<std::size_t>(part * static_cast<double>(kTimeSlots));
    over_time[std::min(index, kTimeSlots - 1)] += slot.requests;
  });
  const std::int64_t seconds = last - first + 1;
  if (seconds > busy) per_second.add(0, seconds - busy);
}

void TraceStatistics::finish_reuse() {
  reuse.mean_request_ratio = requests > 0 ? ratio_sum_ / static_cast<double>(requests) : 0.0;
  for (std::size_t i = halves_.size() / 2; i < halves_.size(); ++i) {
    reuse.half_tokens += halves_[i][0];
    reuse.half_token_hits += halves_[i][1];
  }
  Distribution reuses;
  blocks_.for_each([&](std::int64_t, const Block& block) {
    reuse.used_once += block.uses == 1 ? 1 : 0;
    reuses.add(block.uses - 1);
  });
  // The most reused tenth of the blocks, from the top of the distribution of counts.
  std::vector<std::pair<std::int64_t, std::int64_t>> counts;
  reuses.for_each([&](std::int64_t value, std::int64_t times) { counts.emplace_back(value, times); });
  std::int64_t left = (reuse.unique + 9) / 10;
  double top = 0.0;
  for (auto it = counts.rbegin(); it != counts.rend() && left > 0; ++it) {
    const std::int64_t taken = std::min(left, it->second);
    top += static_cast<double>(taken) * static_cast<double>(it->first);
    left -= taken;
  }
  if (reuses.sum() > 0) reuse.top_tenth_share = top / static_cast<double>(reuses.sum());
}

}  // namespace assay
