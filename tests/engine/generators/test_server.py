import asyncio
import contextlib
import gzip
import json
import math
import resource
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Any, TypeVar

import pytest
from aiohttp import web

from constitution.problems import InputError
from engine.generators.base import (
    Completion,
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
    Request,
    Sampling,
    Score,
)
from engine.generators.in_flight import one_conversation
from engine.generators.server import ServerGenerator
from engine.generators.servers.pool import Options
from engine.messages import Message
from engine.storage.completion_cache import CompletionCache
from tests.engine.fake_server import FakeServer, every
from tests.engine.loopback import on_loopback

T = TypeVar("T")


def request(text: str = "hello", **sampling: Any) -> Request:
    return Request((Message("user", text),), Sampling(**sampling), seed=7)


def ask(
    servers: list[FakeServer], use: Callable[[ServerGenerator], Awaitable[T]], **options: Any
) -> T:
    """Runs `use` on a generator over the servers, all of them up."""

    async def main() -> T:
        runs = [server.running() for server in servers]
        urls = tuple([await run.__aenter__() for run in runs])
        generator = ServerGenerator("m", urls, options=Options(**{"backoff": 0.01} | options))
        await generator.start()
        try:
            return await use(generator)
        finally:
            await generator.close()
            for run in runs:
                await run.__aexit__(None, None, None)

    return asyncio.run(main())


def answer(server: FakeServer, **options: Any) -> Any:
    return ask([server], lambda generator: generator.generate(request()), **options)


def choose(server: FakeServer) -> Any:
    return ask([server], lambda generator: generator.choose((Message("user", "?"),), ("Yes", "No")))


def test_a_completion_carries_text_finish_reason_and_counts():
    server = FakeServer()
    completion = ask(
        [server], lambda generator: generator.generate(request(top_p=0.5, temperature=0.25))
    )
    assert completion.text == "re: hello"
    assert completion.finish_reason == "stop"
    assert (completion.cached_tokens, completion.completion_tokens) == (2, 3)
    body = server.bodies[0]
    assert (body["model"], body["seed"], body["max_tokens"]) == ("m", 7, 512)
    assert (body["top_p"], body["temperature"]) == (0.5, 0.25)
    assert "min_tokens" not in body


def test_min_tokens_and_a_truncated_answer():
    server = FakeServer()
    completion = ask(
        [server], lambda generator: generator.generate(request(max_tokens=1, min_tokens=1))
    )
    assert completion.finish_reason == "length"
    assert server.bodies[0]["min_tokens"] == 1


def test_a_fifth_of_requests_failing_loses_none():
    async def many(generator: ServerGenerator) -> list[str]:
        requests = [request(f"prompt {number}") for number in range(150)]
        done = await asyncio.gather(*map(generator.generate, requests))
        return [completion.text for completion in done]

    servers = [FakeServer(every(5)), FakeServer(every(5))]
    done = ask(servers, many, retries=8)
    assert done == [f"re: prompt {number}" for number in range(150)]
    assert all(server.bodies for server in servers)


def test_a_request_that_hangs_is_sent_again():
    server = FakeServer(chain(["hang"], repeat(None)))
    assert answer(server, timeout=1.0, retries=8).text == "re: hello"
    assert len(server.bodies) > 1


def test_turns_of_a_conversation_stay_on_one_server():
    async def turns(generator: ServerGenerator) -> None:
        for number in range(12):
            first = Message("user", f"prompt {number}")
            reply, question = Message("assistant", "a"), Message("user", "q")
            for messages in ((first,), (first, reply, question)):
                await generator.generate(Request(messages, Sampling(), seed=0))

    servers = [FakeServer(), FakeServer()]
    ask(servers, turns)
    seen = [{body["messages"][0]["content"] for body in server.bodies} for server in servers]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_whatever_a_conversation_asks_stays_on_one_server():
    """Questions to a judge quote it, each in other words: no text tells that they belong together."""

    async def conversations(generator: ServerGenerator) -> None:
        for number in range(12):
            with one_conversation():
                for question in ("one", "two", "three"):
                    asked = (Message("user", f"{number} {question}"),)
                    await generator.generate(Request(asked, Sampling(), seed=0))

    servers = [FakeServer(), FakeServer()]
    ask(servers, conversations)
    seen = [
        {body["messages"][0]["content"].split()[0] for body in server.bodies} for server in servers
    ]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_a_dead_server_stops_the_run_quickly_and_says_so():
    async def main() -> None:
        async with FakeServer().running() as url:
            pass
        generator = ServerGenerator("m", (url,), options=Options(backoff=0.01))
        await generator.start()
        with pytest.raises(GeneratorUnavailable, match=r"no server answers .*127\.0\.0\.1"):
            await generator.generate(request())
        await generator.close()

    asyncio.run(main())


def test_one_dead_server_of_two_is_gone_around():
    async def main() -> list[str]:
        async with FakeServer().running() as dead:
            pass
        async with FakeServer().running() as url:
            generator = ServerGenerator("m", (dead, url), options=Options(backoff=0.05))
            await generator.start()
            done = await asyncio.gather(
                *(generator.generate(request(f"{number}")) for number in range(40))
            )
            await generator.close()
            return [completion.text for completion in done]

    assert asyncio.run(main()) == [f"re: {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (500, FailureReason.SERVER_ERROR),
        ("closed", FailureReason.SERVER_ERROR),
        ("hang", FailureReason.TIMEOUT),
        ("garbage", FailureReason.BAD_RESPONSE),
        ({"choices": [{"message": {"content": None}}], "usage": {}}, FailureReason.BAD_RESPONSE),
    ],
)
def test_a_request_that_always_fails_on_a_live_server_fails_alone(fault, reason):
    server = FakeServer(repeat(fault))
    with pytest.raises(GenerationError, match="3 attempts") as caught:
        answer(server, retries=2, **({"timeout": 0.2} if fault == "hang" else {}))
    assert caught.value.reason is reason
    assert caught.value.retryable
    if fault != "hang":  # given up on before it was read, perhaps
        assert len(server.bodies) == 3


def test_a_gateway_with_nobody_behind_is_dead():
    with pytest.raises(GeneratorUnavailable, match="start it again"):
        answer(FakeServer(repeat(503), alive=503), retries=1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_does_not_know_us_stops_the_run_at_once(status):
    server = FakeServer(repeat(status), error="who?")
    with pytest.raises(GeneratorUnavailable, match=r"127\.0\.0\.1.*\(model m\).*who\?"):
        answer(server)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("This model's maximum context length is 9 tokens", FailureReason.CONTEXT_OVERFLOW),
        ("unknown field", FailureReason.REJECTED),
    ],
)
def test_a_refused_request_is_not_repeated(message, reason):
    server = FakeServer(repeat(400), error=message)
    with pytest.raises(GenerationError, match=message) as caught:
        answer(server)
    assert caught.value.reason is reason
    assert not caught.value.retryable
    assert len(server.bodies) == 1


def test_control_tokens_do_not_reach_the_server_and_come_back_whole():
    text = "</s><|im_end|><|start_header_id|>[/INST]<<SYS>><end_of_turn> a < b | c"
    server = FakeServer()
    completion = ask([server], lambda generator: generator.generate(request(text)))
    sent = server.bodies[0]["messages"][0]["content"]
    assert sent.count("\u200b") == 6
    assert "<|im_end|>" not in sent
    assert completion.text == f"re: {text}"


def test_choices_sum_the_spellings_of_each_answer():
    tops = (("Yes", 0.3), (" yes", 0.1), ("NO", 0.2), ("Maybe", 0.05))
    server = FakeServer(logprobs=tuple((token, math.log(p)) for token, p in tops))
    choice = choose(server)
    assert choice.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert choice.mass == pytest.approx(0.6)
    body = server.bodies[0]
    assert (body["max_tokens"], body["temperature"], body["top_logprobs"]) == (1, 0.0, 20)


def test_no_choice_among_the_top_is_uniform_without_mass():
    choice = choose(FakeServer(logprobs=(("Maybe", -0.1),)))
    assert choice.probabilities == (0.5, 0.5)
    assert choice.mass == 0.0


@pytest.mark.parametrize("logprobs", [(("Yes", math.nan),), (("Yes", 3.0),), (("Yes", "high"),)])
def test_garbage_log_probabilities_are_never_a_choice(logprobs):
    with pytest.raises(GenerationError, match="logprob") as caught:
        choose(FakeServer(logprobs=logprobs))
    assert caught.value.reason is FailureReason.BAD_RESPONSE


def test_the_fingerprint_is_of_the_model_not_of_where_it_is_served():
    one = ServerGenerator("m", ("http://a/v1/", "http://b/v1"))
    assert one.spec == "server:m@http://a/v1,http://b/v1"
    assert one.capacity.sequences == 512
    assert one.fingerprint == ServerGenerator("m", ("http://c/v1",)).fingerprint
    assert one.fingerprint != ServerGenerator("other", ("http://a/v1",)).fingerprint


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://a:port/v1", "http:///v1", ""])
def test_what_is_no_url_is_an_input_error(url):
    with pytest.raises(InputError, match="write http://HOST:PORT/v1"):
        ServerGenerator("m", ("http://a/v1", url))


def test_a_missing_client_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(InputError, match=r"pip install 'solon\[server\]'"):
        asyncio.run(ServerGenerator("m", ("http://a/v1",)).start())


def score(server: FakeServer, *contents: str) -> Any:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[at % 2], text) for at, text in enumerate(contents))
    return ask([server], lambda generator: generator.score(messages), retries=0)


def test_an_answer_is_scored_after_what_came_before_it():
    server = FakeServer()
    found = score(server, "how are you", "quite well today")
    assert found == Score((-5.0, -4.0, -5.0), prompt_tokens=5)
    before, whole = server.bodies
    assert "continue_final_message" not in before
    assert whole["continue_final_message"] is True
    assert whole["add_generation_prompt"] is False
    assert whole["prompt_logprobs"] == before["prompt_logprobs"] == 0
    assert score(server, "how are you", "") == Score((), prompt_tokens=5)


def test_a_server_that_cannot_score_is_refused_in_one_line():
    with pytest.raises(GenerationError, match="score with vLLM's own server") as caught:
        score(FakeServer(scores_prompts=False), "hi", "hello")
    assert caught.value.reason is FailureReason.REJECTED
    assert "\n" not in str(caught.value)


def test_an_answer_that_was_begun_is_continued():
    server = FakeServer()
    begun = (Message("user", "hi"), Message("assistant", "Well,"))
    request = Request(begun, Sampling(min_tokens=2), seed=1)
    ask([server], lambda generator: generator.generate(request))
    body = server.bodies[0]
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert body["min_tokens"] == 2
    assert body["messages"][-1] == {"role": "assistant", "content": "Well,"}


# Numbers and sizes that a server may send ------------------------------------------------------------


def answered(**usage: object) -> dict[str, object]:
    choice = {"message": {"content": "hi"}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": usage}


@pytest.mark.parametrize(
    ("count", "kept"),
    [(-1, 0), (10**30, 2**31 - 1), ("7", 0), (None, 0), (1.5, 0), ([], 0), (True, 0), (5, 5)],
)
def test_token_counts_are_clamped(count, kept):
    usage = {
        "prompt_tokens": count,
        "completion_tokens": count,
        "prompt_tokens_details": {"cached_tokens": count},
    }
    completion = answer(FakeServer(repeat(answered(**usage))))
    assert completion.text == "hi"
    tokens = (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens)
    assert tokens == (kept, kept, kept)
    cache = CompletionCache(None)
    cache.put(b"key", completion)
    assert cache.get(b"key", Completion) == completion


@pytest.mark.parametrize("usage", [None, 7, "x", [], {"prompt_tokens_details": [1]}])
def test_usage_of_no_shape_costs_the_counts_alone(usage):
    body = answered() | {"usage": usage}
    assert answer(FakeServer(repeat(body))).prompt_tokens == 0


def test_what_is_kept_of_an_error_is_bounded():
    server = FakeServer(repeat(400), error="x" * 5_000_000)
    with pytest.raises(GenerationError) as caught:
        answer(server)
    assert len(str(caught.value)) < 600


@asynccontextmanager
async def packed(content: bytes, coding: str, status: int = 200) -> AsyncIterator[str]:
    async def complete(_request: web.Request) -> web.Response:
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        return web.Response(body=content, headers=headers, status=status)

    async with on_loopback([web.route("*", "/{any:.*}", complete)]) as url:
        yield url


async def from_packed(content: bytes, coding: str, status: int) -> str:
    async with packed(content, coding, status) as url:
        generator = ServerGenerator("m", (url,), options=Options(retries=0, backoff=0))
        await generator.start()
        try:
            return (await generator.generate(request())).text
        finally:
            await generator.close()


def test_a_compressed_answer_is_read():
    content = gzip.compress(json.dumps(answered()).encode())
    assert asyncio.run(from_packed(content, "gzip", 200)) == "hi"


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("coding", ["gzip", "identity", "br"])
def test_a_flood_is_not_read(coding, status):
    bomb = zlib.compressobj(wbits=31)
    megabyte = b" " * 2**20
    flood = b"".join([bomb.compress(megabyte) for _ in range(200)]) + bomb.flush()
    content = flood if coding == "gzip" else megabyte * 40
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((GenerationError, GeneratorUnavailable), match=r"bad response|no server"):
        asyncio.run(from_packed(content, coding, status))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # KiB


async def _asked(generator: ServerGenerator, numbers: range) -> list[str]:
    done = await asyncio.gather(*(generator.generate(request(f"{n}")) for n in numbers))
    return [completion.text for completion in done]


@pytest.mark.parametrize("fault", ["closed", 500, 404, 401])
def test_a_server_of_several_that_comes_back_is_used_again(fault, monkeypatch):
    """It dies in the middle, or another takes its address and refuses us, as while it is replaced."""
    monkeypatch.setattr("engine.generators.servers.pool._REST_OF_REFUSED", 0.05)
    first, second = FakeServer(), FakeServer()

    async def use(generator: ServerGenerator) -> list[str]:
        said = await _asked(generator, range(40))
        first.faults, first.alive = repeat(fault), fault
        said += await _asked(generator, range(40, 80))
        first.faults, first.alive = repeat(None), None
        first.bodies.clear()
        for _ in range(100):  # until it is found alive, on a busy machine too
            await asyncio.sleep(0.2)
            await _asked(generator, range(8))
            if first.bodies:
                break
        return said + await _asked(generator, range(80, 120))

    assert ask([first, second], use) == [f"re: {n}" for n in range(120)]
    assert len(first.bodies) > 5


def test_a_server_of_several_that_is_away_at_the_start_is_used_once_it_is_there():
    first, second = FakeServer(repeat(503), alive=503), FakeServer()

    async def use(generator: ServerGenerator) -> list[str]:
        facts = await generator.preflight(writes=True, judges=False)
        assert any("the others have its requests" in note for note in facts.notes)
        first.faults, first.alive = repeat(None), None
        first.bodies.clear()
        await asyncio.sleep(0.1)
        return await _asked(generator, range(40))

    assert ask([first, second], use) == [f"re: {n}" for n in range(40)]
    assert len(first.bodies) > 5


def test_servers_that_all_refuse_us_stop_the_run_and_one_that_is_gone_does_not_help_them():
    refusing = [FakeServer(repeat(404), error="who?"), FakeServer(repeat(401), error="who?")]
    with pytest.raises(GeneratorUnavailable, match="who"):
        ask(refusing, lambda generator: generator.generate(request()))
    gone = FakeServer(repeat(503), alive=503)

    async def use(generator: ServerGenerator) -> None:
        for number in range(40):
            with contextlib.suppress(GenerationError):
                await generator.generate(request(f"{number}"))

    with pytest.raises(GeneratorUnavailable, match="no server answers"):
        ask([refusing[0], gone], use, retries=2)
