"""What one row of prompts may hold, and what is wrong with it otherwise."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.messages import Conversation, Message

__all__ = ["BadPrompt", "Columns", "Draft", "Prompt", "missing_column", "parse_prompt"]

FOREIGN_PROMPT_COLUMNS = (
    "prompts_final", "Behavior", "Goal", "goal", "question", "Question", "instruction", "text",
    "turns", "query", "conversation", "conversations",
)  # fmt: skip
"""What other data sets call the prompt: named in a hint, never taken unasked."""
_DEEPEST = 150
"""Lists and objects within one another that a column may hold; JSON readers give up at some 190."""
KNOWN_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "developer": "system",
}


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
    """Which column holds what, where it is not the usual name."""

    prompt: str | None = None
    id: str | None = None
    tags: str | None = None


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
        if _is_deeper(self.extra, _DEEPEST):
            what = f"a column is nested more than {_DEEPEST} deep"
            raise BadPrompt(what, "drop that column or save it as text")
        try:
            return _canonical([self.id, _turns(self.messages), self.tags, self.extra]) + b"\n"
        except UnicodeEncodeError as error:
            raise BadPrompt("a column holds text that is not Unicode", "re-save the row") from error
        except (TypeError, ValueError) as error:
            remedy = "drop that column or save it as text"
            raise BadPrompt(f"a column cannot be saved as JSON ({error})", remedy) from error


class BadPrompt(Exception):
    """Why a row is not a prompt, and how to fix it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


def parse_prompt(row: Mapping[str, Any], columns: Columns) -> Draft:
    """The prompt in a row. Raises BadPrompt with the first thing that is wrong."""
    problem = missing_column(tuple(row), columns)
    if problem is not None:
        raise problem
    extra = dict(row)
    messages = _messages(extra, columns)
    system = extra.pop("system", None)
    if system:
        messages = _with_system(system, messages)
    _check_order(messages)
    return Draft(_id(extra, columns), messages, _tags(extra, columns), extra)


def missing_column(names: Sequence[str], columns: Columns) -> BadPrompt | None:
    """What to say when a column that was asked for, or any that can be the prompt, is not there."""
    for asked in (columns.prompt, columns.id, columns.tags):
        if asked is not None and asked not in names:
            return BadPrompt(f"has no column {asked!r}; it has {_listed(names)}")
    if columns.prompt is not None or "prompt" in names or "messages" in names:
        return None
    foreign = [name for name in FOREIGN_PROMPT_COLUMNS if name in names]
    what = f"has no 'prompt' or 'messages'; it has {_listed(names)}"
    match foreign:
        case []:
            return BadPrompt(what, "name the column of the prompt with --prompt-column NAME")
        case [name]:
            return BadPrompt(what, f"if the prompt is in {name!r}, add --prompt-column {name}")
    return BadPrompt(what, f"add --prompt-column with one of {', '.join(foreign)}")


def _messages(extra: dict[str, Any], columns: Columns) -> Conversation:
    """Take the prompt's column out of the row and read it."""
    name = columns.prompt
    if name is None:
        given = [name for name in ("prompt", "messages") if extra.get(name) is not None]
        if len(given) == 2:
            raise BadPrompt("has both 'prompt' and 'messages'", "say which with --prompt-column")
        if not given:
            raise BadPrompt("the prompt is empty")
        name = given[0]
    return _conversation(extra.pop(name), name)


def _conversation(value: Any, name: str) -> Conversation:
    match value:
        case str():
            return (Message("user", _checked(value, "the prompt")),)
        case []:
            raise BadPrompt(f"{name!r} is an empty list", "give at least one user message")
        case [str() as text]:  # one turn, as the benchmarks that list only the user's turns say it
            return (Message("user", _checked(text, "the prompt")),)
        case [str(), *_]:
            what = f"{name!r} lists {len(value)} texts without the assistant's answers between"
            raise BadPrompt(what, "keep one, or give {role, content} messages")
        case list() | tuple():
            return tuple(_message(turn, number) for number, turn in enumerate(value, 1))
        case None:
            raise BadPrompt(f"{name!r} is empty")
    raise BadPrompt(
        f"{name!r} is {_kind(value)}", "give a text, or a list of {role, content} messages"
    )


def _message(turn: Any, number: int) -> Message:
    if not isinstance(turn, Mapping) or "role" not in turn or "content" not in turn:
        found = f"has {_listed(list(turn))}" if isinstance(turn, Mapping) else f"is {_kind(turn)}"
        raise BadPrompt(f"message {number} {found}", "a message needs 'role' and 'content'")
    role, content = turn["role"], turn["content"]
    if role not in ("system", "user", "assistant"):
        known = KNOWN_ROLES.get(role) if isinstance(role, str) else None
        remedy = f"write {known!r}" if known else "use system, user or assistant"
        raise BadPrompt(f"message {number} has the unknown role {role!r}", remedy)
    if not isinstance(content, str):
        raise BadPrompt(f"the content of message {number} is {_kind(content)}", "give a text")
    return Message(role, _checked(content, f"message {number}"))


def _checked(text: str, what: str) -> str:
    if not text or text.isspace():
        raise BadPrompt(f"{what} is empty")
    if "\0" in text:
        raise BadPrompt(f"{what} holds a NUL character", "remove it: models cannot read it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadPrompt(f"{what} holds half a surrogate pair", "re-save the row") from error
    return text


def _with_system(system: Any, messages: Conversation) -> Conversation:
    if not isinstance(system, str):
        raise BadPrompt(f"'system' is {_kind(system)}", "give a text")
    if messages[0].role == "system":
        raise BadPrompt("has a 'system' column and a system message", "keep one of them")
    return (Message("system", _checked(system, "'system'")), *messages)


def _check_order(messages: Conversation) -> None:
    turns = messages[1:] if messages[0].role == "system" else messages
    for number, message in enumerate(turns):
        expected = "assistant" if number % 2 else "user"
        if message.role != expected:
            position = number + 1 + len(messages) - len(turns)
            what = f"message {position} is {message.role!r} where {expected!r} is expected"
            raise BadPrompt(what, "an optional system turn comes first, then user and assistant")
    if not turns:
        raise BadPrompt("holds only a system message", "add a user message")
    if turns[-1].role == "assistant":
        what = "ends with an assistant turn, so nothing is left to answer"
        raise BadPrompt(what, "drop the last turn")


def _id(extra: dict[str, Any], columns: Columns) -> str | None:
    name = columns.id or "id"
    if name not in extra:
        return None
    match extra.pop(name):
        case bool() as value:
            raise BadPrompt(f"the id in {name!r} is {_kind(value)}", "give a text or an integer")
        case int() as value:
            return str(value)
        case None | "":
            raise BadPrompt(f"the id in {name!r} is empty", "give one, or drop the column")
        case str() as value:
            return _checked(value, f"the id in {name!r}")
        case value:
            raise BadPrompt(f"the id in {name!r} is {_kind(value)}", "give a text or an integer")


def _tags(extra: dict[str, Any], columns: Columns) -> tuple[str, ...]:
    name = columns.tags or "tags"
    value = extra.pop(name, None)
    tags = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        what = f"{name!r} is {_kind(value)}"
        raise BadPrompt(what, "give a list of texts, or one text with commas")
    return tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))


def _turns(messages: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")
)


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


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    names |= {int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), type(value).__name__)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no columns"
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
