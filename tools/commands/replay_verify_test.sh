#!/usr/bin/env bash
# assay replay --verify, --timeline and assay schedule --trace from the outside: exit codes, words, JSON, the same
# bytes twice, and a planted fault of the engine that must be found with request, token, block and slot.
#   replay_verify_test.sh PROGRAM
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
small=(--limit 24 --verify-heads 8 --verify-dims 32)

for kernel in twin golden-rounded naive; do
  expect 0 "$assay" replay "${small[@]}" --verify 4 --kernel $kernel --json "$work/a.json" --quiet
  expect 0 "$assay" replay "${small[@]}" --verify 4 --kernel $kernel --json "$work/b.json" --quiet
  cmp -s "$work/a.json" "$work/b.json" || { echo "$kernel: two runs differ"; failed=1; }
  python3 - "$work/a.json" "$kernel" <<'PY' || failed=1
import json, sys
v, kernel = json.load(open(sys.argv[1]))["verify"], sys.argv[2]
assert v["steps"] == 4 and len(v["picked"]) == 4, v
assert v["elements"] > 1000 and v["wrong"] == 0 and v["twin_mismatches"] == 0, v
assert 0 <= v["worst_headroom"] < 1, v
assert v["twin_elements"] == (v["elements"] if kernel == "twin" else 0), v
PY
done
for pick in fragmentation imbalance length; do
  expect 0 "$assay" replay "${small[@]}" --verify 3 --verify-pick $pick
  says out "3 decode steps ($pick)"
done

for kernel in twin golden-rounded naive; do
  expect 0 "$assay" replay --limit 12 --op paged-attention --verify 3 --verify-heads 4 --verify-dims 32 --window 500 --kernel $kernel
  says out "outputs by kernel $kernel: 0 wrong"
done
expect 1 "$assay" replay --limit 12 --blocks 3500 --op paged-attention --verify 30 --verify-heads 4 --verify-dims 32 --kernel naive --verify-fault write-lost
says out "the engine is at fault"

expect 1 "$assay" replay "${small[@]}" --blocks 3500 --verify 24 --verify-fault table-update-lost --json "$work/f.json"
says out "the engine is at fault"
python3 - "$work/f.json" <<'PY' || failed=1
import json, sys
v = json.load(open(sys.argv[1]))["verify"]
assert v["wrong"] > 0 and v["misplaced_slots"] > 0 and v["fault"]["strikes"] > 0, v
first = v["listed"][0]
for key in ("request", "token", "block", "slot"): assert first[key] >= 0, first
assert first["slot_is_right"] is False, first
PY

expect 2 "$assay" replay --verify 3 --verify-pick best
says err "--verify-pick"
expect 2 "$assay" replay --verify 3 --kernel fast
says err "--kernel"
expect 2 "$assay" replay --verify 3 --op convolution
says err "--op"
expect 2 "$assay" replay --verify 3 --engine sglang
says err "--verify"
expect 2 "$assay" replay --verify 3 --window 128
says err "--window"
expect 2 "$assay" replay --verify 3 --verify-dims 48
says err "dims"
expect 2 "$assay" replay --verify 3 --op paged-attention --verify-heads 3
says err "--verify-heads"
expect 2 "$assay" replay - --verify 3
says err "standard input"
expect 2 "$assay" replay --verify 3 --verify-fault sloth
says err "--verify-fault"

expect 0 "$assay" replay --timeline "$work/t.json" --quiet
expect 0 "$assay" schedule --lengths 128k,63x2k --timeline "$work/s.json" --quiet
python3 - "$work/t.json" "$work/s.json" <<'PY' || failed=1
import json, sys
for path in sys.argv[1:]:
    events = json.load(open(path))["traceEvents"]
    assert len(events) > 100 and any(e["ph"] == "X" for e in events), path
PY
expect 2 "$assay" replay --timeline "$work/t.json" --engine trtllm
says err "--timeline"

expect 0 "$assay" schedule --trace sample --blocks 3500 --worst 3 --json "$work/w.json"
says out "the worst under planner assay"
expect 0 "$assay" schedule --trace sample --blocks 3500 --step 5000 --planner fa3-dynamic --json "$work/k.json" --quiet
python3 - "$work/w.json" "$work/k.json" <<'PY' || failed=1
import json, sys
worst, chosen = (json.load(open(p))["trace"] for p in sys.argv[1:])
scores = [s["compute_over_ideal"] for s in worst["worst"]]
assert len(scores) == 3 and scores == sorted(scores, reverse=True) and worst["step"] == worst["worst"][0]["step"], worst
assert chosen["step"] == 5000 and len(chosen["lengths"]) > 1, chosen
PY
expect 2 "$assay" schedule --trace sample --step 99999999
says err "--step"
expect 2 "$assay" schedule --trace sample --step 0
says err "only fills prompts"
expect 2 "$assay" schedule --trace sample --lengths 4k
says err "both"
exit $failed
