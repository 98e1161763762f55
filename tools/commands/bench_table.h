// What `assay bench` prints for people: a table that grows by one shape at a time.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace assay::tools {

// `document`: assay.bench/1 so far, without its shapes.
void print_bench_head(const nlohmann::ordered_json& document);
void print_bench_entry(const nlohmann::ordered_json& entry);
void print_named_shapes();  // --list

}  // namespace assay::tools
