"""The reward of a sampled answer: a weighted sum of scores, less penalties, as one number for TRL.

One number, because TRL counts a reward function that gives none as zero beside others that give
one: a judge's failure would become a score. Here such an answer has no reward at all, and TRL
leaves it out of its group. A score below a veto's bound makes all scores count nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

from constitution.problems import Stopped
from engine.loop.reply import reply_of
from engine.messages import Conversation, Message
from training.trainers.scorers import NOT_APPLICABLE, AnswerScore, Sample, Scorer

__all__ = ["ConstitutionalReward", "Penalties", "RewardCounts", "Term", "length_excess"]


_ENOUGH = 8
"""Answers without any reward that show that there will be none."""


class Term(NamedTuple):
    """A scorer, its weight in the sum, and as a veto the score `below` which nothing is paid.

    `weights` are by stakeholder profile, in place of `weight` for prompts of those profiles.
    """

    scorer: Scorer
    weight: float = 1.0
    below: float | None = None
    weights: Mapping[str, float] = {}

    def weight_for(self, profile: str | None) -> float:
        """In the sum, for a prompt of that stakeholder."""
        return self.weight if profile is None else self.weights.get(profile, self.weight)


@dataclass(frozen=True, slots=True)
class Penalties:
    """What is taken off the weighted scores. Lengths are in tokens of the policy.

    `length` is taken in full from an answer of `longest` tokens, not at all up to `soft_length`,
    and linearly between (the soft overlong punishment of Yu et al. 2025, DAPO, section 3.4).
    `non_answer` is taken from an answer that is empty, or cut off at `longest`.
    """

    longest: int
    soft_length: int
    length: float = 0.5
    non_answer: float = 1.0


@dataclass(slots=True)
class RewardCounts:
    """The outcomes of the sampled answers; failures by the scorer and its reason, vetoes by scorer."""

    answers: int = 0
    rewarded: int = 0
    empty: int = 0
    truncated: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    vetoed: Counter[str] = field(default_factory=Counter)

    @property
    def unrewarded(self) -> int:
        """Answers without a reward, for whatever reason."""
        return self.answers - self.rewarded


def length_excess(tokens: int, soft_length: int, longest: int) -> float:
    """How far a length is on its way from `soft_length` (0) to `longest` (1)."""
    if longest <= soft_length:
        return 0.0
    return min(1.0, max(0.0, (tokens - soft_length) / (longest - soft_length)))


@dataclass(frozen=True, slots=True)
class _Form:
    """What an answer looks like, whatever it says."""

    excess: float
    empty: bool
    truncated: bool

    @property
    def is_answer(self) -> bool:
        return not (self.empty or self.truncated)


_WHOLE = _Form(excess=0.0, empty=False, truncated=False)


class ConstitutionalReward:
    """An asynchronous reward function of TRL's GRPOTrainer.

    Each of `terms` is a Term, or a scorer and its weight; `end_tokens` are the ids with which an
    answer ends by itself. Not to be shared by two trainers: `counts` grows.

    Raises Stopped when the first answers, eight or more, all come out without a reward: nothing
    could be learned from them.
    """

    def __init__(
        self,
        terms: Sequence[Term | tuple[Scorer, float]],
        penalties: Penalties,
        end_tokens: Collection[int] = (),
    ) -> None:
        self.terms = tuple(Term(*term) for term in terms)
        self.penalties = penalties
        self.end_tokens = frozenset(end_tokens)
        self.counts = RewardCounts()

    async def __call__(
        self,
        prompts: Sequence[Sequence[Mapping[str, str]]],
        completions: Sequence[Sequence[Mapping[str, str]]],
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None] = lambda name, value: None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward or None for each completion, as TRL asks for them.

        `columns` may hold the prompts' `id`, `tags` and `stakeholder`. Raises GeneratorUnavailable
        when a judge is gone for good.
        """
        samples = _samples(prompts, completions, columns)
        forms = [self._form(s, ids) for s, ids in zip(samples, completion_ids, strict=True)]
        scored = await asyncio.gather(*(term.scorer.score(samples) for term in self.terms))
        rewards = [
            self._reward([scores[index] for scores in scored], form, samples[index].profile)
            for index, form in enumerate(forms)
        ]
        self._count(scored, forms, rewards)
        if not self.counts.rewarded and self.counts.answers >= _ENOUGH:
            reasons = ", ".join(f"{reason} ({n:,})" for reason, n in self.counts.failures.items())
            told = f"none of the first {self.counts.answers:,} answers could be scored: {reasons}"
            raise Stopped(f"{told}. Nothing was learned; the same command begins again")
        for name, value in self._metrics(scored, forms, rewards).items():
            log_metric(name, value)
        return rewards

    async def paid(self, samples: Sequence[Sample]) -> list[float | None]:
        """The rewards of whole answers, without penalties for their form."""
        scored = await asyncio.gather(*(term.scorer.score(samples) for term in self.terms))
        return [
            self._reward([scores[index] for scores in scored], _WHOLE, sample.profile)
            for index, sample in enumerate(samples)
        ]

    async def close(self) -> None:
        """Close every scorer."""
        for term in self.terms:
            await term.scorer.close()

    def _form(self, sample: Sample, ids: Sequence[int]) -> _Form:
        longest = self.penalties.longest
        return _Form(
            excess=length_excess(len(ids), self.penalties.soft_length, longest),
            empty=not sample.answer,
            truncated=len(ids) >= longest and ids[-1] not in self.end_tokens,
        )

    def _reward(
        self, scores: Sequence[AnswerScore], form: _Form, profile: str | None
    ) -> float | None:
        """None as soon as one score failed, or if none applies."""
        given = [pair for pair in zip(self.terms, scores, strict=True) if pair[1] != NOT_APPLICABLE]
        if not given or any(score.value is None for _, score in given):
            return None
        total, vetoed = 0.0, False
        for term, score in given:
            total += term.weight_for(profile) * (score.value or 0.0)
            vetoed |= _is_vetoed(term, score)
        penalty = self.penalties.length * form.excess
        penalty += 0.0 if form.is_answer else self.penalties.non_answer
        return (0.0 if vetoed else total) - penalty

    def _count(
        self,
        scored: Sequence[Sequence[AnswerScore]],
        forms: Sequence[_Form],
        rewards: Sequence[float | None],
    ) -> None:
        self.counts.answers += len(rewards)
        self.counts.rewarded += sum(reward is not None for reward in rewards)
        self.counts.empty += sum(form.empty for form in forms)
        self.counts.truncated += sum(form.truncated for form in forms)
        for term, scores in zip(self.terms, scored, strict=True):
            name, failed = term.scorer.name, (score.failed for score in scores if score.failed)
            self.counts.failures.update(f"{name}: {reason}" for reason in failed)
            self.counts.vetoed[name] += sum(_is_vetoed(term, score) for score in scores)

    def _metrics(
        self,
        scored: Sequence[Sequence[AnswerScore]],
        forms: Sequence[_Form],
        rewards: Sequence[float | None],
    ) -> dict[str, float]:
        """Means over this batch; a score that no answer has is left out."""
        metrics = {
            "length_excess": fmean([form.excess for form in forms]),
            "non_answers": fmean([not form.is_answer for form in forms]),
            "unrewarded": fmean([reward is None for reward in rewards]),
        }
        for term, scores in zip(self.terms, scored, strict=True):
            values = [score.value for score in scores if score.value is not None]
            if values:
                metrics[f"score/{term.scorer.name}"] = fmean(values)
            if values and term.below is not None:
                vetoed = sum(_is_vetoed(term, score) for score in scores)
                metrics[f"vetoed/{term.scorer.name}"] = vetoed / len(values)
        return metrics


def _is_vetoed(term: Term, score: AnswerScore) -> bool:
    return term.below is not None and score.value is not None and score.value < term.below


def _samples(
    prompts: Sequence[Sequence[Mapping[str, str]]],
    completions: Sequence[Sequence[Mapping[str, str]]],
    columns: Mapping[str, Any],
) -> list[Sample]:
    names = columns.get("id") or [str(_conversation(prompt)) for prompt in prompts]
    tags = columns.get("tags") or [()] * len(prompts)
    profiles = columns.get("stakeholder") or [None] * len(prompts)
    answers = (reply_of(completion[-1]["content"]).text for completion in completions)
    return [
        Sample(str(name), _conversation(prompt), answer, tuple(tagged or ()), profile or None)
        for name, prompt, answer, tagged, profile in zip(
            names, prompts, answers, tags, profiles, strict=True
        )
    ]


def _conversation(prompt: Sequence[Mapping[str, Any]]) -> Conversation:
    return tuple(Message(turn["role"], turn["content"]) for turn in prompt)
