// The texts are shortened output of CUDA 13.0's tools.
#include "tools/gate/resources.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

constexpr const char* kPtxas = R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z6spillyILi256EEvPfi' for 'sm_90a'
ptxas info    : Function properties for _Z6spillyILi256EEvPfi
    2096 bytes stack frame, 1880 bytes spill stores, 2508 bytes spill loads
ptxas info    : Function properties for _Z6helperv
    16 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 24 registers, used 1 barriers, 2096 bytes cumulative stack size, 1024 bytes smem
ptxas info    : Compile time = 46.410 ms
ptxas info    : Compiling entry function '_ZN5assay48_GLOBAL__N__10dedf9e_15_paged_logits_cu_e437d44825sm90_fp8_paged_mqa_logitsILi64ELi128ELi3EtEEvNS_11PagedLogitsENS0_4MapsE' for 'sm_90a'
ptxas info    : Function properties for _ZN5assay48_GLOBAL__N__10dedf9e_15_paged_logits_cu_e437d44825sm90_fp8_paged_mqa_logitsILi64ELi128ELi3EtEEvNS_11PagedLogitsENS0_4MapsE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 1 barriers
)";

constexpr const char* kUsage = R"(
Resource usage:
 Common:
  GLOBAL:0
 Function _Z6spillyILi256EEvPfi:
  REG:24 STACK:2096 SHARED:2048 LOCAL:0 CONSTANT[0]:540 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function _Z5plainPfi:
  REG:8 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:540 TEXTURE:0 SURFACE:0 SAMPLER:0
)";

constexpr const char* kSass = R"~(
		Function : _Z5plainPfi
	.headerflags	@"EF_CUDA_ACCELERATORS EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                  /* 0x00000a00ff017b82 */
                                                                           /* 0x000e300000000800 */
        /*0010*/              @!P0 IMAD.WIDE R18, R0, 0x4, R2 ;            /* 0x0000000400127825 */
                                                                           /* 0x002fca00078e0202 */
        /*0020*/                   IMAD R4, R0, 0x4, R18 ;                 /* 0x0000000400047825 */
                                                                           /* 0x000fca00078e0212 */
        /*0030*/               @P0 EXIT ;                                  /* 0x000000000000794d */
                                                                           /* 0x000fea0003800000 */
        /*0040*/                   NOP;                                    /* 0x0000000000007918 */
)~";

TEST(Resources, TheCompilersReportIsRead) {
  const Resources resources = parse_resources(kPtxas, "p");
  ASSERT_EQ(resources.size(), 2u);
  const EntryResources& spilly = resources.at("spilly<256>");
  EXPECT_EQ(spilly.registers, 24);
  EXPECT_EQ(spilly.stack_bytes, 2096);
  EXPECT_EQ(spilly.spill_store_bytes, 1880);
  EXPECT_EQ(spilly.spill_load_bytes, 2508);
  EXPECT_EQ(spilly.shared_bytes, 1024);
  EXPECT_EQ(
      resources.at("assay::(anonymous namespace)::sm90_fp8_paged_mqa_logits<64, 128, 3, unsigned short>")
          .registers,
      168);
}

TEST(Resources, TheObjectsReportIsRead) {
  const Resources resources = parse_resources(kUsage, "p");
  ASSERT_EQ(resources.size(), 2u);
  EXPECT_EQ(resources.at("spilly<256>").stack_bytes, 2096);
  EXPECT_EQ(resources.at("spilly<256>").shared_bytes, 2048);
  EXPECT_EQ(resources.at("plain").registers, 8);
}

TEST(Resources, TextWithoutAnEntryFunctionIsRefused) {
  EXPECT_THROW((void)parse_resources("", "p"), InputError);
  EXPECT_THROW((void)parse_resources("ptxas info    : 0 bytes gmem\n", "p"), InputError);
  EXPECT_THROW((void)parse_resources("nvcc fatal: no such file\n", "p"), InputError);
}

TEST(Resources, InstructionsAreCountedByClass) {
  Resources resources;
  add_instructions(kSass, resources);
  const std::map<std::string, std::int64_t> expected{{"EXIT", 1}, {"IMAD", 2}, {"LDC", 1}};
  EXPECT_EQ(resources.at("plain").instructions, expected);
  Resources others = parse_resources(kPtxas, "p");
  add_instructions(kSass, others);
  EXPECT_EQ(others.size(), 2u) << "a function that is no entry is left out";
}

TEST(Resources, AnAnonymousNamespacesHashDoesNotChangeAName) {
  EXPECT_EQ(readable_name("_ZN5assay48_GLOBAL__N__10dedf9e_15_paged_logits_cu_e437d4481kILi1EEEvi"),
            readable_name("_ZN5assay48_GLOBAL__N__ffffffff_15_paged_logits_cu_000000001kILi1EEEvi"));
  EXPECT_EQ(readable_name("plain_c_name"), "plain_c_name");
}

}  // namespace
}  // namespace assay::tools::gate
