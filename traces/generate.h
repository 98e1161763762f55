// Synthetic traffic: a RequestSource that makes requests instead of reading them, in order of time, the same
// for a seed on every machine (integers only, counter-based random numbers; see random_shapes.h).
//
//   arrivals   of sessions: steady, poisson, bursts (two rates that take turns), diurnal (a day's curve)
//   prompt     [ system prompt | document | turn 1 text, answer 1 | turn 2 text, answer 2 | ... ]
//                shared by all   shared by   grows from turn to turn
//                with its number some of them
//   hash ids   block k of a prompt is the chain of everything up to its end: blocks inside the shared parts
//              are shared, the block that straddles two parts belongs to the longer chain, a partial last
//              block has an id of its own that only a twin repeats
//   twins      the same prompt again within a second or so (retries, parallel sampling)
//
// Memory: open sessions and the ids of the shared parts, not the number of requests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "traces/random_shapes.h"
#include "traces/request.h"

namespace assay {

// What new text and answers of a turn are drawn from. "-like": quantiles of the named kind of traffic,
// straight lines between them; no more is claimed.
struct LengthMix {
  std::string_view name, title;
  QuantileTable input, output;
};

[[nodiscard]] const std::vector<LengthMix>& length_mixes();
[[nodiscard]] const std::vector<std::string_view>& arrival_kinds();

struct GenerateOptions {
  std::uint64_t seed = 1;
  std::int64_t requests = 1000;
  std::string arrivals = "poisson";
  std::string lengths = "sharegpt";
  double rate = 4.0;                   // requests a second, the mean over the whole trace
  std::int32_t hash_tokens = 512;      // as Mooncake has them; 0: no hash ids
  std::int32_t system_prompts = 8;     // how many there are; 0: none. Prompt k is used half as often as k - 1
                                       // is for k = 1, a third for k = 2, ... (weights 1 / (k + 1))
  std::int32_t system_tokens = 600;    // mean length; each between half and one and a half of it
  std::int32_t documents = 4;          // second level of the tree, per system prompt; 0: none
  std::int32_t document_tokens = 400;  // mean length, like system_tokens
  double document_share = 0.25;        // of the sessions
  double turns = 2.5;                  // mean turns of a session (1 + an exponential, rounded down)
  double think_s = 20.0;               // mean pause between an answer and the next turn
  double twin_share = 0.02;            // of the requests
  std::int64_t max_prompt_tokens = 131072;  // a session ends before its prompt would be longer
};

// Checks the options (InputError names the flag) and starts.
[[nodiscard]] std::unique_ptr<RequestSource> generate_trace(const GenerateOptions& options);

}  // namespace assay
