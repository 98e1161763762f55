#!/bin/sh
# assay gate as a stranger meets it: baselines, planted regressions, receipts, reports, workflow files.
#   gate_test.sh ASSAY SEEDED_DIR CHECKS_PY [RUNS]
# RUNS: how often the same kernel is gated against itself, timed (3; docs/gate.md records a run with 50).
set -u
assay=$1 seeded=$2 checks=$3 runs=${4:-3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work" || exit 1
bad=0
complain() { echo "WRONG: $*"; cat out; bad=1; }
# codes (one of them), a word that must appear, command...
expect() {
  codes=$1 word=$2; shift 2
  "$@" >out 2>&1; got=$?
  case " $codes " in *" $got "*) ;; *) complain "$* gave $got, expected $codes"; return ;; esac
  grep -q -e "$word" out || complain "$* does not say \"$word\""
}
json() { python3 "$checks" "$@" || { echo "WRONG: $*"; bad=1; }; }

# --init: a file that works, not overwritten unasked; workflow files beside it, parsed and their commands run.
expect 0 "wrote gate.json" "$assay" gate --init
expect 2 "or --force" "$assay" gate --init
expect 0 "wrote gate.json" "$assay" gate --init --force --workflow github-cpu,github-gpu,gitlab
expect 2 "one of github-cpu" "$assay" gate --init --force --workflow jenkins
expect 4 "no baseline in" "$assay" gate
expect 0 "becomes the baseline" "$assay" gate --update-baseline
expect 0 "exit code 0" "$assay" gate
json workflow .github/workflows/assay-cpu.yml "$assay" 0 assay-junit.xml assay-gate.json
json workflow .github/workflows/assay-gpu.yml "$assay" "0 5"
json workflow .gitlab/assay.yml "$assay" "0 5" assay-junit.xml assay-gate.json
sed -i 's/"cases": 512/"casez": 512/' gate.json
expect 2 'gate.json.kernels\[0\]: expected one of' "$assay" gate
expect 2 "a gate.json" "$assay" gate --config nowhere.json

# One kernel in C and what may become of it.
gate_of() { # kernel, more keys
  cat >gate.json <<JSON
{ // the kernel under change
  "schema": "assay.gate-config/1", "kernels": [{"name": "logits", "kernel": "$1", "cases": 300 $2}]
}
JSON
}
shape='"shapes": ["mqa-logits,M=2,ctx=128,H=8,D=64"], "clock": "cpu"'
gate_of "$seeded/plain.so" ""
expect 0 "headroom mqa-logits/codes: .*, new" "$assay" gate --update-baseline
expect 0 "all within 1.5 x baseline" "$assay" gate
expect 0 "exit code 0" "$assay" gate --update-baseline
grep -q "was" out && complain "a second --update-baseline found differences"

# Its precision quietly lowered: within the bound, but not as it was. And outside the bound.
gate_of "$seeded/lowered.so" ""
expect 3 "mqa-logits/codes: r .*, baseline .*, allowed" "$assay" gate --junit lowered.xml --json lowered.json --summary lowered.md --annotate
grep -q "^::error file=gate.json,title=assay gate%3A headroom of logits::" out || complain "no annotation"
json reports lowered 3
gate_of "$seeded/bf16.so" ""
expect 1 "INCORRECT_NUMERICAL" "$assay" gate --junit bf16.xml --json bf16.json --summary bf16.md
json reports bf16 1
expect 1 "left as it was" "$assay" gate --update-baseline
gate_of "$seeded/plain.so" ""
expect 0 "all within" "$assay" gate

# 5 % slower. On a machine too busy to see it, a larger budget must.
for seconds in 5 20 60; do
  gate_of "$seeded/slower.so" ", \"performance\": {\"baseline_kernel\": \"$seeded/plain.so\", \"seconds\": $seconds, $shape}"
  "$assay" gate --json slower.json >out 2>&1; got=$?
  [ $got -eq 4 ] || break
done
[ $got -eq 3 ] || complain "5 % slower gave $got, expected 3"
grep -q "regression.*performance.*SLOWER" out || complain "5 % slower is not named"

# The same kernel never fails: neither as the same file, nor timed as another file with the same work.
gate_of "$seeded/plain.so" ", \"performance\": {\"baseline_kernel\": \"$seeded/plain.so\", $shape}"
expect 0 "UNCHANGED" "$assay" gate
run=0 undecided=0
while [ $run -lt "$runs" ]; do
  gate_of "$seeded/relabelled.so" ", \"performance\": {\"baseline_kernel\": \"$seeded/plain.so\", \"seconds\": 5, $shape}"
  expect "0 4" "EQUAL\|INCONCLUSIVE\|UNSTABLE" "$assay" gate
  [ $got -eq 4 ] && undecided=$((undecided + 1))
  run=$((run + 1))
done
echo "the same kernel timed against itself: $runs runs, $undecided undecided"

# What cannot start, what declines too much, and a judge that misses its mutant.
gate_of "$seeded/none.so" ""
expect 5 "a file that exists" "$assay" gate --junit none.xml --json none.json --summary none.md
json reports none 5
gate_of "$seeded/plain.so" ', "least_accepted": 1'
expect 3 "of the cases, at least 100 % wanted" "$assay" gate
sed -i 's/"schema"/"selftest": {"mutants": ["K3a"], "cases": 1}, "schema"/' gate.json
expect 6 "K3a lives" "$assay" gate
expect 2 "names of mutants" sh -c "sed -i s/K3a/K999/ gate.json; $assay gate"
expect 2 "names of kernels" "$assay" gate --only other

# Receipts: a kernel that needs a device is gated by what a device saw of exactly these files.
mkdir -p src
echo '#include "tile.h"' >src/k.cu
echo 'constexpr int kTile = 64;' >src/tile.h
cat >gate.json <<'JSON'
{"schema": "assay.gate-config/1", "receipt": "receipt.json", "kernels": [
  {"name": "k", "kernel": "sm90", "device": "cuda", "sources": ["src/k.cu"], "flags": ["-O3"], "cases": 10}]}
JSON
expect 5 "and no receipt in" "$assay" gate --device none
expect 5 "a CUDA device: a receipt says what ran on one" "$assay" gate --device none --receipt r.json
json receipt gate.json receipt.json
expect 0 "ran on NVIDIA H200.*2 files as they are now" "$assay" gate --device none
echo 'constexpr int kTile = 128;' >src/tile.h
expect 1 "changed src/tile.h" "$assay" gate --device none --annotate
grep -q "^::error file=src/tile.h," out || complain "the annotation does not point to the changed file"
echo 'constexpr int kTile = 64;' >src/tile.h
expect 0 "exit code 0" "$assay" gate --device none
sed -i 's/H200/H100/' receipt.json
expect 1 "was changed after it was written" "$assay" gate --device none

# Only what changed: by its own files, their includes, and what says how strictly.
if command -v git >/dev/null; then
  mkdir part && cd part || exit 1
  cat >gate.json <<JSON
{"schema": "assay.gate-config/1", "baselines": "base", "kernels": [
  {"name": "one", "kernel": "$seeded/plain.so", "sources": ["one.c"], "cases": 20},
  {"name": "two", "kernel": "$seeded/plain.so", "sources": ["two.c"], "cases": 20}]}
JSON
  echo '#include "both.h"' >one.c
  echo 'int two;' >two.c
  echo 'int both;' >both.h
  "$assay" gate --update-baseline --quiet
  git init -q . && git add . && git -c user.name=t -c user.email=t@t commit -q -m "t"
  expect 0 "0 held, 0 failed, 0 without a verdict, 2 not run here" "$assay" gate --changed-since HEAD
  echo '/* */' >>both.h
  expect 0 "none of its 1 files changed since HEAD" "$assay" gate --changed-since HEAD
  grep -q "held  *corpus" out || complain "a kernel whose include changed was left out"
  sed -i 's/"cases": 20/"cases": 21/' gate.json
  expect 0 "0 not run here" "$assay" gate --changed-since HEAD
  expect 2 "a revision that git knows here" "$assay" gate --changed-since nowhere
  cd ..
fi

# Resources, from the compiler's words.
cat >report.txt <<'TEXT'
ptxas info    : Compiling entry function '_Z5plainPfi' for 'sm_90a'
ptxas info    : Function properties for _Z5plainPfi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
TEXT
gate_of "$seeded/plain.so" ', "resources": {"report": "report.txt"}'
expect 4 "resources .*no baseline" "$assay" gate
expect 0 "resources plain: new, 40 registers" "$assay" gate --update-baseline
expect 0 "1 entry functions, at most 40 registers" "$assay" gate
sed -i 's/0 bytes spill stores/8 bytes spill stores/' report.txt
expect 3 "8 spill_store_bytes, baseline 0" "$assay" gate
rm report.txt
expect 5 "no such file" "$assay" gate
exit $bad
