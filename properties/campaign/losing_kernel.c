/* A plug-in that ruins its process for about half of its inputs, in nineteen ways, and is another plug-in
 * (RIGHT_KERNEL, a path) for the rest; with -DHANG it hangs for a few inputs instead, each of which costs the
 * campaign a whole timeout. What is lost is a hash of lengths and shapes: the same case is lost in every
 * process. For the test that a campaign's other results do not change (worker_loss_test.cpp).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "assay_kernel.h"

static const assay_kernel* right;

static uint32_t hash_of(const assay_call* call) {
  uint32_t hash = 2166136261u;
  int i;
  int64_t k;
  for (i = 0; i < call->input_count; ++i) {
    const assay_tensor* t = &call->inputs[i];
    for (k = 0; k < t->ndim; ++k) hash = (hash ^ (uint32_t)t->shape[k]) * 16777619u;
    if (t->dtype.code != ASSAY_TYPE_INT || t->ndim != 1) continue;
    for (k = 0; k < t->shape[0]; ++k)
      hash = (hash ^ (uint32_t)((const int32_t*)t->data)[k * t->strides[0]]) * 16777619u;
  }
  hash ^= hash >> 15;
  hash *= 0x2c1b3c6du;
  return hash ^ hash >> 12;
}

static int deep(volatile char* above) { /* recursion without end */
  volatile char here[4096];
  here[0] = *above;
  return deep(here) + here[0];
}

static void memory_without_end(void) {
  const size_t bytes = (size_t)1 << 30;
  int i;
  for (i = 0; i < 64; ++i)
    if (mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ==
        MAP_FAILED)
      break;
  abort();
}

static void chatter(void) {
  int i;
  for (i = 0; i < 20000; ++i) fputs("a kernel that talks and talks\n", stderr);
  abort();
}

/* Returns when the process lives on with a pipe that nobody can believe. */
static void lose(const assay_call* call, uint32_t way) {
  static volatile int zero;
  volatile char* output = (volatile char*)call->outputs[0].data;
  volatile char* input = (volatile char*)call->inputs[0].data;
  static const char forged[] = "{\"id\":-1,\"status\":\"ok\"}\n";
  switch (way) {
    case 0: zero = input[-5000]; break; /* in front of the pages of the tensor: nobody's */
    case 1: output[-70000] = 1; break;
    case 2: input[0] = 1; break;
    case 3: *(volatile int*)8 = 1; break; /* a null pointer's member */
    case 4: zero = *(volatile int*)0x4141414141414141; break;
    case 5: zero = *(volatile int*)0x10203040500; break;
    case 6: exit(0);
    case 7: _exit(3);
    case 8: raise(SIGKILL); break;
    case 9: close(4); break;
    case 10:
      if (write(4, forged, sizeof forged - 1) < 0) abort();
      break;
    case 11:
      if (write(4, "}", 1) < 0) abort();
      break;
    case 12: zero = deep((volatile char*)forged); break;
    case 13: memory_without_end(); break;
    case 14: chatter(); break;
    case 15: raise(SIGILL); break;
    case 16: raise(SIGFPE); break;
    case 17: abort();
#if defined(__x86_64__)
    case 18: /* an address that no process can have, in the frame register: SIGBUS, and no address comes with it */
      __asm__ volatile("push %%rbp\n mov %0, %%rbp\n mov (%%rbp), %%eax\n pop %%rbp"
                       :
                       : "r"((uint64_t)0x4141414141414141)
                       : "rax", "memory");
      break;
#else
    case 18: abort();
#endif
    default:
      for (;;) pause();
  }
}

static int run(const assay_call* call) {
  const uint32_t hash = hash_of(call);
  if (call->inputs[0].data != NULL && call->outputs[0].data != NULL) {
#ifdef HANG
    if (hash % 16 == 9) lose(call, 19);
#else
    if (hash % 2 == 0) lose(call, hash / 2 % 19);
#endif
  }
  return right->run(call);
}

ASSAY_EXPORT const assay_kernel* assay_kernel_v1(void) {
  static assay_kernel mine;
  void* library = dlopen(RIGHT_KERNEL, RTLD_NOW | RTLD_LOCAL);
  const assay_kernel* (*entry)(void);
  void* symbol = library == NULL ? NULL : dlsym(library, "assay_kernel_v1");
  if (symbol == NULL) return NULL;
  memcpy(&entry, &symbol, sizeof entry);
  right = entry();
  mine = *right;
  mine.name = "one that ruins its process";
  mine.run = run;
  return &mine;
}
