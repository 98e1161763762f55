// The table of kernel mutants: name, fault, the oracle that must see it, the verdicts that say it did.
#include <string>

#include "properties/mutants/attention_mutants.h"
#include "properties/mutants/mutants.h"
#include "properties/mutants/paged_mutants.h"
#include "properties/mutants/prefill_mutants.h"
#include "properties/mutants/row_mutants.h"
#include "properties/mutants/schedule_mutants.h"

namespace assay::properties {
namespace {

constexpr const char* kClaims =
    "determinism=bitwise batch-invariant split-invariant block-renaming-invariant acc=fp32 unit=1";

template <typename Mutant>
int run(const assay_call* call) {
  Mutant(*call).run();
  return ASSAY_OK;
}
template <typename Mutant>
assay_kernel descriptor(int op, const char* name) {
  return {ASSAY_ABI_VERSION, sizeof(assay_kernel), op, ASSAY_DEVICE_CPU, name, kClaims, nullptr,
          nullptr,           run<Mutant>};
}
template <typename Mutant>
KernelMutant paged(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, descriptor<Mutant>(ASSAY_OP_PAGED_MQA_LOGITS, name)};
}
template <typename Mutant>
KernelMutant prefill(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, descriptor<Mutant>(ASSAY_OP_MQA_LOGITS, name)};
}
template <typename Mutant>
KernelMutant schedule(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, descriptor<Mutant>(ASSAY_OP_SCHEDULE_METADATA, name)};
}

template <typename Mutant>
assay_kernel attention_descriptor(const char* name) {
  assay_kernel kernel = descriptor<Mutant>(ASSAY_OP_PAGED_ATTENTION, name);
  kernel.claims =
      "determinism=bitwise batch-invariant split-invariant block-renaming-invariant acc=fp32 p=fp32";
  return kernel;
}
template <typename Mutant>
KernelMutant attention(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, attention_descriptor<Mutant>(name)};
}

template <typename Mutant>
KernelMutant claiming_decode(const char* name, const char* fault, const char* oracle, const char* statuses) {
  KernelMutant mutant = attention<Mutant>(name, fault, oracle, statuses);
  mutant.kernel.claims = "determinism=bitwise arithmetic=hopper-paged-decode-264 acc=bf16tc p=q";
  return mutant;
}

template <typename Mutant>
assay_kernel row_descriptor(int op, const char* name) {
  assay_kernel kernel = descriptor<Mutant>(op, name);
  kernel.claims = "determinism=bitwise batch-invariant split-invariant block-renaming-invariant";
  return kernel;
}
template <typename Mutant>
KernelMutant merge(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, row_descriptor<Mutant>(ASSAY_OP_MERGE, name)};
}
template <typename Mutant>
KernelMutant write(const char* name, const char* fault, const char* oracle, const char* statuses) {
  return {name, fault, oracle, statuses, row_descriptor<Mutant>(ASSAY_OP_CACHE_WRITE, name)};
}

template <typename Mutant>
KernelMutant claiming(const char* name, const char* fault, const char* oracle, const char* statuses) {
  KernelMutant mutant = paged<Mutant>(name, fault, oracle, statuses);
  mutant.kernel.claims =
      "determinism=bitwise batch-invariant split-invariant block-renaming-invariant "
      "arithmetic=hopper-e4m3-mqa-logits acc=fp8tc unit=1";
  return mutant;
}
// A plan() that looks at weights, so that work could hide where nobody times it.
KernelMutant planning(const char* name, const char* fault, const char* oracle, const char* statuses) {
  KernelMutant mutant = paged<PagedKernel>(name, fault, oracle, statuses);
  mutant.kernel.plan = [](const assay_call* call) -> int {
    const assay_tensor& weights = call->inputs[1];
    if (witnessed(weights.shape[0] > 0)) {
      volatile std::uint8_t first = *bytes_of_tensor(weights);
      (void)first;
    }
    return ASSAY_OK;
  };
  return mutant;
}

// Verdicts that several oracles lead to.
constexpr const char* kWrongRead = "WRONG_BLOCK INCORRECT_NUMERICAL POISON_LEAK OOB_READ";
constexpr const char* kWrongSlot = "WRONG_BLOCK INCORRECT_NUMERICAL INCORRECT_MASK UNWRITTEN OOB_WRITE";
constexpr const char* kStraySlot = "WRONG_BLOCK INCORRECT_NUMERICAL INCORRECT_MASK POISON_LEAK OOB_WRITE";

std::vector<KernelMutant> make() {
  return {
      paged<mutants::K1a>("K1a", "an idle part reads the length behind the last one", "guard page",
                          "OOB_READ"),
      schedule<mutants::K1b>("K1b", "the search for a part's start ends on the last sequence",
                             "schedule, decoded", "INCORRECT_NUMERICAL"),
      schedule<mutants::K2a>("K2a", "metadata counts one unit more per sequence", "schedule, decoded",
                             "INCORRECT_NUMERICAL"),
      paged<mutants::K2b>("K2b", "atoms of two queries: an odd last one is nobody's", "output poison",
                          "UNWRITTEN"),
      paged<mutants::K2c>("K2c", "one atom of four queries: the fifth is nobody's", "output poison",
                          "UNWRITTEN"),
      prefill<mutants::K2d>("K2d", "one start for a tile of four compressed rows", "golden per element",
                            "INCORRECT_NUMERICAL UNWRITTEN OOB_WRITE INCORRECT_MASK"),
      paged<mutants::K3a>("K3a", "units cut with floor", "output poison", "UNWRITTEN"),
      schedule<mutants::K3b>("K3b", "units counted with floor", "schedule, decoded", "INCORRECT_NUMERICAL"),
      paged<mutants::K3c>("K3c", "the second of three units skipped", "output poison", "UNWRITTEN"),
      schedule<mutants::K3d>("K3d", "parts of ceil(total / parts): the last get nothing", "schedule, decoded",
                             "INCORRECT_NUMERICAL"),
      schedule<mutants::K3e>("K3e", "the end off by one unit", "schedule, decoded", "INCORRECT_NUMERICAL"),
      paged<mutants::K4a>("K4a", "mask with <= instead of <", "mask", "INCORRECT_MASK POISON_LEAK"),
      paged<mutants::K4b>("K4b", "context - i instead of context - next_n + i", "golden per element",
                          "UNWRITTEN INCORRECT_MASK POISON_LEAK OOB_READ OOB_WRITE"),
      paged<mutants::K4c>("K4c", "no boundary mask when the context is a multiple of 64", "output poison",
                          "UNWRITTEN"),
      prefill<mutants::K4d>("K4d", "the last key of a range dropped", "output poison",
                            "UNWRITTEN INCORRECT_MASK INCORRECT_NUMERICAL"),
      paged<mutants::K5a>("K5a", "at a block's first slot, the block before", "address lane", kWrongRead),
      paged<mutants::K5b>("K5b", "at a block's last slot, the block behind", "address lane", kWrongRead),
      paged<mutants::K6a>("K6a", "the first block id of the sequence before", "address lane", kWrongRead),
      paged<mutants::K6b>("K6b", "no reload after 32 block ids", "address lane", kWrongRead),
      paged<mutants::K7a>("K7a", "the tail bounded in blocks", "mask", "INCORRECT_MASK POISON_LEAK"),
      paged<mutants::K7b>("K7b", "a mask by multiplication", "input poison", "POISON_LEAK INCORRECT_MASK"),
      paged<mutants::K7c>("K7c", "a dead byte moves results inside their bound", "second poison",
                          "POISON_LEAK"),
      paged<mutants::K8a>("K8a", "the table read one column too far", "guard page", "OOB_READ"),
      paged<mutants::K8b>("K8b", "the block behind a dead table entry touched", "guard page", "OOB_READ"),
      paged<mutants::K9a>("K9a", "block offsets in int32", "far offsets",
                          "OOB_READ WRONG_BLOCK INCORRECT_NUMERICAL POISON_LEAK"),
      paged<mutants::K9b>("K9b", "block offsets in uint32", "far offsets",
                          "OOB_READ WRONG_BLOCK INCORRECT_NUMERICAL POISON_LEAK"),
      paged<mutants::K10a>("K10a", "output offsets in int32, wrapped", "far offsets", "OOB_WRITE UNWRITTEN"),
      paged<mutants::K10b>("K10b", "stores past 2^31 given up", "output poison, far offsets", "UNWRITTEN"),
      paged<mutants::K11a>("K11a", "the cache's stride taken from its shape", "strided views", kWrongRead),
      paged<mutants::K11b>("K11b", "the weights' stride taken from its shape", "strided views",
                           "INCORRECT_NUMERICAL POISON_LEAK"),
      paged<mutants::K11c>("K11c", "the table's stride taken from its shape", "strided views",
                           "WRONG_BLOCK INCORRECT_NUMERICAL POISON_LEAK OOB_READ"),
      paged<mutants::K11d>("K11d", "the logits' stride taken from its shape", "strided views",
                           "UNWRITTEN INCORRECT_NUMERICAL INCORRECT_MASK WRONG_BLOCK"),
      paged<mutants::K11e>("K11e", "the heads' stride taken from its shape", "strided views",
                           "INCORRECT_NUMERICAL POISON_LEAK"),
      prefill<mutants::K11f>("K11f", "the keys' stride taken from its shape", "strided views",
                             "INCORRECT_NUMERICAL POISON_LEAK WRONG_BLOCK"),
      paged<mutants::K12a>("K12a", "the last logit of the last row not written", "output poison",
                           "UNWRITTEN"),
      paged<mutants::K12b>("K12b", "one logit in a thousand not written", "output poison", "UNWRITTEN"),
      paged<mutants::K12c>("K12c", "empty rows not cleaned", "output poison", "UNWRITTEN"),
      prefill<mutants::K12d>("K12d", "empty rows not cleaned (prefill)", "output poison", "UNWRITTEN"),
      prefill<mutants::K13a>("K13a", "compressed rows without an upper bound", "mask",
                             "OOB_WRITE INCORRECT_MASK INCORRECT_NUMERICAL OOB_READ POISON_LEAK"),
      paged<mutants::K13b>("K13b", "whole units stored, past the columns", "margins",
                           "OOB_WRITE INCORRECT_MASK INCORRECT_NUMERICAL"),
      paged<mutants::K13c>("K13c", "a byte written in front of the output", "margins", "OOB_WRITE"),
      paged<mutants::K15a>("K15a", "the last eight heads dropped", "golden per element",
                           "INCORRECT_NUMERICAL WRONG_BLOCK"),
      paged<mutants::K15b>("K15b", "weights of the sequence's first query", "golden per element",
                           "INCORRECT_NUMERICAL"),
      paged<mutants::K15c>("K15c", "heads rounded down to a power of two", "golden per element",
                           "INCORRECT_NUMERICAL WRONG_BLOCK"),
      paged<mutants::K16a>("K16a", "no relu", "golden per element", "INCORRECT_NUMERICAL"),
      paged<mutants::K16b>("K16b", "relu after the sum over heads", "golden per element",
                           "INCORRECT_NUMERICAL"),
      paged<mutants::K16c>("K16c", "NaN kept by relu", "NaN lane", "INCORRECT_NUMERICAL"),
      paged<mutants::K17a>("K17a", "the scale of the token before", "golden per element",
                           "INCORRECT_NUMERICAL POISON_LEAK"),
      paged<mutants::K17b>("K17b", "the scale of the block's first token", "golden per element",
                           "INCORRECT_NUMERICAL"),
      paged<mutants::K17c>("K17c", "no scale", "golden per element", "INCORRECT_NUMERICAL"),
      paged<mutants::K17d>("K17d", "NaN codes read as 480", "NaN lane", "INCORRECT_NUMERICAL"),
      paged<mutants::K17e>("K17e", "the other e4m3 bias", "golden per element", "INCORRECT_NUMERICAL"),
      paged<mutants::K17f>("K17f", "values saturate at 240", "all codes", "INCORRECT_NUMERICAL"),
      prefill<mutants::K17g>("K17g", "the scale of the key before (prefill)", "golden per element",
                             "INCORRECT_NUMERICAL POISON_LEAK"),
      paged<mutants::K18a>("K18a", "order of summation depends on the batch", "row alone", "CLAIM_FALSE"),
      paged<mutants::K18b>("K18b", "order of summation depends on the number of queries",
                           "queries one by one", "CLAIM_FALSE"),
      paged<mutants::K19a>("K19a", "a tile counter that is not reset", "repeat",
                           "UNWRITTEN NONDETERMINISTIC POISON_LEAK"),
      paged<mutants::K19b>("K19b", "the first call's longest length kept", "A then B",
                           "UNWRITTEN NONDETERMINISTIC POISON_LEAK"),
      paged<mutants::K19c>("K19c", "an input written in place", "read-only inputs", "INPUT_MODIFIED"),
      paged<mutants::K19d>("K19d", "the answer of the call before, by pointer", "doubled weights",
                           "CLAIM_FALSE INCORRECT_NUMERICAL WRONG_BLOCK"),
      paged<mutants::K19e>("K19e", "exit(0) instead of an answer", "worker process", "RUNTIME_ERROR"),
      planning("K19f", "values read while planning", "hidden values", "OOB_READ"),
      claiming<mutants::K20a>("K20a", "fp32 sums that claim to be the tensor core's", "twin", "CLAIM_FALSE"),
      paged<mutants::K20b>("K20b", "weights rounded to bf16", "golden per element", "INCORRECT_NUMERICAL"),
      attention<mutants::K3f>("K3f", "attention: splits cut with floor", "golden per element",
                              "INCORRECT_NUMERICAL WRONG_BLOCK"),
      attention<mutants::K3g>("K3g", "attention: splits overlap by one token", "golden per element",
                              "INCORRECT_NUMERICAL"),
      attention<mutants::K4e>("K4e", "attention: a causal mask one token too wide", "golden per element",
                              "INCORRECT_NUMERICAL"),
      attention<mutants::K4f>("K4f", "attention: causal from the top left", "golden per element",
                              "INCORRECT_NUMERICAL WRONG_BLOCK OOB_READ POISON_LEAK"),
      attention<mutants::K4g>("K4g", "attention: lanes behind the end in the denominator, where not causal",
                              "golden per element", "INCORRECT_NUMERICAL"),
      attention<mutants::K4h>("K4h", "attention: a window one token too wide", "golden per element",
                              "INCORRECT_NUMERICAL"),
      attention<mutants::K5c>("K5c", "attention: V of a block's first slot from the block before",
                              "address lane", kWrongRead),
      attention<mutants::K5d>("K5d", "attention: K of a block's last slot from the block behind",
                              "address lane", kWrongRead),
      attention<mutants::K6c>("K6c", "attention: the first block id of the sequence before", "address lane",
                              kWrongRead),
      attention<mutants::K6d>("K6d", "attention: V through the table of K", "address lane", kWrongRead),
      attention<mutants::K7d>("K7d", "attention: dead slots masked by multiplication", "input poison",
                              "POISON_LEAK INCORRECT_NUMERICAL"),
      attention<mutants::K7e>("K7e", "attention: the tail bounded in blocks", "input poison",
                              "POISON_LEAK INCORRECT_NUMERICAL"),
      attention<mutants::K8c>("K8c", "attention: the table read one column too far", "guard page",
                              "OOB_READ"),
      attention<mutants::K8d>("K8d", "attention: the block behind a dead table entry touched", "guard page",
                              "OOB_READ"),
      attention<mutants::K9c>("K9c", "attention: block offsets of K in int32", "far offsets", kWrongRead),
      attention<mutants::K9d>("K9d", "attention: block offsets of V in uint32", "far offsets", kWrongRead),
      attention<mutants::K11g>("K11g", "attention: V's block stride taken from its shape", "strided views",
                               kWrongRead),
      attention<mutants::K11h>("K11h", "attention: the KV heads' stride taken from the shape",
                               "strided views", kWrongRead),
      attention<mutants::K11i>("K11i", "attention: q's stride taken from its shape", "strided views",
                               "INCORRECT_NUMERICAL POISON_LEAK WRONG_BLOCK"),
      attention<mutants::K11j>("K11j", "attention: out's stride taken from its shape", "strided views",
                               "UNWRITTEN INCORRECT_NUMERICAL INCORRECT_MASK WRONG_BLOCK"),
      attention<mutants::K11k>("K11k", "attention: V's table with the stride of K's", "strided views",
                               kWrongRead),
      attention<mutants::K11l>("K11l", "attention: lse's stride taken from its shape", "strided views",
                               "UNWRITTEN INCORRECT_NUMERICAL INCORRECT_MASK"),
      attention<mutants::K11m>("K11m", "attention: slots and heads of V exchanged", "address lane",
                               kWrongRead),
      attention<mutants::K12e>("K12e", "attention: queries that see nothing not written", "output poison",
                               "UNWRITTEN"),
      attention<mutants::K12f>("K12f", "attention: one query of the last sequence only", "output poison",
                               "UNWRITTEN"),
      attention<mutants::K13e>("K13e", "attention: an lse written into a gap", "margins",
                               "INCORRECT_MASK OOB_WRITE"),
      attention<mutants::K15d>("K15d", "attention: head groups of powers of two", "address lane",
                               "WRONG_BLOCK INCORRECT_NUMERICAL"),
      attention<mutants::K15e>("K15e", "attention: eight heads of a KV head at most", "output poison",
                               "UNWRITTEN"),
      attention<mutants::K18c>("K18c", "attention: tiles depend on the batch", "row alone", "CLAIM_FALSE"),
      attention<mutants::K18d>("K18d", "attention: tiles depend on the number of queries",
                               "queries one by one", "CLAIM_FALSE"),
      attention<mutants::K19g>("K19g", "attention: a sum that is not reset between heads",
                               "golden per element", "INCORRECT_NUMERICAL"),
      attention<mutants::K20c>("K20c", "attention: P rounded to bf16, fp32 claimed", "golden per element",
                               "INCORRECT_NUMERICAL"),
      claiming_decode<mutants::K20h>("K20h", "attention: fp32 sums that claim to be the decode twin's",
                                     "twin", "CLAIM_FALSE"),
      attention<mutants::K21a>("K21a", "attention: the output not rescaled", "golden per element",
                               "INCORRECT_NUMERICAL"),
      attention<mutants::K21b>("K21b", "attention: the denominator not rescaled", "golden per element",
                               "INCORRECT_NUMERICAL"),
      attention<mutants::K21c>("K21c", "attention: lse to the base 2", "golden per element",
                               "INCORRECT_NUMERICAL"),
      attention<mutants::K21d>("K21d", "attention: 1 / sqrt(D) instead of the scale given",
                               "golden per element", "INCORRECT_NUMERICAL WRONG_BLOCK"),
      attention<mutants::K21e>("K21e", "attention: no soft cap", "golden per element", "INCORRECT_NUMERICAL"),
      attention<mutants::K21f>("K21f", "attention: -5e4 instead of -inf", "golden per element",
                               "INCORRECT_NUMERICAL"),
      attention<mutants::K21g>("K21g", "attention: probabilities have a floor", "golden per element",
                               "INCORRECT_NUMERICAL WRONG_BLOCK"),
      merge<mutants::K7f>("K7f", "merge: an empty part masked by multiplication", "input poison",
                          "POISON_LEAK INCORRECT_NUMERICAL"),
      merge<mutants::K11n>("K11n", "merge: part b with the strides of part a", "strided views",
                           "INCORRECT_NUMERICAL POISON_LEAK OOB_READ"),
      merge<mutants::K11o>("K11o", "merge: lse's stride taken from its shape", "strided views",
                           "UNWRITTEN INCORRECT_NUMERICAL INCORRECT_MASK"),
      merge<mutants::K12g>("K12g", "merge: two empty parts: nothing written", "output poison", "UNWRITTEN"),
      merge<mutants::K18e>("K18e", "merge: a reciprocal where there are several rows", "row alone",
                           "CLAIM_FALSE"),
      merge<mutants::K20d>("K20d", "merge: weights rounded to bf16", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K20e>("K20e", "merge: the result rounded twice", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21h>("K21h", "merge: no maximum subtracted", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21i>("K21i", "merge: -inf - -inf: two empty parts are NaN", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21j>("K21j", "merge: lses ignored, the mean of both", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21k>("K21k", "merge: the larger lse for the sum of both", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21l>("K21l", "merge: -1e4 instead of -inf", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21m>("K21m", "merge: lse to the base 2", "golden per element", "INCORRECT_NUMERICAL"),
      merge<mutants::K21n>("K21n", "merge: not divided by the sum of weights", "golden per element",
                           "INCORRECT_NUMERICAL"),
      merge<mutants::K21o>("K21o", "merge: weights exchanged", "golden per element", "INCORRECT_NUMERICAL"),
      write<mutants::K5e>("K5e", "cache write: a block's last slot in the block behind", "address lane",
                          kWrongSlot),
      write<mutants::K5f>("K5f", "cache write: every place one too far", "address lane", kWrongSlot),
      write<mutants::K6e>("K6e", "cache write: a block's first slot in the block of the token before",
                          "address lane", kWrongSlot),
      write<mutants::K9e>("K9e", "cache write: block offsets in int32", "far offsets", kWrongSlot),
      write<mutants::K11p>("K11p", "cache write: the cache's stride taken from its shape", "strided views",
                           kWrongSlot),
      write<mutants::K11q>("K11q", "cache write: V's block stride taken from K's", "strided views",
                           kWrongSlot),
      write<mutants::K11r>("K11r", "cache write: the rows' stride taken from their shape", "strided views",
                           "WRONG_BLOCK INCORRECT_NUMERICAL POISON_LEAK"),
      write<mutants::K11s>("K11s", "cache write: slots and heads of V exchanged", "address lane", kWrongSlot),
      write<mutants::K12h>("K12h", "cache write: nothing written behind a skipped token", "output poison",
                           "UNWRITTEN"),
      write<mutants::K12i>("K12i", "cache write: the last token not written", "output poison", "UNWRITTEN"),
      write<mutants::K12j>("K12j", "cache write: what is left of a vector of 32 not written", "output poison",
                           "UNWRITTEN"),
      write<mutants::K13f>("K13f", "cache write: skipped tokens written to slot 0", "bytes of nobody",
                           kStraySlot),
      write<mutants::K13g>("K13g", "cache write: skipped tokens counted from the pool's end",
                           "bytes of nobody", kStraySlot),
      write<mutants::K13h>("K13h", "cache write: one element too many behind the last head",
                           "bytes of nobody", "INCORRECT_MASK OOB_WRITE INCORRECT_NUMERICAL"),
      write<mutants::K15f>("K15f", "cache write: the last head not written", "output poison", "UNWRITTEN"),
      write<mutants::K15g>("K15g", "cache write: V written from K", "address lane",
                           "WRONG_BLOCK INCORRECT_NUMERICAL"),
      write<mutants::K17h>("K17h", "cache write: no floor under a scale", "exact bytes",
                           "INCORRECT_NUMERICAL"),
      write<mutants::K17i>("K17i", "cache write: scales of amax / 240", "exact bytes", "INCORRECT_NUMERICAL"),
      write<mutants::K17j>("K17j", "cache write: the first head's amax for every head", "exact bytes",
                           "INCORRECT_NUMERICAL"),
      write<mutants::K17k>("K17k", "cache write: NaN enters an amax", "NaN lane", "INCORRECT_NUMERICAL"),
      write<mutants::K17l>("K17l", "cache write: multiplied by 1 / scale", "exact bytes",
                           "INCORRECT_NUMERICAL"),
      write<mutants::K17m>("K17m", "cache write: a scale in the place before", "exact bytes",
                           "UNWRITTEN INCORRECT_NUMERICAL INCORRECT_MASK"),
      write<mutants::K17n>("K17n", "cache write: NaN beyond 448", "exact bytes", "INCORRECT_NUMERICAL"),
      write<mutants::K17o>("K17o", "cache write: infinite beyond fp16", "exact bytes", "INCORRECT_NUMERICAL"),
      write<mutants::K20f>("K20f", "cache write: truncated instead of rounded", "exact bytes",
                           "INCORRECT_NUMERICAL"),
      write<mutants::K20g>("K20g", "cache write: rounded to bf16 first", "exact bytes",
                           "INCORRECT_NUMERICAL"),
  };
}

const assay_kernel kCorrectPaged = descriptor<PagedKernel>(ASSAY_OP_PAGED_MQA_LOGITS, "none");
const assay_kernel kCorrectPrefill = descriptor<mutants::PrefillKernel>(ASSAY_OP_MQA_LOGITS, "none");
const assay_kernel kCorrectSchedule = descriptor<mutants::ScheduleKernel>(ASSAY_OP_SCHEDULE_METADATA, "none");
const assay_kernel kCorrectAttention = attention_descriptor<AttentionKernel>("none");
const assay_kernel kCorrectMerge = row_descriptor<MergeKernel>(ASSAY_OP_MERGE, "none");
const assay_kernel kCorrectWrite = row_descriptor<CacheWriteKernel>(ASSAY_OP_CACHE_WRITE, "none");

}  // namespace

const std::vector<KernelMutant>& kernel_mutants() {
  static const std::vector<KernelMutant> mutants = make();
  return mutants;
}

std::vector<const assay_kernel*> mutant_kernels(const std::string& name) {
  if (name == "none")
    return {&kCorrectPaged,     &kCorrectPrefill, &kCorrectSchedule,
            &kCorrectAttention, &kCorrectMerge,   &kCorrectWrite};
  for (const KernelMutant& mutant : kernel_mutants())
    if (name == mutant.name) return {&mutant.kernel};
  return {};
}

}  // namespace assay::properties
