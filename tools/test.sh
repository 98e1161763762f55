#!/usr/bin/env bash
# Sets up, builds and runs the tests. This is all a newcomer needs; .ci/run calls it too.
#
#   tools/test.sh                   the release build and every test
#   tools/test.sh --preset dev      the same under the address and undefined-behaviour sanitizers
#   tools/test.sh --preset tsan     what is threaded, under the thread sanitizer
#   tools/test.sh --build-only      stop before the tests
#
# Tests that need a GPU are reported as skipped where there is none. Exit: 0 all passed, 1 a test or the
# build failed, 2 usage, 5 a package is missing and cannot be installed.
set -u
cd "$(dirname "$0")/.." || exit 5
. tools/setup.sh

preset=release
build_only=no
while [ $# -gt 0 ]; do
  case "$1" in
    --preset) preset="${2:-}"; shift 2 || exit 2 ;;
    --build-only) build_only=yes; shift ;;
    -h|--help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "tools/test.sh: expected --preset NAME, --build-only or --help, got '$1'" >&2; exit 2 ;;
  esac
done
case "$preset" in
  release|dev|tsan|gpu) ;;
  *) echo "tools/test.sh: expected a preset of release, dev, tsan or gpu, got '$preset'" >&2; exit 2 ;;
esac

assay_setup || exit $?
configure() { cmake --preset "$preset" >"build/$preset-configure.log" 2>&1 || { cat "build/$preset-configure.log"; return 1; }
              grep -E "^-- (Assay|No nvcc)" "build/$preset-configure.log"; }
build() { cmake --build --preset "$preset" -j "$(nproc)" >"build/$preset-build.log" 2>&1 ||
          { grep -vE '^\[[0-9]+/[0-9]+\] ' "build/$preset-build.log" | tail -60; return 1; }; }
mkdir -p build
assay_stage "configure $preset" configure || exit 1
assay_stage "build $preset" build || exit 1
[ "$build_only" = yes ] && exit 0
echo "== test $preset"
ctest --preset "$preset" -j "$(nproc)" --progress 2>&1 | tr '\r' '\n' | grep -vE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .*(Passed|Skipped)|^ *Start +[0-9]+:|^Test project' | uniq
exit "${PIPESTATUS[0]}"
