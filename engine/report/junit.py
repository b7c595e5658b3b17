"""Principle tests as JUnit XML, which continuous integration shows."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import Protocol

from constitution.problems import visible
from constitution.schema import Principle
from engine.judging.principle_tests import TestOutcome

__all__ = ["TestCase", "junit_xml"]


class TestCase(Protocol):
    """A test of a principle that ended: `told` says what went wrong, in a line."""

    @property
    def principle(self) -> Principle: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def outcome(self) -> TestOutcome: ...  # noqa: D102
    @property
    def told(self) -> str: ...  # noqa: D102


def junit_xml(name: str, results: Sequence[TestCase]) -> str:
    """The results as JUnit XML: a suite, a case for each test."""
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
            name=result.title,
        )
        if result.outcome is not TestOutcome.PASSED:
            kind = "failure" if result.outcome is TestOutcome.FAILED else "error"
            ElementTree.SubElement(case, kind, message=visible(result.told))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
