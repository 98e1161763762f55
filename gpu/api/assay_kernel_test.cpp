// The plug-in header keeps its binary promises: sizes and offsets that plug-ins were compiled against.
#include "gpu/api/assay_kernel.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

namespace {

int run(const assay_call*) { return ASSAY_UNSUPPORTED; }

}  // namespace

ASSAY_KERNEL(ASSAY_OP_PAGED_MQA_LOGITS, "nothing", "determinism=bitwise", ASSAY_DEVICE_CPU, nullptr, nullptr,
             run)

TEST(KernelApi, ATensorIsByteForByteADlpackTensor) {
  EXPECT_EQ(sizeof(assay_tensor), 48u);
  EXPECT_EQ(offsetof(assay_tensor, data), 0u);
  EXPECT_EQ(offsetof(assay_tensor, device), 8u);
  EXPECT_EQ(offsetof(assay_tensor, ndim), 16u);
  EXPECT_EQ(offsetof(assay_tensor, dtype), 20u);
  EXPECT_EQ(offsetof(assay_tensor, shape), 24u);
  EXPECT_EQ(offsetof(assay_tensor, strides), 32u);
  EXPECT_EQ(offsetof(assay_tensor, byte_offset), 40u);
}

TEST(KernelApi, TheDescriptorOfVersionOneDoesNotMove) {
  EXPECT_EQ(offsetof(assay_kernel, op), 8u);
  EXPECT_EQ(offsetof(assay_kernel, name), 16u);
  EXPECT_EQ(offsetof(assay_kernel, workspace), 32u);
  EXPECT_EQ(offsetof(assay_kernel, run), 48u);
  EXPECT_EQ(sizeof(assay_kernel), 56u);
}

TEST(KernelApi, TheMacroExportsADescriptor) {
  const assay_kernel* kernel = assay_kernel_v1();
  EXPECT_EQ(kernel->abi, static_cast<unsigned>(ASSAY_ABI_VERSION));
  EXPECT_EQ(std::string(kernel->name), "nothing");
  EXPECT_EQ(kernel->run(nullptr), ASSAY_UNSUPPORTED);
}
