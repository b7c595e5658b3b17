"""Principle tests as JUnit XML, which continuous integration shows."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from constitution.problems import visible
from engine.judging.principle_tests import PrincipleReport, TestOutcome

__all__ = ["junit_xml"]


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
