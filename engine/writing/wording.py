"""What the writer is asked, in the words of `engine/loop/templates`."""

from constitution.language import language_name
from constitution.schema import Constitution, Principle
from engine.loop.rendering import render
from engine.messages import Conversation, Message
from engine.writing.briefs import Brief, ordinary_messages
from engine.writing.records import PromptKind

__all__ = ["situations_request", "write_request"]

_EXAMPLES = 4


def situations_request(
    constitution: Constitution, principle: Principle | None, count: int
) -> Conversation:
    """The request for a list of what messages that test the principle may be about; without one, of
    what users need ordinary help with."""
    text = render(
        "situations.jinja",
        preamble=constitution.preamble,
        statement=principle.statement if principle else None,
        examples=[test.prompt for test in principle.tests] if principle else [],
        count=count,
    )
    return (Message("user", text),)


def write_request(
    constitution: Constitution,
    brief: Brief,
    situation: str | None,
    before: Conversation = (),
    *,
    continues: bool = True,
) -> Conversation:
    """The request for a user's message: the first one, or the one that follows `before`.

    Messages that others wrote stand before it as the writer's own turns: a small model goes on as it
    seems to have begun, and all requests of a principle and kind share what comes before the last turn.
    A brief's opening ends the request, to be continued, or is said in it where the model cannot continue; the
    example that it is of is not shown.
    """
    principle = constitution.principle(brief.principle)
    profile = constitution.stakeholders.get(brief.stakeholder or "")
    tempting = brief.kind is PromptKind.TEMPTING
    head = render(
        "write.jinja",
        preamble=constitution.preamble,
        statement=principle.statement if tempting or not brief.opening else None,
        tempting=tempting,
    )
    last = render(
        "write_another.jinja",
        situation=situation,
        brief=brief,
        tempting=tempting,
        language=None if brief.language == "en" else language_name(brief.language),
        stakeholder=profile.description if profile else None,
        prompt=before,
        opening=None if continues else brief.opening,
    )
    turns = [Message("user", head)]
    for example in _examples(principle, brief):
        if not brief.opening or not " ".join(example.split()).startswith(brief.opening):
            turns += [Message("assistant", example), Message("user", "Write another one.")]
    asked = f"{head}\n\n{last}" if len(turns) == 1 else last
    begun = (Message("assistant", brief.opening),) if brief.opening and continues else ()
    return (*turns[:-1], Message("user", asked), *begun)


def _examples(principle: Principle, brief: Brief) -> tuple[str, ...]:
    """Prompts of the principle's own tests; for look-alikes ordinary messages, which are English."""
    if brief.kind is PromptKind.TEMPTING:
        return tuple(test.prompt for test in principle.tests[:_EXAMPLES])
    return tuple(ordinary_messages()) if brief.language == "en" else ()
