#!/usr/bin/env bash
# Make .venv hold what requirements/cpu.txt says, or with `cuda` cuda.txt, and the project itself in place.
# Does nothing when it already does; repairs an installation that was interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

device=${1:-cpu}
[[ $device == cpu || $device == cuda ]] || { echo "usage: setup.sh [cpu|cuda]" >&2; exit 2; }
version=3.11
[[ $device == cpu ]] || version=3.12
lock=requirements/$device.txt
stamp=.venv/.solon-ready           # written last: holds the fingerprint of what was installed
unfinished=.venv/.solon-unfinished # there while packages are being installed
log=build/setup.log

# The place counts too: an editable install and the commands in .venv/bin hold absolute paths.
fingerprint() {
  { pwd && cat "$lock" pyproject.toml; } | cksum
}

ready() {
  [[ -x .venv/bin/python && -x .venv/bin/solon && -f $stamp && ! -f $unfinished ]] &&
    [[ $(<"$stamp") == "$(fingerprint)" ]]
}

# Several people or jobs may set up one checkout: the second waits, and then finds it ready.
wait_for_turn() {
  mkdir -p build
  exec 9>build/setup.lock
  if command -v flock >/dev/null && ! flock --nonblock 9; then
    echo "setup: waiting for another setup of this checkout"
    flock 9
  fi
}

# Run quietly, or say in one line why not.
quietly() {
  "$@" </dev/null >>"$log" 2>&1
}

explain_failure() {
  local cause
  if grep -qiE 'no space left|disk quota' "$log"; then
    cause="the disk is full: free some gigabytes here and in uv's cache"
  elif grep -qiE 'dns error|could not connect|connection|timed out|error sending request|failed to fetch' "$log"; then
    cause="a package source could not be reached: check the network and pip's configuration"
  else
    cause=$(grep -E '[^[:space:]]' "$log" | tail -n 1)
  fi
  fail "$1: $cause (all of it: $log)"
}

# A lock is for one version. Where there is another Python only, uv may be able to fetch it.
create_environment() {
  local wanted=$version
  [[ $("$python" --version) != "Python $version."* ]] || wanted=$python
  quietly uv venv --clear --python "$wanted" .venv
}

# The locked torch for a CPU is a build which the usual index lacks: without a source that has it,
# uv's own knowledge of where PyTorch publishes its builds helps.
install_packages() {
  quietly uv pip install --python .venv --no-deps -r "$lock" ||
    { [[ $device == cpu ]] &&
      quietly uv pip install --python .venv --no-deps --torch-backend cpu -r "$lock"; }
}

if ready; then
  exit 0
fi
wait_for_turn
if ready; then
  exit 0
fi

source scripts/uv.sh
: >"$log"

if [[ -f $unfinished || ! -x .venv/bin/python ]]; then
  echo "setup: creating .venv"
  create_environment || explain_failure "no Python $version, install python$version"
fi
touch "$unfinished"
echo "setup: installing $(grep -c '==' "$lock") packages into .venv (about a minute)"
install_packages || explain_failure "packages not installed"
rm "$unfinished"
quietly uv pip install --python .venv --no-deps --no-build-isolation --editable . ||
  explain_failure "solon itself not installed"
fingerprint >"$stamp"
echo "setup: done"
