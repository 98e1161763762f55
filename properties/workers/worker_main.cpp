// A worker as a program of its own: what the tests start. `assay` starts itself instead.
#include <cstdio>

#include "properties/workers/worker_loop.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: assay_worker KERNEL   (started by a campaign, with descriptors 3, 4 and 5)\n", stderr);
    return 2;
  }
  return assay::properties::serve_kernel(argv[1]);
}
