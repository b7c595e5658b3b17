"""`solon constitution test`: does a judge understand each principle, and does the loop repair what breaks
it?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from constitution.problems import InputError, Problem
from scripts.commands import options as o
from scripts.commands.ci_options import Annotations, Junit, check_writable, write_cases
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from constitution.schema import Constitution, Principle
    from engine.judging.principle_tests import PrincipleReport, TestCase
    from engine.report.junit import Case
    from engine.runs.config import LoopTestConfig

__all__ = ["run_tests"]

_NO_JUDGE = "checks alone"


@o.configured("engine.runs.config:LoopTestConfig", {"roles.policy": ("--model", "-m")})
def run_tests(
    config: "LoopTestConfig",
    file: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped one.")],
    principle: Annotated[
        list[str] | None, typer.Option(help="Only that principle; several times for several.")
    ] = None,
    junit: Junit = None,
    annotate: Annotations = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Run each principle's tests against a judge; exit 1 unless it gets all of them right.

    With --loop, run the critique-revise loop on their answers: how many violating ones are repaired,
    and how many compliant ones damaged?
    """
    from constitution.loader import load_for_judging
    from engine.judging.principle_tests import principles_with_tests
    from scripts.commands.constitution_loop_test import run_in_loop

    if config.of_the_loop and not config.loop:
        given = ", ".join(config.of_the_loop)
        what = f"is not given, but {given} of the loop"
        raise InputError(Problem("--loop", what, "add --loop, or leave them out"))
    loaded = load_for_judging(file)
    chosen = principles_with_tests(loaded, principle or [])
    for path in (junit, Path(config.out) if config.out else None):
        check_writable(path, Path(file))
    results, passed = (run_in_loop if config.loop else _judge)(loaded, chosen, config)
    shown = file if Path(file).is_file() else ""
    write_cases(loaded.name, _cases(chosen, results), junit, annotated=annotate, file=shown)
    if not passed:
        raise typer.Exit(1)


def _judge(
    loaded: "Constitution", chosen: "Sequence[Principle]", config: "LoopTestConfig"
) -> "tuple[Sequence[TestCase], bool]":
    """The results, and whether all of them passed."""
    from engine.generators.spec import open_generator, require_template_use
    from engine.judging import principle_tests as tests
    from scripts.commands.terminal import error_console, run_interruptibly

    needed = any(one.needs_judge for one in chosen)
    judge = config.roles.specs["judge"] if needed else "scripted"
    if needed:
        require_template_use([judge], config.roles.chat_template)
    generator = open_generator(judge, chat_template=config.roles.chat_template)
    judge = judge if needed else _NO_JUDGE
    total = sum(len(one.tests) for one in chosen)
    with error_console().status(f"running the tests: {judge}") as status:
        work = tests.run_tests(
            loaded, chosen, generator, lambda done: status.update(f"{done} of {total} tests")
        )
        reports = run_interruptibly(work, lambda: None)
    _print(reports, judge)
    results = [result for report in reports for result in report.results]
    return results, all(result.outcome is tests.TestOutcome.PASSED for result in results)


def _cases(chosen: "Sequence[Principle]", results: "Sequence[TestCase]") -> "list[Case]":
    """One for each result, and one for each principle without tests, which is skipped."""
    from engine.judging.principle_tests import TestOutcome
    from engine.report.junit import Case, CaseState

    states = {
        TestOutcome.PASSED: CaseState.PASSED,
        TestOutcome.FAILED: CaseState.FAILED,
        TestOutcome.ERROR: CaseState.ERROR,
    }
    cases = [Case(r.principle.id, r.title, states[r.outcome], r.told) for r in results]
    untested = [principle.id for principle in chosen if not principle.tests]
    skipped = CaseState.SKIPPED, "the principle has no tests"
    return cases + [Case(id, "tests", *skipped) for id in untested]


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
        verdict = Text(outcome, colours[outcome]) if outcome else "skipped: no tests"
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
