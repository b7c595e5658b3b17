"""How long it takes: operations over what a GPU does of them in a second.

A token costs 2 operations per parameter forward and twice that backward (Kaplan et al. 2020, arXiv
2001.08361, section 2.1): 2N to read or write it, 6N to train on it. Of a GPU's peak a program reaches a
share (Chowdhery et al. 2022, arXiv 2204.02311, section 4.1), which is stated here and not measured on the
machine at hand: expect half to twice the time.
"""

from dataclasses import dataclass

from engine.sizing.shape import ModelShape

__all__ = ["READING", "TRAINING", "WRITING", "Work", "gpu_hours"]

TRAINING, READING, WRITING = 0.35, 0.4, 0.08
"""Shares of the peak: training with activations recomputed; prompts; answers, which many
sequences at once write a token at a time, bound by memory."""


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens that one model reads, writes and is trained on."""

    shape: ModelShape
    read: float = 0.0
    written: float = 0.0
    trained: float = 0.0

    def seconds(self, peak: float) -> float:
        """On one GPU of so many operations a second."""
        share = self.read / READING + self.written / WRITING + 3 * self.trained / TRAINING
        return 2 * self.shape.active * share / peak


def gpu_hours(work: list[Work], peak: float | None) -> float | None:
    """Hours of one GPU; None where its peak is not known."""
    return sum(each.seconds(peak) for each in work) / 3600 if peak else None
