import json
import math
import os

import pytest
from hypothesis import given, strategies

from constitution.loader import load_constitution
from constitution.problems import InputError
from constitution.reading import NotJson, finite_number, parse_json, read_bytes, read_json

JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
)


@given(JSON)
def test_what_was_written_is_read(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), strict=True) == value


@given(strategies.binary(max_size=40))
def test_anything_else_is_not_json(content):
    try:
        expected = json.loads(content.decode("utf-8-sig"))
    except ValueError:
        with pytest.raises(NotJson):
            parse_json(content)
    else:
        assert parse_json(content) == expected or expected != expected


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, '{"a":' * 300 + "1" + "}" * 300])
def test_depth_is_bounded(text):
    with pytest.raises(NotJson, match="nested too deeply"):
        parse_json(text)


def test_two_hundred_levels_are_read():
    assert parse_json("[" * 200 + "]" * 200)
    with pytest.raises(NotJson):
        parse_json("[" * 202 + "]" * 202)


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": 1, "a": 2}', "the key 'a' is there twice"), ("[NaN]", "NaN is not a JSON value")],
)
def test_strict_is_without_pythons_liberties(text, said):
    with pytest.raises(NotJson, match=said):
        parse_json(text, strict=True)
    parse_json(text)


def test_half_a_surrogate_pair_is_replaced():
    assert parse_json(r'{"\ud800": ["a\udc00", "\ud83c\udf89"]}') == {"�": ["a�", "🎉"]}
    assert parse_json(r'"\ud800"', strict=True) == "\ud800"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "f.json:1:2: is not JSON: Expecting property name"),
        (b'{"a": 1,\n "b"', "f.json:2:5: is not JSON: Expecting ':'"),
        (b"\n\xff", "f.json:2: is not UTF-8 (byte 0xff)"),
        (b"[]", "f.json: is not a JSON object; do so"),
        (b"9" * 5000, "f.json: is not JSON: Exceeds the limit"),
    ],
)
def test_a_damaged_file_is_told_with_its_place(tmp_path, content, said):
    (tmp_path / "f.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(tmp_path / "f.json", dict, "do so")
    assert said in str(caught.value)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, said in (
        (tmp_path / "fifo", "a pipe or a device"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (os.devnull, "a pipe or a device"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            read_bytes(type(tmp_path)(path))


def test_size_is_bounded(tmp_path):
    (tmp_path / "f").write_text("x" * 11, encoding="utf-8")
    assert read_bytes(tmp_path / "f", most=11) == b"x" * 11
    with pytest.raises(InputError, match="is larger"):
        read_bytes(tmp_path / "f", most=10)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("secret.txt", "root:x:0:0:hunter2\n"),
        ("secret.yaml", "hunter2\n"),
        ("list.yml", "- hunter2\n"),
        ("keys.yaml", "password: hunter2\n"),
        ("nul.yaml", "\0hunter2"),
    ],
)
def test_extends_quotes_nothing_of_a_file_that_is_not_a_constitution(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    child = tmp_path / "child.yaml"
    child.write_text(f"name: c\nversion: 1.0.0\nextends: [{name}]\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_constitution(child)
    assert "hunter2" not in str(caught.value) and "password" not in str(caught.value)


def test_extends_opens_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    child = tmp_path / "child.yaml"
    child.write_text("name: c\nversion: 1.0.0\nextends: [pipe.yaml]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"child.yaml:3:11: .*a pipe or a device"):
        load_constitution(child)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((value, float(value)) for value in (0, -3, 0.5, 10**300)),
        *((value, None) for value in (None, True, "1", [1], {}, 10**400, float("nan"), -math.inf)),
    ],
    ids=lambda value: str(value)[:9],
)
def test_what_is_no_finite_number_is_none(value, number):
    assert finite_number(value) == number
