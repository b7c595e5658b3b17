"""Conversations as tokens to learn from: what is asked, and what the model must say then.

The context of an answer is the very prompt that the engine asks: the chat template's rendering up to
and with its generation prompt. What is learned follows it: the answer, and the tokens that end a turn.
So nothing depends on how a template renders an answer that is already there, which many render in a
context that no one ever asks in (an empty thought more or less, another channel). Where the
template puts something before an answer without reasoning, that is learned with it: the model has to
write it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json
from engine.generators.chat_template import common_prefix
from engine.generators.control_tokens import Neutraliser, special_tokens, structural_tokens
from engine.generators.reasoning import closing_of, opening_at_end
from engine.generators.template_rendering import ChatTemplate
from engine.messages import Message, Role, to_dicts

__all__ = ["REFUSED", "ChatTokens", "Exchange", "turn_end", "turns_for"]

REFUSED = "refused by the chat template"
_NO_TOOLS = "calls a tool, which the chat template cannot show"
_NO_REASONING = "has reasoning, which the chat template cannot show"
_REASONING = ("reasoning_content", "thinking", "reasoning")
"""What templates call the reasoning of a turn."""

Turns = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Token ids of what is asked, and of what is to be said, its end included."""

    prompt: list[int]
    answer: list[int]

    @property
    def whole(self) -> list[int]:
        """Both."""
        return self.prompt + self.answer


@dataclass(frozen=True, slots=True)
class _Text:
    """An exchange before it is tokens; `ended` says that the answer has its end already."""

    asked: str
    said: str
    ended: bool = False


def turns_for(tokenizer: Any) -> Callable[[Turns], Turns]:
    """What makes turns such as the engine asks them of a model: control tokens spelled out in a message
    are broken, and a system turn that the chat template would refuse or drop is in the user's."""
    structural = structural_tokens(tokenizer, str(tokenizer.chat_template))
    neutralise = Neutraliser.for_tokens(structural).neutralise
    template = ChatTemplate(tokenizer, None)

    def broken(value: Any) -> Any:
        match value:
            case str():
                return neutralise(value)
            case dict():
                return {name: broken(inner) for name, inner in value.items()}
            case list() | tuple():
                return [broken(inner) for inner in value]
        return value

    def prepare(messages: Turns) -> Turns:
        plain = all(turn.keys() == {"role", "content"} for turn in messages)
        if plain and any(turn["role"] == "system" for turn in messages):
            turns = tuple(Message(cast(Role, turn["role"]), turn["content"]) for turn in messages)
            messages = to_dicts(template.arranged(turns))
        return [{"role": turn["role"]} | broken(_unset(turn, "role")) for turn in messages]

    return prepare


def turn_end(tokenizer: Any) -> list[int]:
    """The control tokens by which an answer ends, the last of which stops generation.

    They are those that the chat template writes after an answer whoever speaks next; else the first
    that it writes where nothing follows; else the tokenizer's end of text. Raises InputError where
    there is none of these.
    """
    last, before_user = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ChatTemplate(tokenizer, None).answer_ends
    )
    control = _control_ids(tokenizer)
    shared = last[: common_prefix(last, before_user)]
    places = [at for at, id_ in enumerate(shared) if id_ in control]
    if places:
        return list(shared[places[0] : places[-1] + 1])
    first = next((id_ for id_ in last if id_ in control), tokenizer.eos_token_id)
    if first is None:
        what = "has no token that ends a turn, neither in its chat template nor as its end of text"
        remedy = "set chat_template to one that ends turns with a token of the model"
        raise InputError(Problem(str(tokenizer.name_or_path), what, remedy))
    return [first]


class ChatTokens:
    """Conversations through the tokenizer's chat template, many at a time, as of `turns_for`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._prepare = turns_for(tokenizer)
        self._template = ChatTemplate(tokenizer, None)
        self._end = turn_end(tokenizer)
        self._control = _control_ids(tokenizer)

    def prompts(self, rows: Sequence[dict[str, Any]]) -> list[list[int] | None]:
        """Token ids of each prompt, up to where the answer begins; None where it is refused."""
        texts = [self._asked(row) for row in rows]
        encoded = iter(self._ids([text for text in texts if text is not None]))
        return [None if text is None else next(encoded) for text in texts]

    def exchanges(self, rows: Sequence[dict[str, Any]], column: str) -> list[Exchange | str]:
        """Each prompt and the answer in `column`, without its end if `truncated`; or why the chat
        template cannot show it."""
        written = [self._written(row, row[column][-1]) for row in rows]
        kept = [one for one in written if not isinstance(one, str)]
        asked = iter(self._ids([one.asked for one in kept]))
        whole = iter(self._ids([one.asked + one.said for one in kept]))
        return [
            one
            if isinstance(one, str)
            else self._exchange(next(asked), next(whole), one, row["truncated"])
            for one, row in zip(written, rows, strict=True)
        ]

    def answered(self, rows: Sequence[dict[str, Any]], column: str) -> list[list[int] | None]:
        """Token ids of each prompt with the answer in `column`; None where it is refused."""
        found = self.exchanges(rows, column)
        return [None if isinstance(one, str) else one.whole for one in found]

    def _exchange(
        self, asked: list[int], whole: list[int], text: _Text, truncated: bool
    ) -> Exchange:
        # Some tokenizers join what is asked and what is said: no model that is asked sees that.
        joined = whole[: len(asked)] != asked
        said = self._ids([text.said])[0] if joined else whole[len(asked) :]
        if text.ended and truncated:
            last = max((at for at, id_ in enumerate(said) if id_ not in self._control), default=-1)
            return Exchange(asked, said[: last + 1])
        return Exchange(asked, said if text.ended or truncated else said + self._end)

    def _written(self, row: dict[str, Any], turn: dict[str, Any]) -> _Text | str:
        """What is asked and what is said, or why the template cannot show it."""
        calls = turn.get("tool_calls")
        uses_tools = calls or any(t["role"] == "tool" for t in row["prompt"])
        if uses_tools and not self._shows_tools:
            return _NO_TOOLS
        asked = self._asked(row)
        if asked is None:
            return REFUSED
        (said,) = self._prepare([turn])
        if calls:
            return self._called(asked, row, said)
        if "reasoning_content" in said:
            return self._reasoned(asked, row, said)
        return _Text(asked, self._template.answer_start + said["content"])

    def _called(self, asked: str, row: dict[str, Any], said: dict[str, Any]) -> _Text | str:
        """A call of a tool, which only the template knows how to write."""
        thought = said.get("reasoning_content", "")
        for name in _REASONING:
            turn = {**_unset(said, "reasoning_content"), **({name: thought} if thought else {})}
            rest = self._continued(asked, row, turn)
            if rest is not None and thought in rest:
                return self._without_end(asked, rest)
        return _NO_REASONING if thought else REFUSED

    def _reasoned(self, asked: str, row: dict[str, Any], said: dict[str, Any]) -> _Text | str:
        """An answer with the reasoning before it: in the template's way; where the prompt opens a
        thought, as that goes on; and where the template knows no reasoning, in the plain tags that
        most models learn it in."""
        answer, thought = said["content"], said["reasoning_content"]
        for name in _REASONING:
            rest = self._continued(
                asked, row, {"role": "assistant", "content": answer, name: thought}
            )
            if rest is not None and thought in rest and answer in rest:
                return self._without_end(asked, rest)
        opened = opening_at_end(asked)
        if opened:
            return _Text(asked, f"{thought}{closing_of(opened)}{answer}")
        starts = self._template.answer_start.strip()
        if asked.rstrip().endswith("</think>") or (starts and not starts.startswith("<think>")):
            return _NO_REASONING
        return _Text(asked, f"<think>\n{thought}\n</think>\n\n{answer}")

    def _continued(self, asked: str, row: dict[str, Any], turn: dict[str, Any]) -> str | None:
        """What the template writes after `asked` for a turn of the assistant's; None where it
        refuses it, or renders what is asked otherwise then, but for a thought that is opened."""
        whole = self._render([*self._prepare(row["prompt"]), turn], row, False)
        if whole is None or whole.startswith(asked):
            return whole and whole[len(asked) :]
        opened = opening_at_end(asked)
        before = asked.rstrip().removesuffix(opened)
        if not opened or not whole.startswith(before):
            return None
        rest = whole[len(before) :].lstrip()
        return (
            rest.removeprefix(opened) if rest.startswith(opened) else f"{closing_of(opened)}{rest}"
        )

    def _without_end(self, asked: str, rest: str) -> _Text:
        """Without what the template writes after an answer; or with the control token that ends it
        otherwise, as a call of a tool may."""
        last = self._template.answer_ends[0]
        if last.strip() and rest.endswith(last):
            return _Text(asked, rest[: len(rest) - len(last)])
        rest = rest.rstrip()
        return _Text(asked, rest, self._ids([rest])[0][-1] in self._control)

    def _asked(self, row: dict[str, Any]) -> str | None:
        return self._render(self._prepare(row["prompt"]), row, True)

    def _render(self, turns: Turns, row: dict[str, Any], generation_prompt: bool) -> str | None:
        options: dict[str, Any] = {"add_generation_prompt": generation_prompt}
        if row.get("tools"):
            options["tools"] = _parsed(row["tools"])
        text = self._template.write(list(map(_with_arguments, turns)), **options)
        return self._template.write(turns, **options) if text is None else text

    @cached_property
    def _shows_tools(self) -> bool:
        from trl.chat_template_utils import supports_tool_calling

        return bool(supports_tool_calling(self._tokenizer))

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded: list[list[int]] = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return encoded


def _control_ids(tokenizer: Any) -> frozenset[int]:
    return frozenset(special_tokens(tokenizer).values())


def _unset(turn: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in turn.items() if key != name}


def _with_arguments(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn whose calls have their arguments as objects: most templates want them so, and OpenAI's
    servers give them as text."""
    if not turn.get("tool_calls"):
        return turn
    return {**turn, "tool_calls": [*_calls(turn["tool_calls"])]}


def _calls(calls: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for call in calls:
        function = call.get("function")
        if isinstance(function, dict):
            yield {**call, "function": function | {"arguments": _parsed(function.get("arguments"))}}
        else:
            yield call


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        return parse_json(value)
    except NotJson:
        return value
