"""What specs in files need a permission for, and whom they talk to."""

import pytest

from constitution.permissions import REMOTE_CODE
from engine.generators.spec_needs import ENGINE_OPTIONS, MODEL_SPEC, host_of, keys_of, servers_of


@pytest.mark.parametrize(
    "spec",
    [
        "embedded",
        "scripted:file.yaml",
        "transformers:org/model?dtype=float32",
        "vllm:org/model?trust_remote_code=false&tensor_parallel_size=2&load_format=safetensors",
        "embedded?backend=vllm&max_model_len=100",
        "vllm:org/model?thinking=300&reasoning_effort=low",
        "server:m@http://host/v1?timeout=3",
        "vllm:org/model?broken",
    ],
)
def test_most_specs_need_nothing(spec):
    assert list(MODEL_SPEC.read(spec)) == []


@pytest.mark.parametrize(
    "option",
    [
        "trust_remote_code=true",
        "trust_remote_code=yes",
        "trust_remote_code=1",
        "worker_cls=my.Worker",
        "logits_processors=my.Processor",
        "load_format=runai_streamer",
        "distributed_executor_backend=my.Executor",
        "hf_token=x",
        "an_option_of_next_year=1",
        "%74rust_remote_code=true",
    ],
)
@pytest.mark.parametrize("kind", ["vllm:org/model?", "embedded?", "embedded?backend=transformers&"])
def test_engine_options_that_may_run_code_need_a_permission(kind, option):
    (need,) = MODEL_SPEC.read(f"{kind}{option}")
    assert need.permission == REMOTE_CODE


def test_engine_options_of_a_recipe_need_the_same_by_their_key():
    needs = list(ENGINE_OPTIONS.read({"dtype": "auto", "worker_cls": "x"}))
    assert [need.at for need in needs] == [("worker_cls",)]


def test_each_key_that_would_be_sent_is_named_with_its_host_and_without_a_password():
    spec = 'server:m@http://u:pw@host:8000/v1?key_env=ONE&headers={"X":"$TWO","Y":"$ONE","Z":"z"}'
    needs = list(MODEL_SPEC.read({"base": "embedded", "other": spec}))
    assert [(need.permission, need.what, need.at) for need in needs] == [
        ("--allow-keys ONE", "would send $ONE to host:8000", ("other",)),
        ("--allow-keys TWO", "would send $TWO to host:8000", ("other",)),
    ]
    assert keys_of({"headers": "not an object"}) == []


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("m@http://a/v1", ["a"]),
        ("org/m@https://a:1/v1,http://b:2/v1,https://a:1/v1", ["a:1", "b:2"]),
        ("m@http://user:pw@evil:80/v1", ["evil:80"]),
        ("m@http://good/v1,@http://evil/v1", ["good", "evil"]),
        ("m@http://user@http://evil/v1", ["evil"]),
        ("m@HTTP://Evil/v1", ["evil"]),
        ("m@ht\ntp://evil/v1", ["evil"]),
        ("m@http://[::1]:8000/v1", ["[::1]:8000"]),
        ("m@nothing", []),
        ("m@http://a:port/v1", []),
    ],
)
def test_every_host_of_a_spec_is_found(name, hosts):
    assert servers_of(name) == hosts


def test_a_host_is_without_user_and_password():
    assert host_of("https://user:secret@host/x") == "host"
    assert host_of("no url") == ""
