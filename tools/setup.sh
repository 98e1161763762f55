# Sourced by demo.sh and test.sh: makes sure the distribution packages are there.
#
#   assay_setup            what building and testing needs
#   assay_setup lint       also what .ci/run's format and tidy steps need
#
# With root it installs what is missing and says so; without, it prints the one line that would, and
# stops with exit code 5. When everything is there it needs no network. CUDA is never installed: with
# nvcc on PATH the kernels are built, without it the build is CPU-only.

# A second checkout hits the first one's compilation cache.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

assay_packages="g++ cmake ninja-build make ccache git python3 libeigen3-dev librapidcheck-dev libgtest-dev
  libbenchmark-dev libcli11-dev libfmt-dev nlohmann-json3-dev zlib1g-dev libzstd-dev libxxhash-dev libpugixml-dev"
assay_lint_packages="clang-format clang-tidy"

assay_setup() {
  local wanted="$assay_packages" missing="" package
  [ "${1:-}" = lint ] && wanted="$wanted $assay_lint_packages"
  if ! command -v dpkg-query >/dev/null; then
    echo "setup: expected Debian 12 or Ubuntu 24.04 (or later), got a system without dpkg." >&2
    echo "setup: install the equivalents of: $(echo $wanted)" >&2
    return 5
  fi
  for package in $wanted; do
    case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
      *" installed") ;;
      *) missing="$missing $package" ;;
    esac
  done
  if [ -z "$missing" ]; then
    echo "setup: every package is there"
  elif [ "$(id -u)" = 0 ]; then
    echo "setup: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
      echo "setup: expected to install$missing, got an error from apt-get (above)" >&2
      return 5
    }
  else
    echo "setup: these packages are missing, and only root can install them:" >&2
    echo "  sudo apt-get install --no-install-recommends$missing" >&2
    return 5
  fi
  # A CUDA toolkit in its usual place that is not on PATH yet.
  if ! command -v nvcc >/dev/null && [ -x /usr/local/cuda/bin/nvcc ]; then
    export PATH="$PATH:/usr/local/cuda/bin"
  fi
  if command -v nvcc >/dev/null; then
    echo "setup: CUDA kernels will be built with $(command -v nvcc)"
  else
    echo "setup: no nvcc found, so this is a CPU-only build: the twin and the simulator are complete, kernels are not compiled"
  fi
}

# Stages print one line each with the seconds they took, so that a long run can be followed.
assay_stage() {
  local name="$1" begin=$SECONDS
  shift
  echo "== $name"
  "$@"
  local status=$?
  echo "== $name: $([ $status = 0 ] && echo done || echo "FAILED with exit code $status") after $((SECONDS - begin)) s"
  return $status
}
