#!/bin/sh
# assay bench on plug-ins whose relation is known: 5 % slower, the same file, the same work in another file, wrong,
# crashing, hanging, interrupted.     bench_test.sh ASSAY PLUGIN_DIR
set -u
assay=$1 plugins=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work" || exit 1
# A crash is to end the process by its signal in a sanitizer's build, too.
ASAN_OPTIONS="${ASAN_OPTIONS:-}:handle_segv=0"; export ASAN_OPTIONS
bad=0
complain() { echo "WRONG: $*"; cat out; bad=1; }
# codes (one of them), a word that must appear, command...
expect() {
  codes=$1 word=$2; shift 2
  "$@" >out 2>&1; got=$?
  case " $codes " in *" $got "*) ;; *) complain "$* gave $got, expected $codes"; return ;; esac
  grep -q -e "$word" out || complain "$* does not say \"$word\""
}
# CPU time and short runs: this machine has other things to do, too.
bench() { "$assay" bench --clock cpu --shapes mqa-logits,M=2,ctx=128,H=8,D=64 --kernel "$@"; }

# 5 % more work. On a machine too busy to see it, a larger budget must.
for budget in 5 20 60; do
  bench "$plugins/slower.so" --baseline "$plugins/plain.so" --budget $budget --json slower.json >out 2>&1; got=$?
  [ $got -eq 4 ] || break
done
[ $got -eq 3 ] || complain "5 % slower gave $got, expected 3"
grep -q '"verdict": "SLOWER"' slower.json || complain "no SLOWER in the JSON"
grep -q '"exit_code": 3' slower.json || complain "no exit code in the JSON"

# Never slower than itself: as the same file, as a copy, as the same work in another file.
expect 0 "UNCHANGED" bench "$plugins/plain.so" --baseline "$plugins/plain.so"
cp "$plugins/plain.so" copy.so
expect 0 "UNCHANGED" bench ./copy.so --baseline "$plugins/plain.so"
for _ in 1 2 3; do
  expect "0 4" "EQUAL\|INCONCLUSIVE\|UNSTABLE" bench "$plugins/relabelled.so" --baseline "$plugins/plain.so" --budget 3
done

# What was timed is verified; what ends the process is named, and the run goes on.
expect 1 "WRONG" bench "$plugins/wrong.so" --budget 0
expect 4 "INCONCLUSIVE: .*baseline: " bench "$plugins/plain.so" --baseline "$plugins/wrong.so" --budget 0
expect 1 "SIGSEGV while it was timed" bench "$plugins/crash.so" --budget 0
expect 1 "no answer from run() within 0.5 s" bench "$plugins/hang.so" --timeout 0.5 --budget 0
expect 1 "WRONG: plain answers with a failure" bench "$plugins/fail.so" --budget 0
expect "4 5" "CUDA\|DECLINED" bench "$plugins/on_device.so" --budget 0
expect 2 "an operation that" bench "$plugins/plain.so" --baseline golden-rounded --op schedule-metadata
expect 2 "more than 0" bench "$plugins/plain.so" --threshold 0
expect 0 "decode-1x8k" "$assay" bench --list

# Every built-in kernel on its smallest shapes; two operations side by side.
expect 0 '"schema": "assay.bench/1"' "$assay" bench --kernel twin --shapes small --repeats 2 --json -
expect 0 "tokens/s" "$assay" bench --kernel golden-rounded --prefill 32 --op paged-attention --cold --repeats 2

# The page is the JSON's, and assay report makes the same from the file.
expect 0 "" "$assay" bench --kernel "$plugins/plain.so" --shapes mqa-logits,M=1,ctx=16..64 --repeats 2 --json run.json --html page.html
expect 0 "" "$assay" report run.json --out again.html
cmp -s page.html again.html || complain "--html and assay report differ"
[ "$(grep -o '<circle' page.html | wc -l)" -eq 6 ] || complain "three lengths are not three points in two pictures"

# Benchmark programs: the benchmark that is 5 % slower is, the other one is not.
programs() { "$assay" bench --program "$plugins/program_$1" --baseline-program "$plugins/program_plain" --json programs.json; }
expect 3 "SLOWER: 1.0[3-7]" programs slower
grep -A1 'BM_fixed' out | grep -q "SLOWER" && complain "the benchmark that is as fast is called slower"
grep -q '"verdict": "EQUAL"' programs.json || complain "the benchmark that is as fast is not called equal"
expect 0 "EQUAL" programs relabelled
expect 0 "UNCHANGED" programs plain
expect 0 "BM_changed" "$assay" bench --program "$plugins/program_plain" --clock cpu --repeats 3 --html page.html
expect 2 "a benchmark program that ends with 0" "$assay" bench --program /bin/false
expect 2 "both" "$assay" bench --kernel naive --cold --warm

# Ctrl-C: what there is, complete, and said to be partial.
"$assay" bench --kernel "$plugins/relabelled.so" --baseline "$plugins/plain.so" --budget 60 --threshold 0.00001 \
  --json partial.json >out 2>&1 &
pid=$!
sleep 2; kill -INT $pid; wait $pid; got=$?
[ $got -eq 4 ] || [ $got -eq 3 ] || complain "an interrupted run gave $got"
grep -q '"partial": true' partial.json || complain "an interrupted run does not say so"
grep -q '"median_us"' partial.json || complain "an interrupted run lost what it had"
exit $bad
