/* The smallest kernel under test: it declines every shape. */
#include <assay_kernel.h>

static int run(const assay_call* call) {
  (void)call;
  return ASSAY_UNSUPPORTED;
}

ASSAY_KERNEL(ASSAY_OP_PAGED_MQA_LOGITS, "declines everything", "", ASSAY_DEVICE_CPU, NULL, NULL, run)
