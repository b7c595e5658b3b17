"""What the author of a constitution is told: every error, where it is, how to mend it."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import (
    InputError,
    load_constitution,
    load_constitution_text,
)

PRINCIPLE = "principles: [{id: kind, statement: Be kind.}]\n"
GOOD = "name: house-rules\n" + PRINCIPLE


def told(text: str, where: str = "rules.yaml") -> list[str]:
    with pytest.raises(InputError) as caught:
        load_constitution_text(text, where)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("fragment", "line"),
    [
        ("version: 1.0", '2:10: version: 1.0 is a number to YAML, not text; quote it: "1.0"'),
        ("version: ", "2:9: version is empty; write it; an optional key may be left out"),
        (
            "description: '  '",
            "2:14: description is empty; write it; an optional key may be left out",
        ),
        ("preamble: [a]", "2:11: preamble is a list, not text"),
        ("principels: []", "2:1: unknown key 'principels'; did you mean 'principles'?"),
        ("name: other", "2:1: the key 'name' came before, on line 1; keep one of them"),
        ("colour: red", "2:1: unknown key 'colour'; it may have name, version,"),
        ("extends: 'a'", "2:10: extends is 'a', not a list; start each item on its own line"),
        ("stakeholders: {legal: 3}", "2:23: stakeholders.legal is '3', not a mapping"),
        (
            "stakeholders: {Legal Team: {}}",
            "2:16: stakeholders['Legal Team'] is 'Legal Team', not a slug",
        ),
        (
            "stakeholders: {a: {weights: {kinf: 1}}}",
            "2:30: no principle 'kinf'; did you mean 'kind'?",
        ),
        (
            "stakeholders: {a: {weights: {kind: 0}}}",
            "2:16: stakeholder 'a' gives every principle weight 0",
        ),
        (
            "few_shot: [{principle: x, prompt: a, answer: b, critique: c, revision: d}]",
            "2:24: no principle 'x'; there is kind",
        ),
        ("few_shot: !custom {}", "2:11: '!custom' is a YAML tag"),
        ("? [a, b]\n: c", "2:3: a key must be text"),
    ],
)
def test_a_wrong_key_or_value_of_the_constitution(fragment, line):
    problems = told(f"name: house-rules\n{fragment}\n{PRINCIPLE}")
    assert any(problem.startswith(f"rules.yaml:{line}") for problem in problems), problems


@pytest.mark.parametrize(
    ("fragment", "line"),
    [
        ("wieght: 2", "5:5: unknown key 'wieght'; did you mean 'weight'?"),
        ("weight: heavy", "5:13: principles[0].weight is 'heavy', not a number; write a number"),
        ("weight: -1", "5:13: principles[0].weight is -1, not a number of 0 or more"),
        ("weight: .nan", "5:13: principles[0].weight is nan, not a number of 0 or more"),
        ("weight: .inf", "5:13: principles[0].weight is inf, not a number of 0 or more"),
        ("weight: yes", "5:13: principles[0].weight is 'yes', not a number"),
        ("severity: hihg", "5:15: principles[0].severity is 'hihg'; did you mean 'high'?"),
        ("severity: 3", "5:15: principles[0].severity is '3'; choose 'low', 'medium', 'high' or"),
        ("tags: violence", "5:11: principles[0].tags is 'violence', not a list"),
        (
            "tags: [no]",
            "5:12: principles[0].tags[0]: no is true or false to YAML, not text; quote it",
        ),
        ("tags: [Big Harm]", "5:12: principles[0].tags[0] is 'Big Harm', not a slug"),
        ("applies_to: {stakeholders: [legal]}", "5:33: no stakeholder 'legal'; there is none"),
        ("tests: [{prompt: a, complaint: b, violating: c}]", "5:25: unknown key 'complaint'; did"),
        ("tests: [{prompt: a, violating: c}]", "5:13: principles[0].tests[0] has no 'compliant'"),
        ("critique: !!int x", "5:15: 'x' cannot be read as !!int"),
    ],
)
def test_a_wrong_key_or_value_of_a_principle(fragment, line):
    text = f"name: x\nprinciples:\n  - id: kind\n    statement: Be kind.\n    {fragment}\n"
    problems = told(text)
    assert any(problem.startswith(f"rules.yaml:{line}") for problem in problems), problems


def test_a_mistyped_key_is_told_once():
    assert told("name: x\nprincipels: [{id: a, statement: b}]\n") == [
        "rules.yaml:2:1: unknown key 'principels'; did you mean 'principles'?"
    ]
    assert told("name: x\nprinciples: [{id: a, statment: b}]\n") == [
        "rules.yaml:2:22: unknown key 'statment'; did you mean 'statement'?"
    ]


def test_an_id_that_yaml_reads_as_false():
    (problem,) = told("name: x\nprinciples:\n- id: no\n  statement: s\n")
    assert problem == (
        'rules.yaml:3:7: principles[0].id: no is true or false to YAML, not text; quote it: "no"'
    )


def test_everything_wrong_is_told_at_once_in_order():
    problems = told(
        """\
name: House Rules
verison: "1"
principles:
  - id: a
    weight: heavy
  - id: a
    statement: Be kind.
    severity: huge
few_shot:
  - {principle: b, prompt: p, answer: a, critique: c, revision: r}
"""
    )
    places = [tuple(map(int, problem.split(":")[1:3])) for problem in problems]
    assert places == sorted(places)
    assert [line for line, _ in places] == [1, 2, 4, 5, 6, 8, 10]
    assert "the id 'a' is also that of the principle on line 4" in problems[4]
    assert "such as 'house-rules'" in problems[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nprinciples:\n\t- id: a\n", "3:1: a tab in the indentation; use spaces"),
        ("name: x\ndescription: this: that\n", "2:18: a second `: ` in one value; put the text"),
        ("name: x\n  version: y\n", "2:10: a key below text, or indented more than the keys above"),
        ("name: x\ndescription: `a`\n", "2:14: text cannot start with '`'; put the text in quotes"),
        ("name: x\ndescription: 'a\n", "2:14: a quote or bracket is never closed; close it"),
        ("name: x\ndescription: 'a' b\n", "2:18: text after the closing quote"),
        ("name: x\nextends: [a\n", "2:10: a quote or bracket is never closed"),
        ("name: x\ndescription: *bold\n", "2:14: text that starts with `*` is an alias"),
        ("name: x\ndescription: **bold**\n", "2:15: `*` and `&` are special at the start"),
        ("name: x\nextends: [a}\n", "2:12: a `[` is closed by `}`; close it with `]`"),
        ("name: x\nstakeholders: {a: b c: d}\n", "2:22: in brackets, a comma is missing"),
        ("name: x\n---\nname: y\n", "2:1: a second document; keep one per file"),
        ('name: x\ndescription: "\\Uffffffff"\n', "2:17: this escape is not a character"),
        ("name: x\ndescription: a\x07b\n", "2:15: control character U+0007; take it out"),
        ("", "1:1: holds no constitution; start with `name:` and `principles:`"),
        ("# only a comment\n", "1:1: holds no constitution"),
        ("- a\n- b\n", "1:1: the constitution is a list, not a mapping"),
        ("just words\n", "1:1: the constitution is 'just words', not a mapping"),
    ],
)
def test_what_is_not_yaml_or_no_constitution(text, line):
    (problem,) = told(text)
    assert problem.startswith(f"rules.yaml:{line}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\ndescription:\xa0y\nversion: z\n", "2:13: no-break space (U+00A0) is text"),
        ("name: x\nprinciples:\n  -\xa0id: a\n  - id: b\n", "3:4: no-break space (U+00A0)"),
        ("name: x\ndescription\uff1a y\nversion: z\n", "2:12: fullwidth colon (U+FF1A) is text"),
        ("name: x\n<<: {version: y}\n", "2:1: `<<` merges keys in some readers of YAML, and not"),
        ("\u3000name: x\nversion: y\n", "1:1: a key with white space in it: ideographic space"),
    ],
)
def test_what_looks_like_structure_and_is_text_is_named(text, line):
    assert any(problem.startswith(f"rules.yaml:{line}") for problem in told(text)), told(text)


def test_there_must_be_principles_with_weight():
    assert told("name: x\n") == [
        "rules.yaml:1:1: there are no principles; list one or more under `principles:`"
    ]
    assert told("name: x\nprinciples: []\n")[0].startswith(
        "rules.yaml:2:1: there are no principles"
    )
    (problem,) = told("name: x\nprinciples: [{id: a, statement: b, weight: 0}]\n")
    assert problem.startswith("rules.yaml:2:1: every principle has weight 0")


def test_half_a_surrogate_pair_is_no_text():
    (problem,) = told(f'description: "\\ud800"\n{GOOD}')
    assert problem.startswith("rules.yaml:1:14: holds half of a character")


def test_an_alias_bomb_is_refused_before_it_grows():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    problems = told("\n".join(levels))
    assert any("too large or too deep with its aliases" in problem for problem in problems)


@pytest.mark.parametrize("text", ["[" * 50_000, "a: &a [*a]", "- " * 5_000 + "x"])
def test_bottomless_files_are_refused(text):
    assert re.search("nested too deeply|aliases", told(text)[-1])


def test_positions_hold_in_a_file_with_carriage_returns():
    (problem,) = told("name: x\r\nprinciples:\r\n- id: a\r\n  statement: s\r\n  wieght: 1\r\n")
    assert problem.startswith("rules.yaml:5:3: unknown key")


@given(st.text(max_size=200) | st.text(alphabet="{}[]-:?&*!|>'\"%@`#, \n\tab01", max_size=80))
def test_no_text_is_answered_with_anything_but_an_input_error(text):
    with pytest.raises(InputError) as caught:
        load_constitution_text(text)
    assert len(str(caught.value).split("\n")) == len(caught.value.problems)


@given(st.binary(max_size=100))
def test_no_bytes_are_answered_with_anything_but_an_input_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_bytes(content)
        with pytest.raises(InputError):
            load_constitution(path)
