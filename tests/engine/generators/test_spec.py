"""Spec strings: what is wrong with one is told before anything is loaded."""

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.generators.base import Sampling
from engine.generators.spec import kind_of, open_generator, read_spec, runs_here, with_options
from engine.runs.config import open_roles

SERVER = "server:m@http://localhost:1/v1"


@pytest.mark.parametrize(
    "option",
    [
        "timeout=abc",
        "timeout=NaN",
        "timeout=Infinity",
        "timeout=0",
        "timeout=-1",
        "timeout=true",
        "timeout=[1]",
        "timeout=",
        "retries=-1",
        "retries=1.5",
        "retries=x",
        "retries=null",
        "backoff=-1",
        "backoff=NaN",
        "concurrency=-1",
        "concurrency=x",
        "concurrency=0",
    ],
)
def test_a_servers_options_are_numbers_that_make_sense(option):
    with pytest.raises(InputError, match=option.partition("=")[0]) as caught:
        open_generator(f"{SERVER}?{option}")
    assert "\n" not in str(caught.value)


def test_every_option_that_is_wrong_is_told():
    with pytest.raises(InputError) as caught:
        open_generator(f"{SERVER}?timeout=abc&retries=-1")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("option", ["batch_size=0", "batch_size=x", "gather=-1", "dtype=5"])
def test_options_of_transformers_are_checked_before_anything_is_loaded(option):
    with pytest.raises(InputError, match=option.partition("=")[0]):
        open_generator(f"transformers:org/name?{option}")


@pytest.mark.parametrize(
    "query", ["", "?timeout=5&retries=0&backoff=0&concurrency=1", "?timeout=0.5&backoff=1.5"]
)
def test_options_that_make_sense_are_taken(query):
    assert open_generator(SERVER + query).spec == SERVER + query


@pytest.mark.parametrize(
    ("specs", "taken"),
    [
        (["server:m@http://h/v1"], False),
        (["scripted", "server:m@http://h/v1?method=debate"], False),
        (["server:m@http://h/v1", "embedded?backend=transformers"], True),
        (["scripted", "transformers:org/name"], True),
    ],
)
def test_a_chat_template_that_no_model_takes_is_refused(tmp_path, specs, taken):
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    roles = dict(zip(("policy", "judge"), [*specs, *specs], strict=False))
    open_roles(roles, Sampling(), None)
    refused = nullcontext() if taken else pytest.raises(InputError, match="is used by no model")
    with refused:
        open_roles(roles, Sampling(), str(template))


@pytest.mark.parametrize("spec", ["server:x\udcff@http://h/v1", "scripted:\ud800", "\udcff"])
def test_a_spec_that_is_no_unicode_is_refused(spec):
    with pytest.raises(InputError, match="UTF-8"):
        open_generator(spec)


def test_an_empty_spec_is_told_the_kinds_there_are():
    with pytest.raises(InputError, match="one of the kinds embedded, vllm") as caught:
        open_generator("")
    assert "model directory" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "kind", "here", "in_vllm"),
    [
        ("embedded", "embedded", True, True),
        ("embedded?backend=vllm", "embedded", True, True),
        ("embedded?backend=transformers", "embedded", True, False),
        ("vllm:org/m?a=b:c", "vllm", True, True),
        ("transformers:m", "transformers", True, False),
        ("server:m@http://h/v1", "server", False, False),
        ("scripted?method=debate", "scripted", False, False),
        ("", "", False, False),
    ],
)
def test_a_spec_says_where_it_runs(spec, kind, here, in_vllm):
    assert (kind_of(spec), runs_here(spec), read_spec(spec).in_vllm) == (kind, here, in_vllm)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS.filter(bool), VALUES, max_size=4))
def test_options_of_any_kind_are_read_as_they_were_written(options):
    assert read_spec(with_options("vllm:org/name", options)).options == options


@pytest.mark.parametrize(
    ("spec", "options", "written"),
    [
        ("vllm:m", {}, "vllm:m"),
        ("vllm:m?a=1e-6&b=2", {}, "vllm:m?a=1e-6&b=2"),
        ("vllm:m?a=1e-6&b=2", {"b": True, "c": "Org/Name"}, "vllm:m?a=1e-6&b=true&c=Org/Name"),
        ("vllm:m", {"a": {"factor": 2.0}}, 'vllm:m?a={"factor":2.0}'),
        ("vllm:m", {"a": "true", "b": "x&y+z"}, 'vllm:m?a="true"&b=x%26y%2Bz'),
    ],
)
def test_options_take_the_place_of_those_of_the_same_name(spec, options, written):
    assert with_options(spec, options) == written
