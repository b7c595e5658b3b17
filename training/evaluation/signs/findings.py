"""Reasons to doubt an evaluation's figures, found in what was said and judged."""

from collections.abc import Sequence
from itertools import combinations

from training.evaluation.figures import Evidence
from training.evaluation.results import Finding, ModelResult
from training.evaluation.signs.judge_signs import position_bias
from training.evaluation.signs.sanity import check_after

__all__ = ["findings_of"]


def findings_of(evidence: Evidence, models: Sequence[ModelResult]) -> list[Finding]:
    """What the answers and verdicts show about the evaluation itself."""
    asked = {
        name: sum(map(len, verdicts.values()))
        for name, verdicts in evidence.judged.verdicts.items()
    }
    return [
        *check_after(models, asked),
        *_alike(evidence),
        *_position_bias(evidence),
        *_failures(evidence),
    ]


def _alike(evidence: Evidence) -> list[Finding]:
    """Models whose every answer is another's: what they differ in, sampling does not show."""
    found = []
    for one, other in combinations(evidence.said, 2):
        texts = evidence.texts(one)
        if texts and texts == evidence.texts(other):
            message = f"{other} gives every held-out prompt the very answer of {one}"
            remedy = "train longer, at a higher learning rate or on more rows"
            found.append(Finding("same-answers", "warning", message, remedy))
    return found


def _position_bias(evidence: Evidence) -> list[Finding]:
    orders = [pair for pairs in evidence.judged.orders.values() for pair in pairs]
    sign = position_bias(sorted(orders))
    if not sign.flagged:
        return []
    remedy = "both orders were asked, so it cancels out; --method pointwise has none"
    return [Finding("position-bias", "warning", sign.told, remedy)]


def _failures(evidence: Evidence) -> list[Finding]:
    """Questions that ended in an error: they are in no figure."""
    found = []
    asked = {name: said.failures for name, said in evidence.said.items()}
    for name, failures in {**asked, "the judge": evidence.judged.failures}.items():
        if failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in failures.most_common())
            message = f"{failures.total():,} requests to {name} failed: {reasons}"
            found.append(Finding("failures", "warning", message, "see what the engine says"))
    return found
