"""Files and answers of others are parsed in one place each, where damage is told in one line."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("constitution", "engine", "training", "scripts")
BARE = re.compile(
    r"\bjson\.loads?\(|\byaml\.(?:safe_)?load\(|\.read_bytes\(\)|\.read_text\(|\.open\(\"rb?\"\)"
    r"|\.validate_json\(|\bopen\(\"r"
)

ALLOWED = {
    ("engine/generators/background.py", "read_text"): "/proc, which the kernel writes",
    ("engine/generators/vllm_platform.py", "read_text"): "/proc, which the kernel writes",
    ("engine/generators/vllm_platform.py", "open"): "the end of our own engine's log",
    ("engine/generators/fingerprint.py", "open"): "weights, of which chunks are hashed",
    ("engine/generators/warm_swap.py", "open"): "the header of a file of weights",
    ("engine/report/assets.py", "read_text"): "files of this package",
    ("engine/prompts/standard_input.py", "open"): "our own copy of standard input",
    ("engine/runs/output.py", "loads"): "what was dumped in the same line",
    ("training/recipe/stage.py", "open"): "any input of a stage, hashed",
    ("training/evaluation/harness/lm_eval_tasks.py", "read_bytes"): "our own log; tasks, hashed",
}


def test_there_are_no_other_readers():
    found = {}
    for path in sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if place == "constitution/reading.py" or place.startswith("scripts/bench/"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for bare in BARE.findall(line):
                name = re.sub(r"\W", " ", bare).split()
                name = next(word for word in name if word not in ("json", "yaml"))
                found.setdefault((place, name), []).append(f"{place}:{number}: {line.strip()}")
    assert not {key: lines for key, lines in found.items() if key not in ALLOWED}
    assert not ALLOWED.keys() - found.keys(), "no longer there: take it off the list"
