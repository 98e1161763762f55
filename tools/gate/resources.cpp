#include "tools/gate/resources.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string_view>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

// The number that stands directly before `word` in the line ("168" of "Used 168 registers"); 0 without one.
std::int64_t number_before(std::string_view line, std::string_view word) {
  const std::size_t at = line.find(word);
  if (at == std::string_view::npos) return 0;
  std::size_t end = at;
  while (end > 0 && line[end - 1] == ' ') --end;
  std::size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  return begin == end ? 0 : std::stoll(std::string(line.substr(begin, end - begin)));
}

// The number that follows `word` ("24" of "REG:24"); 0 without one.
std::int64_t number_after(std::string_view line, std::string_view word) {
  const std::size_t at = line.find(word);
  return at == std::string_view::npos ? 0 : std::strtoll(line.data() + at + word.size(), nullptr, 10);
}

std::string between(const std::string& line, std::string_view begin, char end) {
  const std::size_t at = line.find(begin);
  if (at == std::string::npos) return "";
  const std::size_t from = at + begin.size();
  return line.substr(from, line.find(end, from) - from);
}

void take_larger(Resources& resources, const std::string& name, const EntryResources& entry) {
  EntryResources& known = resources[name];
  for (const auto figure :
       {&EntryResources::registers, &EntryResources::stack_bytes, &EntryResources::spill_store_bytes,
        &EntryResources::spill_load_bytes, &EntryResources::shared_bytes})
    known.*figure = std::max(known.*figure, entry.*figure);
}

Resources parse_ptxas(const std::string& text) {
  Resources resources;
  std::istringstream lines(text);
  std::string line, name;
  bool of_the_entry = false;  // "Function properties" may be those of a device function
  EntryResources entry;
  while (std::getline(lines, line)) {
    if (line.find("Compiling entry function '") != std::string::npos) {
      name = between(line, "Compiling entry function '", '\'');
      entry = {};
    } else if (line.find("Function properties for ") != std::string::npos) {
      of_the_entry = between(line, "Function properties for ", '\n') == name;
    } else if (line.find(" bytes stack frame") != std::string::npos && of_the_entry) {
      entry.stack_bytes = number_before(line, "bytes stack frame");
      entry.spill_store_bytes = number_before(line, "bytes spill stores");
      entry.spill_load_bytes = number_before(line, "bytes spill loads");
    } else if (line.find(": Used ") != std::string::npos && !name.empty()) {
      entry.registers = number_before(line, "registers");
      entry.shared_bytes = number_before(line, "bytes smem");
      take_larger(resources, readable_name(name), entry);
      name.clear();
    }
  }
  return resources;
}

Resources parse_cuobjdump(const std::string& text) {
  Resources resources;
  std::istringstream lines(text);
  std::string line, name;
  while (std::getline(lines, line)) {
    if (line.find(" Function ") != std::string::npos) {
      name = between(line, " Function ", ':');
    } else if (line.find("REG:") != std::string::npos && !name.empty()) {
      EntryResources entry;
      entry.registers = number_after(line, "REG:");
      entry.stack_bytes = number_after(line, "STACK:");
      entry.shared_bytes = number_after(line, "SHARED:");
      take_larger(resources, readable_name(name), entry);
      name.clear();
    }
  }
  return resources;
}

// "IMAD" of "        /*0050*/   @!P0 IMAD.WIDE R18, ..."; "" when the line holds no instruction.
std::string opcode_of(const std::string& line) {
  std::size_t at = line.find("/*");
  if (at == std::string::npos || line.find_first_not_of(" \t") != at) return "";
  at = line.find("*/", at);
  // The second line of an instruction holds only its encoding: /* 0x... */
  if (at == std::string::npos || line.find("/* 0x") < at) return "";
  at = line.find_first_not_of(" \t{", at + 2);
  if (at != std::string::npos && line[at] == '@') at = line.find_first_not_of(' ', line.find(' ', at));
  if (at == std::string::npos || line[at] < 'A' || line[at] > 'Z') return "";
  return line.substr(at, line.find_first_of(". ;", at) - at);
}

}  // namespace

std::string readable_name(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), std::free);
  std::string name = status == 0 ? text.get() : symbol;
  // A template's name begins with its result type.
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  // The parameter list is the last parenthesis at depth 0.
  if (status == 0 && !name.empty() && name.back() == ')') {
    int depth = 0;
    for (std::size_t i = name.size(); i-- > 0;) {
      depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
      if (depth == 0) {
        name.erase(i);
        break;
      }
    }
  }
  return name;
}

Resources parse_resources(const std::string& text, const std::string& place) {
  Resources resources =
      text.find("ptxas info") != std::string::npos ? parse_ptxas(text) : parse_cuobjdump(text);
  if (resources.empty())
    throw InputError(place,
                     "entry functions, as `nvcc -Xptxas -v` or `cuobjdump --dump-resource-usage` print them",
                     text.empty() ? "nothing" : "none");
  return resources;
}

void add_instructions(const std::string& sass, Resources& resources) {
  const bool any = resources.empty();
  std::istringstream lines(sass);
  std::string line;
  EntryResources* entry = nullptr;
  while (std::getline(lines, line)) {
    if (line.find("Function : ") != std::string::npos) {
      const std::string name = readable_name(between(line, "Function : ", '\n'));
      const auto at = resources.find(name);
      entry = at != resources.end() ? &at->second : any ? &resources[name] : nullptr;
    } else if (entry != nullptr) {
      const std::string opcode = opcode_of(line);
      // NOP only fills the last line of the code.
      if (!opcode.empty() && opcode != "NOP") ++entry->instructions[opcode];
    }
  }
}

}  // namespace assay::tools::gate
