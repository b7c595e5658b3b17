"""What critic and reviser are asked, in each framing, and what of it may not come back as a reply.

In the framing `conversation` the two go on with the conversation as the assistant (Bai et al. 2022,
section 3.1): turns are only ever added. In `reviewer` and `direct` they read it quoted, as the judge
does, and share the judge's prompt up to the principle. In `afresh` the reviser sees neither reply nor
critique: it answers the prompt again, told what to keep to.
"""

from dataclasses import dataclass

from constitution.schema import Constitution, Principle
from engine.loop.rendering import (
    afresh_request,
    critique_request,
    example_text,
    review_messages,
    revision_request,
    rewrite_messages,
)
from engine.loop.reply import Reply
from engine.messages import Conversation, Message
from engine.settings import LoopSettings

__all__ = ["Asked", "Framing"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the words in it that are neither the conversation nor a model's."""

    messages: Conversation
    wording: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Framing:
    """How one run asks its critic and its reviser."""

    constitution: Constitution
    settings: LoopSettings

    @property
    def continues(self) -> bool:
        """Whether the conversation itself goes on."""
        return self.settings.framing == "conversation"

    @property
    def criticises(self) -> bool:
        """Whether a critic is asked before the reviser."""
        return self.settings.framing not in ("direct", "afresh")

    def critic(
        self, principle: Principle, conversation: Conversation, *, broken: bool = False
    ) -> Asked:
        """The request for a critique of the last turn of `conversation`, which was found to break the
        principle or was not."""
        shown = self._example(principle, revision=False)
        if self.continues:
            ask = _joined(shown, critique_request(self.constitution, principle))
            return Asked((*conversation, Message("user", ask)), (ask,))
        messages = review_messages(self.constitution, principle, conversation, shown, broken=broken)
        return Asked(messages, _wording(principle.statement, principle.critique, shown))

    def reviser(
        self, principle: Principle, conversation: Conversation, criticised: Asked, critique: Reply
    ) -> Asked:
        """The request for a revision, after `critique` answered the request `criticised`; an empty
        critique is not shown."""
        shown = self._example(principle, revision=True)
        if self.continues:
            ask = _joined(shown, revision_request(self.constitution, principle))
            turns = (critique.turn(critique.text), Message("user", ask))
            return Asked((*criticised.messages, *turns), (ask, *criticised.wording))
        if self.settings.framing == "afresh":
            *before, last, _reply = conversation
            ask = _joined(shown, afresh_request(self.constitution, principle))
            again = Message(last.role, _joined(last.content, ask))
            return Asked((*before, again), (ask,))
        messages = rewrite_messages(
            self.constitution, principle, conversation, critique.text, shown
        )
        return Asked(messages, _wording(principle.statement, principle.revision, shown))

    def _example(self, principle: Principle, *, revision: bool) -> str:
        if not self.settings.few_shot:
            return ""
        examples = (e for e in self.constitution.few_shot if e.principle == principle.id)
        return "\n\n".join(example_text(example, revision=revision) for example in examples)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _wording(*parts: str | None) -> tuple[str, ...]:
    return tuple(part for part in parts if part)
