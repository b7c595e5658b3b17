"""What a run leaves behind: records, verdicts, and reasons for everything that was dropped.

Nothing here depends on when or how fast it was made, so an interrupted and resumed run writes the
same records as an uninterrupted one.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from engine.messages import Conversation, Message, to_dicts

__all__ = [
    "AnswerDrop",
    "AnswerOutcome",
    "AnswerRecord",
    "DropReason",
    "Failure",
    "Flag",
    "Outcome",
    "Record",
    "RecordModel",
    "RecordedTurns",
    "Round",
    "Usage",
    "Verdict",
]


class RecordModel(BaseModel):
    """A record, or a part of one: unchangeable, and with no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RecordedTurns = Annotated[Conversation, PlainSerializer(to_dicts)]
"""A conversation as records hold it: without tokens, which only the run that made them can use."""


class Outcome(StrEnum):
    """What became of a conversation's first answer."""

    REVISED = "revised"
    COMPLIANT = "compliant"
    """Judged to keep every principle, so nothing was criticised."""
    UNRESOLVED = "unresolved"
    """The answer that stands breaks a principle, or could not be judged: nothing to train on."""
    DROPPED = "dropped"
    """No usable revision came of it; `drop_reason` says why."""


class DropReason(StrEnum):
    """Why a conversation yields no training row."""

    NO_PRINCIPLE_APPLIES = "no_principle_applies"
    EMPTY_ANSWER = "empty_answer"
    EMPTY_REVISION = "empty_revision"
    UNCHANGED_REVISION = "unchanged_revision"
    TRUNCATED_REVISION = "truncated_revision"
    OVERLONG_REVISION = "overlong_revision"
    CRITIQUE_LEAK = "critique_leak"
    """The revision repeats a long run of the critique."""
    SPEAKS_AS_REVIEWER = "speaks_as_reviewer"
    """It speaks of the reply or the user instead of to the user, or apologises for a reply."""
    COPIED_REQUEST = "copied_request"
    """Much of it are words of the request or of its examples, not of the conversation."""
    HOLDS_TRANSCRIPT = "holds_transcript"
    """It has the tags or the turns of a transcript."""
    PLACEHOLDER = "placeholder"
    """It stands for a reply ("[insert reply here]") or has slots that nobody asked for."""
    ECHOES_PROMPT = "echoes_prompt"
    """It says the user's words back."""
    REPEATS_ITSELF = "repeats_itself"
    """It goes round in a circle: a sentence or a phrase again and again."""
    OTHER_LANGUAGE = "other_language"
    """It is in a language of neither the prompt nor the answer, and no translation was asked for."""
    EMPTY_CRITIQUE = "empty_critique"
    NOTHING_FOUND = "nothing_found"
    """The critic says that there is nothing to criticise."""
    CRITIC_REFUSED = "critic_refused"
    """The critic declines to criticise."""
    NOT_BETTER = "not_better"
    """The revision breaks its principle no less than the answer before it."""
    BREAKS_ANOTHER = "breaks_another"
    """The revision breaks a principle that the answer before it kept."""
    DOES_NOT_ANSWER = "does_not_answer"
    """The revision speaks less to what the user asked than the answer before it."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The conversation outgrew the model's context before a revision could be accepted."""


class Flag(StrEnum):
    """What hygiene noticed about one completion and did not drop it for."""

    TRUNCATED_ANSWER = "truncated_answer"
    TRUNCATED_CRITIQUE = "truncated_critique"
    TRUNCATED_REVISION = "truncated_revision"
    """Kept because the run keeps what is truncated."""
    PREAMBLE_REMOVED = "preamble_removed"
    NOTE_REMOVED = "note_removed"
    REASONING_REMOVED = "reasoning_removed"


class Verdict(RecordModel):
    """Whether one answer breaks one principle, as a judge sees it or as its check decides.

    `probability` is that of "it breaks it", normalised over the two answers offered; `mass` is how
    much of the judge's probability those two had. `violates` is None, with a `reason`, when the
    judge could not answer: a judge failure is never a score. A check gives 0 or 1 and no `mass`.
    """

    principle: str
    principle_hash: str
    violates: bool | None
    probability: float | None = None
    mass: float | None = None
    reason: str | None = None
    failed: tuple[str, ...] = ()
    """What the answer does not keep of the principle's check, a sentence each; no judge was asked."""
    samples: int | None = None
    """Of how many sampled answers `probability` is a share; None where it comes from log-probs."""

    @property
    def exact(self) -> bool:
        """Whether the principle's check decided, without a judge."""
        return self.probability is not None and self.mass is None


class Round(RecordModel):
    """One principle, and the answer held against it as it then stood.

    `before` and `after` are this principle's verdicts on the answer and on its revision, if asked;
    `broke` are principles that the answer kept and the revision breaks. `revision` is the cleaned
    text, and became the answer if `dropped` is None. No `critique`: none was asked for.
    """

    round: int
    principle: str
    principle_hash: str
    before: Verdict | None = None
    critique: str | None = None
    revision: str | None = None
    after: Verdict | None = None
    broke: tuple[str, ...] = ()
    dropped: DropReason | None = None
    flags: tuple[Flag, ...] = ()
    critique_reasoning: str | None = None
    revision_reasoning: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the revision became the answer."""
        return self.revision is not None and self.dropped is None


class Usage(RecordModel):
    """Requests and tokens that this record took, whether generated or re-used from the cache."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, prompt_tokens: int, completion_tokens: int) -> "Usage":
        """With one more request."""
        return Usage(
            requests=self.requests + 1,
            prompt_tokens=self.prompt_tokens + prompt_tokens,
            completion_tokens=self.completion_tokens + completion_tokens,
        )


class Record(RecordModel):
    """One prompt's way through the loop."""

    id: str
    row: int
    """Which prompt of the input, counted from 0."""
    prompt: RecordedTurns
    tags: tuple[str, ...] = ()
    answer: str
    """The policy's first answer."""
    answer_reasoning: str | None = None
    """What it thought before, in no text that is judged or trained on."""
    answer_flags: tuple[Flag, ...] = ()
    first_verdicts: tuple[Verdict, ...] = ()
    """`answer` on every principle that it was screened for."""
    rounds: tuple[Round, ...] = ()
    final: str
    """The answer after the last accepted revision; equal to `answer` if there was none."""
    outcome: Outcome
    drop_reason: DropReason | None = None
    final_verdicts: tuple[Verdict, ...] = ()
    """`final` on every principle that it was screened for, or met."""
    unresolved: tuple[str, ...] = ()
    """Principles that `final` still breaks, or that the judge could not decide."""
    undone: tuple[str, ...] = ()
    """Unresolved principles whose own revision was accepted earlier and later rewritten."""
    escalate: bool = False
    """A critical principle is unresolved: a person must look."""
    constitution: str
    """Content hash of the constitution."""
    models: dict[str, str] = Field(default_factory=dict)
    """Role to generator spec."""
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Role to sampling parameters."""
    seed: int = 0
    usage: Usage = Usage()
    extra: dict[str, Any] = Field(default_factory=dict)
    """The prompt's other columns, carried along."""

    @property
    def accepted(self) -> tuple[Round, ...]:
        """The rounds whose revision became the answer."""
        return tuple(r for r in self.rounds if r.accepted)

    @property
    def conversation(self) -> Conversation:
        """The prompt answered by the final text."""
        return (*self.prompt, Message("assistant", self.final))


class AnswerDrop(StrEnum):
    """Why an answer is not used."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    DUPLICATE = "duplicate"
    """It says the same as an earlier one, white space aside."""


class AnswerOutcome(StrEnum):
    """What became of a prompt that is only answered."""

    ANSWERED = "answered"
    DROPPED = "dropped"
    """`drop_reason` says why the answer is not a row to train on."""


class AnswerRecord(RecordModel):
    """One prompt and a model's own answer to it."""

    id: str
    row: int
    """Which prompt of the input, counted from 0."""
    prompt: RecordedTurns
    tags: tuple[str, ...] = ()
    answer: str
    """Without its reasoning, and without white space around it."""
    reasoning: str | None = None
    truncated: bool = False
    """It ran into its token limit."""
    outcome: AnswerOutcome
    drop_reason: AnswerDrop | None = None
    models: dict[str, str] = Field(default_factory=dict)
    """Role (policy) to generator spec."""
    sampling: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Role to sampling parameters."""
    seed: int = 0
    usage: Usage = Usage()
    extra: dict[str, Any] = Field(default_factory=dict)
    """The prompt's other columns, carried along."""


class Failure(RecordModel):
    """A conversation that could not be finished, and why; retried on resume if `retryable`."""

    id: str
    row: int
    stage: str
    """The role that was asked: policy, critic, reviser or judge."""
    reason: str
    message: str
    retryable: bool
