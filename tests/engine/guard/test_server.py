"""The guard over HTTP: OpenAI's own clients work against it, and what it does not do it says."""

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable, Sampling
from engine.guard.server import Desk, application
from engine.guard.settings import ServerSettings
from engine.guard.tenants import Tenant, Tenants, hashed_key
from tests.engine.builders import Replies
from tests.engine.guard.builders import Writing, finding, guard, rules

uvicorn = pytest.importorskip("uvicorn")
LONG = "word " * 200
KEY, ADMIN = "solon-a-tenant", "solon-the-admin"


@asynccontextmanager
async def served(directory, model, *, tenants=None, window=200, severity="high", **server):
    """The base URL of a guard on a free port, and the guard."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    with guard(directory, rules(one=severity), model) as one:
        desk = Desk(
            one,
            Tenants(tenants or {}),
            ServerSettings(**server),
            Sampling(max_tokens=64),
            "ours",
            window,
            ADMIN,
        )
        config = uvicorn.Config(application(desk), lifespan="off", log_level="warning")
        running = uvicorn.Server(config)
        running.capture_signals = _nothing
        serving = asyncio.ensure_future(running.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", one
        finally:
            running.should_exit = True
            await serving
            listening.close()


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


async def post(url, body=None, key=KEY, **more):
    body = body or {"model": "ours", "messages": [{"role": "user", "content": "Hi"}]} | more
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers) as answered,
    ):
        return answered.status, await answered.json(), answered.headers


def chat(url, **more):
    return post(f"{url}/v1/chat/completions", **more)


def test_the_official_client_works_against_it(tmp_path):
    openai = pytest.importorskip("openai")

    async def talk():
        model = Writing(lambda _: LONG, finding(), range(0, len(LONG), 9))
        async with served(tmp_path, model) as (url, _):
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
            listed = [one.id async for one in client.models.list()]
            asked = {"model": "ours", "messages": [{"role": "user", "content": "Hi"}]}
            whole = await client.chat.completions.create(**asked, temperature=0, max_tokens=9)
            parts = await client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in parts]
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(**asked | {"model": "other"})
            await client.close()
        return listed, whole, chunks, model.requests[0].sampling

    listed, whole, chunks, sampling = asyncio.run(talk())
    assert listed == ["ours"]
    assert whole.choices[0].message.content == LONG.strip()
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == 15
    assert (sampling.temperature, sampling.max_tokens) == (0, 9)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == LONG.strip()
    assert len(chunks) > 4
    assert chunks[-1].usage.total_tokens == 15


def test_langchain_works_against_it(tmp_path):
    langchain = pytest.importorskip("langchain_openai")

    async def talk():
        model = Writing(lambda _: LONG, finding(), range(0, len(LONG), 9))
        async with served(tmp_path, model) as (url, _):
            chat_model = langchain.ChatOpenAI(base_url=f"{url}/v1", api_key="none", model="ours")
            messages = [("system", "Be brief."), ("human", "Hi")]
            whole = await chat_model.ainvoke(messages)
            parts = [part.content async for part in chat_model.astream(messages)]
        return whole, parts

    whole, parts = asyncio.run(talk())
    assert whole.content == "".join(parts) == LONG.strip()
    assert len(parts) > 2


def test_a_refused_answer_is_a_completion_that_was_filtered(tmp_path):
    async def talk():
        model = Replies(lambda _: "bad", finding(one="bad"))
        async with served(tmp_path, model, severity="critical") as (url, _):
            return await chat(url)

    status, body, headers = asyncio.run(talk())
    assert (status, headers["x-solon-done"], body["solon"]) == (200, "refused", {"done": "refused"})
    assert body["choices"][0]["message"]["content"] == "No."
    assert body["choices"][0]["finish_reason"] == "content_filter"


UNSUPPORTED = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"logprobs": True}, "logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "assistant", "content": "Sure,"}]}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
    ({"temperature": -1}, "temperature"),
    ({"stop": ["a"] * 5}, "stop"),
]


def test_what_cannot_be_screened_is_refused_by_name(tmp_path):
    async def talk():
        async with served(tmp_path, Replies(lambda _: "fine", finding())) as (url, one):
            told = [await chat(url, **more) for more, _ in UNSUPPORTED]
            harmless = await chat(url, user="u", store=False, tools=None, n=1, presence_penalty=0)
            return told, harmless, len(one.roles.policy.generator.requests)

    told, harmless, asked = asyncio.run(talk())
    assert harmless[0] == 200
    assert asked == 1
    for (status, body, _), (_, param) in zip(told, UNSUPPORTED, strict=True):
        assert status == 400, body
        assert body["error"]["type"] == "invalid_request_error"
        assert param is None or body["error"]["param"] == param


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (GenerationError(FailureReason.SERVER_ERROR, "sk-secret in a trace"), 502),
        (GenerationError(FailureReason.TIMEOUT, "late"), 504),
        (GenerationError(FailureReason.CONTEXT_OVERFLOW, "long"), 400),
        (GeneratorUnavailable("gone"), 503),
        (ValueError("a bug"), 500),
    ],
)
def test_a_model_that_fails_is_an_error_without_details(tmp_path, error, status, stream):
    class Failing(Replies):
        async def generate(self, request):
            raise error

    async def talk():
        async with served(tmp_path, Failing(None, finding())) as (url, _):
            return await chat(url, stream=stream)

    found, body, _ = asyncio.run(talk())
    assert found == status
    assert str(error) not in str(body)


def test_limits_of_body_rate_and_key(tmp_path):
    tenants = {"shop": Tenant(key=hashed_key(KEY), requests_per_minute=2)}

    async def talk():
        model = Replies(lambda _: "fine", finding())
        async with served(tmp_path, model, tenants=tenants, max_body=2000) as (url, _):
            nobody = await chat(url, key="wrong")
            long = await chat(url, user="x" * 3000)
            fine = await chat(url)
            often = await chat(url)
            return nobody, long, fine, often

    nobody, long, fine, often = asyncio.run(talk())
    assert [one[0] for one in (nobody, long, fine, often)] == [401, 413, 200, 429]
    assert int(often[2]["retry-after"]) > 0


def test_a_person_stops_it_and_a_person_with_the_key_starts_it_again(tmp_path):
    async def talk():
        model = Replies(lambda _: "fine", finding())
        async with served(tmp_path, model) as (url, _):
            by = {"by": "ann"}
            seen = [(await post(f"{url}/admin/stop", by, key="wrong"))[0]]
            seen.append((await post(f"{url}/admin/stop", {"by": ""}, key=ADMIN))[0])
            await post(f"{url}/admin/stop", by, key=ADMIN)
            stopped = (await chat(url))[1]
            seen.append((await post(f"{url}/admin/reset", by, key="wrong"))[0])
            await post(f"{url}/admin/reset", by, key=ADMIN)
            return seen, stopped, (await chat(url))[1]

    seen, stopped, answered = asyncio.run(talk())
    assert seen == [403, 400, 403]
    assert stopped["solon"]["done"] == "stopped"
    assert answered["choices"][0]["message"]["content"] == "fine"
    log = "".join(path.read_text("utf-8") for path in (tmp_path / "audit").glob("2*"))
    assert "stopped by ann" in log and '"by": "ann"' in log and ADMIN not in log


def test_metrics_and_health_are_told(tmp_path):
    async def talk():
        async with served(tmp_path, Replies(lambda _: "bad", finding(one="bad"))) as (url, _):
            await chat(url)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{url}/metrics") as page:
                    metrics = await page.text()
                async with session.get(f"{url}/health") as page:
                    return metrics, await page.json()

    metrics, health = asyncio.run(talk())
    assert health == {"status": "ok"}
    assert 'solon_requests_total{done="refused"} 1.0' in metrics
    assert 'solon_breaches_total{principle="one",severity="high"} 1.0' in metrics
    assert "solon_breaker_open 0.0" in metrics
