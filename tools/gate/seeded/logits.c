/* Prefill MQA logits in C99: one source, and the regressions that the gate must see when they come quietly.
 *
 *   -DEXTRA_EVERY=20   computes every 20th logit twice: 5 % more work, the same bits
 *   -DSUM_BITS=22      keeps 22 bits of the running sum: still within its bound, and far from what it was
 *   -DSUM_BITS=8       keeps bf16's 8 bits: outside the bound
 *   -DLABEL="text"     the same work in another file
 */
#include <math.h>
#include <string.h>

#include "assay_kernel.h"

#ifndef LABEL
#define LABEL "seeded logits"
#endif
#ifndef SUM_BITS
#define SUM_BITS 24
#endif

static float value_of[256];

static void fill_values(void) {
  int code;
  for (code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    const float magnitude =
        exponent == 0 ? ldexpf((float)mantissa, -9) : ldexpf(1.0f + (float)mantissa / 8, exponent - 7);
    value_of[code] = (code & 127) == 127 ? NAN : code & 128 ? -magnitude : magnitude;
  }
}

static const char* bytes(const assay_tensor* t) { return (const char*)t->data + t->byte_offset; }

static void store(const assay_tensor* logits, int64_t row, int64_t column, float value) {
  memcpy((char*)logits->data + logits->byte_offset + 4 * (row * logits->strides[0] + column), &value, 4);
}

/* To SUM_BITS significant bits, to nearest even. */
static float lowered(float value) {
#if SUM_BITS < 24
  const uint32_t dropped = 24 - SUM_BITS;
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7f800000u) == 0x7f800000u) return value;
  bits += (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
  bits &= ~((1u << dropped) - 1);
  memcpy(&value, &bits, 4);
#endif
  return value;
}

/* query [heads, dims] of rows head_stride apart, key [dims], weights [heads] */
static float logit(const uint8_t* query, int64_t head_stride, const uint8_t* key, const char* weights,
                   int64_t heads, int64_t dims) {
  float sum = 0, w;
  int64_t h, d;
  for (h = 0; h < heads; ++h) {
    float score = 0;
    for (d = 0; d < dims; ++d) score += value_of[query[h * head_stride + d]] * value_of[key[d]];
    memcpy(&w, weights + 4 * h, 4);
    sum = lowered(sum + w * (score > 0 ? score : 0.0f));
  }
  return sum;
}

static int run(const assay_call* call) {
  const assay_tensor *q = &call->inputs[0], *k = &call->inputs[1], *scale = &call->inputs[2],
                     *weights = &call->inputs[3], *logits = &call->outputs[0];
  const int32_t *starts = (const int32_t*)bytes(&call->inputs[4]),
                *ends = (const int32_t*)bytes(&call->inputs[5]);
  const int clean = call->ints[0] != 0, compressed = call->ints[1] != 0;
  volatile float sink = 0;
  int64_t m, n;
  if (logits->dtype.bits != 32) return ASSAY_UNSUPPORTED;
  if (value_of[8] == 0) fill_values();
  for (m = 0; m < q->shape[0]; ++m) {
    const uint8_t* query = (const uint8_t*)bytes(q) + m * q->strides[0];
    const char* w = bytes(weights) + 4 * m * weights->strides[0];
    const int64_t shift = compressed ? starts[m] : 0;
    for (n = 0; clean && n < logits->shape[1]; ++n) store(logits, m, n, -INFINITY);
    for (n = starts[m]; n < ends[m]; ++n) {
      const uint8_t* key = (const uint8_t*)bytes(k) + n * k->strides[0];
      const float sum = logit(query, q->strides[1], key, w, q->shape[1], q->shape[2]);
      float s;
#ifdef EXTRA_EVERY
      if (n % EXTRA_EVERY == 0) {
        /* Through a volatile, or the compiler would take the sum that it has. */
        const uint8_t* volatile same_key = key;
        sink += logit(query, q->strides[1], same_key, w, q->shape[1], q->shape[2]);
      }
#endif
      memcpy(&s, bytes(scale) + 4 * n * scale->strides[0], 4);
      store(logits, m, n - shift, sum * s);
    }
  }
  (void)sink;
  return ASSAY_OK;
}

ASSAY_KERNEL(ASSAY_OP_MQA_LOGITS, LABEL, "determinism=bitwise batch-invariant acc=fp32 unit=1",
             ASSAY_DEVICE_CPU, NULL, NULL, run)
