"""What is written loads again as the same constitution, and reads well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import (
    load_constitution,
    load_constitution_text,
    shipped_constitutions,
)
from constitution.yaml_writer import SCHEMA_FILE, constitution_yaml, schema_comment
from tests.constitution.strategies import constitutions

PITFALLS = (
    "no",
    "1.0",
    "1e3",
    "2026-01-01",
    "null",
    "- x",
    "a: b",
    "# x",
    "*a",
    "&a",
    "!t",
    "=",
    "a\x85b\n",
    "\u2028 c\u2029d",
)
TEXT = (
    st.sampled_from(PITFALLS)
    | st.text(min_size=1, max_size=40)
    | st.text(st.sampled_from("ab :#\n-'\"\t\x85\u2028"), min_size=1, max_size=200)
).filter(str.strip)
SLUGS = ("no", "a-1", "1e3", "10", "null", "word")


@given(constitutions(TEXT, SLUGS))
def test_what_is_written_loads_as_it_was(constitution):
    assert load_constitution_text(constitution_yaml(constitution)) == constitution


@pytest.mark.parametrize("name", shipped_constitutions())
def test_shipped_constitutions_are_written_in_lines_of_bearable_length(name):
    text = constitution_yaml(load_constitution(name))
    assert load_constitution_text(text) == load_constitution(name)
    assert max(map(len, text.splitlines())) <= 110
    assert "\n\n  - id: " in text
    assert "\\n" not in text


def test_the_schema_is_found_from_where_the_file_is(tmp_path):
    away = schema_comment(tmp_path / "rules.yaml")
    assert away == "# yaml-language-server: $schema=constitution.schema.json\n"
    assert (tmp_path / SCHEMA_FILE.name).read_bytes() == SCHEMA_FILE.read_bytes()
    near = schema_comment(SCHEMA_FILE.parent / "library" / "x.yaml")
    assert near == "# yaml-language-server: $schema=../constitution.schema.json\n"
    text = constitution_yaml(load_constitution("harmlessness"), comment=near)
    assert text.splitlines()[:2] == [near.strip(), "name: harmlessness"]
