#!/bin/sh
# The examples as a stranger would try them: correct ones pass, wrong ones are named, broken ones classified.
#   examples_test.sh ASSAY EXAMPLES_SOURCE_DIR EXAMPLES_BUILD_DIR
set -u
assay=$1 source=$2 built=$3
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work" || exit 1
bad=0
expect() { # code, words that must appear, command...
  want=$1 words=$2; shift 2
  "$@" >out 2>&1; got=$?
  if [ "$got" -ne "$want" ] || ! grep -q -- "$words" out; then
    echo "WRONG: $* gave $got, expected $want and \"$words\":"; cat out; bad=1
  fi
}
expect 0 "holds    every value within its bound" "$assay" verify --kernel "$built/example_mqa_logits.so" --cases 200
expect 1 "INCORRECT_NUMERICAL" "$assay" verify --kernel "$built/example_mqa_logits_wrong.so" --cases 60 --out f
expect 0 "0 failed" "$assay" verify --kernel "$built/example_schedule.so" --cases 300
expect 0 "schedule-metadata  cpu   yes" "$assay" kernels "$built/example_schedule.so"
if [ -f "$built/example_cuda_schedule.so" ]; then # compiled everywhere, run where a device is
  expect 0 "schedule-metadata  cuda  yes" "$assay" kernels "$built/example_cuda_schedule.so"
  expect 0 "paged-mqa-logits   cuda  no" "$assay" kernels "$built/example_cuda_launcher.so"
  for example in cuda_schedule cuda_launcher; do
    if [ -e /dev/nvidia0 ]; then
      expect 0 "0 failed" "$assay" verify --kernel "$built/example_$example.so" --cases 200
    else
      expect 5 "a device" "$assay" verify --kernel "$built/example_$example.so" --cases 200
    fi
  done
fi
python=$source/logits.py
expect 0 "0 failed" "$assay" fuzz --no-corpus --kernel "$python:paged_logits" --cases 30 --products 3000
expect 1 "WRONG_BLOCK" "$assay" fuzz --no-corpus --kernel "$python:wrong_block" --cases 250 --products 3000 --out f
expect 1 "SIGSEGV in run()" "$assay" fuzz --no-corpus --kernel "$python:crashes" --cases 4 --products 3000 --shrink-tries 2 --out f
expect 1 "exit(0) in run()" "$assay" fuzz --no-corpus --kernel "$python:leaves" --cases 4 --products 3000 --shrink-tries 2 --out f
expect 1 "ValueError: no good" "$assay" fuzz --no-corpus --kernel "$python:raises" --cases 4 --products 3000 --shrink-tries 2 --out f
expect 1 "no answer from run() within 0.3 s" "$assay" fuzz --no-corpus --kernel "$python:hangs" --cases 2 --products 3000 --timeout 0.3 --shrink-tries 1 --out f
expect 2 "has no function nosuch" "$assay" fuzz --no-corpus --kernel "$python:nosuch" --cases 2
rows=$source/rows.py
expect 0 "0 failed" "$assay" fuzz --kernel "$rows:merge" --cases 40
expect 0 "0 failed" "$assay" fuzz --kernel "$rows:cache_write" --cases 100
expect 1 "expected -inf" "$assay" fuzz --no-corpus --kernel "$rows:no_part_is_nan" --cases 20 --shrink-tries 5 --out f
expect 1 "no token of this call belongs there" "$assay" fuzz --no-corpus --kernel "$rows:counts_from_the_end" --cases 100 --shrink-tries 5 --out f
# A failing case says the same again, from its file.
file=$(ls f/*WRONG_BLOCK.json | head -1)
expect 1 "same digest" "$assay" reproduce "$file" --kernel "$python:wrong_block"
expect 0 "PASSED" "$assay" reproduce "$file" --kernel "$python:paged_logits"
expect 1 "WRONG_BLOCK .*$file" "$assay" verify --case "$file" --kernel "$python:wrong_block"
expect 0 '"failures": 0' "$assay" verify --case "$file" --kernel "$python:paged_logits" --json -
expect 0 '"name": "wrong_block"' "$assay" kernels "$python:wrong_block" --json -
exit $bad
