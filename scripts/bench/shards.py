"""What shards and gathering cost by themselves: many prompts through the scripted generator.

    python -m scripts.bench.shards answer --prompts 200000 --shards 8

One shard after the other, each a command of its own as on a machine of its own, then `solon gather`;
with `--ray N` all of them on N workers of a Ray cluster on this machine. The model answers at once, so
the seconds are Solon's: of the processor, since machines are shared. Memory is the peak of the process
(VmHWM), and of Ray's workers their resident size as they go.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scripts.bench.ray_kills import absolute_python_path, workers_in

__all__ = ["main"]

_SAMPLED = 2.0
"""Seconds between two looks at the workers."""
_SHOWN = 10
"""Looks of which one is printed."""
_PEAK = """
import sys, time
from scripts.solon import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    with open("/proc/self/status", encoding="utf-8") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("MEASURED", time.process_time(), peak)
"""


def measured(*words: str) -> tuple[float, int]:
    """Seconds of the processor and peak megabytes of one command."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, kilobytes = done.stdout.split("MEASURED")[1].split()
    return float(seconds), int(kilobytes) // 1024


def one_after_the_other(words: Sequence[str], shards: int) -> float:
    """Do all shards; seconds of the processor."""
    total = 0.0
    for number in range(1, shards + 1):
        seconds, peak = measured(*words, "--shard", f"{number}/{shards}")
        total += seconds
        print(f"shard {number}: {seconds:.1f} s, {peak} MB", flush=True)
    return total


def on_ray(folder: Path, words: Sequence[str], shards: int, workers: int) -> float:
    """Do all shards and gather them; seconds of the processor that the workers took."""
    ray = ["--ray", "local", "--shards", shards, "--workers", workers, "--gpus-per-worker", 0]
    began, seconds, turn = time.monotonic(), dict[int, float](), 0
    command = [sys.executable, "-m", "scripts.solon", *words, *map(str, ray)]
    path = absolute_python_path()
    with subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}) as run:
        while run.poll() is None:
            time.sleep(_SAMPLED)
            sizes = []
            for pid in workers_in(folder):
                with suppress(OSError, StopIteration):  # it has ended meanwhile
                    seconds[pid], size = taken(pid)
                    sizes.append(f"{size} MB")
            turn += 1
            if turn % _SHOWN == 0:
                print(
                    f"{time.monotonic() - began:.0f} s: workers of {', '.join(sizes)}", flush=True
                )
    print(f"with start and gathering {time.monotonic() - began:.0f} s by the clock")
    return sum(seconds.values())


def taken(pid: int) -> tuple[float, int]:
    """Seconds of the processor and resident megabytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    size = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    return ticks / os.sysconf("SC_CLK_TCK"), size


def main() -> None:
    """Print a line for each step."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=["answer", "revise"])
    asked.add_argument("--prompts", type=int, default=200_000)
    asked.add_argument("--shards", type=int, default=8)
    asked.add_argument("--ray", type=int, metavar="N", help="on N workers")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        prompts, out = Path(folder) / "prompts.jsonl", Path(folder) / "out"
        with prompts.open("w", encoding="utf-8") as file:
            for row in range(given.prompts):
                file.write(json.dumps({"id": f"p{row}", "prompt": f"Question {row}? " * 4}) + "\n")
        words = [given.command, "-p", str(prompts), "-m", "scripted", "-o", str(out)]
        words += ["-c", "harmlessness"] if given.command == "revise" else []
        if given.ray:
            total = on_ray(Path(folder), words, given.shards, given.ray)
        else:
            total = one_after_the_other(words, given.shards)
        print(f"all shards: {given.prompts / total:,.0f} conversations a second of a processor")
        seconds, peak = measured("gather", str(out), "--overwrite")
        size = (out / "records.jsonl").stat().st_size / 2**20
        print(f"gather: {seconds:.1f} s for {size:,.0f} MB of records, {peak} MB of memory")


if __name__ == "__main__":
    main()
