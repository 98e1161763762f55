// Which files shape a kernel, and what is in them: the closure of quoted includes, each file by SHA-256.
//
//   file.cu --#include "a.h"--> a.h --#include "b.h"--> b.h      looked up beside the including file, then
//                                                                in the include paths, inside `root` only
//
// Every include is followed, also one that a macro leaves out: a digest that covers too much fails early,
// one that covers too little passes a changed kernel. What it cannot see: <angle> headers (the toolkit, the
// system), the compiler, and names that only a macro spells.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace assay::tools::gate {

// By path relative to the root, with '/': 64 hexadecimal digits.
using FileDigests = std::map<std::string, std::string>;

struct SourceClosure {
  FileDigests files;
  std::vector<std::string> unresolved;  // "a.cu: \"gone.h\"": quoted includes that no file answers
};

// Reads files below `root`. InputError when a listed source is not there or lies outside.
[[nodiscard]] SourceClosure source_closure(const std::string& root, const std::vector<std::string>& sources,
                                           const std::vector<std::string>& include_paths);

// The names in #include "..." lines, in order; comments are not looked at more closely.
[[nodiscard]] std::vector<std::string> quoted_includes(const std::string& text);

// Is one of the kernel's files among the changed ones? Paths relative to the same root. A kernel without
// sources counts as changed: nothing is known about it.
[[nodiscard]] bool is_touched(const FileDigests& files, const std::vector<std::string>& changed);

// One digest of all files, flags and names.
[[nodiscard]] std::string digest_of(const FileDigests& files, const std::vector<std::string>& flags);

// "changed a.cu", "added b.h", "removed c.h": what is different now, in order of names.
[[nodiscard]] std::vector<std::string> file_differences(const FileDigests& then, const FileDigests& now);

}  // namespace assay::tools::gate
