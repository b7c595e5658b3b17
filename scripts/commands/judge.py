"""`solon judge`: is a judge worth its word? Fit a classifier, hold any judge against people."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts.commands.options import CommandLine
from scripts.commands.python_option import AllowPythonChecks

__all__ = ["app"]

app = CommandLine(
    help="Independent judges, and how far any judge agrees with people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_ROWS, _ASKED = "The labelled answers", "What a language model is asked"
_PAIRS = "Comparisons"

Method = Literal["pointwise", "pairwise"]
Labels = Annotated[
    list[str],
    typer.Argument(
        help="Answers that people labelled, or comparisons (chosen and rejected): JSONL, JSON, "
        "CSV, Parquet, a saved dataset or hf:NAME.",
        show_default=False,
    ),
]
PromptColumn = Annotated[
    str, typer.Option(help="Column of the prompt; rows may have none.", rich_help_panel=_ROWS)
]
AnswerColumn = Annotated[str, typer.Option(help="Column of the answer.", rich_help_panel=_ROWS)]
LabelColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the label: true or false, or from 0 to 1 (label). Of several, the mean.",
        rich_help_panel=_ROWS,
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="A label is true from here on, if graded.", rich_help_panel=_ROWS
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Only the first N usable rows of each file.", rich_help_panel=_ROWS
    ),
]


@app.command()
def fit(
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write (JSON).")],
    name: Annotated[str | None, typer.Option(help="What to call it; the file's name.")] = None,
    prompt_column: PromptColumn = "prompt",
    answer_column: AnswerColumn = "answer",
    label_column: LabelColumn = None,
    threshold: Threshold = 0.5,
    limit: Limit = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of --out.")
    ] = False,
) -> None:
    """Fit a small text classifier to labelled answers, and report how good it is on unseen prompts."""
    from scripts.commands.judge_run import LabelFiles, fit_into

    given = LabelFiles(
        labels, prompt_column, answer_column, tuple(label_column or ["label"]), threshold, limit
    )
    fit_into(given, out, name or out.stem, overwrite=overwrite)


@app.command()
def calibrate(
    labels: Labels,
    judge: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="A generator, classifier:FILE, transformers-classifier:PATH[,label=NAME] or "
            "rules:refusal.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Keep the answers, calibration.json and a curve here."),
    ] = None,
    constitution: Annotated[
        str | None,
        typer.Option(
            "--constitution",
            "-c",
            help="Labels are true where this one's --principle is broken; replies are compared "
            "by all of its principles.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    principle: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Ask about this one alone.", rich_help_panel=_ASKED),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Labels are true where the answer to this is yes: 'Is the reply harmful?'",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    chat_template: Annotated[
        Path | None,
        typer.Option(
            help="A Jinja file, for models without a chat template.", rich_help_panel=_ASKED
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Ask whether each reply breaks the principle, or which of two is better, in both "
            "orders (pointwise).",
            rich_help_panel=_PAIRS,
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(min=1, help="Principles drawn per comparison (1).", rich_help_panel=_PAIRS),
    ] = None,
    chain_of_thought: Annotated[
        bool,
        typer.Option(
            "--chain-of-thought", help="pairwise: it reasons first.", rich_help_panel=_PAIRS
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of the principles drawn.", rich_help_panel=_PAIRS)
    ] = 0,
    prompt_column: PromptColumn = "prompt",
    answer_column: AnswerColumn = "answer",
    label_column: LabelColumn = None,
    threshold: Threshold = 0.5,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Figures for each value of it too; for each file, if there are several.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    limit: Limit = None,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Measure how far a judge agrees with people: with labels (agreement, curve, best threshold), or
    with comparisons of a chosen and a rejected reply (accuracy, position bias)."""
    from scripts.commands.judge_run import AskedOf, LabelFiles, calibrate_into

    given = LabelFiles(
        labels, prompt_column, answer_column, tuple(label_column or ["label"]), threshold, limit, by
    )
    asked = AskedOf(
        judge, constitution, principle, question, chat_template,
        method, ensemble, chain_of_thought, seed,
    )  # fmt: skip
    calibrate_into(given, asked, out)
