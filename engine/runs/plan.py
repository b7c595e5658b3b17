"""What a run will ask and cost, before anything is spent.

The real loop is run over generators that answer from the completion cache and otherwise only count
what they are asked, so draws, rounds, checks and cache hits are exact; the length of what is not
yet generated is estimated. Where verdicts are yet to be asked the plan is an upper bound: it assumes
that every answer breaks every principle, and that each revision mends its own and is kept.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from constitution.problems import InputError
from constitution.reading import read_json
from constitution.schema import Constitution
from engine.generators.base import Capacity, Choice, Completion, Generator, Request, Score
from engine.generators.vllm_platform import cache_directory
from engine.judging.calibrate import calibrated
from engine.loop.asking import Step
from engine.loop.critique_revise import critique_and_revise
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from engine.records import Verdict
from engine.settings import LoopSettings, Roles
from engine.storage.atomic import write_json_atomic
from engine.storage.completion_cache import CompletionCache, choice_key, completion_key, score_key

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Plan",
    "expected_seconds",
    "plan_run",
    "remember_throughput",
]

CHARACTERS_PER_TOKEN = 4
_THROUGHPUT = "throughput.json"
"""How fast models last ran on this machine, in generated tokens a second."""
_ASKED = " true of this reply? "
"""In a verdict's question, before the principle's statement."""
_FIGURES = str.maketrans("abcdef", "123456")
_FEWEST = 500
"""Generated tokens from which a run's pace says something."""
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


class _Written:
    """The revisions of one conversation that are yet to be written, and what they are taken to break:
    what the first answer broke, but for what they and revisions before them were asked to mend; of
    revisions that are kept `unseen`, whatever they break, all the rest."""

    def __init__(self, *, unseen: bool = False) -> None:
        self._unseen = unseen
        self._mended: dict[str, list[str]] = {}
        self._broken: set[str] = set()
        self._revised = False

    def note(self, step: Step) -> None:
        """Remember what is broken, and what a revision was asked to mend."""
        if step.principle is None:
            return
        statement = step.principle.statement
        if isinstance(step.said, Verdict):
            if self._unseen or (step.said.violates and not self._revised):
                self._broken.add(statement)
            elif not step.said.violates:
                self._broken.discard(statement)
        elif step.role == "reviser":
            self._revised = True
            before = [mended for each in self._mended.values() for mended in each]
            self._mended[step.said.strip()] = [*before, statement]

    def keeps(self, question: str) -> bool:
        """Whether `question` is a verdict on such a revision, by a principle that it keeps."""
        found = next((r for r in self._mended if r in question), None)
        if found is None or _ASKED not in question:
            return False
        return not any(
            f"{_ASKED}{statement} Answer " in question
            for statement in self._broken.difference(self._mended[found])
        )


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
        self.written = _Written()
        self.calls = self.cached = self.prompt_tokens = self.completion_tokens = 0

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
        """The cached choice, or the first one, as if every answer broke its principle; the second of
        a revision yet to be written, by a principle that it is taken to keep."""
        key = choice_key(self.fingerprint, messages, choices)
        cached = self.cache.get(key, Choice) if self.cache else None
        if cached is not None:
            self.cached += 1
            return cached
        self._count(key, messages, 1)
        probabilities = [0.0] * len(choices)
        probabilities[self.written.keeps(messages[-1].content)] = 1.0
        return Choice(tuple(probabilities), 1.0)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """Certainty: no run that is planned asks for it."""
        self._count(score_key(self.fingerprint, messages), messages, 0)
        return Score((0.0,))

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
        if key in self.asked:
            self.cached += 1
            return
        self.asked.add(key)
        self.calls += 1
        self.prompt_tokens += sum(len(m.content) for m in messages) // CHARACTERS_PER_TOKEN
        self.completion_tokens += completion_tokens


def plan_run(
    prompts: Iterable[Prompt],
    count: int,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    *,
    cache: CompletionCache | None = None,
    most: int = 10_000,
    lengths: Mapping[str, int] | None = None,
) -> Plan:
    """Walk `prompts` (`count` of them; evenly spaced ones when there are over `most`) dry.

    `lengths` are the tokens of a completion by role, where they are known from earlier ones.
    """
    asked: set[bytes] = set()
    counting = {
        name: _Counting(name, role.generator, cache, asked, (lengths or {}).get(name))
        for name, role in roles
    }
    dry = Roles(**{n: replace(role, generator=counting[n]) for n, role in roles})
    step = max(1, -(-count // most))
    unseen = settings.accept == "always"

    async def walk() -> tuple[int, int]:
        sampled = touched = 0
        cast = await _calibrated(dry, constitution, settings)
        for prompt in prompts:
            if prompt.row % step:
                continue
            sampled += 1
            before = sum(c.calls for c in counting.values())
            written = counting["judge"].written = _Written(unseen=unseen)
            await critique_and_revise(prompt, constitution, cast, settings, on_step=written.note)
            touched += sum(c.calls for c in counting.values()) > before
        return sampled, touched

    sampled, touched = asyncio.run(walk())

    def scaled(value: int) -> int:
        return round(value * count / sampled) if sampled else 0

    return Plan(
        conversations=count,
        sampled=sampled,
        conversations_to_generate=scaled(touched),
        calls={name: scaled(c.calls) for name, c in counting.items()},
        cached_calls=scaled(sum(c.cached for c in counting.values())),
        prompt_tokens=scaled(sum(c.prompt_tokens for c in counting.values())),
        completion_tokens=scaled(sum(c.completion_tokens for c in counting.values())),
    )


async def _calibrated(dry: Roles, constitution: Constitution, settings: LoopSettings) -> Roles:
    """The roles as the run will read its judge; as they are where it is yet to be asked."""
    before = sum(role.generator.calls for _, role in dry if isinstance(role.generator, _Counting))
    anyway = settings.model_copy(update={"judge_anyway": True})
    cast, _ = await calibrated(dry, constitution, anyway)
    after = sum(role.generator.calls for _, role in dry if isinstance(role.generator, _Counting))
    return cast if after == before else dry


def remember_throughput(fingerprint: str, generated_tokens: int, seconds: float) -> None:
    """Keep a run's generated tokens per second, if it generated enough of them.

    It is a hint: where it cannot be kept, nothing is lost but the next plan's estimate.
    """
    if generated_tokens < _FEWEST:
        return
    known = _known()
    known[fingerprint] = generated_tokens / max(seconds, 1e-3)
    with suppress(OSError):
        write_json_atomic(cache_directory() / _THROUGHPUT, known)


def expected_seconds(fingerprint: str, completion_tokens: int) -> float | None:
    """Seconds to generate that many tokens, at the last run's pace; None if there was none."""
    pace = _known().get(fingerprint)
    return completion_tokens / pace if pace else None


def _known() -> dict[str, float]:
    try:
        known = read_json(cache_directory() / _THROUGHPUT, dict)
    except (InputError, OSError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, float)}
