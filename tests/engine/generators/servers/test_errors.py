"""Whose error is it: this request's or all requests', for now or for good?"""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.servers.errors import (
    Answered,
    FieldRefused,
    RateLimited,
    TransientError,
    error_of,
)
from engine.generators.servers.limits import Limiter
from tests.engine.generators.servers.answering import answer, ask, error, request

SENT = (
    "model",
    "messages",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "logprobs",
    "top_logprobs",
)


def sorted_error(status, body, headers=None):
    text = body if isinstance(body, str) else json.dumps(body)
    return error_of(Answered(status, text, headers or {}, "http://h/v1"), SENT, "m")


def openai(message, **more):
    return {"error": {"message": message, **more}}


OVERFLOWS = [
    (400, openai("This model's maximum context length is 4096 tokens.", code="context_length_exceeded")),
    (400, {"object": "error", "message": "The prompt is longer than the model's context", "code": 400}),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
           "error_type": "validation"}),
    (400, {"error": "Trying to keep the first 5000 tokens when context the overflows."}),
    (400, openai("prompt is too long: 210000 tokens > 200000 maximum")),
    (400, openai("the request exceeds the available context size", type="exceed_context_size_error")),
    (400, openai("The input token count (40000) exceeds the maximum number of tokens allowed")),
    (500, openai("Input is too long for requested model.")),
    (413, "Payload too large"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), OVERFLOWS)
def test_a_prompt_that_is_too_long_fails_alone(status, body):
    found = sorted_error(status, body)
    assert isinstance(found, GenerationError)
    assert found.reason is FailureReason.CONTEXT_OVERFLOW
    assert not found.retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, openai("m requires moderation. Your input was flagged for violence.", metadata={})),
        (400, openai("The response was filtered due to the prompt triggering the content management "
                     "policy.", code="content_filter", innererror={"code": "ResponsibleAIPolicy"})),
        (451, openai("Unavailable")),
    ],
)  # fmt: skip
def test_flagged_content_fails_alone(status, body):
    found = sorted_error(status, body)
    assert isinstance(found, GenerationError)
    assert found.reason is FailureReason.CONTENT_FILTER


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, openai("Incorrect API key provided")),
        (403, openai("You are not allowed to use this model")),
        (402, openai("Insufficient Balance")),
        (429, openai("You exceeded your current quota", code="insufficient_quota")),
        (400, openai("Your credit balance is too low")),
        (404, openai("The model `m` does not exist", code="model_not_found")),
        (400, openai("Unknown model: m")),
    ],
)
def test_what_no_request_can_pass_stops_the_run(status, body):
    assert isinstance(sorted_error(status, body), GeneratorUnavailable)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503])
def test_what_may_pass_is_tried_again(status):
    assert isinstance(sorted_error(status, "<html>Bad gateway</html>"), TransientError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, None), ({"retry-after": "7"}, 7), ({"retry-after-ms": "250"}, 0.25),
     ({"retry-after": "99999"}, 600), ({"retry-after": "soon"}, None)],
)  # fmt: skip
def test_a_rate_limit_says_how_long(headers, seconds):
    found = sorted_error(429, openai("Rate limit reached", code="rate_limit_exceeded"), headers)
    assert isinstance(found, RateLimited)
    assert found.retry_after == seconds


def test_a_rate_limit_until_a_date():
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    found = sorted_error(429, openai("Slow down"), {"retry-after": until})
    assert 15 < found.retry_after <= 20


@pytest.mark.parametrize(
    ("body", "field", "renamed"),
    [
        (openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.", param="max_tokens"), "max_tokens",
         "max_completion_tokens"),
        ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
          "msg": "Extra inputs are not permitted"}]}}, "seed", None),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "extra fields not permitted"}]}, "top_p", None),
        (openai("`temperature` and `top_p` cannot both be specified for this model."), "top_p", None),
        (openai("logprobs are not supported with this model", param="logprobs"), "logprobs", None),
        ({"message": "System role not supported", "code": 400}, "system", None),
        (openai("Unrecognized request argument supplied: seed"), "seed", None),
    ],
)  # fmt: skip
def test_a_field_that_is_refused_is_named(body, field, renamed):
    found = sorted_error(400, body)
    assert isinstance(found, FieldRefused)
    assert (found.field, found.renamed) == (field, renamed)


def test_the_largest_value_and_the_only_one():
    most = sorted_error(
        400, openai("Invalid value for top_logprobs: must be less than or equal to 5")
    )
    assert (most.field, most.most) == ("top_logprobs", 5)
    only = sorted_error(
        400, openai("'temperature' does not support 0.7. Only the default (1) value is supported.")
    )
    assert (only.field, only.only) == ("temperature", 1)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "7", '"x"', "{", "[[[" * 5000, "\x00", '{"error": {}}']
)
def test_no_body_of_an_error_is_a_traceback(text):
    assert isinstance(sorted_error(400, text), GenerationError)
    assert isinstance(sorted_error(500, text), TransientError)


def test_a_rate_limited_request_is_no_attempt_and_loses_nothing():
    times = []

    def handler(body):
        times.append(time.monotonic())
        if len(times) in (2, 3, 4, 5, 6):
            return error(429, "Rate limit reached for requests per min", {"Retry-After": "0.05"})
        return answer(body["messages"][-1]["content"])

    async def several(generator):
        asked = (generator.generate(request(f"q{n}")) for n in range(20))
        return await asyncio.gather(*asked)

    found = ask(handler, several, retries=0)
    assert sorted(one.text for one in found) == sorted(f"q{n}" for n in range(20))


def test_everything_waits_for_one_pause_and_comes_back_slower():
    async def main():
        limiter = Limiter(8, pause=0.05)
        began = time.monotonic()
        limiter.refused(0.1)
        limiter.refused(0.1)
        assert limiter.limit == 4
        waits = []

        async def one():
            async with limiter:
                waits.append(time.monotonic() - began)
                assert limiter.in_flight <= int(limiter.limit)
                await asyncio.sleep(0.01)
                limiter.answered()

        await asyncio.gather(*(one() for _ in range(30)))
        assert min(waits) >= 0.1
        assert len(waits) == 30
        assert 4 < limiter.limit <= 8

    asyncio.run(main())


def test_a_cancelled_request_gives_its_turn_away():
    async def main():
        limiter = Limiter(1)
        await limiter.__aenter__()

        async def one():
            async with limiter:
                return True

        first, second = asyncio.ensure_future(one()), asyncio.ensure_future(one())
        await asyncio.sleep(0)
        await limiter.__aexit__(None, None, None)
        first.cancel()
        assert await asyncio.wait_for(second, 1)

    asyncio.run(main())


REAL = [
    (429, "Rate limit reached for model `x`: Limit 6000, Used 5900. Please try again in 2.5s. Need more "
          "tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing", RateLimited),
    (429, "You exceeded your current quota, please check your plan and billing details. Please retry in "
          "34.5s.", RateLimited),
    (429, "Rate limit reached. Limit: 3 / min. Please add a payment method to your account", RateLimited),
    (503, "Too many tokens, please wait before trying again.", TransientError),
    (504, "The request is taking longer than expected, please try again later.", TransientError),
    (424, "Request failed during generation", TransientError),
    (400, "Model unloaded.", TransientError),
    (403, "You are not allowed to request logprobs from this model", FieldRefused),
    (400, "Logprobs is not enabled for models/gemini-2.5-flash", FieldRefused),
    (400, "An unexpected error occurred. Please rephrase: the temperature of the sun", GenerationError),
    (403, "Your account has been suspended for violating our usage policies", GeneratorUnavailable),
    (400, "Model m not found", GeneratorUnavailable),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "kind"), REAL)
def test_what_real_servers_say(status, message, kind):
    assert type(sorted_error(status, openai(message))) is kind


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (429, "Request too large for gpt-4o: Limit 30000, Requested 35000", "context_overflow"),
        (
            403,
            "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
            "content_filter",
        ),
        (
            400,
            "Your prompt, about payment fraud, was flagged by our usage policy",
            "content_filter",
        ),
    ],
)
def test_what_concerns_one_prompt(status, message, reason):
    found = sorted_error(status, openai(message))
    assert (type(found), found.reason) == (GenerationError, reason)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [("try again in 2.5s", 2.5), ("Please retry in 250ms", 0.25), ("try again in 2m", 120)],
)
def test_a_wait_that_only_the_message_names(message, seconds):
    assert sorted_error(429, openai(message)).retry_after == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("message", "field", "most"),
    [
        ("Range of max_tokens should be [1, 8192]", "max_tokens", 8192),
        ("max_tokens: 20000 > 8192, which is the maximum allowed number of output tokens", "max_tokens", 8192),
        ("max_tokens is too large: 20000. This model supports at most 16,384 tokens", "max_tokens", 16384),
        ("Requested sample logprobs of 20, which is greater than max allowed: 5", "top_logprobs", 5),
    ],
)  # fmt: skip
def test_the_largest_value_in_many_words(message, field, most):
    found = sorted_error(400, openai(message))
    assert (found.field, found.most) == (field, most)


def test_a_long_outage_is_no_arithmetic_error():
    limiter = Limiter(4, pause=1e-6)

    async def many():
        for _ in range(5000):
            limiter.refused(0)
            await asyncio.sleep(0)
        with pytest.raises((GenerationError, GeneratorUnavailable)):
            await asyncio.to_thread(lambda: ask(
                lambda body: error(500, "down"), lambda g: hammered(g), retries=4,
            ))  # fmt: skip

    async def hammered(generator):
        asked = [generator.generate(request(f"q{n}")) for n in range(300)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        kinds = {type(one) for one in found}
        assert kinds <= {GenerationError, GeneratorUnavailable, TransientError}, kinds
        raise found[0]

    asyncio.run(many())


@pytest.mark.parametrize(
    "message",
    [
        "Conversation roles must alternate user/assistant/user/assistant",
        "An unexpected error occurred in the inference system",
        "seed must be between 0 and 65535 and odd",
        "'max_tokens' is not supported",
    ],
)
def test_what_cannot_be_learned_is_not_asked_for_ever(message):
    bodies = []

    def handler(body):
        bodies.append(body)
        return error(400, message)

    with pytest.raises(GenerationError):
        ask(handler, lambda generator: generator.generate(request()))
    assert len(bodies) <= 4


def test_many_requests_at_once_learn_one_limit():
    seen = []

    def handler(body):
        seen.append(body.get("max_tokens"))
        if body.get("max_tokens", 99) > 32:
            return error(400, "max_tokens is too large. This model supports at most 32 tokens")
        return answer()

    async def several(generator):
        await asyncio.gather(*(generator.generate(request(f"q{n}")) for n in range(8)))

    ask(handler, several)
    assert set(seen) == {40, 32}
