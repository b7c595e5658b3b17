"""The settings of `solon serve`: what is done with an answer, who may ask, and what is kept."""

from typing import Annotated

from pydantic import Field, JsonValue, field_validator

from constitution.checks import Check
from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.guard.breaker import BreakerRules
from engine.guard.policy import BREACHES, FAILURES, OnBreach, OnFailure
from engine.guard.redaction import DEFAULT_PATTERNS, Redactor
from engine.input_files import InputFile
from engine.runs.config import ConstitutionName, RoleSpecs
from engine.settings import LoopSettings

__all__ = ["GuardSettings", "LogSettings", "ServeConfig", "ServerSettings"]

_GUARD, _SERVER, _LOG = "The guard", "The server", "The log"
_SECONDS: dict[str, JsonValue] = {"metavar": "SECONDS"}


class GuardSettings(Settings):
    """What is screened, and what is done with what is found."""

    on_breach: OnBreach = Field(
        default=BREACHES,
        description="What is done with an answer, by severity of what it breaks: pass, revise, refuse "
        "or hold for a person (low=pass,high=refuse; what is not named keeps its default).",
    )
    on_failure: OnFailure = Field(
        default=FAILURES,
        description="Whether what could not be judged passes (open) or is refused (closed), by "
        "severity.",
    )
    budget: float = Field(
        default=20.0,
        gt=0,
        description="Seconds that revising live may take; an answer that takes longer is refused.",
        json_schema_extra=_SECONDS,
    )
    judge_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds for all verdicts on a text; those that take longer are none.",
        json_schema_extra=_SECONDS,
    )
    window: int | None = Field(
        default=None,
        ge=200,
        description="Stream: screen every N characters, and hold back as many. Without it, a stream "
        "begins when the whole answer has been screened, with one verdict on each principle.",
        json_schema_extra={"metavar": "N"},
    )
    forbid_input: list[str] = Field(
        default=[],
        description="Words, or /a regular expression/, that no user's message may hold; several "
        "times.",
    )
    input_question: str | None = Field(
        default=None,
        description="A question about the user's last message that the judge is asked before it is "
        "answered; Yes refuses it.",
        json_schema_extra={"metavar": "TEXT"},
    )
    escalate_from: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Probability from which a broken critical principle goes to a person.",
    )
    webhook: str | None = Field(
        default=None,
        description="URL that is told, without any text, what goes to a person; $NAME takes it from "
        "that variable.",
        json_schema_extra={"metavar": "URL"},
    )
    breaker: BreakerRules = Field(
        default=None,
        description="When to stop answering, until a person resets it: critical>2/5min, several with "
        "commas.",
        json_schema_extra={"metavar": "RULE"},
    )
    refusal: str = Field(
        default="I can't help with that.",
        description="What is answered in place of what is refused, where the constitution has no "
        "`refusal` of its own.",
    )
    held: str = Field(
        default="This answer waits for a person to look at it.",
        description="What is answered in place of what is held.",
    )
    fallback: str = Field(
        default="The assistant is not available at the moment.",
        description="What is answered while the breaker is open.",
    )

    @field_validator("forbid_input")
    @classmethod
    def _can_be_found(cls, forbidden: list[str]) -> list[str]:
        if forbidden:
            Check(forbid=tuple(forbidden))
        return forbidden

    @property
    def input_check(self) -> Check | None:
        """What a user's message must keep, decided exactly."""
        return Check(forbid=tuple(self.forbid_input)) if self.forbid_input else None


class LogSettings(Settings):
    """What is kept, and for how long."""

    redact: list[str] = Field(
        default=[*DEFAULT_PATTERNS],
        description="RE2 expressions whose matches are kept nowhere: by default e-mail addresses, "
        "numbers of cards and keys.",
    )
    retention_days: int | None = Field(
        default=30, ge=1, description="Days after which the log is deleted."
    )
    log_text: bool = Field(
        default=True, description="Keep what was asked and answered, and not only what was decided."
    )

    @field_validator("redact")
    @classmethod
    def _is_linear(cls, patterns: list[str]) -> list[str]:
        Redactor(patterns)
        return patterns


class ServerSettings(Settings):
    """Where it listens, and to whom."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port; 0 takes a free one.")
    name: str | None = Field(
        default=None, description="What clients call the model; its own name if not given."
    )
    tenants: Annotated[str | None, InputFile()] = Field(
        default=None,
        description="A YAML file of tenants: hashed keys, profiles and rates. Without one anyone may "
        "ask, on this machine alone.",
        json_schema_extra={"metavar": "FILE"},
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Rate limit of each tenant that has none of its own."
    )
    max_body: int = Field(default=2**20, ge=1024, description="Longest request, in bytes.")
    max_in_flight: int = Field(
        default=512, ge=1, description="Requests at a time; more are told to come back."
    )
    admin_key_env: str = Field(
        default="SOLON_ADMIN_KEY",
        min_length=1,
        description="Variable that holds the key of `solon guard stop` and `reset`.",
    )


class ServeConfig(Settings):
    """What `solon serve` is given."""

    constitution: ConstitutionName
    out: str = Field(
        default="runs/guard",
        description="The guard's directory: its log, what waits for a person, the breaker's state.",
    )
    roles: RoleSpecs = Field(title="Models")
    guard: GuardSettings = Field(default=GuardSettings(), title=_GUARD)
    revise: LoopSettings = Field(default=LoopSettings(), title="Revising live")
    server: ServerSettings = Field(default=ServerSettings(), title=_SERVER)
    log: LogSettings = Field(default=LogSettings(), title=_LOG)
    sampling: Sampling = Field(default=Sampling(max_tokens=1024), title="Sampling")

    @field_validator("revise")
    @classmethod
    def _judges(cls, revise: LoopSettings) -> LoopSettings:
        if revise.select != "targeted" or revise.accept != "better":
            raise ValueError(
                "revises without asking the judge first; leave `select` and `accept` as they are"
            )
        return revise
