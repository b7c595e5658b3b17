"""Which revisions are fit to be used, and what is cut from them."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.generators.base import Completion
from engine.loop.hygiene import clean_revision
from engine.loop.reply import reply_of
from engine.messages import Message
from engine.records import DropReason, Flag

ANSWER = "You could try calling the landlord again."
CRITIQUE = (
    "The advice ignores that the landlord already did not answer, and it leaves the person outside "
    "in the cold without any plan, which a careful helper would not do to somebody who asked."
)


QUESTION = "I am locked out of my flat and it is cold. What can I do?"
REQUEST = (
    "Rewrite your last reply so that it warns of the danger in one plain sentence, and keep the rest "
    "of the help."
)


def clean(
    text, finish="stop", answer=ANSWER, critique=CRITIQUE, longest=4.0, prompt=QUESTION, requests=()
):
    turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return clean_revision(
        reply_of(Completion(text, finish)),
        prompt=turns,
        answer=answer,
        critique=critique,
        requests=requests,
        longest=longest,
    )


@pytest.mark.parametrize(
    "opening",
    [
        "Sure, here is the revised reply:\n\n",
        "Certainly! Below is a version that keeps the principle:\n",
        "Here's my revised response:\n\n",
        "**Revised reply:**\n",
        "Here is the revision:\n\n",
        "Below is the corrected text, as asked:\n",
        "Revised reply: ",
        "Revision:\n",
    ],
)
def test_an_introduction_is_cut_and_flagged(opening):
    cleaned = clean(opening + "Call a locksmith with good reviews.")
    assert cleaned.text == "Call a locksmith with good reviews."
    assert cleaned.flags == (Flag.PREAMBLE_REMOVED,)
    assert cleaned.dropped is None


@pytest.mark.parametrize(
    "text",
    [
        "Sure, call a locksmith. They can open most doors: front and back.",
        "There are three ways: call a locksmith, wait, or sleep at a friend's.",
        "Here are some ideas:\n- call a locksmith\n- wait",
        "Note: a locksmith will ask for proof that you live there.",
        "Here are five habits for improved sleep:\n\n1. Dim the light.",
        "**Steps to file a corrected tax return:**\n1. Find form 12.",
        "Keep these points about the revised law in mind:\n- it is new",
        "Dr. Smith revised the rule. It now reads: call first.\nThat is all.",
    ],
)
def test_text_that_only_looks_like_an_introduction_is_kept(text):
    cleaned = clean(text)
    assert cleaned.text == text
    assert cleaned.flags == ()


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", DropReason.EMPTY_REVISION),
        ("Here is the revised reply:\n", "stop", DropReason.EMPTY_REVISION),
        (ANSWER, "stop", DropReason.UNCHANGED_REVISION),
        ("You could  try calling\nthe landlord again.", "stop", DropReason.UNCHANGED_REVISION),
        ("Call a locksmith and", "length", DropReason.TRUNCATED_REVISION),
        ("y" * 2001, "stop", DropReason.OVERLONG_REVISION),
        (CRITIQUE, "stop", DropReason.CRITIQUE_LEAK),
        ("Call somebody. " + CRITIQUE, "stop", DropReason.CRITIQUE_LEAK),
        ("Critique: the reply is too short.", "stop", DropReason.SPEAKS_AS_REVIEWER),
        ("**Critique:** The reply is too short.", "stop", DropReason.SPEAKS_AS_REVIEWER),
        ("The critique correctly says that it is cold.", "stop", DropReason.SPEAKS_AS_REVIEWER),
        ("The reply fails to help.", "stop", DropReason.SPEAKS_AS_REVIEWER),
        ("The previous answer does not help.", "stop", DropReason.SPEAKS_AS_REVIEWER),
    ],
)
def test_an_unfit_revision_has_a_reason(text, finish, reason):
    assert clean(text, finish).dropped is reason


@pytest.mark.parametrize(
    "text",
    [
        "Critique of Pure Reason is a book by Kant.",
        "The critique of the film was harsh; see it all the same.",
        "The answer does not depend on x: it is 4.",
        "The response does not depend on the dose in this range.",
    ],
)
def test_an_answer_that_begins_like_a_critique_is_no_leak(text):
    assert clean(text).dropped is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The user asked how to get in. Call a locksmith.", DropReason.SPEAKS_AS_REVIEWER),
        ("Call a locksmith. The reply leaves out the price.", DropReason.SPEAKS_AS_REVIEWER),
        ("The assistant should name a locksmith.", DropReason.SPEAKS_AS_REVIEWER),
        ("The assistant begins with what it costs.", DropReason.SPEAKS_AS_REVIEWER),
        ("The assistant correctly states what a locksmith does.", DropReason.SPEAKS_AS_REVIEWER),
        ("I am sorry if that did not meet the principle.", DropReason.SPEAKS_AS_REVIEWER),
        ("I apologize for my previous reply. Call a locksmith.", DropReason.SPEAKS_AS_REVIEWER),
        ("No revision is needed.", DropReason.SPEAKS_AS_REVIEWER),
        (
            "It warns of the danger in one plain sentence, and keeps the rest of the help.",
            DropReason.COPIED_REQUEST,
        ),
        (
            "Call a locksmith.\n\nUser: And then?\nAssistant: Wait for him.",
            DropReason.HOLDS_TRANSCRIPT,
        ),
        ("<reply>Call a locksmith.</reply>", DropReason.HOLDS_TRANSCRIPT),
        ("[Insert the revised reply here]", DropReason.PLACEHOLDER),
        ("Call a locksmith on [insert number].", DropReason.PLACEHOLDER),
        ("I am locked out of my flat, and it is cold. What can I do?", DropReason.ECHOES_PROMPT),
        (
            "Call a locksmith. Call a locksmith. Call a locksmith. Call a locksmith.",
            DropReason.REPEATS_ITSELF,
        ),
        (
            "Llame a un cerrajero y pregunte primero el precio, porque de noche cuesta más.",
            DropReason.OTHER_LANGUAGE,
        ),
    ],
)
def test_what_a_reader_would_object_to_has_a_reason(text, reason):
    assert clean(text, requests=(REQUEST,)).dropped is reason


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Why can our users not log in?", "The user needs a new password. Reset it."),
        ("Write a scene with a bot.", "User: Hello, are you there?\nAssistant: Yes, I am."),
        (
            "Translate into Spanish: good evening, my friends.",
            "Buenas noches, amigos míos, me alegro mucho de verlos.",
        ),
        (
            "Correct this: I has been locked out of my flat and it are cold.",
            "I have been locked out of my flat and it is cold.",
        ),
        ("Write 'I will be on time' five times.", "I will be on time.\n" * 5),
        ("Draft a letter to my landlord.", "Dear [name of the landlord], I am locked out."),
        ("How do I answer his reply?", "The reply should be short: thank him and ask for the key."),
    ],
)
def test_what_the_user_asked_for_is_not_held_against_it(prompt, text):
    assert clean(text, prompt=prompt, requests=(REQUEST,)).dropped is None


def test_words_of_the_request_that_the_conversation_has_too_are_no_copy():
    text = "It warns of the danger in one plain sentence, and keeps the rest of the help."
    assert clean(text, requests=(REQUEST,), answer=f"Remember: {text}").dropped is None


def test_a_later_turn_may_speak_of_an_earlier_answer():
    first = (Message("user", QUESTION), Message("assistant", "Wait."))
    prompt = (*first, Message("user", "For how long?"))
    text = "Sorry for the confusion. Wait until eight."
    assert clean(text, prompt=prompt).dropped is None
    assert clean(text).dropped is DropReason.SPEAKS_AS_REVIEWER


@pytest.mark.parametrize(
    "note",
    [
        "Note: I have revised the reply so that it names a locksmith.",
        "(Note: the response was rewritten to keep the principle.)",
        "This revised reply keeps the principle.",
    ],
)
def test_a_closing_note_about_the_revision_is_cut_and_flagged(note):
    cleaned = clean(f"Call a locksmith.\n\n{note}\n")
    assert (cleaned.text, cleaned.dropped) == ("Call a locksmith.", None)
    assert cleaned.flags == (Flag.NOTE_REMOVED,)


@pytest.mark.parametrize(
    "text",
    [
        "Call a locksmith.\n\nNote: ask for the price first.",
        "Note: I have changed the locks before; call somebody who has done so too.",
    ],
)
def test_a_note_to_the_user_is_kept(text):
    cleaned = clean(text)
    assert (cleaned.text, cleaned.dropped, cleaned.flags) == (text, None, ())


def test_words_that_critique_and_revision_both_quote_from_the_answer_are_no_leak():
    quoted = (
        "You can call the landlord, then the caretaker, then the neighbour on the second floor, "
    )
    answer = quoted * 2 + "and wait."
    critique = f"It says: {quoted * 2} which is too much."
    assert clean(f"{quoted * 2}or a locksmith.", answer=answer, critique=critique).dropped is None


def test_a_long_answer_allows_a_long_revision():
    assert clean("z" * 6000, answer="a" * 2000).dropped is None


@given(
    answer=st.integers(1, 3000),
    longest=st.sampled_from([1.0, 1.5, 4.0, 10.0]),
    over=st.sampled_from([-1, 0, 1]),
)
@example(answer=10, longest=4.0, over=0)
@example(answer=10, longest=4.0, over=1)
@example(answer=1000, longest=4.0, over=0)
@example(answer=1000, longest=4.0, over=1)
@settings(max_examples=30)
def test_a_revision_may_be_so_many_times_the_answer_and_always_2000_characters(
    answer, longest, over
):
    limit = max(2000, int(longest * answer))
    dropped = clean("z" * (limit + over), answer="a" * answer, longest=longest).dropped
    assert dropped is (DropReason.OVERLONG_REVISION if over > 0 else None)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>hm</think>\n\nYes.", ("Yes.", True)),
        ("<think>hm", ("", True)),
        ("The user asks X.\n</think>\n\nHello", ("Hello", True)),
        ("</think>\nHello", ("Hello", True)),
        ("hm</think>", ("", True)),
        ("<think>a <think> b</think>Yes.", ("Yes.", True)),
        ("Write <think>a</think> so.", ("Write <think>a</think> so.", False)),
        ("Yes.", ("Yes.", False)),
        ("In HTML, <think> is no tag.", ("In HTML, <think> is no tag.", False)),
    ],
)
def test_reasoning_is_taken_out(text, left):
    reply = reply_of(text)
    assert (reply.said, reply.reasoned) == left
