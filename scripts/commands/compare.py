"""`solon compare`: models before and after training, on held-out prompts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from constitution.problems import InputError, Problem
from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.generators.base import Generator

__all__ = ["compare"]

Models = Annotated[
    list[str],
    typer.Option("--model", "-m", help="NAME=SPEC, several times; the first is the base."),
]


def compare(
    constitution: o.ConstitutionFile,
    prompts: o.Prompts,
    model: Models,
    judge: Annotated[str, typer.Option(help="Spec of the model that judges.")],
    out: o.Out,
    principles: Annotated[int, typer.Option(min=1, help="Principles each prompt meets.")] = 4,
    seed: o.Seed = 0,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 0.7,
    top_p: o.TopP = 1.0,
) -> None:
    """Let models answer held-out prompts and a judge read them; print rates with intervals."""
    from rich.console import Console

    from constitution.loader import load_constitution
    from engine.generators.base import Sampling
    from engine.generators.spec import open_generator
    from engine.prompts import open_prompts
    from scripts.commands.compare_table import print_comparison
    from scripts.commands.terminal import all_problems, error_console, run_interruptibly
    from training.compare import Comparison, compare_models

    source, rules, models, judging = all_problems(
        lambda: open_prompts(prompts),
        lambda: load_constitution(constitution),
        lambda: _open_models(model),
        lambda: open_generator(judge),
    )
    sampling = Sampling(max_tokens, temperature, top_p)
    comparison = Comparison(source, rules, principles, sampling, seed)
    console = error_console()
    work = compare_models(comparison, models, judging, out, console.print)
    run_interruptibly(work, lambda: console.print("stopping: answers and verdicts are kept"))
    print_comparison(_table(out), Console())


def _open_models(named: list[str]) -> "dict[str, Generator]":
    from engine.generators.spec import open_generator

    models = {}
    for item in named:
        name, equals, spec = item.partition("=")
        if not equals or not name.isidentifier():
            problem = f"`{item}` does not name a model"
            raise InputError(Problem("--model", problem, "write NAME=SPEC, such as base=embedded"))
        if name in models:
            raise InputError(Problem("--model", f"`{name}` is there twice", "rename one of them"))
        models[name] = open_generator(spec)
    return models


def _table(out: Path) -> dict[str, Any]:
    import json

    table: dict[str, Any] = json.loads((out / "table.json").read_bytes())
    return table
