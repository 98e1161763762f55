#!/usr/bin/env bash
# A campaign that is killed at any moment and resumed ends as one that never was: same cases, failures, digest.
# usage: fuzz_resume_test.sh ASSAY
set -u
assay=$1
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
summary() { python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print([d[k] for k in ("cases", "passed", "failures", "elements", "digest", "coverage")], [(k["kind"], k["count"], k["first_case"]) for k in d["kinds"]])' "$1"; }
flags="--kernel mutant:K12b --cases 2000 --seed 5 --workers 2 --shrink-tries 20 --no-corpus --quiet"
$assay fuzz $flags --out whole --json whole.json
[ $? -eq 1 ] || { echo "expected the mutant to fail with exit 1"; exit 1; }
kills=0
$assay fuzz $flags --out cut --json cut.json &
for wait in 0.25 0.4 0.15 0.5 0.3 0.45 0.2 0.35 0.6 0.55; do
  sleep $wait
  kill -0 $! 2>/dev/null || break
  kill -9 $! && kills=$((kills + 1))
  wait $! 2>/dev/null
  # Killed before its first line was written: there is nothing to go on with yet.
  if [ -f cut/campaign.jsonl ]; then $assay fuzz --resume cut --workers 2 --shrink-tries 20 --quiet --json cut.json & else $assay fuzz $flags --out cut --json cut.json & fi
done
wait $!
[ $? -eq 1 ] || { echo "expected the resumed campaign to fail with exit 1"; exit 1; }
echo "killed $kills times"
[ $kills -ge 2 ] || { echo "expected at least 2 kills, got $kills"; exit 1; }
a=$(summary whole.json) b=$(summary cut.json)
[ "$a" = "$b" ] || { echo "expected $a"; echo "got      $b"; exit 1; }
[ ! -f cut/campaign.jsonl ] || { echo "expected the log of a finished campaign to be gone"; exit 1; }
$assay fuzz --resume nowhere 2>err
[ $? -eq 2 ] && grep -q "the log of a campaign" err || { echo "expected exit 2 and a reason, got: $(cat err)"; exit 1; }
$assay fuzz $flags --out mine --json mine.json &
until [ -f mine/campaign.jsonl ]; do sleep 0.02; done
kill -9 $!
wait $! 2>/dev/null
$assay fuzz --resume mine --seed 6 2>err
[ $? -eq 2 ] && grep -q "seed" err || { echo "expected another seed to be refused, got: $(cat err)"; exit 1; }
