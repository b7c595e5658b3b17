"""Our SFT and DPO against plain TRL: tokens per second and peak memory, in one run.

    python -m scripts.bench.training                    # the embedded model, on this CPU
    python -m scripts.bench.training --model DIR --rows 2000 --words 200 --batch-size 8   # a GPU

Each training is a process of its own (`scripts/bench/trainers.py`), the contenders take turns, and
the same rows, batch size and epoch go to all. Time is from the rows on disk to the model on disk,
imports left out. The second table changes one setting after another, from TRL's defaults to ours.
"""

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonlines
from rich.console import Console
from rich.table import Table

from engine.generators.embedded import embedded_model
from scripts.bench.contenders import WORDS
from scripts.bench.trainers import TrainingRunFigures

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
FLOAT32 = {"bf16": False}
KEEP = {"gradient_checkpointing": False}
SORTED = {"train_sampling_strategy": "group_by_length"}
ONCE = {"precompute_ref_log_probs": True}
LORA = {"lora": {"r": 16, "alpha": 32}}

STEPS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "sft": [
        ("TRL's defaults", "plain", {}),
        ("+ float32", "plain", FLOAT32),
        ("+ activations kept", "plain", FLOAT32 | KEEP),
        ("+ batches of like lengths", "plain", FLOAT32 | KEEP | SORTED),
        ("solon", "solon", {}),
        ("solon, LoRA", "solon", LORA),
    ],
    "dpo": [
        ("TRL's defaults", "plain", {}),
        ("+ float32", "plain", FLOAT32),
        ("+ activations kept", "plain", FLOAT32 | KEEP),
        ("+ reference asked once", "plain", FLOAT32 | KEEP | ONCE),
        ("solon", "solon", {}),
        ("solon, reference beside it", "solon", {"precompute_reference": False}),
        ("solon, LoRA", "solon", LORA),
    ],
}
"""Name, contender and settings, one after another."""
COMPARED = ("TRL's defaults", "solon")


class TrainersBench:
    """The trainings of one run of the benchmark."""

    def __init__(self, model: str, rows: Path, settings: Mapping[str, Any]) -> None:
        self.rows = rows
        self.settings = {"model": model, **settings}
        self.tokens = _tokens(model, rows)
        self.found: dict[str, list[TrainingRunFigures]] = {}

    def measure(self, task: str, name: str, contender: str, settings: Mapping[str, Any]) -> None:
        """One training in a process of its own. Raises RuntimeError with its output if it fails."""
        out = Path(tempfile.mkdtemp(prefix="bench-training-"))
        told = json.dumps({**self.settings, **settings})
        command = [sys.executable, "-m", "scripts.bench.trainers", contender, task]
        done = subprocess.run(
            [*command, str(self.rows), str(out / "out"), told],
            cwd=ROOT,
            env=os.environ | {"TQDM_DISABLE": "1", "HF_DATASETS_CACHE": str(out / "cache")},
            capture_output=True,
            text=True,
        )
        shutil.rmtree(out)
        if done.returncode:
            raise RuntimeError(f"{task}, {name} failed:\n{done.stderr[-3000:]}")
        measured = TrainingRunFigures(**json.loads(done.stdout.splitlines()[-1]))
        self.found.setdefault(f"{task}: {name}", []).append(measured)
        print(
            f"{task}: {name}: {measured.seconds:.1f} s, CPU {measured.cpu_seconds:.1f} s",
            flush=True,
        )

    def table(self, title: str, names: list[str]) -> Table:
        """Medians. The last columns are against the first line of the same task."""
        shown = Table(
            "training", "tokens/s", "tokens/CPU s", "x", "memory", "GPU", "loss", title=title
        )
        base: dict[str, float] = {}
        for name in (name for name in names if name in self.found):
            runs = sorted(self.found[name], key=lambda run: run.cpu_seconds)
            run, task = runs[len(runs) // 2], name.partition(":")[0]
            tokens = self.tokens[task]
            cost = run.seconds if run.gpu_memory else run.cpu_seconds
            shown.add_row(
                name,
                f"{tokens / run.seconds:,.0f}",
                f"{tokens / run.cpu_seconds:,.0f}",
                f"{base.setdefault(task, cost) / cost:.2f}",
                f"{run.memory / 2**30:.2f} GiB",
                f"{run.gpu_memory / 2**30:.2f} GiB" if run.gpu_memory else "",
                f"{run.loss:.3f}",
            )
        return shown


def write_rows(file: Path, count: int, words: int) -> None:
    """Prompts, answers and worse answers of random words, their lengths log-normal as real ones."""
    draw = random.Random(0)

    def message(role: str, mean: float) -> list[dict[str, str]]:
        length = max(1, min(round(draw.lognormvariate(math.log(mean), 0.7)), 6 * round(mean)))
        return [{"role": role, "content": " ".join(draw.choices(WORDS, k=length))}]

    with jsonlines.open(file, "w") as lines:
        for number in range(count):
            answer = message("assistant", words)
            row = {
                "id": str(number),
                "prompt": message("user", words / 3),
                "completion": answer,
                "chosen": answer,
                "rejected": message("assistant", words),
                "probability": 1.0,
            }
            lines.write(row)


def _tokens(model: str, rows: Path) -> dict[str, int]:
    """Tokens that one epoch of each task trains on, padding not counted."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]

    def total(column: str) -> int:
        rendered = (
            tokenizer.apply_chat_template(row["prompt"] + row[column], return_dict=False)
            for row in loaded
        )
        return sum(map(len, rendered))

    return {"sft": total("completion"), "dpo": total("chosen") + total("rejected")}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a model directory [the embedded model]")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--words", type=int, default=30, help="median words of an answer")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--task", choices=STEPS, action="append", help="[both]")
    parser.add_argument("--no-ablation", action="store_true", help="only the first table")
    parser.add_argument("--json", type=Path, help="also write every measurement here")
    return parser.parse_args()


def _trainings(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """The contenders in an order that turns round each time, then the steps between them."""
    tasks = arguments.task or list(STEPS)
    for repeat in range(arguments.repeats):
        for task in tasks:
            steps = [step for step in STEPS[task] if step[0] in COMPARED]
            for step in steps if repeat % 2 == 0 else reversed(steps):
                yield (task, *step)
    for task in [] if arguments.no_ablation else tasks:
        for step in STEPS[task]:
            if step[0] not in COMPARED:
                yield (task, *step)


def main() -> None:
    """Run the benchmark from the command line."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        write_rows(rows, arguments.rows, arguments.words)
        model = arguments.model or str(embedded_model())
        bench = TrainersBench(
            model, rows, {"batch_size": arguments.batch_size, "epochs": 1.0, "learning_rate": 1e-5}
        )
        for training in _trainings(arguments):
            bench.measure(*training)
    names = {task: [f"{task}: {name}" for name, *_ in steps] for task, steps in STEPS.items()}
    ends = [f"{task}: {name}" for task in STEPS for name in COMPARED]
    console = Console()
    console.print(bench.table("Our trainers against plain TRL", ends))
    if not arguments.no_ablation:
        for task in arguments.task or STEPS:
            console.print(bench.table(f"What brings what: {task.upper()}", names[task]))
    if arguments.json:
        kept = {name: [asdict(run) for run in runs] for name, runs in bench.found.items()}
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
