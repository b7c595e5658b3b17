#!/usr/bin/env bash
# Resolve requirements/cpu.in into requirements/cpu.txt, the exact versions `make setup` installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/uv.sh

uv pip compile --quiet --upgrade --no-annotate --no-header \
  --python-version 3.11 --overrides requirements/overrides.txt \
  requirements/cpu.in --output-file requirements/cpu.txt
echo "requirements/cpu.txt: $(grep -c '==' requirements/cpu.txt) packages. Now: make setup test"
