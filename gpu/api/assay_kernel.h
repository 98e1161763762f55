/* The plug-in header: what a kernel under test offers. C99, no dependency, plain structs.
 *
 * A shared object exports one symbol, assay_kernel_v1, that returns a static descriptor. ASSAY_KERNEL() writes it:
 *
 *   static int run(const assay_call* call) { ... return ASSAY_OK; }
 *   ASSAY_KERNEL(ASSAY_OP_PAGED_MQA_LOGITS, "mine", "determinism=bitwise", ASSAY_DEVICE_CUDA, NULL, NULL, run)
 *
 * Rules. Inputs are read-only. Outputs and workspace belong to the caller, are poisoned before every call, and
 * nothing may be allocated in run(). plan() sees shapes, types and strides, and the contents of integer tensors
 * (lengths, tables), never of others; its cost is reported. A kernel that cannot do a shape returns
 * ASSAY_UNSUPPORTED. On a CUDA device work goes to call->stream and nowhere else; run() does not wait for it.
 *
 * Claims, space separated, each checked, a false one is a failure: determinism=bitwise, batch-invariant,
 * split-invariant, block-renaming-invariant, arithmetic=<twin>, acc=fp32|fp8tc|bf16tc, p=bf16|fp16|e4m3|fp32.
 */
#ifndef ASSAY_KERNEL_H
#define ASSAY_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_ABI_VERSION 1

enum { ASSAY_OK = 0, ASSAY_UNSUPPORTED = 1, ASSAY_FAILED = 2 };

/* Devices, types: the codes of DLPack 1.1. */
enum { ASSAY_DEVICE_CPU = 1, ASSAY_DEVICE_CUDA = 2 };
enum {
  ASSAY_TYPE_INT = 0,
  ASSAY_TYPE_UINT = 1,
  ASSAY_TYPE_FLOAT = 2, /* bits 16, 32, 64 */
  ASSAY_TYPE_BFLOAT = 4,
  ASSAY_TYPE_FLOAT8_E4M3FN = 10,
  ASSAY_TYPE_FLOAT8_E5M2 = 12
};

/* Byte for byte DLPack 1.1's DLTensor (48 bytes on 64-bit machines). Strides in elements; NULL: compact. */
typedef struct {
  void* data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} assay_tensor;

/* Operations and the order of their tensors; docs/contracts.md section 3 says what they mean. */
enum {
  /* q [B,next_n,H,D] e4m3, weights [B*next_n,H] fp32, cache [blocks, bytes] uint8 (fused), block_table [B,max] int32,
     contexts [B] or [B,next_n] int32 -> logits [B*next_n, columns] fp32 or bf16. ints: block_tokens, clean */
  ASSAY_OP_PAGED_MQA_LOGITS = 1,
  /* q [M,H,D] e4m3, k [N,D] e4m3, scale [N] fp32, weights [M,H] fp32, starts [M], ends [M] int32
     -> logits [M, columns]. ints: clean, compressed */
  ASSAY_OP_MQA_LOGITS = 2,
  /* contexts [B] int32 -> metadata [parts + 1, 2] int32. ints: unit_tokens, parts */
  ASSAY_OP_SCHEDULE_METADATA = 3,
  /* q [T,Hq,D], q_begin [B+1] int32, k_cache, v_cache [blocks, ...], k_table, v_table [B,max] int32, contexts [B]
     -> out [T,Hq,D], lse [T,Hq] fp32. ints: causal, window, order (0 NHD, 1 HND); reals: softmax_scale, soft_cap */
  ASSAY_OP_PAGED_ATTENTION = 4,
  /* out_a [T,H,D], lse_a [T,H] fp32, out_b, lse_b (as a) -> out [T,H,D], lse [T,H] fp32 */
  ASSAY_OP_MERGE = 5,
  /* k, v [T,Hkv,D], slots [T] int64 -> k_cache, v_cache [blocks,block_tokens,Hkv,D], written in place; where rows are
     quantised with a scale each, k_scales, v_scales [blocks,block_tokens,Hkv] fp32, too. Index keys: k [T,D], slots
     -> cache [blocks, bytes] uint8 (fused). ints: block_tokens */
  ASSAY_OP_CACHE_WRITE = 6
};

typedef struct assay_call {
  uint32_t size; /* of this struct, as the caller knows it; later versions append */
  int32_t op;
  int32_t input_count, output_count;
  const assay_tensor* inputs;
  const assay_tensor* outputs;
  const int64_t* ints; /* the operation's integers, in the order above */
  const double* reals; /* its real numbers */
  void* workspace;     /* workspace() bytes; garbage before plan(), then as plan() left it */
  uint64_t workspace_bytes;
  void* stream; /* cudaStream_t; NULL on the CPU */
} assay_call;

typedef struct {
  uint32_t abi;  /* ASSAY_ABI_VERSION */
  uint32_t size; /* of this struct */
  int32_t op;
  int32_t device; /* ASSAY_DEVICE_... the tensors must live on */
  const char* name;
  const char* claims;
  /* Bytes of workspace for this call, 0 when NULL. */
  uint64_t (*workspace)(const assay_call* call);
  /* Untimed preparation, once per shape; NULL when there is none. Writes call->workspace only. */
  int (*plan)(const assay_call* call);
  int (*run)(const assay_call* call);
} assay_kernel;

#if defined(_WIN32)
#define ASSAY_EXPORT __declspec(dllexport)
#else
#define ASSAY_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define ASSAY_EXTERN_C extern "C"
#else
#define ASSAY_EXTERN_C
#endif

#define ASSAY_KERNEL(op_, name_, claims_, device_, workspace_, plan_, run_) \
  ASSAY_EXTERN_C ASSAY_EXPORT const assay_kernel* assay_kernel_v1(void) {   \
    static const assay_kernel descriptor = {ASSAY_ABI_VERSION,              \
                                            (uint32_t)sizeof(assay_kernel), \
                                            op_,                            \
                                            device_,                        \
                                            name_,                          \
                                            claims_,                        \
                                            workspace_,                     \
                                            plan_,                          \
                                            run_};                          \
    return &descriptor;                                                     \
  }

#ifdef __cplusplus
}
#endif

#endif /* ASSAY_KERNEL_H */
