"""Who says how good a sampled answer is: the constitution's judge, or a trained reward model; the
others are in `training.trainers.answer_scorers`.

Every scorer gives each answer a score between 0 and 1, or None with a reason: a failure is never a
score. One scorer serves a whole training run: it is started by its first batch and closed once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from constitution.schema import Constitution, Principle
from constitution.selection import applicable, draw, draw_profile
from engine.generators.base import GenerationError, Generator
from engine.generators.device import load_frozen
from engine.judging.judge import judge_answer
from engine.messages import Conversation, Message, to_dicts
from training.trainers.tokenized import ChatTokens

__all__ = [
    "NOT_APPLICABLE",
    "AnswerScore",
    "JudgeScorer",
    "PrincipleDraw",
    "RewardModelScorer",
    "Sample",
    "Scorer",
    "row_of",
]


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer that the policy sampled. `id`, `tags` and the stakeholder's `profile` are its
    prompt's."""

    id: str
    prompt: Conversation
    answer: str
    tags: tuple[str, ...] = ()
    profile: str | None = None

    @property
    def conversation(self) -> Conversation:
        """The prompt and its answer."""
        return (*self.prompt, Message("assistant", self.answer))


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """Between 0 and 1, or None and why it failed."""

    value: float | None
    failed: str | None = None


NOT_APPLICABLE = AnswerScore(None)
"""Of an answer to a prompt that the scorer has nothing to say about: no failure, and no score."""


def row_of(sample: Sample) -> dict[str, Any]:
    """The sample as a training row, for `ChatTokens`: `prompt` and `answer`."""
    return {
        "prompt": to_dicts(sample.prompt),
        "answer": [{"role": "assistant", "content": sample.answer}],
        "truncated": False,
    }


class Scorer(Protocol):
    """Scores a batch. Raises GeneratorUnavailable when what it asks is gone for good."""

    name: str

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """One score for each sample, in their order."""
        ...

    async def close(self) -> None:
        """Release what the first batch started."""
        ...


@dataclass(frozen=True, slots=True)
class PrincipleDraw:
    """Which principles a prompt's answers are judged by.

    All that apply, by weight; or `count` of them drawn by weight, which then count the same. Both
    as the stakeholder's profile weighs them, if one is named. Answers to one prompt always meet
    the same principles, as comparing them demands.
    """

    constitution: Constitution
    count: int | None = None
    seed: int = 0
    stakeholder: str | Mapping[str, float] | None = None

    def profile(self, prompt_id: str) -> str | None:
        """The stakeholder of one prompt, where its row names none."""
        return draw_profile(self.stakeholder, prompt_id=prompt_id, seed=self.seed)

    def of(
        self, prompt_id: str, tags: Sequence[str] = (), profile: str | None = None
    ) -> list[tuple[Principle, float]]:
        """Those of one prompt, and their share in the score."""
        profile = profile or self.profile(prompt_id)
        if self.count is None:
            weighed = applicable(self.constitution, tags, profile)
        else:
            drawn = draw(
                self.constitution,
                prompt_id=prompt_id,
                tags=tags,
                rounds=self.count,
                seed=self.seed,
                stakeholder=profile,
            )
            weighed = [(principle, 1.0) for principle in drawn]
        total = sum(weight for _, weight in weighed)
        return [(principle, weight / total) for principle, weight in weighed]


@dataclass(slots=True)
class JudgeScorer:
    """1 - P(the answer breaks the principle), averaged over the principles by weight.

    An answer on which the judge gives one verdict too few has no score: a mean over fewer
    principles cannot be compared with those of the other answers to its prompt.
    """

    judge: Generator
    principles: PrincipleDraw
    name: str = "judge"

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """Ask about every answer and principle at once; the generator sees to batching. It is not
        started where checks alone decide."""
        if self.principles.constitution.needs_judge:
            await self.judge.start()
        return list(await asyncio.gather(*map(self._score, samples)))

    async def close(self) -> None:
        """Stop the judge."""
        await self.judge.close()

    async def _score(self, sample: Sample) -> AnswerScore:
        if not sample.answer:  # it breaks no principle, which must not pay
            return AnswerScore(0.0)
        shares = self.principles.of(sample.id, sample.tags, sample.profile)
        if not shares:
            return NOT_APPLICABLE
        verdicts = await asyncio.gather(*(self._verdict(sample, p) for p, _ in shares))
        total = 0.0
        for (_, share), (probability, failed) in zip(shares, verdicts, strict=True):
            if probability is None:
                return AnswerScore(None, failed)
            total += share * (1 - probability)
        return AnswerScore(total)

    async def _verdict(
        self, sample: Sample, principle: Principle
    ) -> tuple[float | None, str | None]:
        """P(violates), or None and why."""
        try:
            verdict, _ = await judge_answer(
                self.judge, self.principles.constitution, principle, sample.conversation
            )
        except GenerationError as error:
            return None, str(error.reason)
        return verdict.probability, verdict.reason


class RewardModelScorer:
    """The logistic function of a reward model's output.

    Under Bradley and Terry's model (1952) that is the probability of being preferred to an answer
    whose reward is 0, which brings it onto the judge's scale.
    """

    def __init__(
        self, path: Path, device: str, batch_size: int = 16, name: str = "reward_model"
    ) -> None:
        """`path` is the `model/` directory that `solon train reward-model` left."""
        self.name = name
        self.path = path
        self.device = device
        self.batch_size = batch_size
        self._model: Any = None
        self._tokenizer: Any = None
        self._chat: Any = None

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """In a thread, so that a judge can be asked meanwhile."""
        return await asyncio.to_thread(self._scores, samples)

    async def close(self) -> None:
        """Free the model."""
        self._model = None

    def _load(self) -> None:
        from transformers import AutoModelForSequenceClassification

        auto_class = AutoModelForSequenceClassification
        self._tokenizer, model = load_frozen(auto_class, self.path, self.device)
        self._chat = ChatTokens(self._tokenizer)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model = model

    def _scores(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        if self._model is None:
            self._load()
        scores = [AnswerScore(0.0)] * len(samples)
        tokens = self._tokens(samples)
        longest = getattr(self._model.config, "max_position_embeddings", None) or 1 << 30
        fit: list[tuple[int, list[int]]] = []
        for index, ids in enumerate(tokens):
            if not samples[index].answer:
                continue
            if ids is None:
                scores[index] = AnswerScore(None, "the reward model's chat template refuses it")
            elif len(ids) > longest:
                scores[index] = AnswerScore(None, "too long for the reward model")
            else:
                fit.append((index, ids))
        fit.sort(key=lambda one: len(one[1]))
        for start in range(0, len(fit), self.batch_size):
            batch = fit[start : start + self.batch_size]
            rewards = self._rewards([ids for _, ids in batch])
            for (index, _), value in zip(batch, rewards, strict=True):
                scores[index] = AnswerScore(value)
        return scores

    def _tokens(self, samples: Sequence[Sample]) -> list[list[int] | None]:
        """Of whole conversations, as the rows that the reward model was trained on were rendered."""
        rows = [row_of(sample) for sample in samples]
        encoded: list[list[int] | None] = self._chat.answered(rows, "answer")
        return encoded

    def _rewards(self, batch: list[list[int]]) -> list[float]:
        """Logistic of the rewards of token sequences, padded together."""
        import torch

        padded = self._tokenizer.pad(
            {"input_ids": batch}, padding_side="right", return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            logits = self._model(**padded).logits[:, 0]
        return list(torch.sigmoid(logits.float()).tolist())
