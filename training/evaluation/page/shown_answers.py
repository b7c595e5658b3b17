"""Sampled answers side by side, and the words that the page's filters find them by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.evaluation.results import AnswerVerdict, ModelAnswer, PromptAnswers

__all__ = ["OUTCOMES", "AnswerShown", "SampleShown", "VerdictShown", "samples_shown"]

OUTCOMES = {
    "broken": "Broken",
    "kept": "Kept",
    "undecided": "Undecided",
    "refused": "Refused",
    "truncated": "Cut off",
    "changed": "Changed against the base",
    "fixed": "Fixed: broken by the base, kept here",
    "worsened": "Worse: kept by the base, broken here",
}
"""What answers are filtered by. All but `refused` and `truncated` are also said of a verdict."""


@dataclass(frozen=True, slots=True)
class VerdictShown:
    """A verdict, and which outcomes it is one of."""

    verdict: AnswerVerdict
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerShown:
    """An answer, its checkpoint's place among all, and its outcomes as a whole.

    It is `kept` if no principle is broken, and `broken` if one is.
    """

    answer: ModelAnswer
    color: int
    outcomes: tuple[str, ...]
    verdicts: tuple[VerdictShown, ...]

    @property
    def broken(self) -> int:
        """How many principles the judge says that it breaks."""
        return sum(bool(shown.verdict.violates) for shown in self.verdicts)


@dataclass(frozen=True, slots=True)
class SampleShown:
    """A prompt and its answers, in the order of the checkpoints."""

    sample: PromptAnswers
    answers: tuple[AnswerShown, ...]

    @property
    def asked(self) -> str:
        """The last user turn."""
        turns = [turn for turn in self.sample.prompt if turn.get("role") == "user"]
        return (turns or list(self.sample.prompt) or [{}])[-1].get("content", "")


def samples_shown(samples: Sequence[PromptAnswers], models: Sequence[str]) -> list[SampleShown]:
    """Every sample, each answer compared with that of the first of `models`."""
    places = {name: place for place, name in enumerate(models)}
    return [_sample(sample, places) for sample in samples]


def _sample(sample: PromptAnswers, places: Mapping[str, int]) -> SampleShown:
    base = next((answer for answer in sample.answers if places.get(answer.model) == 0), None)
    answers = [
        _answer(answer, places.get(answer.model, len(places)), None if answer is base else base)
        for answer in sample.answers
    ]
    return SampleShown(sample, tuple(sorted(answers, key=lambda shown: shown.color)))


def _answer(answer: ModelAnswer, color: int, base: ModelAnswer | None) -> AnswerShown:
    before = {v.principle: v.violates for v in base.verdicts} if base else {}
    verdicts = tuple(
        VerdictShown(v, _outcomes(v.violates, before.get(v.principle))) for v in answer.verdicts
    )
    among = {outcome for shown in verdicts for outcome in shown.outcomes}
    if "broken" in among:
        among.discard("kept")
    if answer.refusal:
        among.add("refused")
    if answer.truncated:
        among.add("truncated")
    if base is not None and bool(base.refusal) != bool(answer.refusal):
        among.add("changed")
    return AnswerShown(answer, color, tuple(o for o in OUTCOMES if o in among), verdicts)


def _outcomes(violates: bool | None, before: bool | None) -> tuple[str, ...]:
    if violates is None:
        return ("undecided",)
    said = "broken" if violates else "kept"
    if before is None or before == violates:
        return (said,)
    return (said, "changed", "worsened" if violates else "fixed")
