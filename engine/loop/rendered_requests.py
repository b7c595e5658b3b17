"""The requests that a constitution becomes, word for word."""

from collections.abc import Sequence

from constitution.problems import visible
from constitution.schema import Constitution, Principle
from engine.loop.rendering import (
    critique_request,
    few_shot_messages,
    preference_messages,
    revision_request,
    verdict_messages,
)
from engine.messages import Conversation, Message

__all__ = ["rendered_requests"]


def rendered_requests(constitution: Constitution, principles: Sequence[Principle]) -> str:
    """What critic, reviser and judge read about each principle, word for word.

    The conversation is the principle's first test with its violating answer; without tests, and
    for what a model is yet to write, parentheses stand in. Invisible characters are spelled out.
    """
    parts = []
    few_shot = few_shot_messages(constitution)
    if few_shot:
        parts += ["=== examples, before every critique and revision", _turns(few_shot)]
    for principle in principles:
        conversation = _example(principle)
        critique = Message("user", critique_request(constitution, principle))
        revision = Message("user", revision_request(constitution, principle))
        verdict = verdict_messages(constitution, principle, conversation)
        parts += [f"=== {principle.id}: critic", _turns((*conversation, critique))]
        written = Message("assistant", "(the critique)")
        parts += [f"=== {principle.id}: reviser, after the critic's turns"]
        parts += [_turns((written, revision))]
        parts += [f"=== {principle.id}: judge", _turns(verdict)]
        replies = (conversation[-1].content, _other_reply(principle))
        compared = preference_messages(constitution, principle, conversation[:-1], replies)
        parts += [f"=== {principle.id}: judge, of two replies", _turns(compared)]
    return visible("\n\n".join(parts))


def _example(principle: Principle) -> Conversation:
    prompt, answer = "(the prompt)", "(the reply)"
    if principle.tests:
        prompt, answer = principle.tests[0].prompt, principle.tests[0].violating[0]
    return (Message("user", prompt), Message("assistant", answer))


def _other_reply(principle: Principle) -> str:
    return principle.tests[0].compliant[0] if principle.tests else "(the other reply)"


def _turns(messages: Conversation) -> str:
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
