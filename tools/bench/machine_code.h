// Are two shared objects the same machine code? Then timing them could only find the noise.
//
//   digest   SHA-256 over every section that is loaded and comes from the file (code, constants, initial
//            data, embedded CUDA binaries, imported names, relocations), with its name and size
//   left out notes (build ids), debug sections, comments, zero-filled memory beyond its size
//
// Equal digests mean the same instructions on the same constants and imports. They say nothing about other
// libraries that a kernel loads: those belong to the machine.
#pragma once

#include <string>
#include <string_view>

namespace assay::tools {

// Of an ELF image of 64 bits. InputError(place, ...) for anything else or a damaged one.
[[nodiscard]] std::string machine_code_digest(std::string_view image, const std::string& place);
// Reads the file. InputError when it cannot be read.
[[nodiscard]] std::string machine_code_digest_of_file(const std::string& path);

}  // namespace assay::tools
