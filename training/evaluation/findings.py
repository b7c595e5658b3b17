"""Reasons to doubt an evaluation's figures, found in the figures themselves."""

from collections.abc import Sequence

from training.evaluation.figures import Evidence
from training.evaluation.judge_signs import position_bias
from training.evaluation.results import Finding, ModelResult

__all__ = ["findings_of"]


def findings_of(evidence: Evidence, models: Sequence[ModelResult]) -> list[Finding]:
    """What the answers and verdicts show about the evaluation itself."""
    return [*_position_bias(evidence)]


def _position_bias(evidence: Evidence) -> list[Finding]:
    orders = [pair for pairs in evidence.judged.orders.values() for pair in pairs]
    sign = position_bias(sorted(orders))
    if not sign.flagged:
        return []
    remedy = "both orders were asked, so it cancels out; --method pointwise has none"
    return [Finding("position-bias", "warning", sign.told, remedy)]
