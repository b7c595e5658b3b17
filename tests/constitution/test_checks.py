"""What a check says of a reply, and which checks are refused when the file is read."""

import re
import time

import pytest

from constitution import Check, InputError, failures, load_constitution_text
from constitution.checks import check_facts
from constitution.language import language_of
from tests.constitution.test_language import SENTENCES

HEAD = "name: x\nprinciples:\n  - id: kind\n    statement: The assistant is kind.\n"
LIST = "Here you are:\n- one\n- two"
TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"

FAILS = [
    ({"max_words": 3}, "one two three four", "It has 4 words; at most 3 are allowed."),
    ({"max_words": 1}, "one two", "It has 2 words; at most 1 is allowed."),
    ({"min_words": 2}, "one", "It has 1 word; at least 2 are needed."),
    ({"max_sentences": 1}, "One. Two.", "It has 2 sentences; at most 1 is allowed."),
    ({"forbid": ["as an AI"]}, "Well, As an  ai, no.", 'It says "as an AI", which it must not.'),
    ({"forbid": ["/(?i)^sure/"]}, "Sure, here", 'It says "Sure", which it must not.'),
    ({"forbid": ["!"]}, "Hello!", 'It says "!", which it must not.'),
    ({"require": ["don't"]}, "do", 'It does not say "don\'t", which it must.'),
    ({"require": ["/[0-9]/"]}, "x", "It does not match the expression /[0-9]/, which it must."),
    ({"no_lists": True}, LIST, "It has a bulleted list; "),
    ({"no_lists": True}, "So:\n  1. a\n  2. b", "It has a numbered list; "),
    ({"no_lists": True}, TABLE, "It has a table; "),
    ({"language": "en"}, SENTENCES["de"], "It is in German; it must be in English."),
    ({"ends_with_question": True}, "No.", "It does not end with a question, which it must."),
    ({"ends_with_question": False}, "Is it? 🙂", "It ends with a question, which it must not."),
    ({"json": True}, "Sure: {}", "It is not JSON: "),
    ({"json": True}, '{"a": 1} Bye.', "It is not JSON: "),
    ({"json": True}, '{"a": 1, "a": 2}', "It is not JSON: "),
    (
        {"reading_grade": 5},
        "Considerable institutional responsibilities necessitate deliberation.",
        "Its reading grade is ",
    ),
]
HOLDS = [
    ({"max_words": 3, "min_words": 3}, "one – two, three"),
    ({"max_words": 4}, "你好世界"),
    ({"min_words": 2}, "\uf900\uf901"),
    ({"max_sentences": 2}, "It is 3.5 m, e.g. by Dr. A. Smith of example.org. Right?!"),
    ({"forbid": ["ai", "cat"]}, "Said the airmail, concatenated."),
    ({"forbid": ["/^Sure/"]}, "Be Sure"),
    ({"require": ["don't", "/o.t/"]}, "I don’t, out"),
    ({"no_lists": True}, "A well-known case - in 1984. It was cold.\n```\n- code\n```\n2 + 2"),
    ({"no_lists": True}, "**Bold** text.\n*Emphasis* again.\n-5 degrees."),
    ({"language": "en"}, SENTENCES["en"]),
    ({"language": "en"}, "Ja."),
    ({"ends_with_question": True}, 'Shall I say "why?"\n'),
    ({"ends_with_question": False}, "Why? So."),
    ({"json": True}, ' {"a": [1, null]} '),
    ({"json": True}, '```json\n{"a": 1}\n```'),
    ({"reading_grade": 5}, "The cat sat on the mat. It was glad."),
    ({"reading_grade": 5}, "12 34"),
]


def check_of(keys):
    return Check(**{key: tuple(v) if isinstance(v, list) else v for key, v in keys.items()})


@pytest.mark.parametrize(("check", "reply", "said"), FAILS)
def test_what_fails_is_said_as_a_critic_would(check, reply, said):
    (found,) = failures(check_of(check), reply)
    assert found.startswith(said)
    assert found.endswith(".")


@pytest.mark.parametrize(("check", "reply"), HOLDS)
def test_what_holds(check, reply):
    assert failures(check_of(check), reply) == ()


def test_everything_that_fails_is_said():
    check = Check(max_words=2, no_lists=True, forbid=("one",), require=("three",))
    assert len(failures(check, LIST)) == 4


REFUSED = [
    ("{}", "checks nothing"),
    ("{max_words: 0}", "not a whole number"),
    ("{max_words: 2.5}", "not a whole number"),
    ("{max_words: many}", "not a whole number"),
    ("{min_words: 5, max_words: 4}", "more words than it allows"),
    ("{forbid: [Sure], require: [sure]}", "both forbids and requires 'Sure'"),
    ("{forbid: sure}", "not a list"),
    ("{forbid: []}", "is empty"),
    ("{forbid: ['']}", "is empty"),
    ("{forbid: [5]}", "quote it"),
    ("{forbid: ['/(a/']}", "not a regular expression: missing )"),
    ("{forbid: ['/a(?=b)/']}", "not a regular expression"),
    (r"{forbid: ['/(a)\1/']}", "not a regular expression"),
    ("{forbid: ['/(a{900}){900}/']}", "not a regular expression"),
    ("{require: ['/a*/']}", "matches every text"),
    (f"{{require: [{'a' * 201}]}}", "at most 200 characters"),
    ("{no_lists: false}", "write true, or leave the key out"),
    ("{json: 1}", "write true or false"),
    ("{language: english}", "not the ISO 639-1 code"),
    ("{ends_with_question: maybe}", "write true or false"),
    ("{reading_grade: -1}", "not a number of 0 or more"),
    ("{python: os.system}", "write module:function"),
    ("{maxwords: 4}", "did you mean 'max_words'?"),
    ("5", "not a mapping"),
]


@pytest.mark.parametrize(("check", "said"), REFUSED)
def test_a_check_that_cannot_be_meant_is_one_line_at_its_place(check, said):
    with pytest.raises(InputError) as caught:
        load_constitution_text(f"{HEAD}    check: {check}\n", "rules.yaml")
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert re.match(r"rules\.yaml:5:\d+$", problem.where)


def test_judged_stands_beside_a_check_only():
    with pytest.raises(InputError, match=r"rules\.yaml:5:13: .*beside a `check`"):
        load_constitution_text(f"{HEAD}    judged: true\n", "rules.yaml")


def test_reading_a_file_imports_nothing(monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imports {name}"))
    loaded = load_constitution_text(f"{HEAD}    check: {{python: 'antigravity:fly'}}\n")
    assert check_facts(loaded.principles[0].check) == {"python": "antigravity:fly"}


HASHED = ["{max_words: 4}", "{max_words: 5}", "{max_words: 4}\n    judged: true", "{json: true}"]


def test_hashes_are_of_the_check_and_of_whether_it_is_judged():
    loaded = [load_constitution_text(f"{HEAD}    check: {check}\n") for check in HASHED]
    plain = load_constitution_text(HEAD)
    assert len({one.principles[0].content_hash for one in (*loaded, plain)}) == len(HASHED) + 1
    assert len({one.content_hash for one in (*loaded, plain)}) == len(HASHED) + 1
    false = load_constitution_text(f"{HEAD}    check: {HASHED[0]}\n    judged: false\n")
    assert false.content_hash == loaded[0].content_hash


EVERYTHING = Check(
    max_words=1,
    min_words=1,
    max_sentences=1,
    forbid=("a a a", "/(a|a)*b/", "/(x+x+)+y/", "/[ab]*a[ab]{200}c/"),
    require=("c", "/.*b.*c/"),
    no_lists=True,
    language="fr",
    ends_with_question=True,
    reading_grade=1,
    json=True,
)
UNITS = [
    "a", "a ", "x", "ab", ". ", ".", "\n", " ", "- ", "1. ", "|", "| a ", "```", "`", "?", ")", "🙂",
    "[", '{"a":', "é", "漢", "'", "a'", "\ud800", "e.g. ", "<", "\u200d", "。",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_anything_is_decided_in_linear_time(unit):
    language_of(SENTENCES["en"])
    start = time.process_time()
    failures(EVERYTHING, unit * (1_000_000 // len(unit)) + "\x01!")
    assert time.process_time() - start < 8
