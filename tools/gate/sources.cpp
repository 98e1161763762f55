#include "tools/gate/sources.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/core/check.h"
#include "traces/sha256.h"

namespace assay::tools::gate {
namespace fs = std::filesystem;
namespace {

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw InputError(path.string(), "a file that can be read", "none");
  return text.str();
}

// Relative to root with '/', or "" when it lies outside.
std::string inside(const fs::path& root, const fs::path& path) {
  const fs::path relative = path.lexically_normal().lexically_relative(root);
  return relative.empty() || *relative.begin() == ".." ? "" : relative.generic_string();
}

}  // namespace

std::vector<std::string> quoted_includes(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    at = line.find_first_not_of(" \t", at + 7);
    if (at == std::string::npos || line[at] != '"') continue;
    const std::size_t end = line.find('"', at + 1);
    if (end != std::string::npos) names.push_back(line.substr(at + 1, end - at - 1));
  }
  return names;
}

SourceClosure source_closure(const std::string& root, const std::vector<std::string>& sources,
                             const std::vector<std::string>& include_paths) {
  const fs::path base = fs::weakly_canonical(root);
  SourceClosure closure;
  std::vector<std::string> pending;
  for (const std::string& source : sources) {
    const std::string name = inside(base, base / source);
    if (name.empty() || !fs::is_regular_file(base / name))
      throw InputError(source, "a source file inside " + base.string(),
                       name.empty() ? "one outside" : "none");
    pending.push_back(name);
  }
  while (!pending.empty()) {
    const std::string name = pending.back();
    pending.pop_back();
    if (closure.files.find(name) != closure.files.end()) continue;
    const std::string text = text_of(base / name);
    closure.files[name] = sha256_of(text);
    for (const std::string& include : quoted_includes(text)) {
      std::vector<fs::path> places{(base / name).parent_path()};
      for (const std::string& path : include_paths) places.push_back(base / path);
      bool found = false;
      for (const fs::path& place : places) {
        const std::string candidate = inside(base, place / include);
        if (candidate.empty() || !fs::is_regular_file(base / candidate)) continue;
        pending.push_back(candidate);
        found = true;
        break;
      }
      if (!found) closure.unresolved.push_back(name + ": \"" + include + "\"");
    }
  }
  std::sort(closure.unresolved.begin(), closure.unresolved.end());
  return closure;
}

bool is_touched(const FileDigests& files, const std::vector<std::string>& changed) {
  return files.empty() || std::any_of(changed.begin(), changed.end(), [&](const std::string& name) {
           return files.find(name) != files.end();
         });
}

std::string digest_of(const FileDigests& files, const std::vector<std::string>& flags) {
  // Lengths before texts: no two lists give the same bytes.
  std::string bytes;
  const auto add = [&](const std::string& text) { bytes += std::to_string(text.size()) + ":" + text; };
  for (const auto& [name, digest] : files) {
    add(name);
    add(digest);
  }
  bytes += "flags";
  for (const std::string& flag : flags) add(flag);
  return sha256_of(bytes);
}

std::vector<std::string> file_differences(const FileDigests& then, const FileDigests& now) {
  std::map<std::string, const char*> words;
  for (const auto& [name, digest] : then) {
    const auto at = now.find(name);
    if (at == now.end())
      words[name] = "removed";
    else if (at->second != digest)
      words[name] = "changed";
  }
  for (const auto& [name, digest] : now)
    if (then.find(name) == then.end()) words[name] = "added";
  std::vector<std::string> list;
  list.reserve(words.size());
  for (const auto& [name, word] : words) list.push_back(std::string(word) + " " + name);
  return list;
}

}  // namespace assay::tools::gate
