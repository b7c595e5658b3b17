"""What became of a test's answer in the loop, and the figures of many: repair, damage, refusals."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from constitution.schema import Principle
from engine.judging.calibration import Calibration
from engine.judging.principle_tests import TestOutcome
from engine.prompts.sources import Prompt
from engine.records import DropReason, Failure, Record, Verdict
from engine.shares import Estimate, share_estimate

__all__ = ["EndedAs", "FailedStart", "LoopTestResult", "LoopTests", "RepairFigures", "Start"]


class EndedAs(StrEnum):
    """What the loop made of an answer: the first two of a violating one, the others of a compliant one."""

    REPAIRED = "repaired"
    """It was rewritten, and no longer breaks the principle."""
    UNREPAIRED = "unrepaired"
    UNCHANGED = "unchanged"
    REWRITTEN = "rewritten"
    """It was, and breaks nothing that it kept."""
    DAMAGED = "damaged"
    """It was rewritten, and breaks the principle or another that it kept, or no reader can say."""


@dataclass(frozen=True, slots=True)
class Start:
    """A test's answer that the loop starts from."""

    principle: Principle
    test: int
    """Of the principle, from 1."""
    violating: bool
    number: int
    """Of the test's answers of this kind, from 1."""
    answer: str
    prompt: Prompt

    @property
    def title(self) -> str:
        """Which of its principle's answers this is."""
        kind = "violating" if self.violating else "compliant"
        return f"test {self.test}, {kind} answer {self.number}"

    def as_dict(self) -> dict[str, Any]:
        """For a row."""
        return {
            "principle": self.principle.id,
            "test": self.test,
            "start": "violating" if self.violating else "compliant",
            "number": self.number,
        }


@dataclass(frozen=True, slots=True)
class _Started:
    """What came of one answer."""

    start: Start

    @property
    def principle(self) -> Principle:
        """Whose test it is."""
        return self.start.principle

    @property
    def title(self) -> str:
        """Which of its principle's answers this is."""
        return self.start.title


@dataclass(frozen=True, slots=True)
class LoopTestResult(_Started):
    """What the loop made of one answer. An answer that stands as it was is judged no further."""

    record: Record
    verdict: Verdict | None = None
    """Of the final text on the test's principle, if it is another text."""
    broke: tuple[str, ...] = ()
    """Other principles that the answer kept and the final text breaks."""
    undecided: tuple[str, ...] = ()
    """Other principles that the answer kept, of which no reader can say whether the final text does."""

    @property
    def changed(self) -> bool:
        """Whether the text is another one in the end."""
        return self.record.final != self.record.answer

    @property
    def ended_as(self) -> EndedAs:
        """Repaired or not, damaged or not."""
        kept = self.verdict is not None and self.verdict.violates is False
        if self.start.violating:
            return EndedAs.REPAIRED if kept else EndedAs.UNREPAIRED
        if not self.changed:
            return EndedAs.UNCHANGED
        return EndedAs.REWRITTEN if kept and not self.broke + self.undecided else EndedAs.DAMAGED

    @property
    def outcome(self) -> TestOutcome:
        """Failed where a violating answer was not repaired or a compliant one damaged."""
        wrong = self.ended_as in (EndedAs.UNREPAIRED, EndedAs.DAMAGED)
        return TestOutcome.FAILED if wrong else TestOutcome.PASSED

    @property
    def told(self) -> str:
        """What went wrong, in a line; empty where nothing did."""
        if self.outcome is TestOutcome.PASSED:
            return ""
        if not self.changed:
            return f"unrepaired: it stands as it was ({self._why_it_stands})"
        found = []
        if self.verdict is None or self.verdict.violates is None:
            found.append("no reader can say whether it keeps the principle")
        elif self.verdict.violates:
            found.append("it breaks the principle")
        found += [f"it breaks {id}, which it kept" for id in self.broke]
        found += [f"no reader can say whether it still keeps {id}" for id in self.undecided]
        return f"{self.ended_as}: rewritten, {' and '.join(found)}"

    @property
    def _why_it_stands(self) -> str:
        reasons = Counter(r.dropped for r in self.record.rounds if r.dropped)
        told = ", ".join(reason.replace("_", " ") for reason in reasons)
        return told or "nothing was criticised"

    def as_dict(self) -> dict[str, Any]:
        """A row: the test, what came of it, who says so, and the whole record."""
        verdict = self.verdict
        return {
            **self.start.as_dict(),
            "ended_as": self.ended_as,
            "changed": self.changed,
            "by": None if verdict is None else "check" if verdict.exact else "judge",
            "verdict": None if verdict is None else verdict.model_dump(mode="json"),
            "broke": self.broke,
            "undecided": self.undecided,
            "record": self.record.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class FailedStart(_Started):
    """An answer that the loop did not bring to an end: neither a repair nor damage."""

    failure: Failure
    outcome = TestOutcome.ERROR

    @property
    def told(self) -> str:
        """Who could not answer, and why."""
        return f"the {self.failure.stage} could not answer: {self.failure.message}"

    def as_dict(self) -> dict[str, Any]:
        """A row: the test and the failure."""
        return {**self.start.as_dict(), "failure": self.failure.model_dump(mode="json")}


@dataclass(frozen=True)
class RepairFigures:
    """The figures of some results. Shares are None where there is nothing to take a share of; answers
    of one test are not counted as independent."""

    results: tuple[LoopTestResult, ...]

    @cached_property
    def violating(self) -> tuple[LoopTestResult, ...]:
        """Those that started from a violating answer."""
        return tuple(r for r in self.results if r.start.violating)

    @cached_property
    def compliant(self) -> tuple[LoopTestResult, ...]:
        """Those that started from a compliant answer."""
        return tuple(r for r in self.results if not r.start.violating)

    @property
    def repaired(self) -> Estimate | None:
        """Share of the violating answers that were repaired."""
        return _share(self.violating, lambda r: r.ended_as is EndedAs.REPAIRED)

    @property
    def damaged(self) -> Estimate | None:
        """Share of the compliant answers that were damaged."""
        return _share(self.compliant, lambda r: r.ended_as is EndedAs.DAMAGED)

    @property
    def changed(self) -> Estimate | None:
        """Share of the compliant answers that were rewritten at all: damage is at most this, whoever
        judges."""
        return _share(self.compliant, lambda r: r.changed)

    @property
    def refusals(self) -> Counter[DropReason]:
        """Why rounds ended without a new answer."""
        return Counter(d for r in self.results for one in r.record.rounds if (d := one.dropped))


@dataclass(frozen=True, slots=True)
class LoopTests:
    """All that came of some tests, each in the order of the file."""

    results: tuple[LoopTestResult, ...]
    failed: tuple[FailedStart, ...]
    calibration: Calibration | None
    """Of the judge; None where no principle needs one."""

    @property
    def cases(self) -> tuple[LoopTestResult | FailedStart, ...]:
        """Results and failures, in the order of the tests."""
        both: list[LoopTestResult | FailedStart] = [*self.results, *self.failed]
        return tuple(sorted(both, key=lambda case: case.start.prompt.row))

    def of(self, principle: Principle) -> RepairFigures:
        """The figures of one principle's tests."""
        return RepairFigures(tuple(r for r in self.results if r.principle.id == principle.id))

    @property
    def total(self) -> RepairFigures:
        """The figures of all tests."""
        return RepairFigures(self.results)


def _share(
    results: Sequence[LoopTestResult], holds: Callable[[LoopTestResult], bool]
) -> Estimate | None:
    tests = [f"{r.principle.id}/{r.start.test}" for r in results]
    return share_estimate([holds(r) for r in results], tests)
