#!/usr/bin/env bash
# assay replay from the outside: every engine and the cache mode's curve on the built-in sample, the same
# bytes twice, ledgers that sum to one, exit codes and words for what cannot be.
#   replay_engines_test.sh PROGRAM
set -u
assay=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

expect() { # CODE WORDS...
  local code=$1
  shift
  "$@" >"$work/out" 2>"$work/err" </dev/null
  local got=$?
  [ "$got" = "$code" ] || { echo "exit code: expected $code, got $got: $*"; cat "$work/err"; failed=1; }
}
says() { # STREAM TEXT
  grep -qF -- "$2" "$work/$1" || { echo "expected on $1: $2"; head -5 "$work/$1"; failed=1; }
}

for engine in vllm-v1 sglang trtllm contiguous-max contiguous-power-of-two contiguous-oracle; do
  expect 0 "$assay" replay --engine "$engine" --json "$work/a.json" --quiet
  [ ! -s "$work/out" ] || { echo "$engine: --quiet prints"; failed=1; }
  expect 0 "$assay" replay --engine "$engine" --json "$work/b.json" --quiet
  cmp -s "$work/a.json" "$work/b.json" || { echo "$engine: two runs differ"; failed=1; }
  python3 - "$work/a.json" "$engine" <<'PY' || failed=1
import json, sys
document, engine = json.load(open(sys.argv[1])), sys.argv[2]
mean = document["ledger"]["mean"]
assert abs(sum(mean.values()) - 1) < 1e-9, f"{engine}: the ledger sums to {sum(mean.values())}"
assert document["completed"] + document["rejected"] == document["trace"]["requests"], f"{engine}: a request got lost"
assert document["config"]["engine"] == engine
if engine == "trtllm": assert document["preemptions"] == 0
if engine == "contiguous-oracle": assert mean["internal"] == 0
PY
done
expect 2 "$assay" replay --engine orca
says err "--engine"
expect 2 "$assay" replay --engine trtllm --watermark 0.1
says err "--watermark"
expect 2 "$assay" replay --engine contiguous-oracle --limit 5
says err "--limit"
expect 2 "$assay" replay --engine sglang --steps "$work/steps"
says err "--steps"

expect 0 "$assay" replay --mode cache --curve --blocks 50 --json "$work/c.json"
says out "a larger cache hits no more"
python3 - "$work/c.json" <<'PY' || failed=1
import json, sys
document = json.load(open(sys.argv[1]))
at_50 = [row for row in document["curve"]["rows"] if row[0] == 50]
assert at_50 and at_50[0][1] == document["prefix"]["block_hits"], "the curve and the replay disagree at 50 blocks"
PY
expect 2 "$assay" replay --mode cache --curve --evict belady
says err "lru"
exit $failed
