"""A key goes to its own server and nowhere else, and is in nothing that is written or shown."""

import pytest
from aiohttp import web

from constitution.problems import InputError
from engine.generators.base import GenerationError, GeneratorUnavailable
from engine.generators.servers.endpoint import endpoint_of, without_password
from engine.generators.spec import open_generator
from tests.engine.generators.servers.answering import answer, ask, request

SECRET = "sk-MARKER"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OWN_KEY", f"{SECRET}2\n")


def sent(url, **more):
    return endpoint_of(url, **more).headers.get("Authorization")


def test_the_key_of_openai_goes_to_openai_alone(monkeypatch):
    assert sent("https://api.openai.com/v1") == f"Bearer {SECRET}"
    for url in ("http://127.0.0.1:8000/v1", "https://api.openai.com.evil.example/v1",
                "https://evil.example/api.openai.com/v1", "https://api.openai.com@evil.example/v1"):  # fmt: skip
        assert SECRET not in (sent(url) or "")
    assert sent("http://api.openai.com/v1") is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example:8000/v1")
    assert sent("http://gateway.example:8000/other") == f"Bearer {SECRET}"
    assert sent("http://gateway.example:9000/v1") is None
    assert sent("http://other.example/v1") is None


def test_a_key_of_its_own():
    assert sent("http://h/v1", key_env="OWN_KEY") == f"Bearer {SECRET}2"
    with pytest.raises(InputError, match="NO_KEY: is not set"):
        sent("http://h/v1", key_env="NO_KEY")


@pytest.mark.parametrize("key", [f"{SECRET}\nX: y", f"{SECRET}é", f"{SECRET}\x00"])
def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch, key):
    monkeypatch.setattr("os.environ", {"BAD": key})
    with pytest.raises(InputError) as caught:
        sent("http://h/v1", key_env="BAD")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_headers_and_a_version():
    found = endpoint_of(
        "https://h/v1/", headers={"api-key": "$OWN_KEY", "X-Team": "a"}, api_version="2024-10-21"
    )
    assert found.headers == {"api-key": f"{SECRET}2", "X-Team": "a"}
    assert found.of("chat/completions") == "https://h/v1/chat/completions?api-version=2024-10-21"
    assert SECRET not in repr(found)


def test_a_name_and_a_password_in_the_url():
    found = endpoint_of("http://me:p%40ss@h:8000/v1")
    assert found.url == "http://h:8000/v1"
    assert found.headers["Authorization"] == "Basic bWU6cEBzcw=="
    generator = open_generator("server:m@http://me:p%40ss@h:8000/v1,http://you:word@i/v1?timeout=5")
    assert generator.spec == "server:m@http://***@h:8000/v1,http://***@i/v1?timeout=5"


def test_values_of_headers_are_not_shown():
    spec = 'server:m@http://h/v1?headers={"a":"TOKEN","b":"$OWN_KEY"}&timeout=5'
    assert open_generator(spec).spec == spec.replace("TOKEN", "***")
    assert without_password("vllm:org/name?dtype=float32") == "vllm:org/name?dtype=float32"


@pytest.mark.parametrize("spec", [f"server:m@ftp://me:{SECRET}@h/v1", f"server:m@http://me:{SECRET}@h/v1?x=1",
                                  f"server:m@http://me:{SECRET}@h:port/v1"])  # fmt: skip
def test_no_message_about_a_spec_shows_a_password(spec):
    with pytest.raises(InputError) as caught:
        open_generator(spec)
    assert SECRET not in str(caught.value)


def test_a_redirect_to_another_host_is_not_followed():
    def handler(body):
        return 307, {}, {"Location": "http://elsewhere.example/v1/chat/completions"}

    with pytest.raises(GeneratorUnavailable, match=r"elsewhere\.example.*not followed"):
        ask(handler, lambda generator: generator.generate(request()))


def test_a_redirect_within_the_server_is_followed():
    seen: list[web.Request] = []

    def handler(body):
        if len(seen) == 1:
            return 307, {}, {"Location": "/v1/chat/completions?again=1"}
        return answer()

    assert ask(handler, lambda generator: generator.generate(request()), seen=seen).text == "Fine."
    assert seen[1].query_string == "again=1"


@pytest.mark.parametrize(
    "proxy",
    ["socks5://127.0.0.1:1", "http://127.0.0.1:1", "http://me:sk-MARKER@127.0.0.1:1", "nonsense"],
)
def test_a_proxy_that_does_not_work_is_one_line(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises((GenerationError, GeneratorUnavailable)) as caught:
        ask(lambda body: answer(), lambda generator: generator.generate(request()), retries=0)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
