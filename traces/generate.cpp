#include "traces/generate.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "model/core/check.h"
#include "traces/record.h"

namespace assay {
namespace {

constexpr std::int64_t kSecond = 1000000000;
// A recorded trace has the time that answers took in it; ours supposes this much per output token.
constexpr std::int64_t kAnswerNsPerToken = 20000000;
constexpr std::int64_t kLatestNs = std::int64_t{1} << 62;
constexpr std::int64_t kTwinDelayNs = kSecond;
constexpr std::int64_t kBurstNs = 10 * kSecond, kQuietNs = 90 * kSecond;
// A tenth of the time at five times the mean rate, the rest at 5/9 of it: the mean stays.
constexpr std::int64_t kBurstPerMille = 5000, kQuietPerMille = 556;
// Per mille of the mean rate at the full hours of a day, straight lines in between; 1000 on average.
constexpr std::int64_t kDayPerMille[25] = {620,  480,  400,  360,  340,  380,  520,  760,  1080,
                                           1340, 1480, 1520, 1400, 1420, 1540, 1580, 1520, 1400,
                                           1240, 1120, 1060, 980,  820,  640,  620};
constexpr std::int64_t kDayPeak = 1580;

[[nodiscard]] std::int64_t day_rate(std::int64_t ns) {
  const std::int64_t second = ns / kSecond % 86400, hour = second / 3600, part = second % 3600;
  return kDayPerMille[hour] + (kDayPerMille[hour + 1] - kDayPerMille[hour]) * part / 3600;
}

// When sessions begin.
class Arrivals {
 public:
  Arrivals(const GenerateOptions& options, std::int64_t mean_gap_ns)
      : kind_(options.arrivals), gap_ns_(mean_gap_ns), draws_(RandomStream(options.seed, "arrivals")) {}

  [[nodiscard]] std::int64_t next() {
    if (first_) {
      first_ = false;
      if (kind_ != "diurnal") return now_;
    }
    if (kind_ == "steady") {
      now_ += gap_ns_;
    } else if (kind_ == "poisson") {
      now_ += draws_.exponential(gap_ns_);
    } else if (kind_ == "bursts") {
      next_in_bursts();
    } else {
      // Thinning: draw at the peak rate, keep with probability rate / peak.
      do {
        now_ += draws_.exponential(gap_ns_ * 1000 / kDayPeak);
      } while (static_cast<std::int64_t>(draws_.below(kDayPeak)) >= day_rate(now_));
    }
    if (now_ > kLatestNs)
      throw InputError("--requests at this --rate", "a trace of at most 146 years", "a longer one");
    return now_;
  }

 private:
  // An exponential has no memory: at a change of rate the rest of the gap is drawn anew.
  void next_in_bursts() {
    for (;;) {
      const std::int64_t gap =
          draws_.exponential(gap_ns_ * 1000 / (burst_ ? kBurstPerMille : kQuietPerMille));
      if (now_ + gap < change_ns_) {
        now_ += gap;
        return;
      }
      now_ = change_ns_;
      burst_ = !burst_;
      change_ns_ = now_ + draws_.exponential(burst_ ? kBurstNs : kQuietNs) + 1;
    }
  }

  std::string kind_;
  std::int64_t gap_ns_, now_ = 0, change_ns_ = 0;
  bool first_ = true, burst_ = true;
  Draws draws_;
};

// A part of a prompt that many sessions begin with.
struct SharedPart {
  std::int64_t tokens = 0;        // up to its end, the parts before it included
  std::vector<std::int64_t> ids;  // of the blocks that end inside it and not before; made on demand
  std::vector<SharedPart> below;
};

struct Session {
  Draws draws{RandomStream(0, "")};
  std::int64_t index = 0, turn = 0, turns = 1;
  std::int64_t tokens = 0;  // of the prompt so far, answers included
  const LengthMix* mix = nullptr;
  std::vector<std::int64_t> ids;  // full blocks of those tokens
};

class Generator final : public RequestSource {
 public:
  explicit Generator(const GenerateOptions& options)
      : options_(options),
        mix_(mix_of(options.lengths)),
        turns_(std::max<std::int64_t>(0, std::llround((options.turns - 1.0) * 1000.0))),
        arrivals_(options, session_gap_ns()) {
    header_.format = "generated";
    header_.hash_tokens = options.hash_tokens;
    header_.source = "generated";
    make_shared_parts();
    next_session_ns_ = arrivals_.next();
  }

  const TraceHeader& header() const override { return header_; }

  bool next(Request& request) override {
    if (made_ == options_.requests) return false;
    if (events_.empty() || next_session_ns_ < events_.top().time_ns) {
      open_session(next_session_ns_);
      next_session_ns_ = arrivals_.next();
    }
    const Event event = events_.top();
    events_.pop();
    ++made_;
    if (event.twin >= 0) {
      emit_twin(event, request);
    } else {
      emit_turn(event, request);
    }
    request.line = made_;
    return true;
  }

 private:
  struct Event {
    std::int64_t time_ns, order;  // order: ties go to the older event
    std::int64_t slot, twin;      // one of them >= 0
    bool operator<(const Event& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : order > other.order;
    }
  };

  static const LengthMix& mix_of(const std::string& name) {
    for (const LengthMix& mix : length_mixes())
      if (mix.name == name) return mix;
    throw InputError("--lengths", "a mix that is listed", name);
  }

  [[nodiscard]] std::int64_t session_gap_ns() const {
    // Each session makes 1 + floor(E) requests, E exponential with mean m: 1 + 1 / (e^(1/m) - 1) of them on
    // average. The constant is looked up in thousandths, so rates are met within the noise; a twin adds one.
    double mean_turns = 1.0;
    if (turns_ > 0) mean_turns += mean_floor(turns_);
    return static_cast<std::int64_t>(mean_turns * (1.0 + options_.twin_share) * 1e9 / options_.rate);
  }
  // Mean of floor(E) for E exponential with mean m / 1000: the sum over k >= 1 of e^(-k / m), by a series in
  // plain arithmetic (no libm, for the sake of equal bits).
  static double mean_floor(std::int64_t m_per_mille) {
    const double x = 1000.0 / static_cast<double>(m_per_mille);
    double reduced = x;  // e^-x = (e^(-x / 2^k))^(2^k)
    int halvings = 0;
    while (reduced > 0.5 && halvings < 60) {
      reduced *= 0.5;
      ++halvings;
    }
    double term = 1.0, power = 1.0;
    for (int i = 1; i < 20; ++i) {
      term *= -reduced / i;
      power += term;
    }
    for (int i = 0; i < halvings; ++i) power *= power;
    return power / (1.0 - power);
  }

  void make_shared_parts() {
    Draws draws(RandomStream(options_.seed, "shared parts"));
    const auto length = [&](std::int64_t mean) {
      return mean - mean / 2 + static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(mean) + 1));
    };
    root_.below.resize(static_cast<std::size_t>(options_.system_prompts));
    std::uint64_t weight = 0;
    for (std::size_t k = 0; k < root_.below.size(); ++k) {
      SharedPart& system = root_.below[k];
      system.tokens = length(options_.system_tokens);
      system.below.resize(static_cast<std::size_t>(options_.documents));
      for (SharedPart& document : system.below)
        document.tokens = system.tokens + length(options_.document_tokens);
      weight += 1000000 / (k + 1);
      system_weights_.push_back(weight);
    }
  }

  // The blocks that end inside `part`, whose first token is number `begin`; ids are made the first time.
  void append_part(SharedPart& part, std::int64_t begin, Session& session) {
    const std::int64_t g = options_.hash_tokens;
    session.tokens = part.tokens;
    if (g == 0) return;
    if (part.ids.empty())
      for (std::int64_t block = begin / g; block < part.tokens / g; ++block) part.ids.push_back(next_id_++);
    session.ids.insert(session.ids.end(), part.ids.begin(), part.ids.end());
  }

  void open_session(std::int64_t time_ns) {
    std::int64_t slot = 0;
    if (free_slots_.empty()) {
      slot = static_cast<std::int64_t>(sessions_.size());
      sessions_.emplace_back();
    } else {
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
    Session& session = sessions_[static_cast<std::size_t>(slot)];
    session.draws = Draws(RandomStream(options_.seed, "sessions").child(static_cast<std::uint64_t>(opened_)));
    session.index = opened_++;
    session.turn = 0;
    session.tokens = 0;
    session.ids.clear();
    session.mix = &mix_;
    session.turns = 1;
    if (turns_ > 0) session.turns += session.draws.exponential(turns_ * 1000) / 1000000;
    if (!root_.below.empty()) {
      const std::uint64_t at = session.draws.below(system_weights_.back());
      const auto k =
          std::upper_bound(system_weights_.begin(), system_weights_.end(), at) - system_weights_.begin();
      SharedPart& system = root_.below[static_cast<std::size_t>(k)];
      append_part(system, 0, session);
      const bool with_document =
          session.draws.chance(static_cast<std::int64_t>(options_.document_share * 1e6));
      if (with_document && !system.below.empty())
        append_part(system.below[session.draws.below(system.below.size())], system.tokens, session);
    }
    events_.push({time_ns, ordered_++, slot, -1});
  }

  void emit_turn(const Event& event, Request& request) {
    Session& session = sessions_[static_cast<std::size_t>(event.slot)];
    const std::int64_t g = options_.hash_tokens;
    const std::int64_t text = session.mix->input.at(session.draws.u32());
    const std::int64_t answer = session.mix->output.at(session.draws.u32());
    session.tokens = std::min(session.tokens + text, options_.max_prompt_tokens);
    clear(request);
    request.has_arrival = true;
    request.arrival_ns = event.time_ns;
    request.input_tokens = session.tokens;
    request.output_tokens = answer;
    request.session = "s" + std::to_string(session.index);
    request.turn = session.turn++;
    if (g > 0) {
      const auto full = static_cast<std::size_t>(session.tokens / g);
      if (session.ids.size() > full) session.ids.resize(full);
      while (session.ids.size() < full) session.ids.push_back(next_id_++);
      request.hash_ids = session.ids;
      if (session.tokens % g != 0) request.hash_ids.push_back(next_id_++);
    }
    if (session.draws.chance(static_cast<std::int64_t>(options_.twin_share * 1e6))) {
      std::int64_t twin = 0;
      if (free_twins_.empty()) {
        twin = static_cast<std::int64_t>(twins_.size());
        twins_.emplace_back();
      } else {
        twin = free_twins_.back();
        free_twins_.pop_back();
      }
      Request& copy = twins_[static_cast<std::size_t>(twin)];
      copy = request;
      copy.output_tokens = session.mix->output.at(session.draws.u32());
      copy.kind = "twin";
      events_.push({event.time_ns + session.draws.exponential(kTwinDelayNs), ordered_++, -1, twin});
    }
    session.tokens += answer;
    const bool fits = session.tokens + session.mix->input.value.front() <= options_.max_prompt_tokens;
    if (session.turn < session.turns && fits) {
      const std::int64_t pause = session.draws.exponential(static_cast<std::int64_t>(options_.think_s * 1e9));
      events_.push({event.time_ns + answer * kAnswerNsPerToken + pause, ordered_++, event.slot, -1});
    } else {
      free_slots_.push_back(event.slot);
    }
  }

  void emit_twin(const Event& event, Request& request) {
    request = twins_[static_cast<std::size_t>(event.twin)];
    request.arrival_ns = event.time_ns;
    free_twins_.push_back(event.twin);
  }

  GenerateOptions options_;
  const LengthMix& mix_;
  std::int64_t turns_;  // mean of the exponential, in thousandths
  TraceHeader header_;
  Arrivals arrivals_;
  SharedPart root_;
  std::vector<std::uint64_t> system_weights_;
  std::vector<Session> sessions_;
  std::vector<std::int64_t> free_slots_, free_twins_;
  std::vector<Request> twins_;
  std::priority_queue<Event> events_;
  std::int64_t next_session_ns_ = 0, next_id_ = 0, opened_ = 0, ordered_ = 0, made_ = 0;
};

void check_range(const char* flag, double value, double least, double most) {
  if (value >= least && value <= most) return;
  const auto show = [](double x) {
    const auto whole = static_cast<std::int64_t>(x);
    return static_cast<double>(whole) == x ? std::to_string(whole) : std::to_string(x);
  };
  throw InputError(flag, "a number from " + show(least) + " to " + show(most), show(value));
}

}  // namespace

const std::vector<LengthMix>& length_mixes() {
  static const std::vector<LengthMix> mixes = {
      {"sharegpt",
       "short chat with long answers; means 161 and 337, as the vLLM paper prints for ShareGPT",
       {{4, 8, 11, 20, 50, 170, 460, 755, 960, 1010, 1024}},
       {{4, 12, 30, 110, 280, 480, 720, 860, 1100, 1400, 1800}}},
      {"chat",
       "assistant chat; means about 1,200 and 220",
       {{2, 180, 210, 400, 1020, 1190, 2740, 4080, 4140, 6200, 14000}},
       {{7, 40, 55, 85, 130, 395, 425, 450, 600, 950, 1000}}},
      {"code",
       "code completion; means about 2,100 and 32",
       {{3, 75, 150, 580, 1470, 2750, 5200, 7300, 7430, 7437, 7437}},
       {{6, 6, 7, 9, 13, 24, 55, 90, 250, 830, 1900}}},
      {"long-context",
       "long prompts, up to 126,000 tokens; means about 12,700 and 345",
       {{890, 900, 960, 2300, 6900, 15400, 27400, 39500, 85000, 121000, 126000}},
       {{1, 10, 24, 156, 350, 472, 597, 698, 1120, 2000, 2000}}},
  };
  return mixes;
}

const std::vector<std::string_view>& arrival_kinds() {
  static const std::vector<std::string_view> kinds = {"poisson", "bursts", "diurnal", "steady"};
  return kinds;
}

std::unique_ptr<RequestSource> generate_trace(const GenerateOptions& options) {
  check_range("--requests", static_cast<double>(options.requests), 0, 1e12);
  check_range("--rate", options.rate, 1e-3, 1e6);
  check_range("--hash-tokens", options.hash_tokens, 0, 1 << 20);
  check_range("--system-prompts", options.system_prompts, 0, 1 << 16);
  check_range("--system-tokens", options.system_tokens, 1, 1 << 20);
  check_range("--documents", options.documents, 0, 1 << 12);
  check_range("--document-tokens", options.document_tokens, 1, 1 << 20);
  check_range("--document-share", options.document_share, 0, 1);
  check_range("--turns", options.turns, 1, 1000);
  check_range("--think", options.think_s, 0, 1e6);
  check_range("--twins", options.twin_share, 0, 1);
  check_range("--max-prompt-tokens", static_cast<double>(options.max_prompt_tokens), 1, 1 << 30);
  const auto& kinds = arrival_kinds();
  if (std::find(kinds.begin(), kinds.end(), options.arrivals) == kinds.end())
    throw InputError("--arrivals", "poisson, bursts, diurnal or steady", options.arrivals);
  return std::make_unique<Generator>(options);
}

}  // namespace assay
