#!/usr/bin/env bash
# Critique and revise the demo's prompts with the embedded model, on this CPU. Run it again and it
# finds everything done; edit a principle first and only what that principle touched is done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
solon=.venv/bin/solon
run=runs/demo

"$solon" constitution check constitution/library/harmlessness.yaml
"$solon" revise --constitution constitution/library/harmlessness.yaml \
  --prompts scripts/data/demo_prompts.jsonl --model embedded --rounds 2 --max-tokens 160 \
  --temperature 0.5 --top-p 0.9 --update --out "$run"
"$solon" report "$run"
echo "Open $run/report.html to read what was criticised and revised."
