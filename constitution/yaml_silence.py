"""Where YAML reads something else than what an author most likely typed, and says nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from constitution.yaml_source import read_yaml

__all__ = ["SilentChange", "silent_changes"]

_COMMENT = re.compile(r"\A([ \t]++#)([^\n]*+)")
_ENDS = (*".!?:;\"'”’)]}",)
_FEWEST_WORDS = 3
"""Of a text without a full stop before a comment, for the comment to be part of it."""
_OTHER_BASE = re.compile(
    r"\A[-+]?(?:(?P<octal>0[0-7_]+)|(?P<binary>0b[01_]+)|(?P<hexadecimal>0x[0-9a-fA-F_]+)"
    r"|(?P<sexagesimal>[0-9][0-9_]*+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?))\Z"
)


@dataclass(frozen=True, slots=True)
class SilentChange:
    """One place (from 1), why it is read otherwise, and the remedy."""

    code: str
    line: int
    column: int
    why: str
    remedy: str


def silent_changes(text: str) -> Iterator[SilentChange]:
    """In YAML that parses: comments that cut a text short, numbers in another base, anchors that are
    the start of a text."""
    lines = text.splitlines()
    anchors: dict[str | None, Any] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            anchors.pop(event.anchor, None)
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor and event.value:
                anchors[event.anchor] = event.start_mark
            if event.style is None and event.tag is None:
                yield from _of_plain(event, lines)
    for name, mark in anchors.items():
        why = f"&{name} names an anchor in YAML, is not read, and nothing refers to it"
        yield SilentChange(
            "SC406", mark.line + 1, mark.column + 1, why, "quote text that starts so"
        )


def _of_plain(event: Any, lines: list[str]) -> Iterator[SilentChange]:
    """In a text without quotes."""
    line, column = event.end_mark.line, event.end_mark.column
    rest = _COMMENT.match(lines[line][column:]) if line < len(lines) else None
    if rest and _is_cut(event.value, rest[2]):
        why = f"`#` starts a comment: {rest[2].strip()[:60]!r} is not read"
        yield SilentChange(
            "SC404",
            line + 1,
            column + rest.end(1),
            why,
            "quote the text, or write the comment above it",
        )
    if base := _OTHER_BASE.match(event.value):
        read = read_yaml(f"number: {event.value}", "").data["number"]
        why = f"{event.value} is {read} to YAML, which takes it for {base.lastgroup}"
        place = event.start_mark.line + 1, event.start_mark.column + 1
        yield SilentChange("SC405", *place, why, "write the number that is meant, in decimals")


def _is_cut(value: str, comment: str) -> bool:
    """Whether a comment belongs to the text before it: no space after `#`, or no end of a sentence."""
    words = len(value.split())
    glued = comment[:1] not in ("", " ", "\t", "#", "!")
    unfinished = words >= _FEWEST_WORDS and not value.endswith(_ENDS)
    return words > 1 and (glued or unfinished)
