"""Answers in whatever shape servers send them: reasoning apart, refusals, parts, unfamiliar fields."""

import pytest

from engine.generators.base import FailureReason, GenerationError
from engine.loop.reply import reply_of
from tests.engine.generators.servers.answering import answer, ask, request


def generate(body, **more):
    return ask(lambda _: body, lambda generator: generator.generate(request()), **more)


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "Hi.", "reasoning_content": "Greet."}, "Hi.", "Greet."),
        ({"content": "Hi.", "reasoning": "Greet."}, "Hi.", "Greet."),
        ({"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i."}]}, "Hi.", None),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Greet."}]},
                      {"type": "text", "text": "Hi."}]}, "Hi.", "Greet."),
        ({"content": None, "refusal": "I can't."}, "I can't.", None),
        ({"content": "", "refusal": "I can't."}, "I can't.", None),
        ({"content": "[THINK]Greet.[/THINK]Hi."}, "Hi.", "Greet."),
        ({"content": "<thinking>Greet.</thinking>Hi."}, "Hi.", "Greet."),
        ({"content": "analysisGreet.assistantfinalHi."}, "Hi.", "Greet."),
        ({"content": "A\x00B"}, "A\x00B", None),
    ],
)  # fmt: skip
def test_text_and_reasoning(message, text, reasoning):
    reply = reply_of(
        generate(answer(**{"text": None, **{"text": message.pop("content")}}, **message))
    )
    assert (reply.text, reply.reasoning) == (text, reasoning)


def test_reasoning_that_was_cut_off_is_a_truncated_answer_and_is_asked_once():
    bodies = []

    def handler(body):
        bodies.append(body)
        return answer(None, finish="length", reasoning_content="Let me think")

    found = ask(handler, lambda generator: generator.generate(request()), retries=5)
    assert (found.text, found.finish_reason, found.reasoning) == ("", "length", "Let me think")
    assert len(bodies) == 1


@pytest.mark.parametrize("finish", ["eos", "abort", "eos_token", "", None, "end_turn", 7])
def test_an_unfamiliar_end_is_an_end(finish):
    assert generate(answer("Hi.", finish=finish)).finish_reason == "stop"


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_cut_off_answer(finish):
    assert generate(answer("Hi.", finish=finish)).finish_reason == "length"


@pytest.mark.parametrize("usage", [None, {}, [], "many", {"prompt_tokens": "4"}])
def test_usage_is_not_worth_an_answer(usage):
    assert generate(answer("Hi.") | {"usage": usage}).text == "Hi."


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (answer(None, finish="tool_calls", tool_calls=[{"id": "1"}]), FailureReason.REJECTED),
        (answer("Hi", finish="content_filter"), FailureReason.CONTENT_FILTER),
        (answer("Hi", finish="SAFETY"), FailureReason.CONTENT_FILTER),
        (answer(None), FailureReason.BAD_RESPONSE),
        (answer("Hi") | {"choices": []}, FailureReason.BAD_RESPONSE),
        (
            {"error": {"message": "Provider returned error", "code": 502}},
            FailureReason.SERVER_ERROR,
        ),
        ((200, "<!DOCTYPE html><html>Sign in</html>", {}), FailureReason.BAD_RESPONSE),
        ((200, "[" * 100_000, {}), FailureReason.BAD_RESPONSE),
        ((200, "7", {}), FailureReason.BAD_RESPONSE),
    ],
)
def test_what_is_no_answer_says_why(body, reason):
    with pytest.raises(GenerationError) as caught:
        generate(body)
    assert caught.value.reason is reason


def test_a_web_page_says_what_may_be_wrong():
    with pytest.raises(GenerationError, match="is its URL right"):
        generate((200, "<html>Sign in</html>", {}))
