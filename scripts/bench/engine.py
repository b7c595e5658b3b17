"""How close the engine comes to what vLLM can do, and how far ahead of the stage barrier it is.

The same prompts, principles, sampling and output lengths, in alternating order in one run:

  engine   a revision run into a directory, as `solon revise` does it
  barrier  all answers, then all critiques, then all revisions, through offline `LLM.chat`
  raw      the engine's own requests, known in advance, submitted to vLLM all at once: the limit

Every prompt cache is emptied before each. Decoding is greedy and
output lengths are fixed per request (drawn once), so that all three decode the same tokens. The last line is the engine's own overhead per conversation,
on the scripted generator. On a GPU: `--model-config DIR --load-format dummy` measures the shapes of
a model without its weights.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median_high
from typing import Any

from rich.console import Console
from rich.table import Table

from constitution import load_constitution
from engine.generators.background import kill_descendants
from engine.generators.embedded import embedded_model
from engine.generators.spec import read_spec
from engine.generators.vllm import VllmGenerator
from scripts.bench.contenders import EngineBench, EngineFigures, overhead, write_prompts

__all__ = ["main"]


async def compare(bench: EngineBench, repeats: int) -> dict[str, list[EngineFigures]]:
    """Each contender `repeats` times, in an order that turns round each time.

    The first engine run warms up and gives `raw` its requests; the offline engine starts before
    anything is timed.
    """
    bench.start_offline()
    await bench.engine()
    measured: dict[str, list[EngineFigures]] = {"engine": [], "barrier": [], "raw": []}
    for repeat in range(repeats):
        names = list(measured) if repeat % 2 == 0 else list(measured)[::-1]
        for name in names:
            result = bench.barrier() if name == "barrier" else await getattr(bench, name)()
            measured[name].append(result)
            print(f"{name}: {result.seconds:.1f} s", flush=True)
    return measured


def table(measured: dict[str, list[EngineFigures]]) -> Table:
    """Medians of seconds, ratios within each repeat, token counts and the first record."""
    shown = Table(
        "contender", "seconds", "x barrier", "x raw", "prompt tokens computed", "decoded", "first"
    )
    for name, runs in measured.items():
        middle = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
        ratios = [
            median_high(b.seconds / r.seconds for b, r in zip(measured[base], runs, strict=True))
            for base in ("barrier", "raw")
        ]
        shown.add_row(
            name,
            f"{middle.seconds:.1f}",
            *(f"{ratio:.2f}" for ratio in ratios),
            f"{middle.prompt_tokens - middle.cached_tokens:,} of {middle.prompt_tokens:,}",
            f"{middle.decoded_tokens:,}",
            f"{middle.first:.1%}" if middle.first else "",
        )
    return shown


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-config", type=Path, help="a model directory [the embedded model]")
    parser.add_argument("--load-format", default="auto", help="`dummy` for random weights")
    parser.add_argument("--conversations", type=int, default=120)
    parser.add_argument("--words", type=int, default=40, help="mean words of a prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--constitution", default="harmlessness")
    parser.add_argument("--option", action="append", default=[], help="vLLM argument, key=value")
    parser.add_argument("--overhead-conversations", type=int, default=5000)
    parser.add_argument("--only-overhead", action="store_true")
    parser.add_argument("--json", type=Path, help="also write every measurement here")
    return parser.parse_args()


async def _main(arguments: argparse.Namespace, folder: Path) -> None:
    loaded = load_constitution(arguments.constitution)
    constitution = loaded.model_copy(update={"few_shot": ()})  # the barrier has none
    measured: dict[str, list[EngineFigures]] = {}
    if not arguments.only_overhead:
        options = read_spec(f"vllm:MODEL?{'&'.join(arguments.option)}").options
        options.setdefault("load_format", arguments.load_format)
        model = VllmGenerator(arguments.model_config or embedded_model(), options=options)
        source = write_prompts(folder / "p.jsonl", arguments.conversations, arguments.words)
        await model.start()
        print(f"KV cache for {model.capacity.kv_tokens:,} tokens", flush=True)
        measured = await compare(
            EngineBench(model, source, constitution, folder), arguments.repeats
        )
        await model.close()
        Console().print(table(measured))
    many = write_prompts(folder / "many.jsonl", arguments.overhead_conversations, 40)
    seconds = await overhead(many, constitution, folder)
    print(f"own overhead: {seconds * 1e3:.2f} ms a conversation, {1 / seconds:,.0f} a second")
    if arguments.json:
        found: dict[str, Any] = {k: [asdict(m) for m in runs] for k, runs in measured.items()}
        found["overhead_seconds"] = seconds
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main() -> None:
    """Run the benchmark from the command line."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_main(_arguments(), Path(folder)))
    finally:
        kill_descendants()


if __name__ == "__main__":
    main()
