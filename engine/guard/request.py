"""One request to the guard: what is asked, what is found of it on the way, and what is given."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from constitution.schema import Principle
from engine.generators.base import Completion, Sampling
from engine.generators.in_flight import InFlight
from engine.guard.policy import Decision
from engine.guard.screening import Screened
from engine.guard.tenants import Tenant
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from engine.records import Record

__all__ = ["Answered", "Asked", "Done", "Way"]

Done = Literal["passed", "revised", "refused", "held", "stopped"]
"""What a client was given: the model's answer, a revision, the refusal, word that a person must look,
or the fallback of an open breaker."""
_UNSCREENED = Screened((), Decision())


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `stop` are texts before which the answer ends."""

    id: str
    tenant: str
    profile: Tenant
    messages: Conversation
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a request. `text` is all that the client is given, and `rest` what of it has not
    left in a stream; tokens are those of the model's own answer."""

    done: Done
    text: str
    rest: str
    truncated: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Way:
    """A request on its way. `text` is the whole answer of the model, `released` what of it has left
    in a stream; `why` says what else decided than verdicts."""

    asked: Asked
    prompt: Prompt
    stakeholder: str | None
    principles: tuple[Principle, ...]
    partial: tuple[Principle, ...]
    """What the beginning of the answer is held against."""
    span: Any = None
    """Of the trace, where there is one."""
    in_flight: InFlight = field(default_factory=InFlight)
    began: float = field(default_factory=time.monotonic)
    completion: Completion | None = None
    text: str = ""
    released: str = ""
    screened: Screened = _UNSCREENED
    revision: Record | None = None
    why: str | None = None
    logged: bool = False

    def answered(self, done: Done, text: str) -> Answered:
        """What the client is given where it is to read `text`, which stands below what has left
        unless it is the answer that this is the beginning of."""
        goes_on = done == "passed" or not self.released
        rest = text[len(self.released) :] if goes_on else f"\n\n{text}"
        completion = self.completion or Completion("", "stop")
        return Answered(
            done,
            self.released + rest,
            rest,
            truncated=completion.finish_reason == "length",
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
        )
