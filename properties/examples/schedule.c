/* Schedule metadata in C99, with a plan step: plan() sums the units up once per batch and leaves the sums in
 * the workspace, run() only searches them. plan() may look at integer tensors only; here that is all there is.
 *
 *   cc -std=c99 -O2 -shared -fPIC -I gpu/api schedule.c -o schedule.so && assay verify --kernel ./schedule.so
 */
#include "assay_kernel.h"

static int64_t units_of(const assay_call* call, int64_t sequence) {
  const assay_tensor* contexts = &call->inputs[0];
  const int32_t* data = (const int32_t*)((const char*)contexts->data + contexts->byte_offset);
  const int64_t unit = call->ints[0], length = data[sequence * contexts->strides[0]];
  return (length + unit - 1) / unit;
}

static uint64_t workspace(const assay_call* call) {
  return (uint64_t)(call->inputs[0].shape[0] + 1) * sizeof(int64_t);
}

/* sums[s] = units of all sequences before s. */
static int plan(const assay_call* call) {
  int64_t* sums = (int64_t*)call->workspace;
  int64_t s;
  sums[0] = 0;
  for (s = 0; s < call->inputs[0].shape[0]; ++s) sums[s + 1] = sums[s] + units_of(call, s);
  return ASSAY_OK;
}

static int run(const assay_call* call) {
  const int64_t batch = call->inputs[0].shape[0], parts = call->ints[1];
  const int64_t* sums = (const int64_t*)call->workspace;
  int32_t* out = (int32_t*)((char*)call->outputs[0].data + call->outputs[0].byte_offset);
  int64_t part;
  for (part = 0; part <= parts; ++part) {
    const int64_t unit = sums[batch] * part / parts;
    int64_t low = 0, high = batch;
    while (low < high) { /* the first sequence that ends behind `unit` */
      const int64_t middle = low + (high - low) / 2;
      if (sums[middle + 1] > unit)
        high = middle;
      else
        low = middle + 1;
    }
    out[2 * part] = (int32_t)low;
    out[2 * part + 1] = (int32_t)(low == batch ? 0 : unit - sums[low]);
  }
  return ASSAY_OK;
}

ASSAY_KERNEL(ASSAY_OP_SCHEDULE_METADATA, "schedule in C", "determinism=bitwise", ASSAY_DEVICE_CPU, workspace,
             plan, run)
