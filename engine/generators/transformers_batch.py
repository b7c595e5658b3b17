"""One batch through a Hugging Face model: each row with its own sampling, seed and length.

`model.generate` knows one sampling and one seed for a whole batch, and computes every row until the
longest has ended. Here each row draws its own token and leaves when it is done, so that rows do not
see their batch-mates. What remains is arithmetic: padding changes the last bits of the logits, so a row
whose draw falls on the very edge between two tokens may differ between batches.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
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
    """Fills in `generated`, `stopped` and `masses` of every row; one that is done leaves the batch."""
    import torch

    width = max(len(row.prompt) for row in rows)
    pads = [width - len(row.prompt) for row in rows]
    step = torch.tensor(
        [[pad_id] * pad + row.prompt for row, pad in zip(rows, pads, strict=True)],
        device=model.device,
    )
    mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=model.device)
    draw, known = _Draw(rows, eos_ids), signature(model.forward).parameters
    cache = None
    with torch.inference_mode():
        while draw.rows:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -step.shape[1] :]
            given: dict[str, Any] = {"position_ids": positions, "logits_to_keep": 1}
            out = model(
                input_ids=step,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                **{name: value for name, value in given.items() if name in known},
            )
            cache = out.past_key_values
            tokens = draw.next_tokens(out.logits[:, -1])
            going = draw.drop_done()
            if len(going) < len(tokens):
                chosen = torch.tensor(going, dtype=torch.long, device=model.device)
                cache.batch_select_indices(chosen)
                mask, tokens = mask[chosen], tokens[chosen]
            step = tokens[:, None]
            mask = torch.cat([mask, mask.new_ones(len(going), 1)], dim=1)


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
    """Draws the next token of each row that is not done."""

    def __init__(self, rows: Sequence[BatchRow], eos_ids: frozenset[int]) -> None:
        self.rows = list(rows)
        self._eos_ids = eos_ids
        self._randoms = [random.Random(row.seed) for row in rows]

    def next_tokens(self, scores: Any) -> Any:
        """The token drawn for each row, by its scores (rows × vocabulary); it joins the row."""
        scores = scores.float().clone()
        self._measure(scores)
        self._forbid_early_end(scores)
        chosen = self._sample(scores)
        for row, token in zip(self.rows, chosen.tolist(), strict=True):
            if not row.done:
                row.generated.append(token)
                row.stopped = token in self._eos_ids
        return chosen

    def drop_done(self) -> list[int]:
        """The places of the rows that go on; the others are forgotten."""
        going = [place for place, row in enumerate(self.rows) if not row.done]
        self.rows = [self.rows[place] for place in going]
        self._randoms = [self._randoms[place] for place in going]
        return going

    def _measure(self, scores: Any) -> None:
        """The probability of each row's candidates, before its first token."""
        for row, row_scores in zip(self.rows, scores, strict=True):
            if row.candidates and not row.generated:
                probabilities = row_scores.double().softmax(-1)
                row.masses = tuple(float(probabilities[list(ids)].sum()) for ids in row.candidates)

    def _forbid_early_end(self, scores: Any) -> None:
        for row, row_scores in zip(self.rows, scores, strict=True):
            if len(row.generated) < row.sampling.min_tokens and self._eos_ids:
                row_scores[list(self._eos_ids)] = -float("inf")

    def _sample(self, scores: Any) -> Any:
        """By inverting the cumulative distribution in vocabulary order: one uniform number a row.

        At temperature 0 the most likely token.
        """
        import torch

        temperatures = _column([row.sampling.temperature for row in self.rows], scores)
        top_ps = _column([row.sampling.top_p for row in self.rows], scores)
        uniforms = [
            0.0 if row.done else draw.random()
            for row, draw in zip(self.rows, self._randoms, strict=True)
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
