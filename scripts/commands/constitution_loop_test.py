"""`solon constitution test --loop`: what the loop repairs and what it damages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from constitution.problems import InputError, Problem, all_problems, visible
from constitution.schema import Constitution, Principle
from engine.judging.repair import run_loop_tests, starts_of
from engine.judging.repair_figures import LoopTestResult, LoopTests
from engine.report.wording import judge_note, reason_counts
from engine.settings import Roles, for_stakeholder
from engine.shares import Estimate
from engine.storage.atomic import replacing
from scripts.commands.terminal import (
    counted,
    error_console,
    figures_table,
    output_console,
    run_interruptibly,
)

if TYPE_CHECKING:
    from engine.judging.principle_tests import TestCase
    from engine.runs.config import LoopTestConfig

__all__ = ["run_in_loop"]


def run_in_loop(
    loaded: Constitution, chosen: Sequence[Principle], config: "LoopTestConfig"
) -> "tuple[Sequence[TestCase], bool]":
    """Run the loop on the tests of `chosen`, print the figures and write the records. Returns the
    cases, and whether the limits of the configuration hold."""
    settings = config.revise
    loaded, roles = all_problems(
        lambda: for_stakeholder(loaded, settings.stakeholder),
        lambda: Roles(**config.roles.open(config.sampling)),
    )
    starts = starts_of(loaded, chosen, settings)
    if not starts:
        remedy = "name another --stakeholder or --principle"
        raise InputError(Problem("--stakeholder", "leaves no principle with tests", remedy))
    total = len(starts)
    with error_console().status(f"running the loop on {counted(total, 'answer')}") as status:
        work = run_loop_tests(
            loaded,
            starts,
            roles,
            settings,
            lambda n: status.update(f"{n} of {total} answers"),
            alone=config.alone,
        )
        tests = run_interruptibly(work, status.stop)
    if config.out:
        _write(Path(config.out), tests)
    needed = any(principle.needs_judge for principle in loaded.principles)
    left_out = sum(_answers(principle) for principle in chosen) - total
    _print(tests, chosen, roles.judge.generator.spec if needed else None, left_out)
    return tests.cases, _holds(tests, config)


def _answers(principle: Principle) -> int:
    return sum(len(test.violating) + len(test.compliant) for test in principle.tests)


def _write(path: Path, tests: LoopTests) -> None:
    with replacing(path) as file:
        for result in tests.cases:
            line = json.dumps(result.as_dict(), ensure_ascii=False) + "\n"
            file.write(line.encode("utf-8", "backslashreplace"))


def _holds(tests: LoopTests, config: "LoopTestConfig") -> bool:
    """Whether the shares are within the limits; what was not measured is not."""
    damaged, repaired = tests.total.damaged, tests.total.repaired
    limited = config.max_damage is not None or config.min_repair is not None
    if limited and tests.failed:
        return False
    if config.max_damage is not None and (damaged is None or damaged.value > config.max_damage):
        return False
    return config.min_repair is None or (
        repaired is not None and repaired.value >= config.min_repair
    )


def _print(tests: LoopTests, chosen: Sequence[Principle], judge: str | None, left_out: int) -> None:
    table = figures_table(
        "principle",
        "decided by",
        "repaired",
        "damaged",
        "changed",
        title="the loop on the tests' answers: share and 95 % interval",
    )
    for principle in chosen:
        figures = tests.of(principle)
        if figures.results:
            table.add_row(
                visible(principle.id),
                _decided_by(principle),
                _cell(figures.repaired, figures.violating),
                _cell(figures.damaged, figures.compliant),
                _cell(figures.changed, figures.compliant),
            )
    console = output_console()
    console.print(table)
    for line in (*_totals(tests), *_notes(tests, judge, left_out)):
        console.print(line)
    for case in tests.cases:
        if case.told:
            console.print(f"{case.principle.id}, {case.title}: {case.told}")


def _decided_by(principle: Principle) -> str:
    if principle.check is None:
        return "judge"
    return "check, judge" if principle.needs_judge else "check"


def _cell(share: Estimate | None, results: Sequence[LoopTestResult]) -> str:
    """`3/16 [7%, 43%]`."""
    if share is None:
        return "–"
    hits = round(share.value * len(results))
    return f"{hits}/{len(results)} [{share.low:.0%}, {share.high:.0%}]"


def _totals(tests: LoopTests) -> list[str]:
    total, bound = tests.total, "compliant answers (damage is at most this)"
    lines = [
        *_line("repaired", total.repaired, total.violating, "violating answers"),
        *_line("damaged", total.damaged, total.compliant, "compliant answers"),
        *_line("changed", total.changed, total.compliant, bound),
    ]
    if total.refusals:
        lines.append(f"refused    {reason_counts(total.refusals)}")
    if tests.failed:
        lines.append(f"failed     {counted(len(tests.failed), 'answer')}")
    return lines


def _line(
    name: str, share: Estimate | None, results: Sequence[LoopTestResult], what: str
) -> list[str]:
    if share is None:
        return []
    hits = round(share.value * len(results))
    between = f"[{share.low:.0%}, {share.high:.0%}]"
    return [f"{name:<10} {share.value:.0%} {between}, {hits} of {len(results)} {what}"]


def _notes(tests: LoopTests, judge: str | None, left_out: int) -> list[str]:
    notes = []
    if judge is None:
        notes.append("Checks alone decide what is repaired and what is damaged, exactly.")
    else:
        told = f"by the judge {judge}, which is not proof: read the records (--out FILE.jsonl)."
        notes.append(f"Checks decide exactly; the rest is {told}")
    if tests.calibration is not None:
        notes.append(judge_note(tests.calibration.as_dict()))
    if left_out:
        notes.append(
            f"{counted(left_out, 'answer')} left out: the stakeholder has no such principle."
        )
    return notes
