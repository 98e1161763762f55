#include "tools/bench/bench_shape.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/core/philox.h"

namespace assay::tools {
namespace {

using properties::MqaParameters;
using properties::Operation;
using properties::PagedAttentionParameters;
using properties::PagedMqaParameters;
using properties::ScheduleParameters;

// The keys of an operation, in the order in which they are printed.
struct Key {
  const char* name;
  std::int32_t BenchShape::*value;
  std::int32_t least, most;
};
const std::vector<Key>& keys_of(Operation operation) {
  static const std::vector<Key> paged{
      {"B", &BenchShape::batch, 1, 32768},    {"ctx", &BenchShape::context_tokens, 1, 1 << 22},
      {"H", &BenchShape::heads, 1, 1024},     {"D", &BenchShape::dims, 4, 1024},
      {"next_n", &BenchShape::next_n, 1, 64}, {"block", &BenchShape::block_tokens, 1, 1 << 16}};
  static const std::vector<Key> prefill{{"M", &BenchShape::queries, 1, 1 << 20},
                                        {"ctx", &BenchShape::context_tokens, 1, 1 << 22},
                                        {"H", &BenchShape::heads, 1, 1024},
                                        {"D", &BenchShape::dims, 4, 1024}};
  static const std::vector<Key> schedule{{"B", &BenchShape::batch, 1, 1 << 20},
                                         {"ctx", &BenchShape::context_tokens, 1, 1 << 30},
                                         {"parts", &BenchShape::parts, 1, 4096},
                                         {"unit", &BenchShape::unit_tokens, 1, 1 << 20}};
  static const std::vector<Key> attention{{"B", &BenchShape::batch, 1, 32768},
                                          {"ctx", &BenchShape::context_tokens, 1, 1 << 22},
                                          {"H", &BenchShape::heads, 1, 1024},
                                          {"Hkv", &BenchShape::kv_heads, 1, 1024},
                                          {"D", &BenchShape::dims, 4, 1024},
                                          {"next_n", &BenchShape::next_n, 1, 1 << 20},
                                          {"block", &BenchShape::block_tokens, 1, 1 << 16}};
  static const std::vector<Key> none;
  if (operation == Operation::kPagedAttention) return attention;
  if (operation == Operation::kPagedMqaLogits) return paged;
  if (operation == Operation::kMqaLogits) return prefill;
  if (operation == Operation::kScheduleMetadata) return schedule;
  return none;
}
bool has_values(Operation operation) { return operation != Operation::kScheduleMetadata; }

std::int64_t output_bytes(const BenchShape& s) { return s.output == ElementType::kBf16 ? 2 : 4; }

// Query i of a sequence sees the tokens up to its own: ctx - next_n + i + 1 of them.
std::int64_t visible_tokens(const BenchShape& s, std::int32_t i) {
  return std::max<std::int64_t>(0, std::int64_t{s.context_tokens} - s.next_n + i + 1);
}

std::vector<std::int64_t> numbers(std::int64_t count) {
  std::vector<std::int64_t> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), std::int64_t{0});
  return list;
}

// Every sequence its own blocks, in shuffled places.
properties::Pool pool_of(const BenchShape& s, std::int64_t block_bytes) {
  properties::Pool pool;
  pool.block_tokens = s.block_tokens;
  const std::int64_t each = ceil_div(s.context_tokens, s.block_tokens), blocks = each * s.batch;
  pool.blocks = blocks + 1;  // one of nobody
  pool.block_stride = block_bytes;
  pool.physical = numbers(blocks);
  pool.content = pool.physical;
  const RandomStream stream(1, "bench places");
  for (std::size_t i = pool.physical.size(); i > 1; --i)
    std::swap(pool.physical[i - 1], pool.physical[stream.below(i, static_cast<std::uint32_t>(i))]);
  std::int32_t next = 0;
  for (std::int32_t b = 0; b < s.batch; ++b) {
    std::vector<std::int32_t>& table = pool.tables.emplace_back(static_cast<std::size_t>(each));
    for (std::int32_t& block : table) block = next++;
  }
  pool.table_columns = static_cast<std::int32_t>(each);
  pool.table_stride = each;
  return pool;
}

PagedMqaParameters paged_of(const BenchShape& s) {
  PagedMqaParameters p;
  p.heads = s.heads;
  p.dims = s.dims;
  p.next_n = s.next_n;
  p.contexts.assign(static_cast<std::size_t>(s.batch), s.context_tokens);
  p.pool = pool_of(s, make_fused_index_layout(s.block_tokens, s.dims).block_bytes());
  p.row_content = numbers(p.rows());
  p.q_head_stride = s.dims;
  p.q_row_stride = std::int64_t{s.heads} * s.dims;
  p.q_sequence_stride = s.next_n * p.q_row_stride;
  p.weights_stride = s.heads;
  p.output = s.output;
  p.columns = s.context_tokens;
  p.logits_stride = ceil_div(s.context_tokens, 256) * 256;
  return p;
}

MqaParameters prefill_of(const BenchShape& s) {
  MqaParameters p;
  p.heads = s.heads;
  p.dims = s.dims;
  p.keys = s.context_tokens;
  p.starts.assign(static_cast<std::size_t>(s.queries), 0);
  p.ends.assign(static_cast<std::size_t>(s.queries), s.context_tokens);
  p.row_content = numbers(s.queries);
  p.q_head_stride = p.key_stride = s.dims;
  p.q_row_stride = std::int64_t{s.heads} * s.dims;
  p.weights_stride = s.heads;
  p.output = s.output;
  p.columns = s.context_tokens;
  p.logits_stride = ceil_div(s.context_tokens, 256) * 256;
  return p;
}

PagedAttentionParameters attention_of(const BenchShape& s) {
  PagedAttentionParameters p;
  p.heads = s.heads;
  p.kv_heads = s.kv_heads;
  p.dims = s.dims;
  p.output = s.output;
  p.inner_stride = s.dims;
  p.outer_stride = std::int64_t{s.kv_heads} * s.dims;
  p.pool = pool_of(s, s.block_tokens * p.outer_stride * bytes_of(p.kv_type));
  p.value_block_stride = p.pool.block_stride;
  p.value_table_stride = p.pool.table_stride;
  p.contexts.assign(static_cast<std::size_t>(s.batch), s.context_tokens);
  p.queries.assign(static_cast<std::size_t>(s.batch), s.next_n);
  p.row_content = numbers(std::int64_t{s.batch} * s.next_n);
  p.q_head_stride = p.out_head_stride = s.dims;
  p.q_row_stride = p.out_row_stride = std::int64_t{s.heads} * s.dims;
  p.lse_stride = s.heads;
  p.causal = true;
  p.softmax_scale = 1 / std::sqrt(static_cast<float>(s.dims));  // an fp32 number, as kernels take it
  return p;
}

ScheduleParameters schedule_of(const BenchShape& s) {
  ScheduleParameters p;
  const RandomStream stream(1, "bench contexts");
  for (std::int32_t b = 0; b < s.batch; ++b)
    p.contexts.push_back(1 +
                         static_cast<std::int32_t>(stream.below(
                             static_cast<std::uint64_t>(b), static_cast<std::uint32_t>(s.context_tokens))));
  p.unit_tokens = s.unit_tokens;
  p.parts = s.parts;
  return p;
}

}  // namespace

BenchShape shape_from_text(const std::string& text, const std::string& place) {
  BenchShape shape;
  std::size_t begin = 0;
  for (bool first = true; begin <= text.size(); first = false) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    begin = end + 1;
    if (first) {
      shape.operation = properties::operation_named(word, place);
      if (keys_of(shape.operation).empty())
        throw InputError(place,
                         "an operation with shapes to time (paged-mqa-logits, mqa-logits, "
                         "paged-attention, schedule-metadata)",
                         word);
      if (shape.operation == Operation::kPagedMqaLogits) shape.context_tokens = 1024;
      if (shape.operation == Operation::kScheduleMetadata) shape.batch = 256, shape.context_tokens = 65536;
      if (shape.operation == Operation::kPagedAttention) {
        shape.heads = 8;
        shape.output = ElementType::kBf16;
      }
      continue;
    }
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string key = word.substr(0, equals), value = word.substr(std::min(equals + 1, word.size()));
    if (key == "out" && has_values(shape.operation)) {
      if (value != "fp32" && value != "bf16") throw InputError(place + ", out", "fp32 or bf16", value);
      shape.output = value == "bf16" ? ElementType::kBf16 : ElementType::kFp32;
      continue;
    }
    std::string names;
    bool found = false;
    for (const Key& known : keys_of(shape.operation)) {
      names += std::string(names.empty() ? "" : ", ") + known.name;
      if (key != known.name) continue;
      found = true;
      std::int32_t number = 0;
      const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || stop != value.data() + value.size() || number < known.least ||
          number > known.most)
        throw InputError(place + ", " + key,
                         "a number from " + std::to_string(known.least) + " to " + std::to_string(known.most),
                         value.empty() ? "nothing" : value);
      shape.*known.value = number;
    }
    if (!found)
      throw InputError(place,
                       "keys of " + std::string(name_of(shape.operation)) + ": " + names +
                           (has_values(shape.operation) ? ", out" : ""),
                       word.empty() ? "nothing" : word);
  }
  return shape;
}

std::string text_of(const BenchShape& shape) {
  std::string text = name_of(shape.operation);
  for (const Key& key : keys_of(shape.operation))
    text += std::string(",") + key.name + "=" + std::to_string(shape.*key.value);
  if (has_values(shape.operation)) text += shape.output == ElementType::kBf16 ? ",out=bf16" : ",out=fp32";
  return text;
}

const std::vector<NamedShape>& named_shapes() {
  static const std::vector<NamedShape> shapes{
      {"small", "paged-mqa-logits,B=1,ctx=256", false},
      {"medium", "paged-mqa-logits,B=4,ctx=512", false},
      {"wide", "paged-mqa-logits,B=2,ctx=512,H=64,D=128,next_n=2", false},
      {"small", "mqa-logits,M=4,ctx=128", false},
      {"medium", "mqa-logits,M=16,ctx=256", false},
      {"wide", "mqa-logits,M=8,ctx=256,H=64,D=128", false},
      {"small", "paged-attention,B=1,ctx=256", false},
      {"medium", "paged-attention,B=4,ctx=512", false},
      {"wide", "paged-attention,B=2,ctx=256,H=16,Hkv=16,D=128,next_n=2", false},
      {"prefill", "paged-attention,B=1,ctx=128,next_n=128", false},
      {"small", "schedule-metadata,B=32", false},
      {"medium", "schedule-metadata,B=256", false},
      {"wide", "schedule-metadata,B=4096", false},
      {"decode-1x8k", "paged-mqa-logits,B=1,ctx=8192,H=64,D=128", true},
      {"decode-16x8k", "paged-mqa-logits,B=16,ctx=8192,H=64,D=128", true},
      {"decode-64x8k", "paged-mqa-logits,B=64,ctx=8192,H=64,D=128", true},
      {"prefill-256x4k", "mqa-logits,M=256,ctx=4096,H=64,D=128", true},
      {"decode-1x8k", "paged-attention,B=1,ctx=8192,H=64,Hkv=8,D=128", true},
      {"decode-4x8k", "paged-attention,B=4,ctx=8192,H=64,Hkv=8,D=128", true},
      {"prefill-1k", "paged-attention,B=1,ctx=1024,H=16,Hkv=4,D=128,next_n=1024", true},
      {"medium", "schedule-metadata,B=256", true},
      {"wide", "schedule-metadata,B=4096", true},
  };
  return shapes;
}

std::vector<BenchShape> default_shapes(Operation operation, bool on_device) {
  std::vector<BenchShape> shapes;
  for (const NamedShape& named : named_shapes()) {
    BenchShape shape = shape_from_text(named.text, "named shape");
    if (shape.operation == operation && named.for_devices == on_device) shapes.push_back(shape);
  }
  return shapes;
}

namespace {

// "..,ctx=128..1024,.." as texts with 128, 256, 512, 1024; any other text as itself.
std::vector<std::string> doublings_of(const std::string& word) {
  const std::size_t dots = word.find("..");
  if (dots == std::string::npos) return {word};
  const std::size_t begin = word.rfind('=', dots) + 1, end = std::min(word.find(',', dots), word.size());
  const auto number = [&](std::size_t from, std::size_t to) {
    std::int32_t value = 0;
    const auto [stop, error] = std::from_chars(word.data() + from, word.data() + to, value);
    if (error != std::errc() || stop != word.data() + to || value < 1)
      throw InputError("--shapes", "numbers from 1 around '..'", word);
    return value;
  };
  const std::int32_t first = number(begin, dots), last = number(dots + 2, end);
  if (last < first) throw InputError("--shapes", "the smaller number before '..'", word);
  std::vector<std::string> texts;
  for (std::int64_t value = first; value <= last; value *= 2)
    texts.push_back(word.substr(0, begin) + std::to_string(value) + word.substr(end));
  return texts;
}

}  // namespace

std::vector<BenchShape> shapes_from_words(const std::vector<std::string>& words,
                                          const std::vector<Operation>& operations, bool on_device) {
  std::vector<BenchShape> shapes;
  const auto wanted = [&](Operation operation) {
    return std::find(operations.begin(), operations.end(), operation) != operations.end();
  };
  const auto add = [&](const BenchShape& shape) {
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  };
  for (const std::string& word : words) {
    if (word.find('=') != std::string::npos) {
      for (const std::string& text : doublings_of(word)) {
        const BenchShape shape = shape_from_text(text, "--shapes");
        if (!wanted(shape.operation))
          throw InputError("--shapes", "a shape of an operation that is timed here", word);
        add(shape);
      }
      continue;
    }
    for (std::size_t begin = 0; begin <= word.size();) {
      const std::size_t end = std::min(word.find(',', begin), word.size());
      const std::string name = word.substr(begin, end - begin);
      begin = end + 1;
      bool known = name == "default";
      if (known)
        for (const Operation operation : operations)
          for (const BenchShape& shape : default_shapes(operation, on_device)) add(shape);
      for (const NamedShape& named : named_shapes()) {
        if (name != named.name) continue;
        known = true;
        const BenchShape shape = shape_from_text(named.text, "named shape");
        if (wanted(shape.operation) && (on_device || !named.for_devices)) add(shape);
      }
      if (!known)
        throw InputError("--shapes",
                         "default, a name (assay bench --list) or a shape such as " +
                             std::string(named_shapes().front().text),
                         name.empty() ? "nothing" : name);
    }
  }
  if (shapes.empty()) throw InputError("--shapes", "a shape of the kernel's operations", "none");
  return shapes;
}

properties::KernelCase case_of(const BenchShape& shape, std::uint64_t seed) {
  properties::KernelCase result;
  result.seed = seed;
  result.alignment_bytes = 256;
  if (shape.operation == Operation::kPagedMqaLogits) {
    result.parameters = paged_of(shape);
  } else if (shape.operation == Operation::kMqaLogits) {
    result.parameters = prefill_of(shape);
  } else if (shape.operation == Operation::kPagedAttention) {
    result.parameters = attention_of(shape);
  } else {
    result.parameters = schedule_of(shape);
    result.lane = properties::lanes_of(shape.operation).front();
  }
  validate(result, text_of(shape));
  return result;
}

BenchWork work_of(const BenchShape& s) {
  BenchWork work;
  work.query_tokens = s.operation == Operation::kScheduleMetadata ? 0
                      : s.operation == Operation::kMqaLogits      ? s.queries
                                                                  : std::int64_t{s.batch} * s.next_n;
  const std::int64_t row = std::int64_t{s.heads} * s.dims;
  if (s.operation == Operation::kPagedMqaLogits) {
    std::int64_t logits = 0;
    for (std::int32_t i = 0; i < s.next_n; ++i) logits += s.batch * visible_tokens(s, i);
    const std::int64_t tokens = std::int64_t{s.batch} * s.context_tokens,
                       rows = std::int64_t{s.batch} * s.next_n;
    work.live_bytes = rows * (row + 4 * s.heads) + tokens * (s.dims + 4) +
                      4 * s.batch * (1 + ceil_div(s.context_tokens, s.block_tokens)) +
                      logits * output_bytes(s);
    work.operations = 2.0 * s.heads * (s.dims + 1) * static_cast<double>(logits);
  } else if (s.operation == Operation::kMqaLogits) {
    const std::int64_t logits = std::int64_t{s.queries} * s.context_tokens;
    work.live_bytes = s.queries * (row + 4 * s.heads + 8) + std::int64_t{s.context_tokens} * (s.dims + 4) +
                      logits * output_bytes(s);
    work.operations = 2.0 * s.heads * (s.dims + 1) * static_cast<double>(logits);
  } else if (s.operation == Operation::kPagedAttention) {
    std::int64_t seen = 0;
    for (std::int32_t i = 0; i < s.next_n; ++i) seen += s.batch * visible_tokens(s, i);
    const std::int64_t rows = std::int64_t{s.batch} * s.next_n,
                       tokens = std::int64_t{s.batch} * s.context_tokens;
    work.live_bytes =
        rows * (row * (2 + output_bytes(s)) + 4 * s.heads) + 2 * tokens * s.kv_heads * s.dims * 2 +
        8 * s.batch * ceil_div(s.context_tokens, s.block_tokens) + 4 * s.batch + 4 * (s.batch + 1);
    work.operations = 4.0 * static_cast<double>(row) * static_cast<double>(seen);
  } else {
    work.live_bytes = 4 * std::int64_t{s.batch} + 8 * (std::int64_t{s.parts} + 1);
    work.operations = static_cast<double>(s.batch) + s.parts;
  }
  return work;
}

}  // namespace assay::tools
