"""What a prompt may be: a text, or messages in turn; and what is wrong with it otherwise.

A message has `role` and `content`, or `from` and `value` as in ShareGPT. A text that is itself a
conversation is read as one, or as one user turn, only as it is asked for (`PromptFormat`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from engine.messages import Conversation, Message, Role
from engine.prompts.written_turns import Written, is_message, is_sharegpt, written_conversation

__all__ = [
    "BadPrompt",
    "PromptFormat",
    "check_order",
    "checked",
    "common_prompt",
    "conversation_of",
    "is_conversation",
    "kind",
    "listed",
    "role_and_content",
    "with_system",
]

PromptFormat = Literal["conversation", "text"]
"""How a text is read that is a conversation: by its turns, or as one user turn."""

_OPTION = "--prompt-format"
_HOW = f"{_OPTION} conversation to read its turns, or {_OPTION} text to send it as one user turn"
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_KNOWN_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "developer": "system",
}
_SHAREGPT: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
}


class BadPrompt(Exception):
    """Why a row is not a prompt, and how to fix it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


def conversation_of(value: Any, name: str, format: PromptFormat | None) -> Conversation:
    """The messages in the column `name`. Raises BadPrompt; not for their order (`check_order`).

    With the format `conversation` a text must be one, and an assistant's last turn is left out: it
    is the answer.
    """
    match value:
        case str():
            return _of_text(value, name, format)
        case []:
            raise BadPrompt(f"{name!r} is an empty list", "give at least one user message")
        case [str() as text]:  # one turn, as the benchmarks that list only the user's turns say it
            return _of_text(text, name, format)
        case [str(), *_]:
            what = f"{name!r} lists {len(value)} texts without the assistant's answers between"
            raise BadPrompt(what, "keep one, or give {role, content} messages")
        case list() | tuple():
            return _messages(_asked(value) if format == "conversation" else value)
        case None:
            raise BadPrompt(f"{name!r} is empty")
    remedy = "give a text, or a list of {role, content} messages"
    raise BadPrompt(f"{name!r} is {kind(value)}", remedy)


def _of_text(text: str, name: str, format: PromptFormat | None) -> Conversation:
    written = None if format == "text" else written_conversation(text)
    if format == "conversation":
        return _messages(_asked(_turns(written, name)))
    if written is not None:
        raise BadPrompt(f"{name!r} holds a conversation as text ({written.how})", f"add {_HOW}")
    return (Message("user", checked(text, "the prompt")),)


def _turns(written: Written | None, name: str) -> Sequence[Any]:
    if written is None:
        remedy = "write a JSON list of messages or a transcript (Human: ..., Assistant: ...)"
        raise BadPrompt(f"{name!r} is a text and no conversation", remedy)
    if written.turns is None:
        what = f"{name!r} holds {written.how}, which cannot be read with certainty"
        raise BadPrompt(what, "save the list as JSON")
    return written.turns


def _asked(turns: Sequence[Any]) -> Sequence[Any]:
    """The turns without an answer at their end."""
    last = turns[-1]
    speaker = str(last.get("role", last.get("from"))).lower() if isinstance(last, Mapping) else ""
    answered = len(turns) > 1 and _SHAREGPT.get(speaker) == "assistant"
    return turns[:-1] if answered else turns


def common_prompt(chosen: Any, rejected: Any, format: PromptFormat | None) -> Conversation:
    """The prompt of two whole conversations, one with the better answer and one with the worse: how
    both begin, up to the last user turn that they share. Raises BadPrompt where `chosen` is no
    conversation, or one as text that nobody asked to be read."""
    whole = [_whole(chosen, "chosen", format)]
    if is_conversation(rejected) and (not isinstance(rejected, str) or format == "conversation"):
        whole.append(_whole(rejected, "rejected", format))
    shared: list[Message] = []
    for turns in zip(*(one[:-1] for one in whole), strict=False):
        if len(set(turns)) > 1:
            break
        shared.append(turns[0])
    while shared and shared[-1].role == "assistant":
        shared.pop()
    if not shared:
        remedy = "name the column of the prompt with --prompt-column NAME"
        raise BadPrompt("'chosen' and 'rejected' do not begin alike", remedy)
    return tuple(shared)


def _whole(value: Any, name: str, format: PromptFormat | None) -> Conversation:
    if isinstance(value, str):
        written = written_conversation(value)
        if written is not None and format != "conversation":
            what = f"{name!r} holds a conversation as text ({written.how})"
            raise BadPrompt(what, f"add {_OPTION} conversation to take the prompt from it")
        value = _turns(written, name)
    turns = _messages(value)
    if turns[-1].role != "assistant":
        what = f"{name!r} does not end with the assistant's answer"
        raise BadPrompt(what, "name the column of the prompt with --prompt-column NAME")
    return turns


def is_conversation(value: Any) -> bool:
    """Whether it is a list of messages, or a text that is a conversation."""
    if isinstance(value, str):
        return written_conversation(value) is not None
    return isinstance(value, list | tuple) and bool(value) and all(map(is_message, value))


def _messages(turns: Sequence[Any]) -> Conversation:
    return tuple(_message(turn, number) for number, turn in enumerate(turns, 1))


def _message(turn: Any, number: int) -> Message:
    role, content = role_and_content(turn, number)
    return Message(role, checked(content, f"message {number}"))


def role_and_content(turn: Any, number: int) -> tuple[Role, str]:
    """Of one message, the `number`th. Raises BadPrompt where it is none, or its role is unknown."""
    if isinstance(turn, Mapping) and is_sharegpt(turn):
        role, content = _sharegpt_role(turn["from"], number), turn["value"]
    elif isinstance(turn, Mapping) and {"role", "content"} <= turn.keys():
        role, content = _role(turn["role"], number), turn["content"]
    else:
        found = f"has {listed(list(turn))}" if isinstance(turn, Mapping) else f"is {kind(turn)}"
        raise BadPrompt(f"message {number} {found}", "a message needs 'role' and 'content'")
    if not isinstance(content, str):
        raise BadPrompt(f"the content of message {number} is {kind(content)}", "give a text")
    return role, content


def _role(role: Any, number: int) -> Role:
    if isinstance(role, str) and role in _ROLES:
        return _ROLES[role]
    known = _KNOWN_ROLES.get(role) if isinstance(role, str) else None
    remedy = f"write {known!r}" if known else "use system, user or assistant"
    raise BadPrompt(f"message {number} has the unknown role {role!r}", remedy)


def _sharegpt_role(speaker: Any, number: int) -> Role:
    role = _SHAREGPT.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        remedy = "use human, gpt or system"
        raise BadPrompt(f"message {number} is from the unknown {speaker!r}", remedy)
    return role


def checked(text: str, what: str) -> str:
    """`text`, unless it is empty or models cannot read it. Raises BadPrompt."""
    if not text or text.isspace():
        raise BadPrompt(f"{what} is empty")
    if "\0" in text:
        raise BadPrompt(f"{what} holds a NUL character", "remove it: models cannot read it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadPrompt(f"{what} holds half a surrogate pair", "re-save the row") from error
    return text


def with_system(system: Any, messages: Conversation) -> Conversation:
    """The messages after a system turn. Raises BadPrompt where they have one already."""
    if not isinstance(system, str):
        raise BadPrompt(f"'system' is {kind(system)}", "give a text")
    if messages[0].role == "system":
        raise BadPrompt("has a 'system' column and a system message", "keep one of them")
    return (Message("system", checked(system, "'system'")), *messages)


def check_order(messages: Conversation) -> None:
    """Raise BadPrompt unless an optional system turn comes first, then user and assistant in turn,
    and the user last."""
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
        raise BadPrompt(what, f"drop the last turn, or add {_OPTION} conversation to leave it out")


def kind(value: Any) -> str:
    """What kind of value it is, in the words of a message."""
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    names |= {int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), type(value).__name__)


def listed(names: Sequence[str]) -> str:
    """The names of columns, in the words of a message."""
    if not names:
        return "no columns"
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
