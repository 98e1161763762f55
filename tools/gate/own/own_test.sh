#!/usr/bin/env bash
# Our own gate on a machine without a device: the sm90 kernels are what their receipt saw, the others hold by
# themselves. The compiler's report is looked at where somebody made it (resources.sh); it is the gate's business
# to miss it, and not this test's.
# usage: own_test.sh ASSAY
set -u
cd "$(dirname "$0")/../../.." || exit 1
said=$("$1" gate --config tools/gate/own/gate.json --device none 2>&1)
code=$?
receipts=$(grep -c '^  held  *receipt ' <<<"$said")
wanted=$(grep -c '"device": "cuda"' tools/gate/own/gate.json)
broken=$(grep '^  broken ' <<<"$said" | grep -vc '^  broken  *resources .*no such file')
if [ "$receipts" -ne "$wanted" ] || [ "$broken" -ne 0 ] || ! grep -q ' held, 0 failed, ' <<<"$said"; then
  echo "$said"
  echo "expected $wanted receipts to hold and nothing to fail, got $receipts receipts, $broken checks without a verdict, exit code $code"
  exit 1
fi
