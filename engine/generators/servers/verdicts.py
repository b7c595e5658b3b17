"""A choice between short answers, from a server: by log-probabilities, after a thought, or by samples.

How a model can be asked is found out once, by its first answers, and holds for all that follow.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from engine.generators.base import Choice, FailureReason, GenerationError
from engine.generators.facts import ENOUGH_MASS
from engine.generators.reasoning import split_reasoning, starts_to_reason
from engine.generators.servers.errors import FieldRefused, bad_response
from engine.generators.servers.response import Answer, TopToken
from engine.messages import Conversation

__all__ = ["Method", "VerdictAsker"]

_TOP_LOGPROBS = 20
"""The most that OpenAI allows, and vLLM's default limit."""
_FEWEST_TOP = 2
_OPENING_TOKENS = 4
"""Generated where the first token may be white space, a quotation mark or markup."""
_THOUGHT_TOKENS = 1024
_AROUND = re.compile(r"[\s\u2581\u0120\u010a\"'“”\u2018\u2019«»`*_#().:>\[\]{},!-]+")
_WORD = re.compile(r"[^\W_]+")

Ask = Callable[[Mapping[str, Any]], Awaitable[list[Answer]]]


@dataclass(frozen=True, slots=True)
class Method:
    """How a choice is asked for.

    `top` likeliest tokens are looked at in the first of `tokens` generated that says anything, after
    a thought where the model `thinks`; where `top` is 0, `samples` answers are counted.
    """

    top: int = _TOP_LOGPROBS
    tokens: int = 1
    thinks: bool = False
    samples: int = 0

    def __str__(self) -> str:
        found = f"{self.top} log-probs" if self.top else f"{self.samples} samples"
        return found + (" after a thought" if self.thinks else "")


class VerdictAsker:
    """Asks one model for choices. `samples` are drawn where there are no log-probabilities,
    `thought` is the most tokens a judge may think."""

    def __init__(self, samples: int = 16, thought: int | None = None) -> None:
        self.method = Method(samples=samples)
        """How the model is asked; it gave an answer that way if `settled`."""
        self.settled = False
        self.tried = self.method
        """How it was asked last."""
        self._thought = thought or _THOUGHT_TOKENS
        self._several_at_once = True

    async def choose(self, ask: Ask, messages: Conversation, choices: Sequence[str]) -> Choice:
        """Raises GenerationError as `ask` does."""
        method = self.method
        while True:
            self.tried = method
            try:
                answers = await self._answers(ask, messages, method)
            except FieldRefused as refused:
                method = self._instead(method, _without(refused, method))
                continue
            except GenerationError as error:
                if self.settled or not method.top or error.reason is not FailureReason.REJECTED:
                    raise
                method = self._instead(method, _by_samples(method))
                continue
            if method.top and answers[0].positions is None:
                if self.settled and self.method.top:
                    raise bad_response("it has no log-probabilities", answers[0].text)
                method = self._instead(method, _by_samples(method))
                continue
            choice = _choice_of(answers, choices, method)
            if choice.mass >= ENOUGH_MASS:
                self.method, self.settled = self.method if self.settled else method, True
                return choice
            better = self._after_no_answer(method, answers[0])
            if better is None:
                return choice
            method = better

    def why_not(self, choice: Choice | None) -> str:
        """Why the model cannot judge, after a question that it did not answer, and what to do."""
        mass = choice.mass if choice else 0.0
        return (
            f"cannot judge: asked a question, it gives Yes or No with probability {mass:.2g} (by "
            f"{self.tried}); name another judge with --judge or, if it thinks, turn that off with "
            "?thinking=off or allow more with ?thinking=4096"
        )

    def _instead(self, refused: Method, other: Method) -> Method:
        """Ask in the other way from now on: this one the server does not have."""
        if self.method == refused:
            self.method = other
        return other

    async def _answers(self, ask: Ask, messages: Conversation, method: Method) -> Sequence[Answer]:
        fields: dict[str, Any] = {"messages": messages, "max_tokens": method.tokens}
        if method.top:
            fields |= {"temperature": 0.0, "logprobs": True, "top_logprobs": method.top}
            return await ask(fields)
        fields |= {"temperature": 1.0, "top_p": 1.0}
        answers: list[Answer] = []
        if self._several_at_once:
            try:
                answers = await ask(fields | {"n": method.samples})
            except FieldRefused as refused:
                if refused.field != "n":
                    raise
            self._several_at_once = len(answers) > 1 or method.samples == 1
        seeds = range(len(answers), method.samples)
        more = await asyncio.gather(*(ask(fields | {"seed": seed}) for seed in seeds))
        return [*answers, *(found[0] for found in more)]

    def _after_no_answer(self, method: Method, first: Answer) -> Method | None:
        """What to try where the answer held none of the choices; None where that is how it is."""
        if not method.thinks and _thinks(first):
            return replace(method, thinks=True, tokens=self._thought + _OPENING_TOKENS)
        if method.tokens == 1 and not _bare(first.text):
            return replace(method, tokens=_OPENING_TOKENS)
        if not method.thinks and not self.settled:  # its template may have opened a thought
            return replace(method, thinks=True, tokens=self._thought + _OPENING_TOKENS)
        return None


def _thinks(answer: Answer) -> bool:
    """Whether it has begun to reason, openly or in what the server keeps to itself."""
    begun = answer.positions[0][0].token if answer.positions else ""
    hidden = not answer.text and answer.finish_reason == "length"
    return bool(answer.reasoning) or hidden or any(map(starts_to_reason, (answer.text, begun)))


def _by_samples(method: Method) -> Method:
    return replace(method, top=0, tokens=max(method.tokens, _OPENING_TOKENS))


def _without(refused: FieldRefused, method: Method) -> Method:
    """What to try where a field was refused. Raises it where nothing is left."""
    if refused.field == "top_logprobs" and method.top > _FEWEST_TOP and refused.most != 0:
        fewer = refused.most or (5 if method.top > 5 else _FEWEST_TOP)
        return replace(method, top=min(fewer, method.top - 1))
    if refused.field in ("logprobs", "top_logprobs") and method.top:
        return _by_samples(method)
    raise refused


def _choice_of(answers: Sequence[Answer], choices: Sequence[str], method: Method) -> Choice:
    first, names = answers[0], [_bare(choice) for choice in choices]
    if method.top:
        masses = _masses(_deciding(first), names)
        return Choice.of_masses(masses, first.prompt_tokens, first.cached_tokens)
    said = [_first_word(split_reasoning(answer.text)[0]) for answer in answers]
    masses = [said.count(name) / len(said) for name in names]
    return Choice.of_masses(masses, first.prompt_tokens, first.cached_tokens, len(said))


def _masses(tokens: Iterable[TopToken], names: Sequence[str]) -> list[float]:
    masses = [0.0] * len(names)
    for top in tokens:
        said = _bare(top.token)
        if said in names:
            masses[names.index(said)] += math.exp(top.logprob)
    return masses


def _deciding(answer: Answer) -> tuple[TopToken, ...]:
    """The likeliest tokens where the answer's first word was generated, after what was thought and
    what is no word; none where the answer had not begun."""
    positions = answer.positions or ()
    spelled = [position[0].token for position in positions]
    at = _answer_begins(spelled, answer)
    while at < len(positions) - 1 and not _bare(spelled[at]) and _likeliest_is_bare(positions[at]):
        at += 1
    return positions[at] if at < len(positions) else ()


def _likeliest_is_bare(position: tuple[TopToken, ...]) -> bool:
    return not _bare(max(position, key=lambda top: top.logprob).token)


def _answer_begins(spelled: Sequence[str], answer: Answer) -> int:
    """At which token the answer begins after the reasoning before it; beyond the last where all of
    it is reasoning."""
    whole = "".join(spelled)
    said, thought = split_reasoning(whole)
    if thought is None and answer.reasoning:
        said = answer.text
    elif thought is None:
        return 0
    offset = whole.rfind(said.strip()) if said.strip() else -1
    if offset < 0:
        return len(spelled)
    ends = accumulate(map(len, spelled))
    return next((at for at, end in enumerate(ends) if end > offset), len(spelled))


def _bare(text: str) -> str:
    """A word as it is compared: no case, space, quotation marks or markup around it."""
    return _AROUND.sub("", text).casefold()


def _first_word(text: str) -> str:
    found = _WORD.search(text)
    return found[0].casefold() if found else ""
