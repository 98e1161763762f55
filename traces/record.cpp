#include "traces/record.h"

namespace assay {

void clear(Request& request) {
  request.arrival_ns = 0;
  request.has_arrival = false;
  request.input_tokens = request.output_tokens = 0;
  request.hash_ids.clear();
  request.line = 0;
  request.session.clear();
  request.kind.clear();
  request.model.clear();
  request.chat = request.parent_chat = request.turn = -1;
  request.images = request.elapsed_ns = request.delay_ns = request.tool_wait_ns = -1;
  request.request_id.clear();
  request.wait_for.clear();
  request.branches.clear();
  request.prefix_reset = -1;
}

}  // namespace assay
