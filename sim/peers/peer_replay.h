// The other engines on a recorded trace: SGLang and TensorRT-LLM behind the options and the result of
// sim/engine/replay.h, so that one report serves all.
//
//   blocks * block_tokens   the pool (SGLang: its pages; its dummy page is not part of it)
//   token_budget            SGLang: chunked_prefill_size;  TensorRT-LLM: max_num_tokens
//   max_sequences           SGLang: max_running_requests;  TensorRT-LLM: max_batch_size
//
// What these engines do not have is refused by name (a watermark, a window, a chunk limit of its own). What
// the result does not say for them stays empty: misses by reason, hits behind the first miss, evictions.
// Hits in blocks are whole blocks; TensorRT-LLM's partial reuse shows in the tokens.
// `running` counts who took part in a step (SGLang prefills and decodes in different steps). Run lengths of
// tables are sampled every 64 steps; the ledger is taken when the finished have left (vLLM's replay
// takes it before), so a step in which somebody ends shows less live.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/engine/replay.h"
#include "traces/request.h"

namespace assay {

// "sglang", "trtllm".
[[nodiscard]] const std::vector<std::string_view>& peer_engine_names();

// Throws InputError for an unknown engine or options it does not have.
[[nodiscard]] ReplayResult replay_peer(RequestSource& requests, std::string_view engine,
                                       const ReplayOptions& options, const ProgressObserver& progress = {});

}  // namespace assay
