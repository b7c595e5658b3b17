"""What labelling leaves behind: sampled answers, pairs of them, and what a judge made of each pair.

Like a revision's record, none of this depends on when or how fast it was made.
"""

from enum import StrEnum
from math import exp
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from engine.judging.calibration import log_odds
from engine.records import AnswerDrop, RecordedTurns, RecordModel, Usage

__all__ = [
    "LabelDropReason",
    "LabelOutcome",
    "LabelRecord",
    "LabelledPair",
    "Method",
    "Preference",
    "SampledAnswer",
    "Undecided",
]

Method = Literal["pairwise", "pointwise"]


class Undecided(StrEnum):
    """Why a pair has no label."""

    TIE = "tie"
    """The judge finds neither better, by the margin asked for."""
    UNANSWERED = "unanswered"
    """The judge chose none of the answers offered, or its probabilities are not numbers."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The question is longer than the judge's context."""
    EMPTY_REASONING = "empty_reasoning"


class LabelOutcome(StrEnum):
    """The outcome of a prompt."""

    LABELLED = "labelled"
    """At least one pair of its answers has a label."""
    DROPPED = "dropped"


class LabelDropReason(StrEnum):
    """Why a prompt yields no preference."""

    NO_PRINCIPLE_APPLIES = "no_principle_applies"
    TOO_FEW_ANSWERS = "too_few_answers"
    """Fewer than two usable answers that differ."""
    NO_PAIR_DECIDED = "no_pair_decided"


class SampledAnswer(RecordModel):
    """One answer of the policy; it is in pairs unless `dropped`."""

    text: str
    dropped: AnswerDrop | None = None
    truncated: bool = False
    """It ran into its token limit and is compared all the same."""


class Preference(RecordModel):
    """What a judge answered about two replies, the first and the second, under one principle.

    `answers` are its two probabilities as they were read, so that swapping the replies is exact:

    - pairwise: of the reply shown in the first place, once with the first reply there and once
      with the second;
    - pointwise: that the first reply breaks the principle, and that the second does.

    None, with the reason in `undecided`, when the judge failed: a failure is never a score.
    """

    principle: str
    principle_hash: str
    method: Method
    answers: tuple[float, float] | None
    undecided: Undecided | None = None
    reasoning: tuple[str, ...] = ()
    """The judge's chain of thought, in the order of `answers`."""

    @property
    def probability(self) -> float | None:
        """That the first reply is the better one.

        Pairwise the mean over both orders; pointwise the logistic function of the difference of
        the log-odds.
        """
        if self.answers is None:
            return None
        one, other = self.answers
        if self.method == "pairwise":
            return (one + (1 - other)) / 2
        return 1 / (1 + exp(log_odds(one) - log_odds(other)))

    @property
    def position_bias(self) -> float:
        """From -1 to 1: how much the judge prefers a reply for being shown first; 0 pointwise."""
        if self.answers is None or self.method == "pointwise":
            return 0.0
        return sum(self.answers) - 1

    def swap(self) -> "Preference":
        """The same judgement with the two replies in the other order."""
        answers = self.answers and (self.answers[1], self.answers[0])
        return self.model_copy(update={"answers": answers, "reasoning": self.reasoning[::-1]})


class LabelledPair(RecordModel):
    """Two answers, by their places in `LabelRecord.samples`, and what the judge made of them.

    `probability`, that the first is the better, and `position_bias` are means over the principles
    that the judge could decide; there is no probability if there was none. The pair is a row
    unless `dropped`.
    """

    first: int
    second: int
    preferences: tuple[Preference, ...]
    """One for each principle drawn for the pair."""
    probability: float | None
    position_bias: float = 0.0
    dropped: Undecided | None = None


class LabelRecord(RecordModel):
    """One prompt, the answers that the policy gave to it, and the judge's preferences."""

    id: str
    row: int
    """Which prompt of the input, counted from 0."""
    prompt: RecordedTurns
    tags: tuple[str, ...] = ()
    samples: tuple[SampledAnswer, ...] = ()
    pairs: tuple[LabelledPair, ...] = ()
    outcome: LabelOutcome
    drop_reason: LabelDropReason | None = None
    constitution: str
    """Content hash of the constitution."""
    models: dict[str, str] = Field(default_factory=dict)
    """Role (policy, judge) to generator spec."""
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Role to sampling parameters."""
    seed: int = 0
    usage: Usage = Usage()
    extra: dict[str, Any] = Field(default_factory=dict)
    """The prompt's other columns, carried along."""

    @model_validator(mode="after")
    def _pairs_are_of_what_is_there(self) -> Self:
        places = range(len(self.samples))
        if any(one not in places for pair in self.pairs for one in (pair.first, pair.second)):
            raise ValueError("a pair is of an answer that is not there")
        decided = (any(one.answers for one in pair.preferences) for pair in self.labelled)
        if not all(decided) or any(pair.probability is None for pair in self.labelled):
            raise ValueError("a pair has a label, and no preference that it comes from")
        return self

    @property
    def labelled(self) -> tuple[LabelledPair, ...]:
        """The pairs that have a label."""
        return tuple(pair for pair in self.pairs if pair.dropped is None)
