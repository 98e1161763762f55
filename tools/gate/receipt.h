// A receipt: what a run on a device saw, so that a machine without one can gate the same kernels.
//
//   run with a GPU     assay gate --receipt gate/receipt.json     -> committed with the change
//   run without        recomputes every digest; a kernel that is not exactly what the receipt speaks of fails
//
// What it holds for each kernel: SHA-256 of every source with its includes, the flags, how strictly it was
// gated, the device and driver, every verdict, headroom, timings, and a digest of the machine code that ran.
// The receipt as a whole carries a digest of itself.
//
// What it proves: the files of the kernel are those of the run, and the receipt is as it was written.
// What it cannot prove: that the run took place. A digest is no signature; who can write to the repository can
// write a receipt with a right digest. Nor that the binary was built from those sources, nor what toolkit,
// driver or headers in <angle brackets> shaped it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tools/gate/run.h"

namespace assay::tools::gate {

inline constexpr const char* kReceiptSchema = "assay.receipt/1";

// The kernels of the run that ran on the device. `date`: YYYY-MM-DD; `program`: version of this program;
// `binary_digests`: by kernel name. Reads the kernels' sources.
[[nodiscard]] nlohmann::ordered_json make_receipt(const RunOptions& options, const GateRun& run,
                                                  const std::string& date, const std::string& program,
                                                  const std::map<std::string, std::string>& binary_digests);

// SHA-256 of the receipt without its own digest, in nlohmann's compact form.
[[nodiscard]] std::string receipt_digest(nlohmann::ordered_json receipt);

// What the receipt says about a kernel that cannot run here: one finding, "receipt". Reads the sources.
//
//   no file, or not in it          broken (there is no device and nothing that speaks for it)
//   another digest of itself       wrong: it was edited or damaged
//   other files, flags, limits     wrong, the files named
//   a check is missing             undecided
//   it failed on the device        as it failed there
//   headroom beyond the baseline   regression
[[nodiscard]] Finding judge_receipt(const RunOptions& options, const GatedKernel& kernel,
                                    const std::optional<std::string>& text, const std::string& path,
                                    const std::optional<Baseline>& baseline);

}  // namespace assay::tools::gate
