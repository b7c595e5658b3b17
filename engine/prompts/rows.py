"""What one row of prompts may hold, and what is wrong with it otherwise."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.messages import Conversation
from engine.prompts.conversations import (
    BadPrompt,
    PromptFormat,
    check_order,
    checked,
    common_prompt,
    conversation_of,
    is_conversation,
    kind,
    listed,
    with_system,
)
from engine.prompts.plain_values import DEEPEST, TooDeep

__all__ = [
    "BadPrompt",
    "Columns",
    "Draft",
    "Prompt",
    "PromptFormat",
    "canonical_row",
    "missing_column",
    "parse_prompt",
]

FOREIGN_PROMPT_COLUMNS = (
    "prompts_final", "Behavior", "Goal", "goal", "question", "Question", "instruction", "text",
    "turns", "query", "conversation", "conversations",
)  # fmt: skip
"""What other data sets call the prompt: named in a hint, never taken unasked."""
_SHAREGPT_COLUMNS = ("conversations", "conversation")
"""They are the prompt, where there is no other, if they hold one message after the other."""
_MOST_EXACT = 2**53
"""Beyond, floating-point numbers are no longer every whole one, and two ids may have become one."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One conversation to answer: an optional system turn, then user and assistant in turn, ending
    with the user. `row` counts from 0; `extra` holds the other columns."""

    id: str
    row: int
    messages: Conversation
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what, where it is not the usual name; and how a conversation is read that
    is written as text: unless it is said, it is refused."""

    prompt: str | None = None
    id: str | None = None
    tags: str | None = None
    format: PromptFormat | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A row that is in order, before it is known whether its prompt or id came before."""

    id: str | None
    messages: Conversation
    tags: tuple[str, ...]
    extra: Mapping[str, Any]

    @property
    def content_id(self) -> str:
        """First 16 hex digits (64 bits) of the SHA-256 of the messages."""
        return hashlib.sha256(_canonical(_turns(self.messages))).hexdigest()[:16]

    @property
    def canonical(self) -> bytes:
        """The whole row on one line, whatever the file's format and column names.

        Raises BadPrompt where a column holds what JSON cannot.
        """
        if _is_deeper(self.extra, DEEPEST):
            raise BadPrompt(str(TooDeep()), TooDeep.remedy)
        try:
            return canonical_row(self.id, _turns(self.messages), self.tags, self.extra) + b"\n"
        except UnicodeEncodeError as error:
            raise BadPrompt("a column holds text that is not Unicode", "re-save the row") from error
        except (TypeError, ValueError) as error:
            remedy = "drop that column or save it as text"
            raise BadPrompt(f"a column cannot be saved as JSON ({error})", remedy) from error


def parse_prompt(row: Mapping[str, Any], columns: Columns) -> Draft:
    """The prompt in a row. Raises BadPrompt with the first thing that is wrong."""
    problem = missing_column(tuple(row), columns)
    if problem is not None:
        raise problem
    extra = dict(row)
    messages = _messages(extra, columns)
    system = extra.pop("system", None)
    if system:
        messages = with_system(system, messages)
    check_order(messages)
    return Draft(_id(extra, columns), messages, _tags(extra, columns), extra)


def missing_column(names: Sequence[str], columns: Columns) -> BadPrompt | None:
    """What to say when a column that was asked for, or any that can be the prompt, is not there."""
    for asked in (columns.prompt, columns.id, columns.tags):
        if asked is not None and asked not in names:
            return BadPrompt(f"has no column {asked!r}; it has {listed(names)}")
    known = ("prompt", "messages", "chosen", *_SHAREGPT_COLUMNS)
    if columns.prompt is not None or not set(known).isdisjoint(names):
        return None
    return _no_prompt(names)


def _no_prompt(names: Sequence[str]) -> BadPrompt:
    foreign = [name for name in FOREIGN_PROMPT_COLUMNS if name in names]
    what = f"has no 'prompt' or 'messages'; it has {listed(names)}"
    match foreign:
        case []:
            return BadPrompt(what, "name the column of the prompt with --prompt-column NAME")
        case [name]:
            return BadPrompt(what, f"if the prompt is in {name!r}, add --prompt-column {name}")
    return BadPrompt(what, f"add --prompt-column with one of {', '.join(foreign)}")


def _messages(extra: dict[str, Any], columns: Columns) -> Conversation:
    """Take the prompt's column out of the row and read it."""
    name = columns.prompt or _prompt_column(extra)
    if name is not None:
        return conversation_of(extra.pop(name), name, columns.format)
    if extra.get("chosen") is not None and is_conversation(extra["chosen"]):
        return common_prompt(extra["chosen"], extra.get("rejected"), columns.format)
    known = [one for one in ("prompt", "messages", *_SHAREGPT_COLUMNS) if one in extra]
    if "prompt" in known or "messages" in known:
        raise BadPrompt("the prompt is empty")
    raise _no_prompt(tuple(extra))


def _prompt_column(row: Mapping[str, Any]) -> str | None:
    """The column of the prompt, where nobody named one."""
    given = [name for name in ("prompt", "messages") if row.get(name) is not None]
    if len(given) == 2:
        raise BadPrompt("has both 'prompt' and 'messages'", "say which with --prompt-column")
    found = given or [name for name in _SHAREGPT_COLUMNS if is_conversation(row.get(name))]
    return found[0] if found else None


def _id(extra: dict[str, Any], columns: Columns) -> str | None:
    name = columns.id or "id"
    if name not in extra:
        return None
    match extra.pop(name):
        case bool() as value:
            raise BadPrompt(f"the id in {name!r} is {kind(value)}", "give a text or an integer")
        case int() as value:
            return str(value)
        case float() as value if value.is_integer() and abs(value) <= _MOST_EXACT:
            return str(int(value))  # as pandas writes whole numbers where one is missing
        case None | "":
            raise BadPrompt(f"the id in {name!r} is empty", "give one, or drop the column")
        case str() as value:
            return checked(value, f"the id in {name!r}")
        case value:
            raise BadPrompt(f"the id in {name!r} is {kind(value)}", "give a text or an integer")


def _tags(extra: dict[str, Any], columns: Columns) -> tuple[str, ...]:
    name = columns.tags or "tags"
    value = extra.pop(name, None)
    tags = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        what = f"{name!r} is {kind(value)}"
        raise BadPrompt(what, "give a list of texts, or one text with commas")
    return tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))


def _turns(messages: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")
)


def canonical_row(
    id: str | None, turns: Sequence[tuple[str, str]], tags: Sequence[str], extra: Mapping[str, Any]
) -> bytes:
    """A prompt on one line: equal where all of it is. Raises TypeError or ValueError for what JSON
    cannot hold."""
    return _canonical([id, turns, tags, extra])


def _canonical(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _is_deeper(value: Any, levels: int) -> bool:
    """Depth first, so that an object which holds itself is found out too."""
    waiting = [(value, 0)]
    while waiting:
        outer, depth = waiting.pop()
        if isinstance(outer, Mapping):
            waiting += [(inner, depth + 1) for inner in outer.values()]
        elif isinstance(outer, list | tuple):
            waiting += [(inner, depth + 1) for inner in outer]
        if depth > levels and isinstance(outer, Mapping | list | tuple):
            return True
    return False
