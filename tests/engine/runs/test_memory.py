"""Memory is bounded by the window, not by the number of prompts."""

import json
import subprocess
import sys

import pytest

WORKER = """
import asyncio, sys
from pathlib import Path
from engine.generators.scripted import ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs.run import RevisionRun
from engine.settings import LoopSettings, roles
from tests.engine.builders import constitution

def megabytes(name):
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) // 1024

async def main():
    source = open_prompts(sys.argv[2])
    rules, cast = constitution("one", "two", "three"), roles(ScriptedGenerator())
    run = RevisionRun(Path(sys.argv[1]), source, rules, cast, LoopSettings())
    count = 0
    async for _ in run.stream():
        count += 1
        if count % (source.count // 4) == 0:
            print(megabytes("VmRSS"), flush=True)
    await run.close()
    print(megabytes("VmHWM"))  # not getrusage, whose peak counts the parent before exec

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_long_run_stays_small_and_flat(tmp_path):
    path = tmp_path / "prompts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in range(20_000):
            file.write(json.dumps({"id": f"p{row}", "prompt": f"Question {row}? " * 4}) + "\n")
    result = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path / "run"), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    *quarters, peak = map(int, result.stdout.split())
    assert peak < 400
    assert quarters[3] - quarters[0] < 20
