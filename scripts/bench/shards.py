"""What shards and gathering cost by themselves: many prompts through the scripted generator.

    python -m scripts.bench.shards answer --prompts 200000 --shards 8

One shard after the other, each a command of its own as on a machine of its own, then `solon gather`.
The model answers at once, so the seconds are Solon's: of the processor, since machines are shared.
Memory is the peak of the process (VmHWM).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

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


def main() -> None:
    """Print a line for each step."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=["answer", "revise"])
    asked.add_argument("--prompts", type=int, default=200_000)
    asked.add_argument("--shards", type=int, default=8)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        prompts, out = Path(folder) / "prompts.jsonl", Path(folder) / "out"
        with prompts.open("w", encoding="utf-8") as file:
            for row in range(given.prompts):
                file.write(json.dumps({"id": f"p{row}", "prompt": f"Question {row}? " * 4}) + "\n")
        words = [given.command, "-p", str(prompts), "-m", "scripted", "-o", str(out)]
        words += ["-c", "harmlessness"] if given.command == "revise" else []
        total = 0.0
        for number in range(1, given.shards + 1):
            seconds, peak = measured(*words, "--shard", f"{number}/{given.shards}")
            total += seconds
            print(f"shard {number}: {seconds:.1f} s, {peak} MB", flush=True)
        print(f"all shards: {given.prompts / total:,.0f} conversations/s")
        seconds, peak = measured("gather", str(out))
        size = (out / "records.jsonl").stat().st_size / 2**20
        print(f"gather: {seconds:.1f} s for {size:,.0f} MB of records, {peak} MB of memory")


if __name__ == "__main__":
    main()
