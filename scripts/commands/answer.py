"""`solon answer`: a model's own answers to prompts, as rows to mix into training data."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.runs.config import AnswerConfig

__all__ = ["answer"]


def _config() -> "type[AnswerConfig]":
    from engine.runs.config import AnswerConfig

    return AnswerConfig


@o.configured(_config, {"roles.policy": ("--model", "-m")})
def answer(config: "AnswerConfig") -> None:
    """Answer prompts; empty and truncated answers are counted, and left out."""
    from constitution.problems import all_problems
    from engine.loop.answer import write_answers
    from scripts.commands.terminal import error_console, run_interruptibly

    source, models = all_problems(config.prompts.open, lambda: config.roles.open(config.sampling))
    policy, settings, out = models["policy"], config.answer, Path(config.out)
    console = error_console()
    console.print(f"{policy.generator.spec} answers {source.count:,} prompts")
    work = write_answers(
        source, policy.generator, policy.sampling, settings.seed, out,
        keep_truncated=settings.keep_truncated,
    )  # fmt: skip
    counts = run_interruptibly(work, lambda: console.print("stopping: answers are kept"))
    typer.echo(f"{out / 'answers.jsonl'}: {counts.written:,} answers")
    for name in ("truncated", "empty", "failed"):
        if count := getattr(counts, name):
            kept = settings.keep_truncated and name == "truncated"
            typer.echo(f"  {count:,} {'of them' if kept else 'left out'}: {name}")
    raise typer.Exit(1 if counts.failed else 0)
