#!/usr/bin/env bash
# The first contact: sets up, builds, and shows what Assay does on the built-in sample trace.
#
#   tools/demo.sh [--output DIR]     report.html and run.json go to DIR (default: this folder)
#
# Works offline once the packages are there, without nvcc (CPU only, said so) and without root (prints the one
# install line). With a Hopper GPU it also checks the kernels on it. Exit: 0 all shown and right, 1 something is
# wrong, 2 usage, 5 a package is missing and cannot be installed.
set -u
output="$PWD"
while [ $# -gt 0 ]; do
  case "$1" in
    --output) output="${2:-}"; shift 2 || exit 2 ;;
    -h|--help) sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "tools/demo.sh: expected --output DIR or --help, got '$1'" >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.." || exit 5
mkdir -p "$output" && output="$(cd "$output" && pwd)" || { echo "tools/demo.sh: cannot make $output" >&2; exit 2; }
tools/test.sh --build-only || exit $?
assay=build/release/bin/assay

echo
echo "== replay: the sample trace through a pool that is a little too small; 24 steps verified by their data"
"$assay" replay --blocks 3500 --verify 24 --json "$output/run.json" --html "$output/report.html" || exit 1
echo
echo "== schedule: one long sequence among short ones, on 132 SMs"
"$assay" schedule --lengths 128k,63x2k --kv-heads 8 --group 8 || exit 1

gpu_checks=0
for check in build/release/bin/vocabulary_gpu_check build/release/bin/logits_gpu_check build/release/bin/prefill_logits_gpu_check build/release/bin/attention_gpu_check; do
  [ -x "$check" ] || continue
  echo
  echo "== $(basename "$check"): kernels against their twins, every bit"
  "$check" --check
  case $? in
    0) gpu_checks=$((gpu_checks + 1)) ;;
    77) echo "   (skipped: no GPU here)" ;;
    *) exit 1 ;;
  esac
done
echo
echo "done: $output/report.html has the pictures, $output/run.json the numbers; $gpu_checks GPU checks ran"
