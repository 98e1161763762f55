// The gate.json that `assay gate --init` writes.
#include "tools/gate/config.h"

namespace assay::tools::gate {

const char* commented_config() {
  return R"~(// What `assay gate` gates here, and how strictly. docs/gate.md explains every key; a key that is not
// known is an error. Paths are relative to this file.
{
  "schema": "assay.gate-config/1",

  // One small text file per kernel: what its headroom and its resources were when a person last looked.
  // `assay gate --update-baseline` writes them and says what changed; review them like code.
  "baselines": "gate/baselines",

  // Written by `assay gate --receipt gate/receipt.json` on a machine with a GPU, checked everywhere else:
  // a kernel that changed without a matching receipt fails, and the files are named.
  "receipt": "gate/receipt.json",

  // Corpus cases that are known to fail, each with an issue and a day on which the excuse ends.
  // "known_failures": "gate/known.json",

  // Planted faults, found again before anything is believed. Exit code 6 when one lives.
  "selftest": {"mutants": ["K3a", "K5a", "K8a", "K12b", "K16a"], "cases": 4000, "seconds": 60},

  // Decode schedules on drawn batches: every unit exactly once, and as evenly as the baseline.
  "schedules": {"planners": ["assay"], "batches": 200},

  "kernels": [
    {
      // Names the baseline's file, and the kernel in every report.
      "name": "twin",
      // As --kernel takes it: a built-in name, ./build/my_kernel.so, my_kernel.py:function.
      "kernel": "twin",
      // "cuda": runs where there is a device; elsewhere the receipt must speak for it.
      "device": "cpu",
      // Leave out for all operations that the kernel offers.
      "operations": ["paged-mqa-logits", "mqa-logits"],
      // What shapes the kernel: files (their quoted includes are followed) and flags.
      // "sources": ["src/my_kernel.cu"], "include_paths": ["src"], "flags": ["-O3 -arch=sm_90a"],

      // Generated cases per operation and seed. The same numbers give the same cases everywhere.
      "cases": 512,
      "seeds": [1],
      // At least this share of the cases must be accepted: declining is no way to pass.
      "least_accepted": 0.25,

      // r = error / bound. Fails above `most`, or above `times_baseline` times the baseline's r of the
      // same operation and contents, but never below `floor`.
      "headroom": {"most": 1.0, "times_baseline": 1.5, "floor": 0.02}

      // Registers, spills, shared memory and instruction mix; "report" is what `nvcc -Xptxas -v` printed,
      // "binary" is read with cuobjdump where that is installed. Growth beyond these limits fails.
      // , "resources": {"report": "build/my_kernel.ptxas.txt", "more_registers": 0, "more_spill_bytes": 0}

      // Paired runs against a baseline kernel; slower by more than the threshold fails.
      // , "performance": {"baseline_kernel": "./main/my_kernel.so", "threshold": 0.02, "seconds": 60}
    }
  ]
}
)~";
}

}  // namespace assay::tools::gate
