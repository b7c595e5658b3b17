"""Results for continuous integration: JUnit XML, and annotations as GitHub shows them."""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from constitution.lint import annotation
from constitution.problems import visible

__all__ = ["Case", "CaseState", "annotations", "junit_xml"]


class CaseState(StrEnum):
    """How a case ended; the names are JUnit's elements."""

    PASSED = "passed"
    FAILED = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was checked: `told` says in a line what went wrong, or why it was skipped."""

    group: str
    name: str
    state: CaseState = CaseState.PASSED
    told: str = ""


def junit_xml(name: str, cases: Sequence[Case]) -> str:
    """The results as JUnit XML: a suite, a case for each."""
    count = Counter(case.state for case in cases)
    suite = ElementTree.Element(
        "testsuite",
        name=visible(name),
        tests=str(len(cases)),
        failures=str(count[CaseState.FAILED]),
        errors=str(count[CaseState.ERROR]),
        skipped=str(count[CaseState.SKIPPED]),
    )
    for case in cases:
        group, title = visible(f"{name}.{case.group}"), visible(case.name)
        found = ElementTree.SubElement(suite, "testcase", classname=group, name=title)
        if case.state is not CaseState.PASSED:
            ElementTree.SubElement(found, case.state, message=visible(case.told))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def annotations(cases: Sequence[Case], file: str = "") -> str:
    """A workflow command for each case that failed or was skipped, at `file` where there is one."""
    kinds = {CaseState.FAILED: "error", CaseState.ERROR: "error", CaseState.SKIPPED: "notice"}
    return "\n".join(
        annotation(kinds[case.state], case.told, file=file, title=f"{case.group}: {case.name}")
        for case in cases
        if case.state in kinds
    )
