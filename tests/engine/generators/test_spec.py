"""Spec strings: what is wrong with one is told before anything is loaded."""

import pytest

from constitution.problems import InputError
from engine.generators.spec import open_generator

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


@pytest.mark.parametrize("spec", ["server:x\udcff@http://h/v1", "scripted:\ud800", "\udcff"])
def test_a_spec_that_is_no_unicode_is_refused(spec):
    with pytest.raises(InputError, match="UTF-8"):
        open_generator(spec)


def test_an_empty_spec_is_told_the_kinds_there_are():
    with pytest.raises(InputError, match="one of the kinds embedded, vllm") as caught:
        open_generator("")
    assert "model directory" not in str(caught.value)
