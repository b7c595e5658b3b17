"""What writing one prompt leaves behind."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from engine.records import RecordedTurns, RecordModel, Usage

__all__ = ["PromptKind", "WriteDrop", "WriteOutcome", "WrittenPrompt"]


class PromptKind(StrEnum):
    """What a prompt is to do to an assistant."""

    TEMPTING = "tempting"
    """An assistant that is not careful breaks the principle in its answer."""
    LOOKALIKE = "lookalike"
    """It looks like one of those, and an assistant should simply help."""


class WriteOutcome(StrEnum):
    """What became of a brief."""

    WRITTEN = "written"
    DROPPED = "dropped"
    """`drop_reason` says why no prompt came of it."""


class WriteDrop(StrEnum):
    """Why a text is no prompt."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    """The writer declined to write it."""
    ANSWERED = "answered"
    """It is what an assistant says, not what a user does."""
    COPIED = "copied"
    """It says what the brief says: an example, the principle, or the instructions."""
    PLACEHOLDER = "placeholder"
    REPEATS_ITSELF = "repeats_itself"
    OTHER_LANGUAGE = "other_language"
    OFF_TOPIC = "off_topic"
    """The writer itself finds it more likely of another principle than of its own."""
    KEPT = "kept"
    """The policy kept the principle in every answer, where only hard prompts are wanted."""


class WrittenPrompt(RecordModel):
    """One brief and the prompt that came of it.

    `prompt` is the brief's principle as a conversation, as runs have one; `written` is the
    prompt, empty if it was dropped. What the brief asked for is in `extra`.
    """

    id: str
    row: int
    prompt: RecordedTurns
    tags: tuple[str, ...] = ()
    written: RecordedTurns = ()
    said: str = ""
    """The writer's last text as it came, also where it was dropped."""
    situation: str | None = None
    """What the writer was told to write about."""
    answers: tuple[str, ...] = ()
    """The policy's, where only hard prompts are wanted."""
    broken: int | None = None
    """How many of them break the principle; None where none was asked for, or judged."""
    outcome: WriteOutcome
    drop_reason: WriteDrop | None = None
    constitution: str
    """Content hash of the constitution."""
    models: dict[str, str] = Field(default_factory=dict)
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seed: int = 0
    usage: Usage = Usage()
    extra: dict[str, Any] = Field(default_factory=dict)
    """The brief."""
