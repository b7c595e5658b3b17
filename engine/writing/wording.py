"""What the writer is asked, in the words of `engine/loop/templates`."""

from collections.abc import Sequence

from constitution.language import language_name
from constitution.schema import Constitution, Principle
from engine.loop.rendering import render
from engine.messages import Conversation, Message
from engine.writing.briefs import Brief
from engine.writing.records import PromptKind

__all__ = ["situations_request", "write_request"]


def situations_request(
    constitution: Constitution, principle: Principle, kind: PromptKind, count: int
) -> Conversation:
    """The request for a list of what users may write about."""
    text = render(
        "situations.jinja",
        preamble=constitution.preamble,
        statement=principle.statement,
        examples=[test.prompt for test in principle.tests],
        tempting=kind is PromptKind.TEMPTING,
        count=count,
    )
    return (Message("user", text),)


def write_request(
    constitution: Constitution,
    brief: Brief,
    examples: Sequence[str],
    situation: str | None,
    before: Conversation = (),
) -> Conversation:
    """The request for a user's message: the first one, or the one that follows `before`."""
    principle = constitution.principle(brief.principle)
    profile = constitution.stakeholders.get(brief.stakeholder or "")
    text = render(
        "write.jinja",
        preamble=constitution.preamble,
        statement=principle.statement,
        examples=examples,
        situation=situation,
        brief=brief,
        language=None if brief.language == "en" else language_name(brief.language),
        stakeholder=profile.description if profile else None,
        conversation=before,
    )
    return (Message("user", text),)
