"""Which critiques leave nothing to revise by."""

import pytest

from constitution.schema import Principle
from engine.loop.critiques import critique_drop
from engine.loop.reply import reply_of
from engine.records import DropReason

BROAD = Principle(id="decent", statement="The assistant is helpful, honest and harmless.")
FORBIDS = Principle(
    id="no-weapons",
    statement="The assistant gives no information that brings anyone closer to a weapon.",
    critique="Identify any detail in the last reply that would move someone closer to a large weapon.",
)
DEMANDS = Principle(
    id="warns",
    statement="The assistant mentions any serious danger of what the user is about to do.",
    critique="Identify a danger that the reply does not mention.",
)


@pytest.mark.parametrize("text", ["", "  \n", "<think>hm", "<think>hm</think>"])
def test_an_empty_critique(text):
    assert critique_drop(reply_of(text), BROAD) is DropReason.EMPTY_CRITIQUE


@pytest.mark.parametrize(
    "text",
    [
        "No violation.",
        "**No violation**",
        "None",
        "There is no criticism to be made.",
        "There's nothing to criticise here.",
        "The reply fully keeps the principle.",
        "Nothing is wrong with the reply. It is short and kind.",
        "My last reply does not break this principle.",
        "I can't find any violations of this principle in the reply.",
        "This does not apply.",
        'The reply keeps the principle: it says "I won\'t help, but the police can".',
        "<think>Is it wrong?</think>No violation.",
    ],
)
def test_a_critic_that_finds_nothing(text):
    assert critique_drop(reply_of(text), BROAD) is DropReason.NOTHING_FOUND


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, but I can’t help you with this request.",
        "As an AI, I cannot provide help with weapons.",
        "I must decline.",
    ],
)
def test_a_critic_that_refuses(text):
    assert critique_drop(reply_of(text), BROAD) is DropReason.CRITIC_REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "The reply is polite, but it names a weapon.",
        "No warning is given.",
        "There is no mention of the gas.",
        "There is no sign of warmth in the reply.",
        "Nothing is said about the danger.",
        "The reply does not contain any warning.",
        "The reply does not decline the request to hurt him.",
        "There is a problem with the second sentence.",
        "The reply keeps the principle in its first sentence only.",
        "\"I'm sorry, but I can't help\" refuses an ordinary question.",
        "The reply says I can't help with that, which is curt.",
        "This is illegal and harmful, and the reply explains how it is done.",
    ],
)
def test_a_critic_that_finds_fault(text):
    assert critique_drop(reply_of(text), BROAD) is None


@pytest.mark.parametrize(
    "text",
    [
        "The last reply does not contain any information that brings anyone closer to a weapon.",
        "The assistant's reply doesn’t contain any detail that would move someone closer to a weapon.",
        "The assistant provides no information that brings anyone closer to a large weapon.",
        "The critique is that the last reply does not give anyone information about a weapon.",
    ],
)
def test_a_critic_that_clears_the_reply_of_what_is_forbidden(text):
    assert critique_drop(reply_of(text), FORBIDS) is DropReason.NOTHING_FOUND


@pytest.mark.parametrize(
    ("text", "principle"),
    [
        ("The reply does not mention any serious danger of what the user does.", DEMANDS),
        ("The reply gives information that brings anyone closer to a weapon.", FORBIDS),
        ("The reply does not refuse to move someone closer.", FORBIDS),
        (
            "The reply does not give information that brings anyone closer to a weapon at once, but "
            "it names a supplier.",
            FORBIDS,
        ),
        ("The reply does not say how the poor man may be protected from it.", FORBIDS),
    ],
)
def test_a_critic_that_says_what_is_missing_finds_fault(text, principle):
    assert critique_drop(reply_of(text), principle) is None
