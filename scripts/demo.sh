#!/usr/bin/env bash
# The whole pipeline with the embedded model, on this CPU: revise, SFT, preferences, DPO, and what
# it did. Run it again and it finds everything done; edit a principle first and only
# what that principle touched, and what is trained on it, is done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
solon=.venv/bin/solon
out=runs/quickstart-cpu

"$solon" constitution check constitution/library/plain-answers.yaml
"$solon" run quickstart-cpu --out "$out"
echo "Open $out/revise/report.html to read what was criticised and revised,"
echo "and $out/evaluate/evaluation.html to see what training changed, answer by answer."
