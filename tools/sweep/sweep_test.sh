#!/usr/bin/env bash
# assay sweep from the outside: the same bytes with one thread and with three, after kills and after a torn
# line, as a spec and as flags; words and exit codes for what cannot be.
#   sweep_test.sh PROGRAM SAMPLES
set -u
assay=$1
samples=$2
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
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
same() { # FOLDER FOLDER
  local file
  for file in spec.json results.jsonl results.csv summary.json; do
    cmp "$1/$file" "$2/$file" || failed=1
  done
}

axes="--limit 100 --trace $samples/sample.jsonl,$samples/bailian.jsonl --block-tokens 16,64 --blocks 500,2000,8000"
# 1. Threads do not show; a point is what assay replay says.
expect 0 "$assay" sweep $axes --workers 1 --out "$work/one"
says out "12 of 12 points"
expect 0 "$assay" sweep $axes --workers 3 --out "$work/three" --quiet
[ ! -s "$work/out" ] || { echo "--quiet prints"; failed=1; }
same "$work/one" "$work/three"
[ "$(wc -l <"$work/one/results.csv")" = 13 ] || { echo "expected 13 lines of CSV"; failed=1; }
expect 0 "$assay" replay "$samples/bailian.jsonl" --limit 100 --block-tokens 64 --blocks 2000 --series-points 0 \
  --json "$work/replay.json" --quiet
python3 - "$work" <<'PY' || failed=1
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/one/results.jsonl")]
assert [row["point"] for row in rows] == list(range(12))
row = next(r for r in rows if "bailian" in r["options"]["trace"] and r["options"]["block-tokens"] == "64"
           and r["options"]["blocks"] == "2000")
assert row["result"] == json.load(open(sys.argv[1] + "/replay.json")), "a point differs from assay replay"
assert len({r["result"]["digest"] for r in rows}) > 6, "points with other options have the same result"
PY
# 2. The same from a spec.
cat >"$work/spec" <<SPEC
{"limit": 100, "trace": ["$samples/sample.jsonl", "$samples/bailian.jsonl"], "block-tokens": [16, 64], "blocks": [500, 2000, 8000]}
SPEC
expect 0 "$assay" sweep --spec "$work/spec" --out "$work/spec-out" --quiet
same "$work/one" "$work/spec-out"
# 3. Random points are drawn from the seed.
expect 0 "$assay" sweep $axes --random 5 --seed 3 --out "$work/r3" --quiet
expect 0 "$assay" sweep $axes --random 5 --seed 3 --workers 1 --out "$work/r3b" --quiet
same "$work/r3" "$work/r3b"
expect 0 "$assay" sweep $axes --random 5 --seed 4 --out "$work/r4" --quiet
cmp -s "$work/r3/results.jsonl" "$work/r4/results.jsonl" && { echo "two seeds, one sweep"; failed=1; }
# 4. A line torn at any byte, and lines in any order: resume gives the same bytes.
size=$(stat -c %s "$work/one/results.jsonl")
for kept in 0 1 9 $((size / 3)) $((size / 2)) $((size - 1)) $size; do
  rm -rf "$work/torn"; mkdir "$work/torn"
  cp "$work/one/spec.json" "$work/torn/"
  tac "$work/one/results.jsonl" | head -c "$kept" >"$work/torn/results.jsonl"
  expect 0 "$assay" sweep --resume "$work/torn" --quiet
  same "$work/one" "$work/torn"
done
# 5. Killed ten times, at whatever moment.
heavy="$axes --max-sequences 8,256 --token-budget 512,2048,8192"
expect 0 "$assay" sweep $heavy --out "$work/whole" --quiet
begun=no
for kill in 1 2 3 4 5 6 7 8 9 10; do
  if [ -e "$work/killed/spec.json" ]; then how="--resume $work/killed"; else how="$heavy --out $work/killed"; fi
  "$assay" sweep $how --quiet & pid=$!
  sleep "0.0$((RANDOM % 10))"
  kill -9 $pid 2>/dev/null && begun=yes
  wait $pid 2>/dev/null
done
[ $begun = yes ] || { echo "nothing was killed"; failed=1; }
if [ -e "$work/killed/spec.json" ]; then how="--resume $work/killed"; else how="$heavy --out $work/killed"; fi
expect 0 "$assay" sweep $how --quiet
same "$work/whole" "$work/killed"
# 6. What cannot be.
expect 2 "$assay" sweep $axes --out "$work/one"
says err "--resume"
expect 2 "$assay" sweep $axes --evict lru --resume "$work/one"
says err "another"
expect 2 "$assay" sweep $axes --resume "$work/nowhere"
says err "spec.json"
expect 2 "$assay" sweep $axes --colour red --out "$work/x"
says err "--colour"
expect 2 "$assay" sweep $axes --engine vllm-v1,orca --out "$work/x"
says err "--engine"
expect 2 "$assay" sweep $axes --html a,b --out "$work/x"
says err "--html"
expect 2 "$assay" sweep --trace "$work/absent" --out "$work/x"
says err "--trace"
expect 2 "$assay" sweep --out "$work/x"
[ ! -e "$work/x" ] || { echo "a refused sweep left a folder"; failed=1; }
expect 5 "$assay" sweep $axes --out /proc/sweep
says err "/proc/sweep"
# No room (a limit on file size stands for a full disk): said before work starts, and resumed.
rm -rf "$work/full"; mkdir "$work/full"; cp "$work/one/spec.json" "$work/full/"
( ulimit -f 8; trap '' XFSZ; exec "$assay" sweep --resume "$work/full" ) >"$work/out" 2>"$work/err"
got=$?
[ $got = 5 ] || { echo "a full disk: expected exit code 5, got $got"; cat "$work/err"; failed=1; }
says err "room for"
expect 0 "$assay" sweep --resume "$work/full" --quiet
same "$work/one" "$work/full"
exit $failed
