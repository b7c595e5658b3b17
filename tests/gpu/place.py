"""What the steps of the check of a GPU share."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "VOWELS", "Figures", "has_gpu", "installed", "run_program", "write_prompts"]

ROOT = Path(__file__).parents[2]
RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""
VOWELS = """
rules:
  - {match: '(?s)<reply>.*[aeiou].*</reply>', probabilities: [0.2, 0.8]}
  - {probabilities: [1.0, 0.0]}
"""
Figures = dict[str, Any]


def has_gpu() -> bool:
    """Whether torch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def installed(package: str) -> bool:
    """Whether it can be imported."""
    import importlib.util

    return importlib.util.find_spec(package) is not None


def run_program(*command: str, codes: tuple[int, ...] = (0,)) -> None:
    """Run a program of ours. Raises AssertionError with its last words for another exit code."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": _path()},
        capture_output=True,
        text=True,
    )
    assert done.returncode in codes, f"{command[:3]}: {done.stdout[-500:]}\n{done.stderr[-2500:]}"


def _path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def write_prompts(place: Path, count: int) -> Path:
    rows = "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(count))
    (place / "prompts.jsonl").write_text(rows, encoding="utf-8")
    (place / "rules.yaml").write_text(RULES, encoding="utf-8")
    return place / "prompts.jsonl"
