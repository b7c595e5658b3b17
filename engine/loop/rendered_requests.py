"""The requests that a constitution becomes, word for word."""

from collections.abc import Iterator, Sequence

from constitution.checks import Check, check_facts
from constitution.problems import visible
from constitution.schema import Constitution, Principle
from engine.loop.framing import Framing
from engine.loop.rendering import preference_messages, verdict_messages
from engine.loop.reply import reply_of
from engine.messages import Conversation, Message
from engine.settings import LoopSettings

__all__ = ["rendered_requests"]


def rendered_requests(constitution: Constitution, principles: Sequence[Principle]) -> str:
    """What critic, reviser and judge read about each principle, word for word, and what its check
    decides without them.

    The conversation is the principle's first test with its violating answer; without tests, and
    for what a model is yet to write, parentheses stand in. Invisible characters are spelled out.
    """
    framing = Framing(constitution, LoopSettings())
    written = reply_of("(the critique)")
    parts = []
    for principle in principles:
        conversation = _example(principle)
        critic = framing.critic(principle, conversation)
        reviser = framing.reviser(principle, conversation, critic, written)
        parts += [f"=== {principle.id}: critic", _turns(critic.messages)]
        parts += [f"=== {principle.id}: reviser", _turns(reviser.messages)]
        if principle.check is not None:
            parts += [f"=== {principle.id}: check, before any judge", _facts(principle.check)]
        if principle.needs_judge:
            parts += _judged(constitution, principle, conversation)
    return visible("\n\n".join(parts))


def _judged(
    constitution: Constitution, principle: Principle, conversation: Conversation
) -> Iterator[str]:
    yield f"=== {principle.id}: judge"
    yield _turns(verdict_messages(constitution, principle, conversation))
    replies = (conversation[-1].content, _other_reply(principle))
    yield f"=== {principle.id}: judge, of two replies"
    yield _turns(preference_messages(constitution, principle, conversation[:-1], replies))


def _facts(check: Check) -> str:
    return "\n".join(f"{key}: {told}" for key, told in check_facts(check).items())


def _example(principle: Principle) -> Conversation:
    prompt, answer = "(the prompt)", "(the reply)"
    if principle.tests:
        prompt, answer = principle.tests[0].prompt, principle.tests[0].violating[0]
    return (Message("user", prompt), Message("assistant", answer))


def _other_reply(principle: Principle) -> str:
    return principle.tests[0].compliant[0] if principle.tests else "(the other reply)"


def _turns(messages: Conversation) -> str:
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
