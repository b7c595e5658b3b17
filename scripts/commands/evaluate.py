"""`solon evaluate`: what training did, as a table and as a page."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts.commands import options as o

__all__ = ["evaluate"]

_SETS, _CHECKS = "What else is asked", "Checks"


def _option(panel: str, text: str, *names: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(*names, help=text, rich_help_panel=panel)
    return info


Models = Annotated[
    list[str],
    _option(
        "Models", "NAME=SPEC, several times; the first is the base.", "--model", "--models", "-m"
    ),
]
TrainedOn = Annotated[
    list[Path] | None,
    _option(
        _CHECKS,
        "Row files of the training, to find held-out prompts in; those of checkpoints that Solon "
        "trained are found by themselves.",
    ),
]
Gates = Annotated[
    Path | None, _option(_CHECKS, "A YAML file of bounds; exit 3 if one is broken.", "--gate")
]
Imported = Annotated[
    list[Path] | None,
    _option(_SETS, "What `solon import-garak` wrote, to show on the page.", "--import"),
]
Classifiers = Annotated[
    list[str] | None,
    _option("Models", "An independent judge: see docs/judges.md.", "--classifier"),
]


def evaluate(
    constitution: o.ConstitutionFile,
    prompts: o.Prompts,
    model: Models,
    judge: Annotated[str, _option("Models", "Spec of the model that judges.")],
    out: o.Out,
    training_judge: Annotated[
        str | None, _option("Models", "The judge of the training: does it agree?")
    ] = None,
    classifier: Classifiers = None,
    limit: o.Limit = None,
    harmful: Annotated[str, _option(_SETS, "Prompts to refuse, or none.")] = "shipped",
    benign: Annotated[str, _option(_SETS, "Prompts that only look harmful, or none.")] = "shipped",
    task: Annotated[
        list[str] | None,
        _option(_SETS, "A file of questions with known answers; several times, or none."),
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        _option(_SETS, "A task of lm-evaluation-harness by name; several times."),
    ] = None,
    lm_eval_tasks_dir: Annotated[
        Path | None, _option(_SETS, "A directory with task files of your own for it.")
    ] = None,
    opinions: Annotated[str, _option(_SETS, "Pairs of opinions, or none.")] = "shipped",
    helpful: Annotated[
        str | None, _option(_SETS, "Rows with good answers, for the perplexity.")
    ] = None,
    attack: Annotated[
        list[str] | None, _option(_SETS, "A transform of the harmful prompts, or all.")
    ] = None,
    per_set: Annotated[
        int | None,
        typer.Option(
            help="Ask only N of each of these.", min=1, metavar="N", rich_help_panel=_SETS
        ),
    ] = None,
    imported: Imported = None,
    principles: Annotated[int, typer.Option(min=1, help="Principles each prompt meets.")] = 4,
    method: Annotated[
        Literal["pairwise", "pointwise"],
        typer.Option(help="Compare two answers in both orders, or by the verdicts on each."),
    ] = "pairwise",
    trained_on: TrainedOn = None,
    gate: Gates = None,
    overwrite: o.Overwrite = False,
    seed: o.Seed = 0,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 0.7,
    top_p: o.TopP = 1.0,
) -> None:
    """Compare checkpoints on held-out prompts: a table, and a page.

    Each answers the same prompts, and a judge reads the answers. The same command resumes.
    """
    from engine.generators.base import Sampling
    from scripts.commands.evaluate_inputs import Asked, Judges, Sets
    from scripts.commands.evaluate_run import evaluate_into

    asked = Asked(constitution, prompts, limit, principles, method, seed)
    sets = Sets(
        harmful, benign, opinions, task, helpful, attack or [], per_set,
        lm_eval or [], lm_eval_tasks_dir,
    )  # fmt: skip
    judges = Judges(judge, training_judge, classifier or [])
    sampling = Sampling(max_tokens, temperature, top_p)
    evaluate_into(
        out, asked, sets, model, judges, sampling, trained_on or [], gate, imported or [],
        overwrite=overwrite,
    )  # fmt: skip
