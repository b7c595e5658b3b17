"""One batch through a Hugging Face model: each row with its own sampling, seed and length.

`model.generate` knows one sampling and one seed for a whole batch. Here a logits processor draws
each row's token itself and leaves only that one possible, so that rows do not see their
batch-mates. What remains is arithmetic: padding changes the last bits of the logits, so a row
whose draw falls on the very edge between two tokens may differ between batches.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.generators.base import Sampling

__all__ = ["BatchRow", "answer_logprobs", "generate_batch"]

_NUCLEUS = 1024
"""Tokens that are looked at first for a nucleus."""


@dataclass(slots=True)
class BatchRow:
    """One prompt of a batch, and its outcome."""

    prompt: list[int]
    sampling: Sampling
    """`max_tokens` already fits the context."""
    seed: int = 0
    candidates: tuple[tuple[int, ...], ...] = ()
    """Groups of first tokens whose probability is wanted."""
    generated: list[int] = field(default_factory=list)
    stopped: bool = False
    """By an end token, which is the last of `generated`."""
    masses: tuple[float, ...] = ()

    @property
    def done(self) -> bool:
        return self.stopped or len(self.generated) >= self.sampling.max_tokens


def generate_batch(
    model: Any, rows: Sequence[BatchRow], eos_ids: frozenset[int], pad_id: int
) -> None:
    """Fills in `generated`, `stopped` and `masses` of every row."""
    import torch

    width = max(len(row.prompt) for row in rows)
    pads = [width - len(row.prompt) for row in rows]
    ids = [[pad_id] * pad + row.prompt for row, pad in zip(rows, pads, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in pads]
    draw = _Draw(rows, eos_ids)
    with torch.inference_mode():
        model.generate(
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=max(row.sampling.max_tokens for row in rows),
            do_sample=False,
            pad_token_id=pad_id,
            logits_processor=[draw.process],
            stopping_criteria=[draw.finished],
        )


def answer_logprobs(model: Any, prompt: list[int], answer: list[int]) -> tuple[float, ...]:
    """Natural log-probability of each token of `answer` after `prompt`, in float32."""
    import torch

    if not answer:
        return ()
    ids = torch.tensor([prompt + answer], device=model.device)
    with torch.inference_mode():
        logits = model(ids).logits[0, len(prompt) - 1 : -1]
        logprobs = logits.float().log_softmax(-1).gather(1, ids[0, len(prompt) :, None])
    return tuple(logprobs.squeeze(1).tolist())


class _Draw:
    """Draws the next token of each row, as logits processor and as stopping criterion."""

    def __init__(self, rows: Sequence[BatchRow], eos_ids: frozenset[int]) -> None:
        self._rows = rows
        self._eos_ids = eos_ids
        self._randoms = [random.Random(row.seed) for row in rows]

    def process(self, _ids: Any, scores: Any) -> Any:
        """Scores (rows × vocabulary) that leave only the token drawn."""
        import torch

        scores = scores.float().clone()
        self._measure(scores)
        self._forbid_early_end(scores)
        chosen = self._sample(scores)
        for row, token in zip(self._rows, chosen.tolist(), strict=True):
            if not row.done:
                row.generated.append(token)
                row.stopped = token in self._eos_ids
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def finished(self, ids: Any, _scores: Any, **_kwargs: Any) -> Any:
        """Which rows are done (a boolean for each)."""
        import torch

        return torch.tensor([row.done for row in self._rows], device=ids.device)

    def _measure(self, scores: Any) -> None:
        """The probability of each row's candidates, before its first token."""
        for row, row_scores in zip(self._rows, scores, strict=True):
            if row.candidates and not row.generated:
                probabilities = row_scores.double().softmax(-1)
                row.masses = tuple(float(probabilities[list(ids)].sum()) for ids in row.candidates)

    def _forbid_early_end(self, scores: Any) -> None:
        for row, row_scores in zip(self._rows, scores, strict=True):
            if len(row.generated) < row.sampling.min_tokens and self._eos_ids:
                row_scores[list(self._eos_ids)] = -float("inf")

    def _sample(self, scores: Any) -> Any:
        """By inverting the cumulative distribution in vocabulary order: one uniform number a row.

        At temperature 0 the most likely token.
        """
        import torch

        temperatures = _column([row.sampling.temperature for row in self._rows], scores)
        top_ps = _column([row.sampling.top_p for row in self._rows], scores)
        uniforms = [
            0.0 if row.done else draw.random()
            for row, draw in zip(self._rows, self._randoms, strict=True)
        ]
        probabilities = (scores.double() / temperatures.clamp(min=1e-5)).softmax(-1)
        cumulative = _nucleus(probabilities, top_ps).cumsum(-1)
        targets = _column(uniforms, scores) * cumulative[:, -1:]
        sampled = torch.searchsorted(cumulative, targets, right=True).squeeze(1)
        sampled = sampled.clamp(max=scores.shape[1] - 1)
        return torch.where(temperatures.squeeze(1) > 0, sampled, scores.argmax(-1))


def _nucleus(probabilities: Any, top_ps: Any) -> Any:
    """Probabilities of the fewest tokens that together reach `top_p`, the others 0."""
    import torch

    if bool((top_ps >= 1).all()):
        return probabilities
    ordered, order = _most_likely(probabilities, top_ps)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where((before < top_ps) | (before == 0), ordered, 0.0)
    nucleus = torch.zeros_like(probabilities).scatter_(1, order, kept)
    return torch.where(top_ps >= 1, probabilities, nucleus)


def _most_likely(probabilities: Any, top_ps: Any) -> tuple[Any, Any]:
    """The most likely tokens, in falling order, and which they are: as many as reach every
    `top_p` below 1. Sorting a whole vocabulary takes as long as a small model's step."""
    count = min(_NUCLEUS, probabilities.shape[1])
    ordered, order = probabilities.topk(count, -1)
    if bool(((ordered.sum(-1, keepdim=True) < top_ps) & (top_ps < 1)).any()):
        ordered, order = probabilities.sort(-1, descending=True)
    return ordered, order


def _column(values: list[float], like: Any) -> Any:
    import torch

    return torch.tensor(values, device=like.device, dtype=torch.float64)[:, None]
