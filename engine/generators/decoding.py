"""From generated tokens to an answer, and the reasoning before it.

Decoders leave special tokens out, and with them whatever told reasoning from answer where a model
marks it with such tokens (`[THINK]`, `<|channel|>`). They are therefore kept until the two are apart.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from engine.generators.reasoning import (
    closing_of,
    marks_reasoning,
    opening_at_end,
    split_reasoning,
)

__all__ = ["Decoded", "Decoder"]

_PROMPT_END = 24
"""Tokens of a prompt that are looked at for a tag which opens reasoning."""
_WRAPPING = 16
"""Tokens after a thought that may be white space or a tag around the answer."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A completion's text; `reasoning` is what came before it, where it was taken apart here."""

    text: str
    reasoning: str | None = None


class Decoder:
    """Decodes with a Hugging Face tokenizer; `special` are its special tokens, and `restore` undoes
    the breaking of control tokens."""

    def __init__(
        self, tokenizer: Any, special: Mapping[str, int], restore: Callable[[str], str]
    ) -> None:
        self._tokenizer = tokenizer
        self._spellings = {id_: spelled for spelled, id_ in special.items()}
        self._restore = restore

    def text(self, ids: Sequence[int], after: Sequence[int] = ()) -> str:
        """The text of `ids` without special tokens.

        `after` are the tokens that they continue: some tokenizers drop a space that comes first.
        """
        return self._restore(self._added(ids, after, skip_special=True))

    def read(
        self,
        ids: Sequence[int],
        after: Sequence[int] = (),
        *,
        opening: str = "",
        said: str | None = None,
    ) -> Decoded:
        """The answer in `ids`, and the reasoning if special tokens mark it or the prompt ended with its
        `opening`. `said` is their text if an engine has decoded them, without special tokens."""
        kept = self._until_end(ids)
        inside = {self._spellings[id_] for id_ in kept if id_ in self._spellings}
        if inside or opening:
            whole = opening + self._added(kept, after, skip_special=False)
            answer, reasoning = split_reasoning(whole)
            if reasoning is not None:
                return Decoded(self._without(inside, answer), self._without(inside, reasoning))
            if answer != whole:  # the channel of the answer alone
                return Decoded(self._without(inside, answer))
            if closing_of(whole) is not None:  # cut off within a channel's name
                return Decoded("", "")
        return Decoded(self.text(ids, after) if said is None else self._restore(said))

    def opening(self, prompt: Sequence[int]) -> str:
        """The tag at the prompt's end that opens reasoning; empty without one."""
        return opening_at_end(self._decoded(prompt[-_PROMPT_END:], skip_special=False))

    def closing(self, ids: Sequence[int], opening: str = "") -> str | None:
        """What would end the reasoning that `ids` are still at; None if they are at none."""
        return closing_of(opening + self._decoded(ids, skip_special=False))

    def answer_start(self, ids: Sequence[int], opening: str = "") -> int | None:
        """Where in `ids` the answer begins: after reasoning that has closed or the name of its channel,
        and white space or a tag around the answer; else after special tokens in front. None where
        nothing comes before it, or it has not begun."""

        def whole(count: int) -> str:
            return opening + self._decoded(ids[:count], skip_special=False)

        def closed(count: int) -> bool:
            marked = whole(count) + "A"
            answer, reasoning = split_reasoning(marked)
            return bool(answer) and (reasoning is not None or answer != marked)

        def blank(count: int) -> bool:
            return not split_reasoning(whole(count))[0].strip()

        first = bisect_left(range(len(ids) + 1), True, key=closed)
        if first > len(ids):
            header = sum(1 for _ in takewhile(self._spellings.__contains__, ids))
            return header if header and self.closing(ids, opening) is None else None
        near = range(first, min(first + _WRAPPING, len(ids)) + 1)
        return max(filter(blank, near), default=first)

    def strip_end(self, ids: Sequence[int]) -> tuple[int, ...]:
        """`ids` without the special tokens at their end."""
        end = len(ids)
        while end and ids[end - 1] in self._spellings:
            end -= 1
        return tuple(ids[:end])

    def _until_end(self, ids: Sequence[int]) -> tuple[int, ...]:
        """`ids` without what ends the turn: what marks reasoning is no such thing."""
        end = len(ids)
        while (
            end
            and not marks_reasoning(spelled := self._spellings.get(ids[end - 1], ""))
            and spelled
        ):
            end -= 1
        return tuple(ids[:end])

    def _added(self, ids: Sequence[int], after: Sequence[int], *, skip_special: bool) -> str:
        begun = self._decoded(after, skip_special=skip_special)
        text = self._decoded([*after, *ids], skip_special=skip_special)
        if not text.startswith(begun):  # it ended in the midst of a character
            begun, text = "", self._decoded(ids, skip_special=skip_special)
        return text[len(begun) :]

    def _decoded(self, ids: Sequence[int], *, skip_special: bool) -> str:
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=skip_special, clean_up_tokenization_spaces=False
        )
        return text

    def _without(self, special: set[str], text: str) -> str:
        for spelled in special:
            text = text.replace(spelled, "")
        return self._restore(text.strip())
