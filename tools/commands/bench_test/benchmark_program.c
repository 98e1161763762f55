/* Answers as a Google Benchmark program does, for the end-to-end test of assay bench --program: two benchmarks, whose
 * times are TIME_NS and 100 ns, with 1 % of noise that is another one in every process.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef TIME_NS
#define TIME_NS 100.0
#endif
#ifndef LABEL
#define LABEL "plain"
#endif

static double noise(void) {
  struct timespec now;
  unsigned long x;
  clock_gettime(CLOCK_MONOTONIC, &now);
  x = (unsigned long)now.tv_nsec * 2654435761ul + (unsigned long)getpid() * 40503ul;
  x ^= x >> 17;
  x *= 0x9e3779b97f4a7c15ul;
  return 1.0 + 0.02 * ((double)(x >> 40) / (double)(1ul << 24) - 0.5);
}

int main(int argc, char** argv) {
  const char* name = "BM_fixed/1.5";
  int i;
  for (i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--benchmark_list_tests", 22) == 0) {
      printf("BM_changed\nBM_fixed/1.5\n");
      return 0;
    }
    if (strcmp(argv[i], "--benchmark_filter=^BM_changed$") == 0) name = "BM_changed";
  }
  printf(
      "{\"context\": {\"label\": \"%s\"}, \"benchmarks\": [{\"name\": \"%s\", \"real_time\": %.9g, "
      "\"cpu_time\": %.9g, "
      "\"time_unit\": \"ns\"}]}\n",
      LABEL, name, (name[3] == 'c' ? TIME_NS : 100.0) * noise(), 99.0 * noise());
  return 0;
}
