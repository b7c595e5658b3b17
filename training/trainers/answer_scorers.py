"""Scores that need no judge: checks, Python, an ensemble of reward models, and perplexity.

Each is a `Scorer` (training.trainers.scorers): a number from 0 to 1 for an answer, or None and why.
"""

import asyncio
import importlib.util
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Literal

from constitution.permissions import PYTHON_CHECKS, is_allowed
from constitution.problems import InputError, Problem
from constitution.selection import applicable
from engine.generators.chat_template import common_prefix
from engine.generators.device import load_frozen
from engine.judging.judge import check_answer
from engine.messages import to_dicts
from training.trainers.scorers import (
    NOT_APPLICABLE,
    AnswerScore,
    PrincipleDraw,
    Sample,
    Scorer,
    row_of,
)
from training.trainers.tokenized import ChatTokens

__all__ = ["CheckScorer", "EnsembleScorer", "PerplexityScorer", "PythonScorer"]

Combine = Literal["mean", "minimum", "lower"]


@dataclass(slots=True)
class CheckScorer:
    """The share, by weight, of the named principles whose checks hold; all that have one if none is
    named. Those that a judge has to confirm count by their check alone."""

    principles: PrincipleDraw
    ids: frozenset[str] = frozenset()
    name: str = "check"

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """Exactly, and at once."""
        return [self._score(sample) for sample in samples]

    async def close(self) -> None:
        """Nothing was started."""

    def _score(self, sample: Sample) -> AnswerScore:
        if not sample.answer:
            return AnswerScore(0.0)
        profile = sample.profile or self.principles.profile(sample.id)
        weighed = [
            (principle, weight)
            for principle, weight in applicable(self.principles.constitution, sample.tags, profile)
            if principle.check and (not self.ids or principle.id in self.ids)
        ]
        kept, total = 0.0, sum(weight for _, weight in weighed)
        for principle, weight in weighed:
            verdict = check_answer(principle, sample.answer)
            if verdict is not None and verdict.violates is None:
                return AnswerScore(None, verdict.reason)
            kept += weight * (verdict is None or not verdict.violates)
        return AnswerScore(kept / total) if total else NOT_APPLICABLE


@dataclass(slots=True)
class EnsembleScorer:
    """Several reward models as one: the mean of their scores, the lowest, or the mean less `k` standard
    deviations (of the population, at least 0), which does not pay where they disagree (Coste et al.
    2024, arXiv 2310.02743, section 3.2)."""

    members: Sequence[Scorer]
    combine: Combine = "mean"
    k: float = 1.0
    name: str = "reward_model"

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """None as soon as one member has none: a mean over fewer compares with no other."""
        scored = await asyncio.gather(*(member.score(samples) for member in self.members))
        return [self._combined(of_sample) for of_sample in zip(*scored, strict=True)]

    async def close(self) -> None:
        """Close every member."""
        for member in self.members:
            await member.close()

    def _combined(self, scores: Sequence[AnswerScore]) -> AnswerScore:
        values = [score.value for score in scores if score.value is not None]
        if len(values) < len(scores):
            return next(score for score in scores if score.value is None)
        if self.combine == "minimum":
            return AnswerScore(min(values))
        off = self.k * pstdev(values) if self.combine == "lower" else 0.0
        return AnswerScore(max(0.0, fmean(values) - off))


class PythonScorer:
    """A user's own function of a file, `FILE.py:FUNCTION`, called with `prompt` (messages) and `answer`.

    Raises InputError where it may not run (`--allow-python-checks`) or cannot be imported.
    """

    def __init__(self, function: str, name: str = "python") -> None:
        self.name = name
        self._function = _imported(function)

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """All at once where the function is async; else one after another."""
        return list(await asyncio.gather(*map(self._score, samples)))

    async def close(self) -> None:
        """Nothing was started."""

    async def _score(self, sample: Sample) -> AnswerScore:
        try:
            value = self._function(prompt=to_dicts(sample.prompt), answer=sample.answer)
            value = await value if inspect.isawaitable(value) else value
        except Exception as error:  # noqa: BLE001  the user's own code
            return AnswerScore(None, f"{type(error).__name__}: {error}"[:200])
        if value is None:
            return AnswerScore(None, "the function returned None")
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            return AnswerScore(
                None, f"the function returned {value!r:.40}, not a number from 0 to 1"
            )
        return AnswerScore(float(value))


def _imported(named: str) -> Callable[..., Any]:
    path, _, function = named.rpartition(":")
    if not is_allowed(PYTHON_CHECKS):
        remedy = f"if you trust it, add {PYTHON_CHECKS}"
        raise InputError(Problem(named, "is Python code, which may not run", remedy))
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    try:
        if spec is None or spec.loader is None:
            raise ImportError("it is not a .py file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found: Callable[..., Any] = getattr(module, function)
    except Exception as error:  # importing runs the user's own code
        what = f"cannot be imported: {type(error).__name__}: {error}"
        raise InputError(Problem(named, what, "write FILE.py:FUNCTION")) from error
    return found


class PerplexityScorer:
    """1 for an answer whose perplexity under a model is at most `above`, then above / perplexity: what
    that model would not write is paid less."""

    def __init__(
        self, path: Path, above: float, device: str, name: str = "perplexity", batch_size: int = 16
    ) -> None:
        self.path, self.above, self.device = path, above, device
        self.name, self.batch_size = name, batch_size
        self._loaded: tuple[Any, Any, ChatTokens] | None = None

    async def score(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        """In a thread, so that a judge can be asked meanwhile."""
        return await asyncio.to_thread(self._scores, samples)

    async def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any, ChatTokens]:
        from transformers import AutoModelForCausalLM

        tokenizer, model = load_frozen(AutoModelForCausalLM, self.path, self.device)
        return model, tokenizer, ChatTokens(tokenizer)

    def _scores(self, samples: Sequence[Sample]) -> list[AnswerScore]:
        self._loaded = self._loaded or self._load()
        _, _, chat = self._loaded
        rows = [row_of(sample) for sample in samples]
        found = [AnswerScore(0.0)] * len(samples)
        asked: list[tuple[int, list[int], int]] = []
        whole = zip(chat.prompts(rows), chat.answered(rows, "answer"), strict=True)
        for index, (prompt, ids) in enumerate(whole):
            if prompt is None or ids is None:
                found[index] = AnswerScore(None, "the perplexity's chat template refuses it")
            elif samples[index].answer:
                asked.append((index, ids, common_prefix(prompt, ids)))
        asked.sort(key=lambda one: len(one[1]))
        for start in range(0, len(asked), self.batch_size):
            batch = asked[start : start + self.batch_size]
            for (index, *_), nats in zip(batch, self._nats(batch), strict=True):
                found[index] = AnswerScore(min(1.0, self.above * math.exp(-min(nats, 700.0))))
        return found

    def _nats(self, batch: Sequence[tuple[int, list[int], int]]) -> list[float]:
        """Mean negative log-probability of each answer's tokens."""
        import torch

        assert self._loaded is not None
        model, width = self._loaded[0], max(len(ids) for _, ids, _ in batch)
        padded = torch.tensor([ids + [0] * (width - len(ids)) for _, ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for _, ids, _ in batch])
        with torch.inference_mode():
            logits = model(padded.to(self.device), attention_mask=mask.to(self.device)).logits
        told = logits[:, :-1].float().log_softmax(-1).cpu()
        logprobs = told.gather(2, padded[:, 1:, None])[..., 0]
        return [
            -float(logprobs[row, begins - 1 : len(ids) - 1].mean())
            for row, (_, ids, begins) in enumerate(batch)
        ]
