"""Labelling one prompt: sample answers, form pairs, and let a judge say which is better.

The AI feedback of Bai et al. 2022, section 4.1: each pair meets a principle drawn for it, or an
ensemble of several, and the judge's probability is the pair's soft label.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from constitution.schema import Constitution, Principle
from constitution.selection import draw, draw_profile
from engine.generators.base import Choice, Completion, GenerationError, Request
from engine.judging.preference import Judge, preference_of_violations
from engine.judging.records import (
    LabelDropReason,
    LabelledPair,
    LabelOutcome,
    LabelRecord,
    Preference,
    SampledAnswer,
    Undecided,
)
from engine.loop.asking import ConversationFailed, gathered, request_seed
from engine.loop.reply import Reply, reply_of
from engine.prompts.sources import Prompt
from engine.records import AnswerDrop, Usage
from engine.settings import LabelSettings, RoleModel, samplings_of, specs_of

__all__ = ["label_prompt"]


async def label_prompt(
    prompt: Prompt,
    constitution: Constitution,
    policy: RoleModel,
    judge: RoleModel,
    settings: LabelSettings,
    *,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> LabelRecord:
    """Sample the policy's answers to `prompt`, pair them, and have the judge compare each pair.

    `on_tokens` is called for each request that came back, with its prompt and completion tokens.
    Raises ConversationFailed when a model could not answer, GeneratorUnavailable when none can.
    """
    return await _Labelling(prompt, constitution, policy, judge, settings, on_tokens).record()


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two places in the samples, and the principles drawn for the two."""

    first: int
    second: int
    principles: tuple[Principle, ...]


@dataclass(slots=True)
class _Labelling:
    """One prompt on its way."""

    prompt: Prompt
    constitution: Constitution
    policy: RoleModel
    judge_model: RoleModel
    settings: LabelSettings
    on_tokens: Callable[[int], None]
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(
            self.judge_model,
            self.constitution,
            smallest_mass=self.settings.smallest_mass,
            chain_of_thought=self.settings.chain_of_thought,
            on_answer=self._count,
        )

    async def record(self) -> LabelRecord:
        if not self._principles("any"):
            return self._concluded((), (), LabelDropReason.NO_PRINCIPLE_APPLIES)
        completions = await gathered(self._sample(i) for i in range(self.settings.samples))
        samples = _usable_once(map(reply_of, completions), self.settings.keep_truncated)
        kept = [place for place, sample in enumerate(samples) if sample.dropped is None]
        pairs = [
            _Pair(first, second, self._principles(f"{first}-{second}"))
            for first, second in _paired(kept, self.settings.pairs)
        ]
        if not pairs:
            return self._concluded(samples, (), LabelDropReason.TOO_FEW_ANSWERS)
        try:
            labelled = await self._labelled(samples, pairs)
        except GenerationError as error:
            raise ConversationFailed("judge", error) from error
        if all(pair.dropped for pair in labelled):
            return self._concluded(samples, labelled, LabelDropReason.NO_PAIR_DECIDED)
        return self._concluded(samples, labelled)

    async def _sample(self, index: int) -> Completion:
        seed = request_seed(self.settings.seed, self.prompt.id, "sample", index)
        request = Request(self.prompt.messages, self.policy.sampling, seed, self.prompt.row)
        try:
            completion = await self.policy.generator.generate(request)
        except GenerationError as error:
            raise ConversationFailed("policy", error) from error
        self._count(completion, completion.completion_tokens)
        return completion

    def _principles(self, pair: str) -> tuple[Principle, ...]:
        """Those drawn for a pair; which one it is does not depend on the other pairs."""
        settings, seed = self.settings, self.settings.seed
        return draw(
            self.constitution,
            prompt_id=f"{self.prompt.id}\x00{pair}",
            tags=self.prompt.tags,
            rounds=settings.ensemble,
            seed=seed,
            stakeholder=draw_profile(settings.stakeholder, prompt_id=self.prompt.id, seed=seed),
        )

    async def _labelled(
        self, samples: Sequence[SampledAnswer], pairs: Sequence[_Pair]
    ) -> tuple[LabelledPair, ...]:
        judged = await (
            self._pointwise(samples, pairs)
            if self.settings.method == "pointwise"
            else gathered(self._pairwise(samples, pair) for pair in pairs)
        )
        return tuple(
            self._conclude_pair(pair, preferences)
            for pair, preferences in zip(pairs, judged, strict=True)
        )

    async def _pairwise(
        self, samples: Sequence[SampledAnswer], pair: _Pair
    ) -> tuple[Preference, ...]:
        """One principle after another: questions about one pair share their prompt up to there."""
        replies = (samples[pair.first].text, samples[pair.second].text)
        seed = request_seed(self.settings.seed, self.prompt.id, "judge", pair.first)
        found = []
        for principle in pair.principles:
            preference = await self.judge.prefer(
                principle,
                self.prompt.messages,
                replies,
                method="pairwise",
                seed=seed,
                priority=self.prompt.row,
            )
            found.append(preference)
        return tuple(found)

    async def _pointwise(
        self, samples: Sequence[SampledAnswer], pairs: Sequence[_Pair]
    ) -> list[tuple[Preference, ...]]:
        """Each answer is judged once by each principle that one of its pairs drew."""
        wanted: dict[int, dict[str, Principle]] = {}
        for pair in pairs:
            for place in (pair.first, pair.second):
                wanted.setdefault(place, {}).update({p.id: p for p in pair.principles})
        judged = await gathered(
            self._violations(samples[place].text, principles.values())
            for place, principles in wanted.items()
        )
        by_place = dict(zip(wanted, judged, strict=True))
        return [
            tuple(
                preference_of_violations(p, by_place[pair.first][p.id], by_place[pair.second][p.id])
                for p in pair.principles
            )
            for pair in pairs
        ]

    async def _violations(
        self, reply: str, principles: Iterable[Principle]
    ) -> dict[str, float | Undecided]:
        """One after another: verdicts on one reply share their prompt up to the principle."""
        messages, row = self.prompt.messages, self.prompt.row
        return {
            p.id: await self.judge.violation(p, messages, reply, priority=row) for p in principles
        }

    def _conclude_pair(self, pair: _Pair, preferences: tuple[Preference, ...]) -> LabelledPair:
        decided = [(p.probability, p) for p in preferences if p.probability is not None]
        if not decided:
            probability, bias, dropped = None, 0.0, preferences[0].undecided
        else:
            probability = sum(value for value, _ in decided) / len(decided)
            bias = sum(preference.position_bias for _, preference in decided) / len(decided)
            tie = abs(probability - 0.5) < self.settings.tie_margin
            dropped = Undecided.TIE if tie else None
        return LabelledPair(
            first=pair.first,
            second=pair.second,
            preferences=preferences,
            probability=probability,
            position_bias=bias,
            dropped=dropped,
        )

    def _count(self, answered: Completion | Choice, completion_tokens: int) -> None:
        self.requests += 1
        self.prompt_tokens += answered.prompt_tokens
        self.completion_tokens += completion_tokens
        self.on_tokens(answered.prompt_tokens + completion_tokens)

    def _concluded(
        self,
        samples: tuple[SampledAnswer, ...],
        pairs: tuple[LabelledPair, ...],
        drop_reason: LabelDropReason | None = None,
    ) -> LabelRecord:
        prompt, roles = self.prompt, {"policy": self.policy, "judge": self.judge_model}
        return LabelRecord(
            id=prompt.id,
            row=prompt.row,
            prompt=prompt.messages,
            tags=prompt.tags,
            samples=samples,
            pairs=pairs,
            outcome=LabelOutcome.DROPPED if drop_reason else LabelOutcome.LABELLED,
            drop_reason=drop_reason,
            constitution=self.constitution.content_hash,
            models=specs_of(roles),
            sampling=samplings_of(roles),
            seed=self.settings.seed,
            usage=Usage(
                requests=self.requests,
                prompt_tokens=self.prompt_tokens,
                completion_tokens=self.completion_tokens,
            ),
            extra=dict(prompt.extra),
        )


def _usable_once(replies: Iterable[Reply], keep_truncated: bool) -> tuple[SampledAnswer, ...]:
    """The answers, each with why it cannot be compared, if it cannot."""
    seen: set[str] = set()
    samples = []
    for reply in replies:
        said = " ".join(reply.text.split())
        dropped = (
            AnswerDrop.EMPTY
            if not reply.text
            else AnswerDrop.TRUNCATED
            if reply.truncated and not keep_truncated
            else AnswerDrop.DUPLICATE
            if said in seen
            else None
        )
        if dropped is None:
            seen.add(said)
        samples.append(
            SampledAnswer(
                text=reply.text, dropped=dropped, truncated=reply.truncated and not dropped
            )
        )
    return tuple(samples)


def _paired(kept: Sequence[int], pairs: Literal["disjoint", "all"]) -> Iterable[tuple[int, int]]:
    if pairs == "all":
        return combinations(kept, 2)
    return zip(kept[::2], kept[1::2], strict=False)
