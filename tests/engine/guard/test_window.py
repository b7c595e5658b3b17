"""Nothing leaves that was not screened, however the stream is cut."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.guard.window import StreamWindow
from tests.engine.guard.builders import Writing, asked, finding, guard, rules, streamed

WINDOW = 200
WORDS = st.sampled_from(["calm ", "plain ", "\n", "straße ", "好的", "x" * 90, "x" * 250 + " "])
TEXTS = st.lists(WORDS, max_size=40).map("".join)


@st.composite
def split_texts(draw):
    """A text, where it is cut, and where the forbidden word stands in it, if anywhere."""
    text = draw(TEXTS)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = f"{text[:at]}FORBIDDEN{text[at:]}"
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=30))
    return text, sorted(cuts)


@given(split_texts())
@example(("x" * 1000, [*range(1000)]))
@example((f"{'y' * 395}FORBIDDEN{'z' * 600}", [*range(1004)]))
def test_of_any_split_only_what_was_screened_leaves_and_a_window_late(split):
    text, cuts = split
    window, screened, left = StreamWindow(WINDOW), [""], ""
    for end in [*cuts, len(text)]:
        window.grow(text[:end])
        while (begun := window.due()) is not None:
            assert text[:end].startswith(begun)
            if "FORBIDDEN" in begun:
                window.alarm()
                continue
            screened.append(begun)
            window.passed(begun)
            left += window.release()
        assert not window.release()
        assert text.startswith(left)
        assert len(left) <= max(0, max(map(len, screened)) - WINDOW)
    if "FORBIDDEN" in text:
        assert not set("FORBIDDEN") & set(left)


@settings(max_examples=40)
@given(split_texts())
def test_the_guard_sends_the_whole_answer_or_stops_before_what_is_broken(split):
    text, cuts = split
    model = Writing(lambda _: text, finding(one="FORBIDDEN"), cuts)
    with (
        tempfile.TemporaryDirectory() as folder,
        guard(Path(folder), rules(one="high"), model, on_breach="high=refuse") as one,
    ):
        pieces, answered = asyncio.run(streamed(one, asked(), WINDOW))
    sent = "".join(pieces)
    assert answered.text == sent + answered.rest
    if "FORBIDDEN" in text:
        assert answered.done == "refused"
        assert not set("FORBIDDEN") & set(sent)
        assert answered.rest == ("\n\nNo." if sent else "No.")
    else:
        assert answered.done == "passed"
        assert answered.text == text.strip()
    judged = [asked[-1].content.partition("<reply>\n")[2] for asked in model.questions]
    assert any(reply.startswith(sent) for reply in judged)


def test_an_answer_that_no_longer_begins_as_it_did_raises_the_alarm():
    window = StreamWindow(200)
    window.grow("a" * 500)
    window.passed(window.due())
    assert window.release() == "a" * 300
    window.grow("b" * 900)
    assert window.alarmed
    assert window.due() is None
    assert window.release() == ""


def test_what_is_screened_ends_between_two_words_where_there_are_some():
    window = StreamWindow(200)
    window.grow("word " * 40 + "unfini")
    assert window.due() == "word " * 40
