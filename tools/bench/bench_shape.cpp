#include "tools/bench/bench_shape.h"

#include <algorithm>
#include <charconv>

#include "model/core/check.h"

namespace assay::tools {
namespace {

using properties::Operation;

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
  static const std::vector<Key> merge{{"T", &BenchShape::queries, 1, 1 << 20},
                                      {"H", &BenchShape::heads, 1, 1024},
                                      {"D", &BenchShape::dims, 1, 1024}};
  static const std::vector<Key> cache_write{{"T", &BenchShape::queries, 1, 1 << 16},
                                            {"Hkv", &BenchShape::kv_heads, 1, 128},
                                            {"D", &BenchShape::dims, 16, 1024},
                                            {"block", &BenchShape::block_tokens, 1, 1 << 16}};
  static const std::vector<Key> none;
  if (operation == Operation::kMerge) return merge;
  if (operation == Operation::kCacheWrite) return cache_write;
  if (operation == Operation::kPagedAttention) return attention;
  if (operation == Operation::kPagedMqaLogits) return paged;
  if (operation == Operation::kMqaLogits) return prefill;
  if (operation == Operation::kScheduleMetadata) return schedule;
  return none;
}
bool has_values(Operation operation) {
  return operation != Operation::kScheduleMetadata && operation != Operation::kCacheWrite;
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
                         "paged-attention, schedule-metadata, merge, cache-write)",
                         word);
      if (shape.operation == Operation::kPagedMqaLogits) shape.context_tokens = 1024;
      if (shape.operation == Operation::kScheduleMetadata) shape.batch = 256, shape.context_tokens = 65536;
      if (shape.operation == Operation::kPagedAttention || shape.operation == Operation::kMerge) {
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
      {"small", "merge,T=4", false},
      {"medium", "merge,T=64", false},
      {"wide", "merge,T=128,H=64,D=128", false},
      {"small", "cache-write,T=16", false},
      {"medium", "cache-write,T=256,Hkv=8,D=128", false},
      {"wide", "cache-write,T=2048,Hkv=8,D=128,block=16", false},
      {"decode-1x8k", "paged-mqa-logits,B=1,ctx=8192,H=64,D=128", true},
      {"decode-16x8k", "paged-mqa-logits,B=16,ctx=8192,H=64,D=128", true},
      {"decode-64x8k", "paged-mqa-logits,B=64,ctx=8192,H=64,D=128", true},
      {"prefill-256x4k", "mqa-logits,M=256,ctx=4096,H=64,D=128", true},
      {"decode-1x8k", "paged-attention,B=1,ctx=8192,H=64,Hkv=8,D=128", true},
      {"decode-4x8k", "paged-attention,B=4,ctx=8192,H=64,Hkv=8,D=128", true},
      {"prefill-1k", "paged-attention,B=1,ctx=1024,H=16,Hkv=4,D=128,next_n=1024", true},
      {"merge-8k", "merge,T=8192,H=64,D=128", true},
      {"write-8k", "cache-write,T=8192,Hkv=8,D=128,block=16", true},
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

}  // namespace assay::tools
