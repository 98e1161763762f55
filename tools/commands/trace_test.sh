#!/usr/bin/env bash
# assay trace from the outside: exit codes, streams, and that what one action writes another reads.
#   trace_test.sh PROGRAM SAMPLES
set -u
assay=$1 samples=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect CODE WORDS...: runs the words, keeps both streams, compares the exit code
expect() {
  local code=$1
  shift
  "$@" >"$work/out" 2>"$work/err" </dev/null
  local got=$?
  if [ "$got" != "$code" ]; then
    echo "exit code: expected $code, got $got: $*"
    cat "$work/err"
    failed=1
  fi
}
# says STREAM TEXT: the last command's stream holds the text
says() {
  grep -qF -- "$2" "$work/$1" || { echo "expected on $1: $2"; head -5 "$work/$1"; failed=1; }
}
silent() {
  [ ! -s "$work/$1" ] || { echo "expected nothing on $1:"; head -5 "$work/$1"; failed=1; }
}

expect 0 "$assay" trace describe "$samples/sample.jsonl"
says out "4,421 of 6,232"
silent err
expect 0 "$assay" trace describe "$samples/sample.jsonl" --json -
says out '"schema": "assay.trace.describe/1"'
says out '"unique": 1811'
expect 0 "$assay" trace describe "$samples/sample.jsonl" --quiet --json "$work/a.json"
silent out
gzip -c "$samples/sample.jsonl" >"$work/s.gz"
"$assay" trace describe - --quiet --json "$work/b.json" <"$work/s.gz" || failed=1
# From a file or from a pipe, packed or not: the same but for the name and the packing.
strip() { grep -vE '"(file|compression)"' "$1"; }
diff <(strip "$work/a.json") <(strip "$work/b.json") || { echo "a pipe gave another answer"; failed=1; }

expect 0 "$assay" trace lint "$samples/sample.jsonl" "$samples/bailian.jsonl.zst"
says out "local-ids"
expect 2 "$assay" trace lint "$samples/burstgpt.csv" --strict
says out "burstgpt.csv:11:14: warning: no output tokens"
expect 0 "$assay" trace lint "$samples/burstgpt.csv"
head -c 1000 "$samples/sample.jsonl" >"$work/cut.jsonl"
expect 2 "$assay" trace lint "$work/cut.jsonl"
says out "[syntax]"
expect 2 "$assay" trace describe "$work/cut.jsonl"
says err "$work/cut.jsonl:"
expect 0 "$assay" trace describe "$work/cut.jsonl" --skip-bad
says out "1 malformed lines skipped"
expect 2 "$assay" trace describe "$work/absent"
expect 2 "$assay" trace describe
expect 2 "$assay" trace
expect 2 "$assay" trace describe "$samples/sample.jsonl" --format nonsense

expect 0 "$assay" trace convert "$samples/azure-2023.csv" --to vidur -o "$work/v.csv"
cmp "$work/v.csv" "$samples/vidur.csv" || failed=1
expect 0 "$assay" trace convert "$samples/bailian.jsonl" --to native
cmp "$work/out" "$samples/native.jsonl" || failed=1
says err "40 requests written as native"
expect 0 "$assay" trace convert "$samples/burstgpt.csv" --to native --drop-failed -o "$work/n.jsonl"
says out "left out: 2 failed requests"
expect 0 "$assay" trace convert "$samples/bailian.jsonl" --regroup 512 --to mooncake -o "$work/m.jsonl"
says out "lost: sharing of less than 512 tokens"
expect 0 "$assay" trace lint "$work/m.jsonl" --strict
expect 0 "$assay" trace convert "$samples/native.jsonl" --regroup 8 --to native -o "$work/n8.jsonl"
expect 0 "$assay" trace lint "$work/n8.jsonl" --strict
expect 2 "$assay" trace convert "$samples/bailian.jsonl" --regroup 100
expect 2 "$assay" trace convert "$samples/vidur.csv" --regroup 512
expect 2 "$assay" trace convert "$samples/burstgpt.csv" --json -
expect 5 "$assay" trace convert "$samples/burstgpt.csv" -o /nonexistent/x

expect 0 "$assay" trace generate -n 200 --arrivals diurnal --seed 3 -o "$work/g.jsonl"
expect 0 "$assay" trace lint "$work/g.jsonl" --strict
"$assay" trace generate -n 100000 2>/dev/null | head -1 >/dev/null
[ "${PIPESTATUS[0]}" = 0 ] || { echo "a closed pipe is not an error"; failed=1; }
expect 2 "$assay" trace generate --rate -1
says err "--rate: expected a number from"

# Bytes that are no UTF-8, in a path and in a file, end in a clear word and not in an exception.
odd="$work/$(printf 'caf\351').csv"
printf 'Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n1,\351,2,3,5,x\n' >"$odd"
expect 2 "$assay" trace lint "$odd" --json "$work/odd.json"
says out "[utf-8]"
expect 0 "$assay" trace describe "$odd" --skip-bad --json -

expect 0 "$assay" trace fetch
says out "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df"
expect 0 "$assay" trace fetch mooncake-conversation --address
expect 2 "$assay" trace fetch nothing
expect 5 "$assay" trace fetch azure-2024-code
says err "README"
expect 0 "$assay" trace fetch --check "$samples/sample.jsonl"
says out "no public trace with this digest"
expect 1 "$assay" trace fetch mooncake-conversation --check "$samples/sample.jsonl"
expect 5 env PATH=/nonexistent "$assay" trace fetch mooncake-conversation -d "$work"
says err "no curl on this machine"

for action in describe lint convert generate fetch; do
  expect 0 "$assay" trace $action --help
  says out "assay trace $action"
done
exit $failed
