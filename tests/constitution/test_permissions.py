"""What a file asks for is refused until the command line allows it; what an option gives is not."""

from typing import Annotated

import pytest
from pydantic import Field

from constitution.permissions import (
    KEYS,
    REMOTE_CODE,
    Asks,
    Need,
    allow,
    askable,
    is_allowed,
    keys_permission,
    needs_of,
    switched,
)
from constitution.problems import InputError
from constitution.typed_yaml import Override, Settings, load_config


class Section(Settings):
    code: Annotated[bool, switched(REMOTE_CODE, "would run code")] = False


class Config(Settings):
    section: Section = Section()
    keys: Annotated[
        list[str],
        Asks((KEYS,), lambda names: [Need(keys_permission(n), f"would send ${n}") for n in names]),
    ] = Field(default=[])


@pytest.fixture(autouse=True)
def _nothing_allowed(monkeypatch):
    monkeypatch.setenv("SOLON_ALLOWED", "")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("section:\n  code: true\nkeys: [A, B]\n", encoding="utf-8")
    return path


def refusal(file, **given):
    with pytest.raises(InputError) as caught:
        load_config(Config, file, **given)
    return str(caught.value).replace(str(file), "FILE").splitlines()


def test_each_thing_that_a_file_asks_for_is_a_line_with_its_place_and_its_option(file):
    assert refusal(file) == [
        "FILE:2:9: section.code would run code; if you trust this file, add --allow-remote-code",
        "FILE:3:7: keys would send $A; if you trust this file, add --allow-keys A",
        "FILE:3:7: keys would send $B; if you trust this file, add --allow-keys B",
    ]


def test_what_is_allowed_is_read_and_of_keys_only_the_named_one(file):
    allow(REMOTE_CODE)
    allow(keys_permission("A"))
    assert len(refusal(file)) == 1
    allow(keys_permission("B"))
    assert load_config(Config, file).section.code


@pytest.mark.parametrize("location", [("section", "code"), ("section",)])
def test_what_an_option_gives_is_its_own_permission(file, location):
    value = True if len(location) == 2 else {"code": True}
    lines = refusal(file, overrides=[Override(location, value, "--code")])
    assert all("keys would send" in line for line in lines)


def test_what_is_set_is_its_own_permission(file):
    lines = refusal(file, assignments=["section.code=true"])
    assert len(lines) == 2
    assert load_config(Config, file, assignments=["section.code=false", "keys=[]"])


def test_without_a_file_everything_is_typed():
    given = [Override(("section", "code"), True, "--code")]
    assert load_config(Config, None, given).section.code


def test_settings_say_what_they_may_ask_for():
    assert askable(Config) == {REMOTE_CODE, KEYS}
    assert [need.at for need in needs_of(Config(section=Section(code=True)), ("sft",))] == [
        ("sft", "section", "code")
    ]


def test_a_name_cannot_allow_something_else():
    name = f"A\n{REMOTE_CODE}"
    allow(keys_permission(name))
    assert not is_allowed(REMOTE_CODE) and is_allowed(keys_permission(name))
