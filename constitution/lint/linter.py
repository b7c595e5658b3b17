"""A constitution's text, looked at as an editor would: beyond valid, is it likely to work?"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

from constitution.lint.conflicts import Conflict, conflict_findings
from constitution.lint.findings import RULES, LintFinding
from constitution.lint.principle_rules import principle_findings
from constitution.lint.whole_rules import whole_findings
from constitution.loader import constitution_path, load_constitution
from constitution.schema import Constitution
from constitution.yaml_silence import silent_changes
from constitution.yaml_source import Location, YamlSource, read_text, read_yaml
from constitution.yaml_writer import SCHEMA_LINE

__all__ = ["lint_file", "own_principles"]

_IGNORE = re.compile(r"#\s*+solon:\s*+ignore\s++([A-Z0-9,][A-Z0-9, ]*+)")


def lint_file(
    source: str | Path,
    prompt_tags: frozenset[str] | None = None,
    loaded: Constitution | None = None,
    conflicts: Iterable[Conflict] = (),
) -> list[LintFinding]:
    """Findings in a file (not in what it extends), in the order they stand there.

    A comment `# solon: ignore CODE` silences a code on its line and the next, above a principle's
    first line for the whole principle, and at the top of the file everywhere. `prompt_tags` are
    those that prompts carry, `conflicts` what a judge found; `loaded` spares loading the file again.
    Raises InputError as `load_constitution` does.
    """
    loaded = loaded or load_constitution(source)
    path = constitution_path(source)
    text = read_text(path)
    parsed = read_yaml(text, str(path))
    places = _places(parsed)
    found = [*whole_findings(parsed, loaded, places, prompt_tags), *_lines(parsed, text)]
    found += conflict_findings(parsed, places, conflicts)
    for principle in loaded.principles:
        if principle.id in places:
            found += principle_findings(parsed, places[principle.id], principle)
    ignored = _Ignored(text, parsed, places)
    kept = [finding for finding in found if not ignored.silences(finding)]
    return sorted(kept, key=lambda f: (f.line, f.column, f.rule.code))


def own_principles(source: str | Path) -> frozenset[str]:
    """Ids of the principles that stand in a valid file itself, not in what it extends."""
    path = constitution_path(source)
    return frozenset(_places(read_yaml(read_text(path), str(path))))


def _places(source: YamlSource) -> dict[str, Location]:
    """Ids of the file's own principles, and where each stands."""
    rows = source.data.get("principles") or []
    return {str(row["id"]): ("principles", index) for index, row in enumerate(rows)}


def _lines(source: YamlSource, text: str) -> Iterator[LintFinding]:
    """Findings about lines, whatever they hold."""
    for one in silent_changes(text):
        rule = RULES[one.code]
        yield LintFinding(rule, source.name, one.line, one.column, one.why, one.remedy)
    if SCHEMA_LINE not in text:
        why = "the first line does not name the schema, so editors cannot help"
        remedy = f"start with {SCHEMA_LINE} $schema=PATH, or let --fix do it"
        yield LintFinding(RULES["SC401"], source.name, 1, 1, why, remedy)
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            column = len(line.rstrip()) + 1
            rule = RULES["SC403"]
            yield LintFinding(
                rule, source.name, number, column, "trailing white space", "take it away"
            )


class _Ignored:
    """The codes that comments silence: everywhere, and by line."""

    def __init__(self, text: str, source: YamlSource, places: dict[str, Location]) -> None:
        lines = text.splitlines()
        self._on = {
            number: set(hit[1].replace(",", " ").split())
            for number, line in enumerate(lines, 1)
            if (hit := _IGNORE.search(line))
        }
        head = next((n for n, line in enumerate(lines, 1) if line and line[0] not in "# "), 1)
        self._everywhere = {
            code for number, codes in self._on.items() if number < head for code in codes
        }
        self._starts = sorted(source.place(at).line for at in places.values())

    def silences(self, finding: LintFinding) -> bool:
        """Whether a comment on its line, above it or above its principle names its code."""
        code, near = finding.rule.code, [finding.line]
        if before := bisect_right(self._starts, finding.line):
            near.append(self._starts[before - 1])
        return code in self._everywhere or any(
            code in self._on.get(number, ()) for line in near for number in (line, line - 1)
        )
