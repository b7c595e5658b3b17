"""What `solon constitution test` does: ask, remember, print a table, write JUnit XML."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, all_problems
from constitution.schema import Constitution, Principle
from constitution.validation import nearest
from engine.generators.base import Generator
from engine.generators.spec import open_generator
from engine.generators.vllm_platform import cache_directory
from engine.judging.principle_tests import (
    PrincipleReport,
    TestOutcome,
    TestResult,
    judge_tests,
    report_of,
)
from engine.report.wording import decimal, percent, visible
from engine.settings import RoleModel
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from scripts.commands.terminal import error_console, run_interruptibly

__all__ = ["junit_xml", "test_principles"]

_CACHE = "principle-tests.sqlite"


def test_principles(
    file: str, judge: str, only: Sequence[str], junit: Path | None, chat_template: Path | None
) -> None:
    """Ask the judge, print what it got right; exit 1 if it got anything wrong or gave no answer."""
    loaded: Constitution
    generator: Generator
    loaded, generator = all_problems(
        lambda: load_constitution(file),
        lambda: open_generator(judge, chat_template=chat_template),
    )
    chosen = _chosen(loaded, only)
    if junit is not None:
        _check_writable(junit)
    results = run_interruptibly(_ask(loaded, chosen, generator), lambda: None)
    reports = report_of(chosen, results)
    _print(reports, judge)
    if junit:
        junit.write_text(junit_xml(loaded.name, reports), encoding="utf-8")
    if any(result.outcome is not TestOutcome.PASSED for result in results):
        raise typer.Exit(1)


def _check_writable(path: Path) -> None:
    """Before a judge is asked anything."""
    if path.is_dir():
        raise InputError(Problem(str(path), "is a folder", "name a file"))
    path.parent.mkdir(parents=True, exist_ok=True)


def _chosen(loaded: Constitution, only: Sequence[str]) -> list[Principle]:
    known = [p.id for p in loaded.principles]
    unknown = [
        Problem("--principle", f"no {id!r} to test", nearest(id, known) or "see `show`")
        for id in only
        if id not in known
    ]
    chosen = [p for p in loaded.principles if not only or p.id in only]
    if not unknown and not any(p.tests for p in chosen):
        unknown.append(Problem(loaded.name, "has no tests to run", "add `tests` to its principles"))
    if unknown:
        raise InputError(unknown)
    return chosen


async def _ask(
    loaded: Constitution, chosen: Sequence[Principle], generator: Generator
) -> list[TestResult]:
    results = []
    console, total = error_console(), sum(len(p.tests) for p in chosen)
    with CompletionCache(cache_directory() / _CACHE) as cache:
        judge = CachedGenerator(generator, cache)
        try:
            with console.status(f"asking {visible(generator.spec)}") as status:
                asking = judge_tests(loaded, chosen, RoleModel(judge))
                async with aclosing(asking):
                    async for result in asking:
                        results.append(result)
                        status.update(f"{len(results)} of {total} tests")
        finally:
            await judge.close()
    return results


def _print(reports: Sequence[PrincipleReport], judge: str) -> None:
    table = Table(
        title=f"judged by {escape(visible(judge))}",
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("principle", overflow="fold", min_width=24)
    for name in ("tests", "precision", "recall", "position bias", "verdict"):
        table.add_column(name, justify="right")
    colours = {TestOutcome.PASSED: "green", TestOutcome.FAILED: "red", TestOutcome.ERROR: "magenta"}
    for report in reports:
        outcome = report.outcome
        verdict = f"[{colours[outcome]}]{outcome}[/]" if outcome else "no tests"
        bias = report.position_bias
        table.add_row(
            escape(visible(report.principle.id)), decimal(len(report.results)),
            percent(report.precision), percent(report.recall),
            "–" if bias is None else f"{bias:+.2f}", verdict,
        )  # fmt: skip
    console = Console()
    console.print(table)
    for report in reports:
        for result in report.results:
            if result.told:
                line = f"{report.principle.id}, test {result.number}: {result.told}"
                console.print(escape(visible(line)), highlight=False)
    results = [result for report in reports for result in report.results]
    passed = sum(result.outcome is TestOutcome.PASSED for result in results)
    console.print(f"{passed:,} of {len(results):,} tests passed", highlight=False)


def junit_xml(name: str, reports: Sequence[PrincipleReport]) -> str:
    """The results as JUnit XML: a suite, a case for each test."""
    results = [result for report in reports for result in report.results]
    count = {outcome: sum(r.outcome is outcome for r in results) for outcome in TestOutcome}
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(results)),
        failures=str(count[TestOutcome.FAILED]),
        errors=str(count[TestOutcome.ERROR]),
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{name}.{result.principle.id}",
            name=f"test {result.number}",
        )
        if result.outcome is not TestOutcome.PASSED:
            kind = "failure" if result.outcome is TestOutcome.FAILED else "error"
            ElementTree.SubElement(case, kind, message=visible(result.told))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
