"""`solon evaluate`: what training did, as a table and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scripts.commands import options as o

if TYPE_CHECKING:
    from training.evaluation import EvaluateConfig

__all__ = ["evaluate"]

EXIT_GATE = 3

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
        "trained are found automatically.",
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
    principles: Annotated[int, typer.Option(min=1, help="Principles sampled per prompt.")] = 4,
    stakeholder: o.Stakeholder = None,
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
    from constitution.problems import InputError, Problem
    from engine.generators.base import Sampling
    from training.evaluation.config import EvaluateConfig

    names = [item.partition("=")[0] for item in model]
    for item, name in zip(model, names, strict=True):
        if "=" not in item or not name.replace("-", "_").isidentifier():
            problem = f"`{item}` does not name a model"
            raise InputError(Problem("--model", problem, "write NAME=SPEC, such as base=embedded"))
        if names.count(name) > 1:
            raise InputError(Problem("--model", f"`{name}` is there twice", "rename one of them"))
    config = EvaluateConfig(
        constitution=constitution,
        prompts=prompts,
        limit=limit,
        out=out,
        models={item.partition("=")[0]: item.partition("=")[2] for item in model},
        judge=judge,
        training_judge=training_judge,
        classifiers=tuple(classifier or ()),
        harmful=harmful,
        benign=benign,
        opinions=opinions,
        tasks=tuple(task or ("shipped",)),
        lm_eval=tuple(lm_eval or ()),
        lm_eval_tasks_dir=lm_eval_tasks_dir,
        helpful=helpful,
        attacks=tuple(attack or ()),
        per_set=per_set,
        imported=tuple(imported or ()),
        principles=principles,
        method=method,
        stakeholder=stakeholder,
        trained_on=tuple(trained_on or ()),
        gates=gate,
        seed=seed,
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p),
    )
    _evaluate(config, overwrite=overwrite)


def _evaluate(config: "EvaluateConfig", *, overwrite: bool) -> None:
    """Exits 3 when a gate is broken, 130 if interrupted."""
    from scripts.commands.evaluate_table import print_results
    from scripts.commands.stage_progress import StageProgress
    from scripts.commands.terminal import error_console, output_console, run_interruptibly
    from training.evaluation import EvaluationRun, open_inputs

    run = EvaluationRun(open_inputs(config), config.out, overwrite=overwrite)
    console = error_console()
    with StageProgress(console) as progress:
        results = run_interruptibly(
            run.execute(progress),
            lambda: console.print("stopping: what was answered and judged is kept"),
        )
    print_results(results, output_console())
    typer.echo(run.page)
    if not all(gate.kept for gate in results.gates):
        raise typer.Exit(EXIT_GATE)
