#!/usr/bin/env bash
# Installs a build into an empty prefix and builds a stranger's plug-in against it; also sources the shell
# completion and completes with it.   install_test.sh BUILD_DIR SOURCE_DIR
set -eu
build="$1"; source="$2"
prefix="$(mktemp -d)"
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix/usr" >/dev/null
"$prefix/usr/bin/assay" --version
for file in include/assay/assay_kernel.h share/assay/assay_worker.py share/bash-completion/completions/assay share/zsh/site-functions/_assay; do
  [ -f "$prefix/usr/$file" ] || { echo "expected $file to be installed, got nothing"; exit 1; }
done
cmake -S "$source/tools/install_test/plugin" -B "$prefix/build" -DCMAKE_PREFIX_PATH="$prefix/usr" >/dev/null
cmake --build "$prefix/build" >/dev/null
nm -D "$prefix/build/libmy_kernel.so" | grep -q ' T assay_kernel_v1$' ||
  { echo "expected the plug-in to export assay_kernel_v1, got: $(nm -D "$prefix/build/libmy_kernel.so")"; exit 1; }
"$prefix/usr/bin/assay" kernels "$prefix/build/libmy_kernel.so" --json - | grep -q '"device": "cpu"' ||
  { echo "expected the installed program to list the plug-in, got nothing"; exit 1; }
if command -v python3 >/dev/null; then
  printf 'def f(call):\n  raise NotImplementedError\n' >"$prefix/kernel.py"
  "$prefix/usr/bin/assay" kernels "$prefix/kernel.py:f" --json - | grep -q '"name": "f"' ||
    { echo "expected the installed program to list a Python function, got nothing"; exit 1; }
fi

PATH="$prefix/usr/bin:$PATH"
. "$prefix/usr/share/bash-completion/completions/assay"
completed() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _assay; printf '%s\n' "${COMPREPLY[@]}"; }
completed assay rep | grep -qx replay || { echo "expected 'assay rep' to complete to replay, got: $(completed assay rep)"; exit 1; }
completed assay replay --block | grep -qx -- --block-tokens || { echo "expected --block-tokens among: $(completed assay replay --block)"; exit 1; }
completed assay trace des | grep -qx describe || { echo "expected describe among: $(completed assay trace des)"; exit 1; }
echo "install: program, package, plug-in and completion work"
