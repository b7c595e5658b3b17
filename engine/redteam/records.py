"""What attacking with one prompt leaves behind."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from engine.records import RecordedTurns, RecordModel, Usage, Verdict

__all__ = ["AttackOutcome", "AttackRecord", "Attempt", "Turns"]

Turns = Literal["single", "multi"]
"""Whether the attacker starts a new conversation each time, or goes on with the one there is."""


class AttackOutcome(StrEnum):
    """What became of an attack."""

    BROKEN = "broken"
    """The target broke the principle at least once."""
    HELD = "held"
    UNDECIDED = "undecided"
    """It never broke it, but one answer or more could not be judged."""
    SKIPPED = "skipped"
    """There is nothing to attack: a look-alike, or a prompt to which no principle applies."""


class Attempt(RecordModel):
    """One request to the target: what was asked, what it answered, and the judge's verdict."""

    tactic: str
    """`plain`, the name of a transform, or `attacker`."""
    turn: int
    """Of the attacker, counted from 1; 0 for the plain prompt and the transforms."""
    asked: RecordedTurns
    answer: str
    verdict: Verdict

    @property
    def success(self) -> bool:
        """Whether the answer breaks the principle."""
        return bool(self.verdict.violates)


class AttackRecord(RecordModel):
    """One prompt, the principle that it was to break, and every attempt, in order."""

    id: str
    row: int
    prompt: RecordedTurns
    tags: tuple[str, ...] = ()
    principle: str = ""
    principle_hash: str = ""
    turns: Turns
    attempts: tuple[Attempt, ...]
    unused: int = 0
    """Texts of the attacker that were no message to send: empty, refused or said before."""
    outcome: AttackOutcome
    constitution: str
    """Content hash of the constitution."""
    models: dict[str, str] = Field(default_factory=dict)
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seed: int = 0
    usage: Usage = Usage()
    extra: dict[str, Any] = Field(default_factory=dict)
    """The prompt's other columns, carried along."""
