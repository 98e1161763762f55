/* Prefill MQA logits in C99: the plainest plug-in, for the CPU.
 *
 *   cc -std=c99 -O2 -shared -fPIC -I gpu/api mqa_logits.c -lm -o mqa_logits.so
 *   assay verify --kernel ./mqa_logits.so
 *
 * With -DFORGET_RELU it is wrong, and assay says so.
 */
#include <math.h>
#include <string.h>

#include "assay_kernel.h"

static float e4m3(uint8_t code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const float sign = code & 128 ? -1.0f : 1.0f;
  if ((code & 127) == 127) return NAN;
  return sign *
         (exponent == 0 ? ldexpf((float)mantissa, -9) : ldexpf(1.0f + (float)mantissa / 8, exponent - 7));
}

static const char* bytes(const assay_tensor* t) { return (const char*)t->data + t->byte_offset; }

static void store(const assay_tensor* logits, int64_t row, int64_t column, float value) {
  memcpy((char*)logits->data + logits->byte_offset + 4 * (row * logits->strides[0] + column), &value, 4);
}

static int run(const assay_call* call) {
  const assay_tensor *q = &call->inputs[0], *k = &call->inputs[1], *scale = &call->inputs[2],
                     *weights = &call->inputs[3], *logits = &call->outputs[0];
  const int32_t *starts = (const int32_t*)bytes(&call->inputs[4]),
                *ends = (const int32_t*)bytes(&call->inputs[5]);
  const int64_t heads = q->shape[1], dims = q->shape[2];
  const int clean = call->ints[0] != 0, compressed = call->ints[1] != 0;
  int64_t m, n, h, d;
  if (logits->dtype.bits != 32) return ASSAY_UNSUPPORTED;
  for (m = 0; m < q->shape[0]; ++m) {
    const int64_t shift = compressed ? starts[m] : 0;
    for (n = 0; clean && n < logits->shape[1]; ++n) store(logits, m, n, -INFINITY);
    for (n = starts[m]; n < ends[m]; ++n) {
      const uint8_t* key = (const uint8_t*)bytes(k) + n * k->strides[0];
      float sum = 0, w, s;
      for (h = 0; h < heads; ++h) {
        const uint8_t* query = (const uint8_t*)bytes(q) + m * q->strides[0] + h * q->strides[1];
        float score = 0;
        for (d = 0; d < dims; ++d) score += e4m3(query[d]) * e4m3(key[d]);
        memcpy(&w, bytes(weights) + 4 * (m * weights->strides[0] + h), 4);
#ifdef FORGET_RELU
        sum += w * score;
#else
        sum += w * (score > 0 ? score : 0.0f);
#endif
      }
      memcpy(&s, bytes(scale) + 4 * n * scale->strides[0], 4);
      store(logits, m, n - shift, sum * s);
    }
  }
  return ASSAY_OK;
}

ASSAY_KERNEL(ASSAY_OP_MQA_LOGITS, "logits in C", "determinism=bitwise batch-invariant acc=fp32 unit=1",
             ASSAY_DEVICE_CPU, NULL, NULL, run)
