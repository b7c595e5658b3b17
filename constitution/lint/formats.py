"""Findings for people, editors and continuous integration."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path, PurePath
from urllib.parse import quote

from constitution.lint.findings import INVALID, RULES, Level, LintFinding

__all__ = ["LintFormat", "annotation", "formatted"]

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


class LintFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    """Static Analysis Results Interchange Format 2.1.0 (OASIS), which code hosts show."""
    GITHUB = "github"
    """Workflow commands, which GitHub shows at the line."""


def formatted(findings: Sequence[LintFinding], format: LintFormat) -> str:
    """The findings as one text; empty where there are none and the format has no frame."""
    match format:
        case LintFormat.TEXT:
            return "\n".join(map(str, findings))
        case LintFormat.JSON:
            return json.dumps([_plain(finding) for finding in findings], indent=2)
        case LintFormat.GITHUB:
            return "\n".join(map(_github, findings))
        case LintFormat.SARIF:
            return json.dumps(_sarif(findings), indent=2)


def _plain(finding: LintFinding) -> dict[str, object]:
    return {
        "code": finding.rule.code,
        "level": finding.rule.level,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "why": finding.why,
        "remedy": finding.remedy,
        "fixable": finding.rule.fixable,
    }


def _github(finding: LintFinding) -> str:
    kind = "notice" if finding.rule.level is Level.ADVICE else str(finding.rule.level)
    place = {"file": finding.file, "line": str(finding.line), "col": str(finding.column)}
    return annotation(kind, finding.told, **place, title=finding.rule.code)


def annotation(kind: str, told: str, **properties: str) -> str:
    """A workflow command of GitHub's, `error`, `warning` or `notice`; empty properties are left out."""
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{kind} {given}::{_data(told)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(findings: Sequence[LintFinding]) -> dict[str, object]:
    levels = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "note"}
    every = {INVALID.code: INVALID, **RULES}
    rules = [{"id": code, "shortDescription": {"text": rule.title}} for code, rule in every.items()]
    index = {code: number for number, code in enumerate(every)}
    results = [
        {
            "ruleId": f.rule.code,
            "ruleIndex": index[f.rule.code],
            "level": levels[f.rule.level],
            "message": {"text": f.told},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(f.file)},
                        "region": {"startLine": f.line, "startColumn": f.column},
                    }
                }
            ],
        }
        for f in findings
    ]
    tool = {"driver": {"name": "solon", "rules": rules}}
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": tool, "results": results}]}


def _uri(file: str) -> str:
    """A reference from the working directory, or of a file elsewhere its `file:` URI (RFC 3986)."""
    path = PurePath(file)
    if path.is_absolute() and not path.is_relative_to(Path.cwd()):
        return path.as_uri()
    inside = path.relative_to(Path.cwd()) if path.is_absolute() else path
    return quote(inside.as_posix())
