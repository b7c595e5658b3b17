"""From what a writer says to what a user would type."""

import pytest

from engine.generators.base import Completion
from engine.loop.reply import reply_of
from engine.writing.cleaning import cleaned, listed, why_dropped
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
