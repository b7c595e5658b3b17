"""From what a writer says to what a user would type."""

import pytest

from engine.generators.base import Completion
from engine.loop.reply import reply_of
from engine.writing.cleaning import begun_with, cleaned, listed, why_dropped
from engine.writing.records import WriteDrop


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('"Where is my parcel?"', "Where is my parcel?"),
        ("User: Where is my parcel?", "Where is my parcel?"),
        ("**Message:** Where is my parcel?", "Where is my parcel?"),
        ("Sure! Here's the message:\n\n“Where is my parcel?”", "Where is my parcel?"),
        ("3. Where is my parcel?", "Where is my parcel?"),
        ('"Why?" I said. "Why?"', '"Why?" I said. "Why?"'),
        ("Customer service told me no.", "Customer service told me no."),
    ],
)
def test_labels_and_quotes_go(said, text):
    assert cleaned(reply_of(said)) == text


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("Where is my parcel, and when will it be here?", None),
        ("", WriteDrop.EMPTY),
        ("How can I help you today?", WriteDrop.ANSWERED),
        ("I'm sorry, but I can't help with that.", WriteDrop.REFUSED),
        ("My order [order number] is late.", WriteDrop.PLACEHOLDER),
        ("Wo ist mein Paket, und wann kommt es endlich bei mir an?", WriteDrop.OTHER_LANGUAGE),
    ],
)
def test_what_is_no_users_message_is_named(text, dropped):
    assert why_dropped(reply_of(text), text, language="en", shown=()) is dropped


def test_an_example_said_again_is_a_copy():
    shown = "My kettle arrived with a broken lid and I want to know what I should do about it now."
    said = f"Hi. {shown}"
    assert why_dropped(reply_of(said), said, language="en", shown=[shown]) is WriteDrop.COPIED


def test_a_text_that_was_cut_off_is_dropped():
    reply = reply_of(Completion("Where is my", "length"))
    assert why_dropped(reply, reply.text, language="en", shown=()) is WriteDrop.TRUNCATED


def test_lists_are_read_by_their_marks():
    said = "Here they are:\n1. A mother wants *help*.\n2) A clerk asks.\n- Somebody else.\nDone."
    assert listed(said) == ["A mother wants *help*.", "A clerk asks.", "Somebody else."]


@pytest.mark.parametrize(
    "said",
    [
        "Please let me know if you need any further help.",
        "Let me know if there's anything else I can do for you.",
        "I'm so sorry to hear that your kettle leaks.",
        "We are sorry for the inconvenience this has caused.",
        "How can we help you today?",
        "Can I help you with something?",
        "I'll do my best to assist you with the order.",
        "Thank you for bringing this to our attention.",
        "This is a great question that many people ask.",
        "I'm just a computer program that finds information.",
        "I am a customer service representative.",
        "We take it back. If you need any assistance, please let me know.",
        "Can I put your dish in an oven? No, you can't.",
        "Why is my return slow? It might be because the carrier is.",
    ],
)
def test_what_an_assistant_says_is_dropped(said):
    assert why_dropped(reply_of(said), said, language="en", shown=()) is WriteDrop.ANSWERED


@pytest.mark.parametrize(
    "said",
    [
        "Please let me know if you have the blue one.",
        "Let me know if you have any more in stock, please.",
        "I'm sorry for the late reply, I was ill all week.",
        "Could you help me? I can't log in.",
        "How can I help my son sleep in his new bed?",
        "I'm a customer of yours, so treat me like one.",
        "Your customer service never picks up the phone.",
        "Why is my return taking so long? It's been three weeks.",
        "Can you guarantee Friday? It is my son's birthday.",
        "Is there anything else I have to send you?",
    ],
)
def test_what_a_customer_says_is_kept(said):
    assert why_dropped(reply_of(said), said, language="en", shown=()) is None


def test_a_rule_is_no_item():
    said = '1. Ann wants a refund.\n***\n* **\n- ""\n---\n2. **Bob** asks why.'
    assert listed(said) == ["Ann wants a refund.", "Bob** asks why."]


def test_a_slip_into_another_script_is_dropped():
    said = "Can I put your ceramic dish in a \u6d01\u58f6?"
    assert why_dropped(reply_of(said), said, language="en", shown=()) is WriteDrop.OTHER_LANGUAGE


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (" for the rug?\n", "Is there a warranty for the rug?"),
        (", please?", "Is there a warranty, please?"),
        ("Is there a warranty on it?", "Is there a warranty on it?"),
    ],
)
def test_an_opening_is_gone_on_from(added, text):
    """Also where a server cannot continue a turn, and writes all of it."""
    assert begun_with("Is there a warranty", reply_of(added)) == text
