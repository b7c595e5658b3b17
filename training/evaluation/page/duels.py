"""Whose answers are preferred, and why: what the judge said of each pair, and its sums by principle."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.judging.calibration import log_odds
from engine.report.wording import in_words
from training.evaluation.page.tables import Win, win_of
from training.evaluation.page.wording import Unit, number, written
from training.evaluation.results import DuelShown, PromptAnswers, Results

__all__ = ["DuelTold", "PrincipleWins", "duels_told", "wins_by_principle"]

_UNDECIDED = {
    "failed": "the request to the judge failed",
    "unanswered": "the judge chose neither letter",
    "context_overflow": "the pair is longer than the judge's context",
}


@dataclass(frozen=True, slots=True)
class DuelTold:
    """A duel, and why it went as it did; `doubt` where the judge contradicts itself."""

    duel: DuelShown
    why: str
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class PrincipleWins:
    """How often each other checkpoint beats the base under one principle."""

    principle: str
    cells: tuple[Win | None, ...]


def duels_told(sample: PromptAnswers) -> list[DuelTold]:
    """Every pair of a prompt's answers."""
    return [DuelTold(duel, _why(duel, sample), _doubt(duel)) for duel in sample.duels]


def wins_by_principle(results: Results) -> list[PrincipleWins]:
    """A row for each principle that answers were compared under, in the constitution's order."""
    base = results.models[0].name if results.models else ""
    others = [model.name for model in results.models[1:]]
    found = {pairing.other: pairing for pairing in results.pairings if pairing.model == base}
    names = dict.fromkeys(name for pairing in found.values() for name in pairing.principles)
    rows = []
    for name in names:
        rates = [found[other].principles.get(name) if other in found else None for other in others]
        cells = tuple(win_of(rate.swap()) if rate is not None else None for rate in rates)
        rows.append(PrincipleWins(name, cells))
    return rows


def _why(duel: DuelShown, sample: PromptAnswers) -> str:
    """What decided, in words: a check, or the judge's probabilities."""
    if duel.undecided:
        return _UNDECIDED.get(duel.undecided, in_words(duel.undecided))
    if duel.answers is None or duel.probability is None:
        return "the answers are the same, word for word"
    if broken := [told for told in _checks(duel, sample) if told]:
        return "; ".join(broken)
    better, probability = duel.models[0], duel.probability
    if probability < 0.5:
        better, probability = duel.models[1], 1 - probability
    if not duel.winner:
        return f"p = {number(probability)} for {better}: too near to a half"
    odds = written(log_odds(probability), Unit.SIGNED)
    if duel.method == "pointwise":
        one, two = (
            f"{model} {number(p)}" for model, p in zip(duel.models, duel.answers, strict=True)
        )
        return f"probability of breaking it: {one}, {two}; log-odds {odds} for {better}"
    first, second = _in_each_place(duel, better)
    return (
        f"judged better with p = {number(probability)} (log-odds {odds}): "
        f"{number(first)} shown first, {number(second)} shown second"
    )


def _checks(duel: DuelShown, sample: PromptAnswers) -> Iterator[str]:
    """What either answer does not keep of the principle's check."""
    answers = {answer.model: answer for answer in sample.answers}
    for model in duel.models:
        for verdict in answers[model].verdicts if model in answers else ():
            if verdict.principle == duel.principle and verdict.failed:
                yield f"{model} does not pass its check: {' '.join(verdict.failed)}"


def _in_each_place(duel: DuelShown, better: str) -> tuple[float, float]:
    """The probability of the better answer where it is shown first, and where second."""
    one, other = duel.answers or (0.5, 0.5)
    return (one, 1 - other) if better == duel.models[0] else (other, 1 - one)


def _doubt(duel: DuelShown) -> str:
    """Where the judge takes what stands in one place, whichever answer that is."""
    if duel.method == "pointwise" or duel.answers is None:
        return ""
    one, other = duel.answers
    if one > 0.5 and other > 0.5:
        return "it takes whichever is shown first"
    if one < 0.5 and other < 0.5:
        return "it takes whichever is shown second"
    return ""
