"""Conversations that are written as one text: a JSON list of messages, a list as Python prints it, or
a transcript (`Human: ... Assistant: ...`)."""

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from constitution.reading import NotJson, parse_json

__all__ = ["Written", "is_message", "transcript", "written_conversation"]

_SPEAKERS = {"Human:": "user", "User:": "user", "Assistant:": "assistant"}
_PRINTED = re.compile(r"\A\s*(?:array\()?\[\s*\{\s*'(?:role|content|from|value)'\s*:")
"""How Python and pandas print a list of messages."""

Turns = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Written:
    """A conversation found in a text: how it is written, and its messages unless they cannot be read
    with certainty."""

    how: str
    turns: Turns | None


def written_conversation(text: str) -> Written | None:
    """The conversation that a text is, None where it is none. Takes time linear in the text."""
    start = text.lstrip()[:1]
    if start in ("[", "a"):
        return _json_list(text) or _printed_list(text)
    turns = transcript(text)
    return Written("a transcript", turns) if turns else None


def is_message(value: Any) -> bool:
    """Whether it has what a message has: role and content, or from and value (ShareGPT)."""
    return isinstance(value, Mapping) and (
        {"role", "content"} <= value.keys() or is_sharegpt(value)
    )


def is_sharegpt(turn: Mapping[str, Any]) -> bool:
    """Whether a message has `from` and `value` and no `role`."""
    return {"from", "value"} <= turn.keys() and "role" not in turn


def transcript(text: str) -> Turns | None:
    """The turns of a text that begins with a speaker and has a second turn: each after a blank line,
    or where no second turn has one, each on a line of its own."""
    first = text.lstrip()
    if not first.startswith(tuple(_SPEAKERS)):
        return None
    return _spoken(first, after_blank=True) or _spoken(first, after_blank=False)


def _spoken(text: str, *, after_blank: bool) -> Turns | None:
    turns: list[tuple[str, list[str]]] = []
    blank = True
    for line in text.split("\n"):
        here = line.lstrip()
        may_begin = blank or not after_blank
        speaker = next((name for name in _SPEAKERS if may_begin and here.startswith(name)), None)
        blank = not here
        if speaker:
            turns.append((_SPEAKERS[speaker], [here[len(speaker) :]]))
        else:
            turns[-1][1].append(line)
    if len({role for role, _ in turns}) < 2:
        return None
    return [{"role": role, "content": "\n".join(said).strip()} for role, said in turns]


def _json_list(text: str) -> Written | None:
    try:
        value = parse_json(text)
    except NotJson:
        return None
    is_list = isinstance(value, list) and bool(value) and all(map(is_message, value))
    return Written("a JSON list of messages", value) if is_list else None


def _printed_list(text: str) -> Written | None:
    if not _PRINTED.match(text) or not text.rstrip().endswith(("]", ")")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in the text
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None  # as NumPy prints it, without commas
    turns = value if isinstance(value, list) and value and all(map(is_message, value)) else None
    return Written("a list as Python prints it", turns)
