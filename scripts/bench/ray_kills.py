"""Random SIGKILLs of a run on Ray: are the gathered records those of one undisturbed process?

    python -m scripts.bench.ray_kills --kills 20
    python -m scripts.bench.ray_kills --kills 1 --prompts 60 --shards 4 --model embedded

A cluster of this machine's own works on `solon revise` with a scripted model that takes its time, or
on `solon answer` with a real one. At random moments, each after more was finished since the last, a
worker or the command itself is killed; a command that has ended is given again. Then the records of all
shards, sorted, are compared byte for byte with those of one process; a real model's by their ids.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["main"]

_SCRIPTED = "scripted:script.yaml"
_RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
  - {id: brief, statement: The assistant is brief.}
"""


def workers_in(folder: Path) -> list[int]:
    """Process ids of Ray's workers for a command that was given in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # no process, or it has ended meanwhile
            begins = (entry / "cmdline").read_bytes().startswith(b"ray::ShardWorker")
            if begins and (entry / "cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
    return found


def records(out: Path) -> list[bytes]:
    """All rows, sorted."""
    return sorted((out / "records.jsonl").read_bytes().splitlines())


class Kills:
    """Starts a command until it ends well, and has `left` kills to do while it runs."""

    def __init__(
        self, start: Callable[[], "subprocess.Popen[bytes]"], folder: Path, kills: int, seed: int
    ) -> None:
        self.left = kills
        self._folder = folder
        self.done: Counter[str] = Counter()
        self._start = start
        self._random = random.Random(seed)
        self._size = 0

    def run(self) -> None:
        """Until the command exits with 0 after the last kill."""
        while True:
            command = self._start()
            self.done["commands"] += 1
            for target in self._targets(command):
                kind = "command" if target == command.pid else "worker"
                os.kill(target, signal.SIGKILL)
                self.done[f"{kind} killed"] += 1
                self.left -= 1
            if (code := command.wait()) == 0:
                return
            self.done[f"ended with {code}"] += 1
            print(f"{self.left} kills left: {dict(self.done)}", flush=True)

    def _targets(self, command: "subprocess.Popen[bytes]") -> Iterator[int]:
        """Whom to kill next, while the command runs."""
        while self.left and command.poll() is None:
            time.sleep(self._random.uniform(0.5, 5))
            workers, size = workers_in(self._folder), self._written()
            if workers and size > self._size and command.poll() is None:
                self._size = size
                yield self._random.choice([*workers, command.pid])

    def _written(self) -> int:
        """Bytes of records so far."""
        return sum(path.stat().st_size for path in self._folder.glob("scratch/*/records.jsonl"))


def main() -> None:
    """Print what was killed, and what came of it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--prompts", type=int, default=1500)
    asked.add_argument("--shards", type=int, default=8)
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--kills", type=int, default=20)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--model", default=_SCRIPTED)
    asked.add_argument("--address", help="of a cluster that runs already")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, given.prompts)
        if given.model == _SCRIPTED:
            start_solon(folder, given.model, "-o", "whole").wait()
        address = given.address or new_cluster(given.workers)
        words = ["-o", "out", "--ray", address, "--gpus-per-worker", 0]
        words += ["--shards", given.shards, "--workers", given.workers, "--scratch", "scratch"]
        kills = Kills(
            lambda: start_solon(folder, given.model, *words), folder, given.kills, given.seed
        )
        began = time.monotonic()
        kills.run()
        print(f"on Ray: {time.monotonic() - began:.0f} s, {dict(kills.done)}")
        whole = records(folder / "whole") if given.model == _SCRIPTED else None
        compare(whole, records(folder / "out"), given.prompts)


def new_cluster(workers: int) -> str:
    """Start one that ends with this process; its address."""
    from ray.cluster_utils import Cluster

    return str(Cluster(initialize_head=True, head_node_args={"num_cpus": workers}).address)


def write_inputs(folder: Path, prompts: int) -> None:
    """A constitution, a model and prompts."""
    (folder / "rules.yaml").write_text(_RULES, encoding="utf-8")
    (folder / "script.yaml").write_text("delay: 0.2\n", encoding="utf-8")
    with (folder / "p.jsonl").open("w", encoding="utf-8") as file:
        for row in range(prompts):
            file.write(json.dumps({"id": f"p{row}", "prompt": f"Question {row}?"}) + "\n")


def start_solon(folder: Path, model: str, *more: Any) -> "subprocess.Popen[bytes]":
    """A command with these inputs, in their folder."""
    words = ["revise", "-c", "rules.yaml", "--window", 64]
    if model != _SCRIPTED:
        words = ["answer", "--max-tokens", 24, "--window", 4]
    command = [sys.executable, "-m", "scripts.solon", *words, "-p", "p.jsonl", "-m", model, *more]
    return subprocess.Popen(
        [*map(str, command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": absolute_python_path()},
        stdout=subprocess.DEVNULL,
    )


def absolute_python_path() -> str:
    """For a process in another folder."""
    folders = os.environ.get("PYTHONPATH", ".").split(os.pathsep)
    return os.pathsep.join(map(os.path.abspath, folders))


def compare(whole: list[bytes] | None, gathered: list[bytes], prompts: int) -> None:
    """Print whether the gathered rows are those of one process, where those are known."""
    ids = Counter(json.loads(row)["id"] for row in gathered)
    twice = sum(count > 1 for count in ids.values())
    missing = sum(f"p{row}" not in ids for row in range(prompts))
    print(f"{len(gathered):,} records, {missing} of {prompts:,} prompts missing, {twice} twice")
    if whole is not None:
        print("equal byte for byte" if whole == gathered else "NOT those of one process")


if __name__ == "__main__":
    main()
