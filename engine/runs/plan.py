"""What a run will ask and cost, before anything is spent.

The real loop is run over generators that answer from the completion cache and otherwise only count
what they are asked, so draws, rounds, checks and cache hits are exact; the length of what is not
yet generated is estimated. Where verdicts decide what is asked, a conversation is exact as far as the
cache knows it, and from there on the plan is an upper bound: it assumes that each principle left is
broken, and that nothing asked about it is in the cache.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from constitution.schema import Constitution
from engine.generators.base import Capacity, Choice, Completion, Generator, Request, Score
from engine.judging.calibrate import calibrated, lasting
from engine.judging.calibration import UNCALIBRATED
from engine.loop.asking import Step
from engine.loop.critique_revise import critique_and_revise
from engine.loop.framing import Framing
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from engine.records import Record
from engine.settings import LoopSettings, Roles
from engine.storage.completion_cache import CompletionCache, choice_key, completion_key, score_key

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Known",
    "Plan",
    "plan_run",
]

CHARACTERS_PER_TOKEN = 4
_FIGURES = str.maketrans("abcdef", "123456")
_FILL = 0.6
"""Share of `max_tokens` that a completion is taken to use, where nothing is known."""
_NEVER_OVERLONG = 2000
"""Characters that a revision may have however short the answer was (`engine.loop.hygiene`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls and tokens to expect; `sampled` of `conversations` were walked through and scaled."""

    conversations: int
    sampled: int
    conversations_to_generate: int
    calls: Mapping[str, int]
    """Role to calls to generate."""
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Known:
    """What a run has already: its cache, mean tokens of a completion by role, and the calibration in its
    manifest."""

    cache: CompletionCache | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)


_NOTHING = Known()


class _Counting:
    """Stands in for one role's generator: the cache's answer, or a placeholder that is counted."""

    capacity = Capacity()

    def __init__(
        self,
        role: str,
        generator: Generator,
        cache: CompletionCache | None,
        asked: set[bytes],
        length: int | None,
    ) -> None:
        self.role = role
        self.spec = generator.spec
        self.fingerprint = generator.fingerprint
        self.cache = cache
        self.asked = asked
        """Keys counted already, by any role: the cache would have them by then."""
        self.length = length
        """Tokens that a completion is taken to have, if known."""
        self.calls = self.cached = self.prompt_tokens = self.completion_tokens = 0
        self.unknown = 0
        """Requests whose answer the cache did not have, those counted before among them."""
        self.beyond = 0
        """Calls that may come on top, by what the models will have said."""

    async def start(self) -> None:
        """Nothing is started by planning."""

    async def close(self) -> None:
        """Nothing was started by planning."""

    async def generate(self, request: Request) -> Completion:
        """The cached completion, or a placeholder of the expected length."""
        key = completion_key(self.fingerprint, request)
        cached = self.cache.get(key, Completion) if self.cache else None
        if cached is not None:
            self.cached += 1
            return cached
        longest = request.sampling.max_tokens
        tokens = max(1, int(longest * _FILL) if self.length is None else min(self.length, longest))
        self._count(key, request.messages, tokens)
        return Completion(self._placeholder(request.seed, tokens), "stop")

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """The cached choice, or the first one, as if every answer broke its principle."""
        key = choice_key(self.fingerprint, messages, choices)
        cached = self.cache.get(key, Choice) if self.cache else None
        if cached is not None:
            self.cached += 1
            return cached
        self._count(key, messages, 1)
        return Choice((1.0, *(0.0 for _ in choices[1:])), 1.0)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """Certainty: no run that is planned asks for it."""
        self._count(score_key(self.fingerprint, messages), messages, 0)
        return Score((0.0,))

    def most(self, tokens: int) -> int:
        """`tokens` of the calls counted, with as many for each that may come on top."""
        return round(tokens * (1 + self.beyond / self.calls)) if self.calls else tokens

    def _placeholder(self, seed: int, tokens: int) -> str:
        """Figures that no other role or seed shares: they say nothing twice, are in no language and
        fit to be a revision."""
        characters = max(24, tokens * CHARACTERS_PER_TOKEN)
        if self.role == "reviser":
            characters = min(characters, _NEVER_OVERLONG)
        made = hashlib.shake_128(f"{self.role} {seed}".encode()).hexdigest(characters)
        words = made.translate(_FIGURES)
        return " ".join(words[at : at + 6] for at in range(0, len(words), 6))[:characters]

    def _count(self, key: bytes, messages: Conversation, completion_tokens: int) -> None:
        self.unknown += 1
        if key in self.asked:
            self.cached += 1
            return
        self.asked.add(key)
        self.calls += 1
        self.prompt_tokens += sum(len(m.content) for m in messages) // CHARACTERS_PER_TOKEN
        self.completion_tokens += completion_tokens


class _Walked:
    """One conversation, walked as far as the cache knows it and, on a guess, beyond."""

    def __init__(self, counting: Mapping[str, _Counting]) -> None:
        self._counting = counting
        self._calls = {name: role.calls for name, role in counting.items()}
        self._unknown = {name: role.unknown for name, role in counting.items()}
        self._guessed_from: int | None = None

    @property
    def guessed(self) -> bool:
        """Whether the cache lacked an answer."""
        return any(self._lacked(name) for name in self._counting)

    def _lacked(self, name: str) -> bool:
        return self._counting[name].unknown > self._unknown[name]

    def note(self, step: Step) -> None:
        """Remember in which round the cache ended."""
        if self._guessed_from is None and self.guessed:
            self._guessed_from = step.round

    def ended(self, record: Record, constitution: Constitution, settings: LoopSettings) -> bool:
        """Whether anything is left to generate; where verdicts decide how much, the most is counted."""
        if settings.judges_first and self.guessed:
            self._assume_the_most(record, constitution, settings)
            return True
        return any(role.calls > self._calls[name] for name, role in self._counting.items())

    def _assume_the_most(
        self, record: Record, constitution: Constitution, settings: LoopSettings
    ) -> None:
        """Count the most that can follow once the cache has ended, instead of what followed here."""
        met = {verdict.principle for verdict in record.first_verdicts}
        judged = sum(p.needs_judge for p in constitution.principles if p.id in met)
        verdicts = judged + constitution.needs_judge  # does it speak to the user?
        start = len(record.rounds) if self._guessed_from is None else self._guessed_from
        left = self._most_rounds(record, settings) - start
        candidates = settings.candidates if settings.accept == "better" else 1
        unasked = verdicts if start == 0 else (candidates + 1) * constitution.needs_judge
        most = {
            "critic": left * Framing(constitution, settings).criticises,
            "reviser": left * candidates,
            "judge": left * candidates * verdicts + unasked,
        }
        for name, calls in most.items():
            role = self._counting[name]
            role.beyond += max(0, calls - (role.calls - self._calls[name]))

    def _most_rounds(self, record: Record, settings: LoopSettings) -> int:
        """A revision that is kept breaks nothing anew, so what the first answer kept has no round."""
        first = record.first_verdicts
        if self._lacked("policy") or settings.accept == "always":
            broken = len(first)
        else:
            broken = sum(verdict.violates is not False for verdict in first)
        return broken if settings.select == "every" else min(broken, settings.rounds)


def plan_run(
    prompts: Iterable[Prompt],
    count: int,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    *,
    known: Known = _NOTHING,
    most: int = 10_000,
) -> Plan:
    """Walk `prompts` (`count` of them; evenly spaced ones when there are over `most`) dry."""
    asked: set[bytes] = set()
    counting = {
        name: _Counting(name, role.generator, known.cache, asked, known.lengths.get(name))
        for name, role in roles
    }
    dry = Roles(**{n: replace(role, generator=counting[n]) for n, role in roles})
    step = max(1, -(-count // most))

    async def walk() -> tuple[int, int]:
        sampled = touched = 0
        cast = await _calibrated(dry, constitution, settings, known.calibration)
        for prompt in prompts:
            if prompt.row % step:
                continue
            sampled += 1
            walked = _Walked(counting)
            record = await critique_and_revise(
                prompt, constitution, cast, settings, on_step=walked.note
            )
            touched += walked.ended(record, constitution, settings)
        return sampled, touched

    sampled, touched = asyncio.run(walk())

    def scaled(value: int) -> int:
        return round(value * count / sampled) if sampled else 0

    return Plan(
        conversations=count,
        sampled=sampled,
        conversations_to_generate=scaled(touched),
        calls={name: scaled(c.calls + c.beyond) for name, c in counting.items()},
        cached_calls=scaled(sum(c.cached for c in counting.values())),
        prompt_tokens=scaled(sum(c.most(c.prompt_tokens) for c in counting.values())),
        completion_tokens=scaled(sum(c.most(c.completion_tokens) for c in counting.values())),
    )


async def _calibrated(
    dry: Roles, constitution: Constitution, settings: LoopSettings, known: Mapping[str, Any]
) -> Roles:
    """The roles as the run will read its judge; where it is yet to be asked, as far as is known."""
    before = _asked_by(dry)
    anyway = settings.model_copy(update={"judge_anyway": True})
    cast, _ = await calibrated(dry, constitution, anyway, known=known)
    if _asked_by(dry) == before:
        return cast
    calibration = lasting(UNCALIBRATED, constitution, known)
    return replace(dry, judge=replace(dry.judge, calibration=calibration))


def _asked_by(dry: Roles) -> int:
    return sum(role.generator.calls for _, role in dry if isinstance(role.generator, _Counting))
