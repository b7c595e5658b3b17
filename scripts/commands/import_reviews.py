"""`solon import-reviews`: what people said in Label Studio or Argilla, compared with the labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.ci_options import Annotations, Junit, check_writable, write_cases

if TYPE_CHECKING:
    from engine.report.junit import Case
    from training.review.agreement import Compared, ReviewerAgreement
    from training.review.review import Review

__all__ = ["import_reviews"]

_SECTIONS = {"pairs": "pairs", "escalated": "escalated answers", "ratings": "rated answers"}


def import_reviews(
    file: Annotated[
        Path,
        typer.Argument(help="Label Studio's JSON or JSON-MIN export, or Argilla's dump."),
    ],
    run: Annotated[Path, typer.Option("--run", "-r", help="The run that was reviewed.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to write; by default RUN/reviews."),
    ] = None,
    all_submitted: Annotated[
        bool,
        typer.Option(
            "--all-submitted",
            help="Argilla's nested dump, which does not say: it holds no drafts, nothing discarded.",
        ),
    ] = False,
    junit: Junit = None,
    annotate: Annotations = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the reviews.")] = False,
) -> None:
    """Bring reviewers' verdicts back, and report agreement.

    With the judge, and with one another. `solon export --reviews` takes the reviews.jsonl that this
    writes.
    """
    from training.review.reviews import import_reviews as read_and_write

    check_writable(junit, file)
    result = read_and_write(
        file, run, out or run / "reviews", all_submitted=all_submitted, overwrite=overwrite
    )
    _print_agreement(result.agreement)
    reviewers = result.agreement.reviewers
    typer.echo(f"{result.path}: {len(result.reviews):,} items decided by {reviewers:,} reviewers")
    for reason, count in sorted(result.unused.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} verdicts not used: {reason}")
    write_cases("reviews", _cases(result.reviews), junit, annotated=annotate)


def _cases(reviews: "Sequence[Review]") -> "list[Case]":
    """An item fails where people decide otherwise than its label, and is skipped where either does
    not decide."""
    from engine.report.junit import Case, CaseState

    cases = []
    for review in reviews:
        item, group = review.item, f"{review.item.queue}.{'+'.join(review.item.principles)}"
        name = f"{item.record} ({item.id})"
        if None in (item.label, review.verdict):
            cases.append(
                Case(group, name, CaseState.SKIPPED, "reviewers or the judge are undecided")
            )
        elif item.label == review.verdict:
            cases.append(Case(group, name))
        else:
            told = f"the label is {item.label}, reviewers say {review.verdict}"
            cases.append(Case(group, name, CaseState.FAILED, told))
    return cases


def _print_agreement(agreement: "ReviewerAgreement") -> None:
    """A line for each queue, principle and two reviewers; in brackets 95 % intervals."""
    from engine.report.wording import percent
    from scripts.commands.terminal import figures_table, interval, output_console

    rows: list[tuple[str, Compared]] = []
    for queue, compared in agreement.queues.items():
        rows.append((f"labels of {_SECTIONS[queue]}", compared))
        of_pairs = queue == "pairs"
        judged = agreement.principles if of_pairs else agreement.escalated_principles
        rows += [(f"  judge on {principle}", of_it) for principle, of_it in judged.items()]
    rows += [(f"each other: {two.left}, {two.right}", two.compared) for two in agreement.raters]
    rows += [(f"itself: {name}", of_it) for name, of_it in agreement.with_themselves.items()]
    numbers = ("items", "undecided", "agree", "Cohen's kappa", "AC1")
    table = figures_table("reviewers against", *numbers)
    for name, found in rows:
        agree, kappa = interval(found.same, percent), interval(found.kappa, "{:.2f}".format)
        ac1 = interval(found.ac1, "{:.2f}".format)
        table.add_row(name, f"{found.items:,}", f"{found.undecided:,}", agree, kappa, ac1)
    output_console().print(table)
    if agreement.among:
        among = figures_table("all reviewers on", "items", "Krippendorff's alpha", "AC1")
        for name, of_all in agreement.among.items():
            figures = (interval(each, "{:.2f}".format) for each in (of_all.alpha, of_all.ac1))
            among.add_row(name, f"{of_all.items:,}", *figures)
        output_console().print(among)
