/* Prefill MQA logits in C99, for the end-to-end test of assay bench: one source, several shared objects.
 *
 *   -DEXTRA_EVERY=20   computes every 20th logit twice: 5 % more work
 *   -DWRONG            forgets the scale
 *   -DCRASH            writes where nothing is
 *   -DHANG             never ends
 *   -DFAIL             says that it failed
 *   -DON_DEVICE        says that it runs on a CUDA device, and declines there
 *   -DLABEL="text"     another file, the same instructions in the loop
 */
#include <stdio.h>
#include <string.h>

#include "assay_kernel.h"

#ifndef LABEL
#define LABEL "plain"
#endif

static float value_of[256];

static const char* bytes(const assay_tensor* t) { return (const char*)t->data + t->byte_offset; }

static void fill_values(void) {
  int code;
  for (code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    float v = exponent == 0 ? (float)mantissa / 8 : 1.0f + (float)mantissa / 8;
    int e = exponent == 0 ? -6 : exponent - 7;
    for (; e > 0; --e) v *= 2;
    for (; e < 0; ++e) v /= 2;
    value_of[code] = code & 128 ? -v : v;
  }
}

static float logit(const uint8_t* query, int64_t head_stride, const uint8_t* key, const char* weights,
                   int64_t heads, int64_t dims) {
  float sum = 0, w;
  int64_t h, d;
  for (h = 0; h < heads; ++h) {
    float score = 0;
    for (d = 0; d < dims; ++d) score += value_of[query[h * head_stride + d]] * value_of[key[d]];
    memcpy(&w, weights + 4 * h, 4);
    sum += w * (score > 0 ? score : 0.0f);
  }
  return sum;
}

static int run(const assay_call* call) {
  const assay_tensor *q = &call->inputs[0], *k = &call->inputs[1], *scale = &call->inputs[2],
                     *weights = &call->inputs[3], *logits = &call->outputs[0];
  const int32_t *starts = (const int32_t*)bytes(&call->inputs[4]),
                *ends = (const int32_t*)bytes(&call->inputs[5]);
  volatile float sink = 0;
  int64_t m, n;
#ifdef ON_DEVICE
  return ASSAY_UNSUPPORTED;
#endif
#ifdef FAIL
  return ASSAY_FAILED;
#endif
#ifdef CRASH
  *(volatile int*)16 = 1;
#endif
#ifdef HANG
  while (1) sink += 1;
#endif
  if (logits->dtype.bits != 32 || call->ints[0] || call->ints[1]) return ASSAY_UNSUPPORTED;
  if (value_of[8] == 0) fill_values();
  for (m = 0; m < q->shape[0]; ++m)
    for (n = starts[m]; n < ends[m]; ++n) {
      const uint8_t* query = (const uint8_t*)bytes(q) + m * q->strides[0];
      const uint8_t* key = (const uint8_t*)bytes(k) + n * k->strides[0];
      const char* w = bytes(weights) + 4 * m * weights->strides[0];
      float value = logit(query, q->strides[1], key, w, q->shape[1], q->shape[2]), s;
#ifdef EXTRA_EVERY
      __asm__ volatile("" : : : "memory"); /* or the compiler sees that it knows the result */
      if (n % EXTRA_EVERY == 0) sink += logit(query, q->strides[1], key, w, q->shape[1], q->shape[2]);
#endif
      memcpy(&s, bytes(scale) + 4 * n * scale->strides[0], 4);
#ifndef WRONG
      value *= s;
#endif
      memcpy((char*)logits->data + logits->byte_offset + 4 * (m * logits->strides[0] + n), &value, 4);
    }
  (void)sink;
  return ASSAY_OK;
}

#ifdef ON_DEVICE
#define DEVICE ASSAY_DEVICE_CUDA
#else
#define DEVICE ASSAY_DEVICE_CPU
#endif
ASSAY_KERNEL(ASSAY_OP_MQA_LOGITS, LABEL, "determinism=bitwise acc=fp32 unit=1", DEVICE, NULL, NULL, run)
