"""What is written loads again as the same constitution, and reads well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import (
    AppliesTo,
    Constitution,
    FewShotExample,
    Principle,
    PrincipleTest,
    Severity,
    Stakeholder,
    load_constitution,
    load_constitution_text,
    shipped_constitutions,
)
from constitution.json_schema import SCHEMA_FILE
from constitution.yaml_writer import constitution_yaml, schema_comment

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
SLUG = st.sampled_from(["no", "a-1", "1e3", "10", "null", "word"])


@st.composite
def constitutions(draw):
    ids = draw(st.lists(SLUG, min_size=1, max_size=3, unique=True))
    tests = st.builds(PrincipleTest, prompt=TEXT, compliant=TEXT, violating=TEXT)
    principles = tuple(
        Principle(
            id=id,
            statement=draw(TEXT),
            critique=draw(st.none() | TEXT),
            weight=draw(st.sampled_from([1.0, 0.5, 1e-7, 3.0])),
            severity=draw(st.sampled_from([*Severity])),
            tags=tuple(draw(st.lists(SLUG, max_size=2))),
            applies_to=AppliesTo(tags=tuple(draw(st.lists(SLUG, max_size=2)))),
            tests=tuple(draw(st.lists(tests, max_size=2))),
        )
        for id in ids
    )
    example = st.builds(
        FewShotExample,
        principle=st.sampled_from(ids),
        prompt=TEXT,
        answer=TEXT,
        critique=TEXT,
        revision=TEXT,
    )
    weights = st.dictionaries(st.sampled_from(ids), st.just(2.0), max_size=2)
    profile = st.builds(Stakeholder, description=st.none() | TEXT, weights=weights)
    return Constitution(
        name=draw(SLUG),
        version=draw(TEXT),
        description=draw(st.none() | TEXT),
        preamble=draw(st.none() | TEXT),
        principles=principles,
        stakeholders=draw(st.dictionaries(SLUG, profile, max_size=2)),
        few_shot=tuple(dict.fromkeys(draw(st.lists(example, max_size=2)))),
    )


@given(constitutions())
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
    assert away == f"# yaml-language-server: $schema={SCHEMA_FILE.as_uri()}\n"
    near = schema_comment(SCHEMA_FILE.parent / "library" / "x.yaml")
    assert near == "# yaml-language-server: $schema=../constitution.schema.json\n"
    text = constitution_yaml(load_constitution("harmlessness"), comment=near)
    assert text.splitlines()[:2] == [near.strip(), "name: harmlessness"]
