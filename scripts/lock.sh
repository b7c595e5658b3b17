#!/usr/bin/env bash
# Resolve requirements/cpu.in and cuda.in into the exact versions that `make setup` installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/uv.sh

compile() {
  uv pip compile --quiet --upgrade --no-annotate --no-header "$@"
}

compile --python-version 3.11 --overrides requirements/overrides.txt \
  requirements/cpu.in --output-file requirements/cpu.txt
compile --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
  --overrides requirements/overrides-cuda.txt \
  requirements/cuda.in --output-file requirements/cuda.txt
for lock in cpu cuda; do
  echo "requirements/$lock.txt: $(grep -c '==' requirements/$lock.txt) packages"
done
echo "Now: make setup test"
