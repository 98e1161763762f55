// What a benchmark says about kernels that are right, wrong, lazy or the same; and that the digest of
// machine code sees what it should. Times are not judged here: a machine that runs tests has none to spare.
#include "tools/bench/bench_run.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "model/core/check.h"
#include "properties/kernels/built_in.h"
#include "tools/bench/machine_code.h"

namespace assay::tools {
namespace {

using properties::Operation;
using properties::Status;

const assay_kernel& naive(Operation operation) {
  for (const assay_kernel* kernel : properties::built_in_kernels("naive"))
    if (kernel->op == static_cast<int>(operation)) return *kernel;
  throw InputError("test", "a naive kernel", name_of(operation));
}

BenchOptions quick() {
  BenchOptions options;
  options.run_seconds = 1e-5;
  options.budget_seconds = 0;
  return options;
}

BenchShape small(const char* text = "mqa-logits,M=2,ctx=16,H=4,D=16") {
  return shape_from_text(text, "test");
}

TEST(BenchRun, EveryOperationIsTimedAndItsResultsAreJudged) {
  for (const char* text :
       {"mqa-logits,M=2,ctx=16,H=4,D=16", "schedule-metadata,B=8,ctx=1000,parts=7",
        "paged-mqa-logits,B=2,ctx=70,H=4,D=16,next_n=2", "paged-attention,B=2,ctx=70,H=4,Hkv=2,D=16,next_n=2",
        "merge,T=5,H=2,D=16", "cache-write,T=21,Hkv=2,D=16,block=8"}) {
    const BenchShape shape = small(text);
    const BenchResult result = bench_shape(shape, naive(shape.operation), nullptr, false, quick());
    EXPECT_EQ(result.a.judgement.status, Status::kPassed) << text << result.a.judgement.text;
    EXPECT_GT(result.a.judgement.elements, 0) << text;
    EXPECT_EQ(result.a.judged_results, 2)
        << text << ": one per set of inputs, as every run gave the same bytes";
    EXPECT_GE(result.a.seconds.size(), static_cast<std::size_t>(kLeastRuns)) << text;
    EXPECT_GT(result.a.median(), 0) << text;
    EXPECT_GE(result.a.median(), result.a.least()) << text;
    EXPECT_FALSE(result.comparison) << text;
  }
}

assay_kernel broken(int (*run)(const assay_call*), const char* claims = "acc=fp32 unit=1") {
  return {ASSAY_ABI_VERSION,
          sizeof(assay_kernel),
          ASSAY_OP_MQA_LOGITS,
          ASSAY_DEVICE_CPU,
          "broken",
          claims,
          nullptr,
          nullptr,
          run};
}

// Computes once, and from then on copies what it kept: right for as long as the inputs stay.
std::vector<char> kept;
int from_memory(const assay_call* call) {
  const assay_tensor& logits = call->outputs[0];
  const auto bytes = static_cast<std::size_t>(4 * logits.shape[0] * logits.strides[0]);
  if (kept.size() == bytes) {
    std::memcpy(logits.data, kept.data(), bytes);
    return ASSAY_OK;
  }
  const int status = properties::run_naive_mqa_logits(call);
  kept.assign(static_cast<const char*>(logits.data), static_cast<const char*>(logits.data) + bytes);
  return status;
}
int computed_once = 0;
int only_the_first_time(const assay_call* call) {
  return computed_once++ == 0 ? properties::run_naive_mqa_logits(call) : ASSAY_OK;
}
int noisy_count = 0;
int sometimes_wrong(const assay_call* call) {
  const int status = properties::run_naive_mqa_logits(call);
  if (++noisy_count % 7 == 0) *static_cast<float*>(call->outputs[0].data) += 1.0f;
  return status;
}
int declines(const assay_call*) { return ASSAY_UNSUPPORTED; }
int fails(const assay_call*) { return ASSAY_FAILED; }

TEST(BenchRunCanary, AKernelThatAnswersFromMemoryIsWrong) {
  kept.clear();
  const assay_kernel kernel = broken(from_memory);
  EXPECT_TRUE(is_failure(bench_shape(small(), kernel, nullptr, false, quick()).a.judgement.status));
}

TEST(BenchRunCanary, AKernelThatWritesOnlyTheFirstTimeIsWrong) {
  computed_once = 0;
  const assay_kernel kernel = broken(only_the_first_time);
  EXPECT_TRUE(is_failure(bench_shape(small(), kernel, nullptr, false, quick()).a.judgement.status));
}

TEST(BenchRunCanary, OneWrongTimedRunAmongManyIsSeen) {
  noisy_count = 0;
  const assay_kernel kernel = broken(sometimes_wrong);
  BenchOptions options = quick();
  options.run_seconds = 1e-9;
  const BenchResult result = bench_shape(small(), kernel, nullptr, false, options);
  EXPECT_EQ(result.launches, 1);
  EXPECT_EQ(result.a.judgement.status, Status::kIncorrectNumerical);
}

TEST(BenchRunCanary, AKernelThatFailsIsAFault) {
  const assay_kernel kernel = broken(fails);
  EXPECT_THROW((void)bench_shape(small(), kernel, nullptr, false, quick()), KernelFault);
}

TEST(BenchRun, AKernelThatDeclinesIsUnsupportedNotFast) {
  const assay_kernel kernel = broken(declines);
  const BenchResult result = bench_shape(small(), naive(Operation::kMqaLogits), &kernel, false, quick());
  EXPECT_FALSE(result.a.unsupported);
  EXPECT_TRUE(result.b->unsupported);
  EXPECT_FALSE(result.comparison);
}

TEST(BenchRun, TwoKernelsAreBothJudgedAndCompared) {
  BenchOptions options = quick();
  options.budget_seconds = 0.2;
  const BenchResult result =
      bench_shape(small(), naive(Operation::kMqaLogits), &naive(Operation::kMqaLogits), false, options);
  ASSERT_TRUE(result.comparison);
  EXPECT_GE(result.comparison->seconds_a.size(), 10u);
  EXPECT_EQ(result.a.judgement.status, Status::kPassed);
  EXPECT_EQ(result.b->judgement.status, Status::kPassed);
  EXPECT_GT(result.b->judgement.elements, 0);
}

TEST(BenchRun, IdenticalMachineCodeIsUnchangedWithoutPairs) {
  const BenchResult result =
      bench_shape(small(), naive(Operation::kMqaLogits), &naive(Operation::kMqaLogits), true, quick());
  ASSERT_TRUE(result.comparison);
  EXPECT_EQ(result.comparison->verdict, SpeedVerdict::kUnchanged);
  EXPECT_TRUE(result.comparison->seconds_a.empty());
}

std::string own_image() {
  std::ifstream in("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(MachineCode, ChangesWithAnInstructionAndNotWithWhatIsNotLoaded) {
  const std::string image = own_image(), digest = machine_code_digest(image, "test");
  std::string longer = image + "appended: in no section";
  EXPECT_EQ(machine_code_digest(longer, "test"), digest);
  std::string patched = image;
  // The text of this very literal lies in a section of constants.
  const std::size_t at = patched.find("appended: in no section");
  ASSERT_NE(at, std::string::npos);
  patched[at] = 'A';
  EXPECT_NE(machine_code_digest(patched, "test"), digest);
}

TEST(MachineCode, ADamagedFileIsRefused) {
  const std::string image = own_image();
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{3}, std::size_t{63}, std::size_t{64}, image.size() / 2})
    EXPECT_THROW((void)machine_code_digest(image.substr(0, length), "test"), InputError) << length;
  EXPECT_THROW((void)machine_code_digest_of_file("/nowhere/kernel.so"), InputError);
}

}  // namespace
}  // namespace assay::tools
