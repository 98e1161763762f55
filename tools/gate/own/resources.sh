#!/usr/bin/env bash
# What the compiler gives the sm90 kernels, for the gate: build/gate/*.ptxas.txt. Needs nvcc, no GPU.
set -eu
cd "$(dirname "$0")/../../.."
command -v nvcc >/dev/null || PATH="$PATH:/usr/local/cuda/bin"
command -v nvcc >/dev/null || { echo "resources.sh: expected nvcc on PATH, got none" >&2; exit 5; }
mkdir -p build/gate
report() { # name, sources
  name=$1; shift
  : >"build/gate/$name.ptxas.txt"
  for source in "$@"; do
    nvcc -std=c++20 -O3 -DNDEBUG -arch=sm_90a --expt-relaxed-constexpr -I. -cubin -Xptxas=-v -o /dev/null "$source" \
      2>>"build/gate/$name.ptxas.txt" || { cat "build/gate/$name.ptxas.txt" >&2; exit 1; }
  done
  echo "build/gate/$name.ptxas.txt: $(grep -c 'Compiling entry function' "build/gate/$name.ptxas.txt") entry functions"
}
report sm90-paged gpu/sm90_fp8_paged_mqa_logits/paged_logits.cu gpu/sm90_fp8_paged_mqa_logits/few_tokens.cu
report sm90-prefill gpu/sm90_fp8_mqa_logits/mqa_logits.cu
report sm90-decode gpu/sm90_paged_attention/decode.cu
