"""`solon constitution test`: does a judge understand each principle?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from constitution.problems import InputError, Problem
from scripts.commands import options as o
from scripts.commands.python_option import AllowPythonChecks

if TYPE_CHECKING:
    from engine.judging.principle_tests import PrincipleReport

__all__ = ["run_tests"]

_NO_JUDGE = "checks alone"


def run_tests(
    file: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped one.")],
    judge: Annotated[str, typer.Option(metavar="SPEC", help="The model that judges.")] = "embedded",
    principle: Annotated[
        list[str] | None, typer.Option(help="Only that principle; several times for several.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write results as JUnit XML, too.")
    ] = None,
    chat_template: o.ChatTemplate = None,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Run each principle's tests against a judge; exit 1 unless it gets all of them right."""
    from constitution.loader import load_for_judging
    from engine.generators.spec import open_generator
    from engine.judging import principle_tests as tests
    from engine.report.junit import junit_xml
    from scripts.commands.terminal import error_console, run_interruptibly

    loaded = load_for_judging(file)
    chosen = tests.principles_with_tests(loaded, principle or [])
    needed = any(one.needs_judge for one in chosen)
    generator = open_generator(judge if needed else "scripted", chat_template=chat_template)
    judge = judge if needed else _NO_JUDGE
    if junit is not None:
        _check_writable(junit)
    total = sum(len(one.tests) for one in chosen)
    with error_console().status(f"running the tests: {judge}") as status:
        work = tests.run_tests(
            loaded, chosen, generator, lambda done: status.update(f"{done} of {total} tests")
        )
        reports = run_interruptibly(work, lambda: None)
    _print(reports, judge)
    if junit:
        junit.write_text(junit_xml(loaded.name, reports), encoding="utf-8")
    if any(report.outcome not in (None, tests.TestOutcome.PASSED) for report in reports):
        raise typer.Exit(1)


def _check_writable(path: Path) -> None:
    """Before a judge is asked anything."""
    if path.is_dir():
        raise InputError(Problem(str(path), "is a folder", "name a file"))
    path.parent.mkdir(parents=True, exist_ok=True)


def _print(reports: "Sequence[PrincipleReport]", judge: str) -> None:
    from rich.text import Text

    from constitution.problems import visible
    from engine.judging.principle_tests import TestOutcome
    from engine.report.wording import decimal, percent
    from scripts.commands.terminal import figures_table, output_console

    numbers = ("tests", "precision", "recall", "position bias", "verdict")
    table = figures_table(
        "principle",
        *numbers,
        title=f"judged by {judge}",
    )
    colours = {TestOutcome.PASSED: "green", TestOutcome.FAILED: "red", TestOutcome.ERROR: "magenta"}
    for report in reports:
        outcome = report.outcome
        verdict = Text(outcome, colours[outcome]) if outcome else "no tests"
        bias = report.position_bias
        table.add_row(
            visible(report.principle.id), decimal(len(report.results)),
            percent(report.precision), percent(report.recall),
            "–" if bias is None else f"{bias:+.2f}", verdict,
        )  # fmt: skip
    console = output_console()
    console.print(table)
    for report in reports:
        for result in report.results:
            if result.told:
                console.print(f"{report.principle.id}, test {result.number}: {result.told}")
    results = [result for report in reports for result in report.results]
    passed = sum(result.outcome is TestOutcome.PASSED for result in results)
    console.print(f"{passed:,} of {len(results):,} tests passed")
