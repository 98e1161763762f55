#include "tools/bench/machine_code.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "model/core/check.h"
#include "traces/sha256.h"

namespace assay::tools {
namespace {

template <typename T>
T read_at(std::string_view image, std::uint64_t offset, const std::string& place) {
  T value;
  if (offset > image.size() || image.size() - offset < sizeof value)
    throw InputError(place, "a complete ELF file", "one that ends early");
  std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

}  // namespace

std::string machine_code_digest(std::string_view image, const std::string& place) {
  if (image.substr(0, SELFMAG) != ELFMAG || image.size() < sizeof(Elf64_Ehdr) ||
      image[EI_CLASS] != ELFCLASS64)
    throw InputError(place, "an ELF shared object of 64 bits", "something else");
  const auto header = read_at<Elf64_Ehdr>(image, 0, place);
  const auto section = [&](std::uint64_t index) {
    return read_at<Elf64_Shdr>(image, header.e_shoff + index * sizeof(Elf64_Shdr), place);
  };
  if (header.e_shnum == 0 || header.e_shstrndx >= header.e_shnum)
    throw InputError(place, "an ELF file with named sections", "one without");
  const Elf64_Shdr names = section(header.e_shstrndx);
  Sha256 digest;
  digest.update("assay machine code 1, machine " + std::to_string(header.e_machine) + "\n");
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr s = section(i);
    if ((s.sh_flags & SHF_ALLOC) == 0 || s.sh_type == SHT_NOTE) continue;
    const std::uint64_t at = names.sh_offset + s.sh_name;
    if (at >= image.size()) throw InputError(place, "section names inside the file", "one outside");
    const std::string_view rest = image.substr(at);
    digest.update(std::string(rest.substr(0, rest.find('\0'))) + " " + std::to_string(s.sh_size) + "\n");
    if (s.sh_type == SHT_NOBITS) continue;
    if (s.sh_offset > image.size() || image.size() - s.sh_offset < s.sh_size)
      throw InputError(place, "sections inside the file", "one outside");
    digest.update(image.substr(s.sh_offset, s.sh_size));
  }
  return digest.finish();
}

std::string machine_code_digest_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string image{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.is_open() || in.bad()) throw InputError(path, "a file that can be read", "none");
  return machine_code_digest(image, path);
}

}  // namespace assay::tools
