"""The turns of a training row, as chat templates take them, whatever a public data set calls them.

A turn is `{role, content}`, and of the assistant's also `reasoning_content` and `tool_calls` where it
has them; `tool` is a role too. ShareGPT's `from` and `value`, contents in parts, nulls and reasoning
within the text are read as what they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.generators.reasoning import split_reasoning
from engine.messages import to_dicts
from engine.prompts.conversations import BadPrompt, kind, role_and_content
from engine.prompts.rows import Columns, parse_prompt
from engine.prompts.written_turns import is_message, transcript

__all__ = [
    "AS_TEXT",
    "BadPrompt",
    "Turn",
    "Turns",
    "Unusable",
    "answer_turn",
    "calls_a_tool",
    "checked_prompt",
    "turns_of",
]

Turn = dict[str, Any]
Turns = list[Turn]

AS_TEXT = Columns(format="text")
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""What data sets and servers call the reasoning before an answer."""


class Unusable(Exception):
    """Why nothing can be learned from a row that is otherwise in order."""


def turns_of(value: Any) -> Turns | None:
    """The turns of a list of messages, of one message, or of a transcript that the assistant ends;
    None of any other value. Raises BadPrompt for a message that has no role or no text."""
    if isinstance(value, str):
        turns = transcript(value)
        return turns if turns and turns[-1]["role"] == "assistant" else None
    if isinstance(value, Mapping) and is_message(value):
        value = [value]
    listed = isinstance(value, list | tuple) and bool(value)
    if not listed or not all(isinstance(turn, Mapping) for turn in value):
        return None
    return [_turn(turn, number) for number, turn in enumerate(value, 1)]


def answer_turn(turn: Turn) -> Turn:
    """The assistant's turn with its reasoning told apart from its text."""
    given = [turn[name] for name in _REASONING if isinstance(turn.get(name), str)]
    answer, found = split_reasoning(turn["content"])
    thought = "\n\n".join(text.strip() for text in (*given[:1], found or "") if text.strip())
    calls = {"tool_calls": turn["tool_calls"]} if turn.get("tool_calls") else {}
    reasoned = {"reasoning_content": thought} if thought else {}
    return {"role": "assistant", "content": answer, **reasoned, **calls}


def calls_a_tool(turns: Sequence[Turn]) -> bool:
    """Whether a tool is called in them, or has answered."""
    return any(
        turn.get("tool_calls") or turn.get("role") == "tool"
        for turn in turns
        if isinstance(turn, Mapping)
    )


def checked_prompt(turns: Any, system: Any) -> Turns:
    """What is asked, as messages that end with the user or with a tool's answer, the `system` column
    first. `turns` is a text, or turns. Raises BadPrompt where they are in no order; calls of tools and
    their answers may stand anywhere after the user's."""
    if not isinstance(turns, list) or not calls_a_tool(turns):
        return to_dicts(parse_prompt({"prompt": turns, "system": system}, AS_TEXT).messages)
    said = [turn for turn in turns if not calls_a_tool([turn])]
    checked = to_dicts(parse_prompt({"prompt": said, "system": system}, AS_TEXT).messages)
    if turns[-1].get("tool_calls"):
        raise BadPrompt("a tool is called and does not answer", "add its answer, or drop the row")
    return [*checked[: len(checked) - len(said)], *turns]


def _turn(turn: Mapping[str, Any], number: int) -> Turn:
    """Nulls are left out: Parquet gives every message the columns of all."""
    given = {name: value for name, value in turn.items() if value is not None}
    role = given.get("role")
    if role == "tool" or (role == "assistant" and given.get("tool_calls")):
        kept = ("tool_call_id", "name") if role == "tool" else ("tool_calls", *_REASONING)
        content = _text(given.get("content", ""))
        if not isinstance(content, str):
            raise BadPrompt(f"the content of message {number} is {kind(content)}", "give a text")
        return {"role": role, "content": content, **{n: given[n] for n in kept if n in given}}
    if "content" in given:
        given["content"] = _text(given["content"])
    elif turn.get("role") == "assistant" and "content" in turn:
        given["content"] = ""
    role, content = role_and_content(given, number)
    thoughts = {name: given[name] for name in _REASONING if name in given}
    return {"role": role, "content": content, **(thoughts if role == "assistant" else {})}


def _text(content: Any) -> Any:
    """The text of a content in parts; any other content as it is."""
    if not isinstance(content, list | tuple):
        return content
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            found = part.get("type", "part") if isinstance(part, Mapping) else "part"
            raise Unusable(f"holds {found!r}, which is not text")
        texts.append(part["text"])
    return "".join(texts)
