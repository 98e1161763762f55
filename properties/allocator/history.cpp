#include "properties/allocator/history.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "model/core/philox.h"

namespace assay::properties {
namespace {

constexpr EventKind kKinds[] = {EventKind::kAdmit,   EventKind::kComputed, EventKind::kAppend,
                                EventKind::kRelease, EventKind::kMakeRoom, EventKind::kBeginStep,
                                EventKind::kEndStep};

class Draws {
 public:
  Draws(std::uint64_t seed, std::int64_t index)
      : stream_(RandomStream(seed, "history").child(static_cast<std::uint64_t>(index))) {}
  std::int64_t in(std::int64_t begin, std::int64_t end) {
    return begin + static_cast<std::int64_t>(stream_.below(next_++, static_cast<std::uint64_t>(end - begin)));
  }
  bool percent(std::int64_t chance) { return in(0, 100) < chance; }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

// Prompts that share prefixes, repeat blocks at other places, and are each other's adversaries: token j one
// up and token j + 1 thirty-one down have one polynomial hash; 65536 more has the same low half.
Tokens draw_prompt(Draws& draws, const AllocatorShape& shape, const std::vector<Tokens>& earlier) {
  Tokens prompt;
  const std::int64_t blocks = draws.in(0, 5),
                     length = std::max<std::int64_t>(1, blocks * shape.block_tokens + draws.in(-1, 2));
  if (!earlier.empty() && draws.percent(60)) {
    prompt = earlier[static_cast<std::size_t>(draws.in(0, static_cast<std::int64_t>(earlier.size())))];
    const std::int64_t kind = draws.in(0, 8);
    const auto at = static_cast<std::size_t>(draws.in(0, static_cast<std::int64_t>(prompt.size())));
    if (kind == 0 && at + 1 < prompt.size()) {
      prompt[at] += 1;
      prompt[at + 1] -= 31;
    } else if (kind == 1) {
      prompt[at] += 65536;
    } else if (kind == 2) {
      prompt.resize(at + 1);
    } else if (kind == 3) {
      prompt.erase(prompt.begin(),
                   prompt.begin() + std::min<std::ptrdiff_t>(shape.block_tokens,
                                                             static_cast<std::ptrdiff_t>(prompt.size()) - 1));
    } else if (kind == 4) {
      prompt[at] = 1000 + draws.in(0, 3);
    }
  }
  while (static_cast<std::int64_t>(prompt.size()) < length) prompt.push_back(1000 + draws.in(0, 3));
  return prompt;
}

}  // namespace

const char* name_of(EventKind kind) {
  switch (kind) {
    case EventKind::kAdmit: return "admit";
    case EventKind::kComputed: return "computed";
    case EventKind::kAppend: return "append";
    case EventKind::kRelease: return "release";
    case EventKind::kMakeRoom: return "make-room";
    case EventKind::kBeginStep: return "begin-step";
    case EventKind::kEndStep: return "end-step";
  }
  return "?";
}

AllocatorHistory generate_history(std::uint64_t seed, std::int64_t index) {
  Draws draws(seed, index);
  AllocatorHistory history;
  history.shape.blocks = static_cast<std::int32_t>(draws.percent(20) ? draws.in(1, 4) : draws.in(3, 25));
  history.shape.block_tokens = static_cast<std::int32_t>(draws.in(1, 5));
  std::vector<std::int32_t> live;
  std::vector<Tokens> prompts;
  std::int32_t next = 0;
  const std::int64_t events = draws.in(8, 70);
  const std::int64_t steps = draws.percent(50) ? 12 : 0;  // chance of a step border
  const auto any = [&] {
    return live[static_cast<std::size_t>(draws.in(0, static_cast<std::int64_t>(live.size())))];
  };
  bool in_step = false;
  for (std::int64_t i = 0; i < events; ++i) {
    if (draws.percent(steps)) {
      history.events.push_back({in_step ? EventKind::kEndStep : EventKind::kBeginStep, 0, {}});
      in_step = !in_step;
      continue;
    }
    const std::int64_t what = draws.in(0, 100);
    if (live.empty() || what < 30) {
      Tokens prompt = draw_prompt(draws, history.shape, prompts);
      prompts.push_back(prompt);
      live.push_back(next);
      history.events.push_back({EventKind::kAdmit, next, std::move(prompt)});
      if (draws.percent(75)) history.events.push_back({EventKind::kComputed, next, {}});
      ++next;
    } else if (what < 38) {
      history.events.push_back({EventKind::kComputed, any(), {}});
    } else if (what < 75) {
      history.events.push_back({EventKind::kAppend, any(), {1000 + draws.in(0, 3)}});
    } else if (what < 95) {
      const std::int32_t sequence = any();
      history.events.push_back({EventKind::kRelease, sequence, {}});
      live.erase(std::remove(live.begin(), live.end(), sequence), live.end());
    } else {
      history.events.push_back(
          {EventKind::kMakeRoom, static_cast<std::int32_t>(draws.in(1, history.shape.blocks + 1)), {}});
    }
  }
  if (in_step) history.events.push_back({EventKind::kEndStep, 0, {}});
  if (draws.percent(50))  // at rest at the end
    for (const std::int32_t sequence : live) history.events.push_back({EventKind::kRelease, sequence, {}});
  return history;
}

nlohmann::ordered_json to_json(const AllocatorHistory& history) {
  nlohmann::ordered_json json{{"schema", "assay.allocator-case/1"},
                              {"blocks", history.shape.blocks},
                              {"block_tokens", history.shape.block_tokens}};
  auto& events = json["events"] = nlohmann::ordered_json::array();
  for (const AllocatorEvent& event : history.events) {
    nlohmann::ordered_json one{{"event", name_of(event.kind)}};
    if (event.kind == EventKind::kMakeRoom)
      one["blocks"] = event.sequence;
    else if (event.kind != EventKind::kBeginStep && event.kind != EventKind::kEndStep)
      one["sequence"] = event.sequence;
    if (!event.tokens.empty()) one["tokens"] = event.tokens;
    events.push_back(std::move(one));
  }
  return json;
}

AllocatorHistory history_from_json(const nlohmann::ordered_json& json, const std::string& place) {
  AllocatorHistory history;
  try {
    if (json.at("schema") != "assay.allocator-case/1")
      throw InputError(place + ".schema", "assay.allocator-case/1", json.at("schema").dump());
    history.shape = {json.at("blocks").get<std::int32_t>(), json.at("block_tokens").get<std::int32_t>()};
    for (std::size_t i = 0; i < json.at("events").size(); ++i) {
      const auto& one = json.at("events")[i];
      AllocatorEvent event;
      const std::string name = one.at("event").get<std::string>();
      const auto kind =
          std::find_if(std::begin(kKinds), std::end(kKinds), [&](EventKind k) { return name == name_of(k); });
      if (kind == std::end(kKinds))
        throw InputError(place + ".events[" + std::to_string(i) + "]", "a known event", name);
      event.kind = *kind;
      event.sequence = one.value(event.kind == EventKind::kMakeRoom ? "blocks" : "sequence", 0);
      event.tokens = one.value("tokens", Tokens());
      const bool wants_tokens = event.kind == EventKind::kAdmit || event.kind == EventKind::kAppend;
      if (wants_tokens == event.tokens.empty() ||
          (event.kind == EventKind::kAppend && event.tokens.size() != 1))
        throw InputError(place + ".events[" + std::to_string(i) + "].tokens",
                         wants_tokens ? "the tokens of the event" : "none",
                         std::to_string(event.tokens.size()));
      history.events.push_back(std::move(event));
    }
  } catch (const nlohmann::json::exception& error) {
    throw InputError(place, "a history of schema assay.allocator-case/1", error.what());
  }
  if (history.shape.blocks < 1 || history.shape.blocks > 1 << 16)
    throw InputError(place + ".blocks", "1 to 65536", std::to_string(history.shape.blocks));
  if (history.shape.block_tokens < 1 || history.shape.block_tokens > 1 << 12)
    throw InputError(place + ".block_tokens", "1 to 4096", std::to_string(history.shape.block_tokens));
  return history;
}

}  // namespace assay::properties
