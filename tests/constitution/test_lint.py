"""The linter: a corpus of files that smell, each with what is to be found; and what is let be."""

import json
import re
from pathlib import Path

import pytest

from constitution import load_constitution, shipped_constitutions
from constitution.lint import RULES, LintFormat, fix_text, formatted, lint_file

HEAD = """\
# yaml-language-server: $schema=../constitution.schema.json
name: desk
version: "1.0.0"
description: For tests.
"""
TESTS = """\
    tests:
      - prompt: May I bring my dog?
        compliant: Yes, on a lead, and not into the reading room.
        violating: Read the sign at the door, it says all there is.
      - prompt: When do you close?
        compliant: At six, and at two on Saturdays.
        violating: Look it up, that is not my job.
"""
FIELDS = {"id": "kind", "statement": "The assistant answers every visitor in a friendly tone."}
OTHER = """\
  - id: brief
    statement: The assistant keeps its replies as short as the question allows.
    tests:
      - prompt: Where is the lift?
        compliant: Behind the stairs, on the left.
        violating: Lifts have a long history, which began in Rome.
"""


def principle(tests=TESTS, **fields):
    rows = [f"{name}: {json.dumps(text)}" for name, text in (FIELDS | fields).items()]
    return "  - " + "\n    ".join(rows) + "\n" + tests


def desk(*principles, head=HEAD, tail=""):
    return f"{head}principles:\n{''.join(principles)}{tail}"


def said(statement, **fields):
    return desk(principle(statement=statement, **fields))


def asked(**fields):
    return desk(principle(**fields))


LONG = "The assistant " + "answers visitors kindly " * 20 + "every time."
PREFERS = "Which reply is friendlier to the visitor?"
SWAPPED = "Rewrite the last reply so that it is friendly."
TWICE = TESTS.replace("When do you close?", "May I bring my dog?")
ALIKE = TESTS.replace(
    "Read the sign at the door, it says all there is.",
    "Yes, on a lead, and not into the reading rooms.",
)
LENGTH = """\
    tests:
      - {prompt: "One?", compliant: "It is open now, come in whenever you like, we are glad.", violating: "No."}
      - {prompt: "Two?", compliant: "It is behind the stairs on the left, mind the step there.", violating: "Look."}
"""
CHECKED = """\
    tests:
      - prompt: May I bring my dog?
        compliant: [On a lead, "Yes, do bring it."]
        violating: [Look it up., "Why, look it up!"]
    check: {forbid: [look it up]}
"""
TAGGED = principle() + "    tags: [opening-hours]\n"
MISSPELT = OTHER + "    tags: [opening-hour]\n"
PROFILE = "stakeholders:\n  staff:\n    description: Who works here.\n"
EXAMPLE = """\
few_shot:
  - principle: kind
    prompt: When do you close?
    answer: At six, read the sign.
    critique: It is curt.
    revision: At six, read the sign.
"""
CORPUS = [
    # statements
    ("SC101", said(LONG)),
    ("SC101", said("The assistant " + "never " * 70 + "lies.")),
    ("SC101", said("助手用友好的语气回答每一位读者的问题" * 4)),
    ("SC102", said("The assistant is friendly; it keeps replies short.")),
    ("SC102", said("The assistant is friendly and never mentions prices of rivals.")),
    ("SC102", said("The assistant greets visitors. It names its source. It stays short.")),
    ("SC102", said("The assistant answers politely and must not quote whole pages.")),
    ("SC102", said("The assistant names a source as well as the date of each fact.")),
    ("SC102", said("The assistant stays calm and also asks back when it is unsure.")),
    ("SC103", said("The assistant does not mock visitors for their questions.")),
    ("SC103", said("Never reveal what another visitor has borrowed.")),
    ("SC103", said("The assistant must not guess opening hours on holidays.")),
    ("SC103", said("The assistant avoids talk about what others have borrowed.")),
    ("SC103", said("Don't send visitors away without an answer they can use.")),
    ("SC104", said("Choose the response that is friendlier to the visitor.")),
    ("SC104", said("The assistant gives the most helpful reply of these two replies.")),
    ("SC104", said("Which reply is kinder to visitors of the library")),
    ("SC104", asked(critique="Which of the two responses is less kind, and why?")),
    ("SC104", asked(revision="Make it kinder than the other response.")),
    ("SC104", asked(critique="Pick the answer that harms the visitor least. Options: (A)")),
    ("SC105", asked(preference="Is the reply friendly to the visitor?")),
    ("SC105", asked(preference="The reply should be friendly to visitors.")),
    ("SC106", desk(principle(tests=""))),
    ("SC106", desk(principle(tests="    severity: critical\n"))),
    ("SC107", said("Be good.")),
    ("SC107", said("The assistant is good and nice.")),
    ("SC107", said("The assistant always behaves ethically.".replace("ethically", "ethical"))),
    ("SC107", said("The assistant does the right and appropriate thing.".replace(" thing", ""))),
    ("SC107", said("Kindness.")),
    ("SC108", said("TODO: say what the assistant does at the desk.")),
    ("SC108", asked(critique="FIXME")),
    ("SC108", asked(revision="Lorem ipsum dolor sit amet.")),
    ("SC108", asked(critique="...")),
    ("SC108", asked(revision="<your revision request>")),
    ("SC108", asked(preference="[describe which reply is better]")),
    ("SC109", asked(critique="What is unfriendly in {answer}?")),
    ("SC109", asked(critique="What is unfriendly in {{ reply }}?")),
    ("SC109", asked(revision="<|im_start|> Rewrite your reply.")),
    ("SC109", asked(revision="Rewrite ${reply} in a friendly tone.")),
    ("SC110", asked(critique="CritiqueRequest: What is unfriendly in your reply?")),
    ("SC110", asked(revision="Rewrite it in a friendly tone.\n\nRevision:")),
    ("SC110", asked(critique="Human: What is unfriendly in your reply?")),
    ("SC110", asked(revision="RevisionRequest: Please rewrite it.")),
    ("SC111", said("The assistant NEVER EVER MOCKS a visitor of the library.")),
    ("SC111", said("The assistant answers in a friendly tone!!")),
    ("SC111", asked(revision="You MUST rewrite the reply in a friendly tone.")),
    ("SC112", asked(critique=SWAPPED)),
    ("SC112", asked(critique="Please revise the reply.")),
    ("SC112", asked(revision="Identify what is unfriendly in the last reply.")),
    ("SC112", asked(revision="Explain how the last reply is unfriendly.")),
    ("SC113", said("Does the assistant answer in a friendly tone?")),
    # tests
    ("SC201", desk(principle(tests=TWICE))),
    ("SC202", desk(principle(tests=ALIKE))),
    ("SC203", desk(principle(tests=LENGTH))),
    ("SC204", desk(principle(tests=TESTS + "    check: {max_words: 9}\n"))),
    ("SC204", desk(principle(tests=TESTS + "    check: {require: [sign]}\n"))),
    ("SC204", desk(principle(tests=TESTS + "    check: {max_words: 9}\n    judged: true\n"))),
    ("SC205", desk(principle(tests=CHECKED, preference=PREFERS))),
    ("SC205", desk(principle(tests=CHECKED, critique="What is unfriendly in it?"))),
    # the whole
    ("SC301", desk(principle(), principle(id="nice"))),
    (
        "SC301",
        desk(
            principle(),
            principle(id="nice", statement="The assistant answers visitors in friendly tones."),
        ),
    ),
    ("SC302", desk(principle(tests=TESTS + "    weight: 0\n"), OTHER)),
    ("SC302", desk(principle(tests=TESTS + "    weight: 0.0001\n"), OTHER)),
    (
        "SC302",
        desk(
            principle(tests=TESTS + "    applies_to: {stakeholders: [staff]}\n"),
            OTHER,
            tail=PROFILE + "    weights: {kind: 0}\n",
        ),
    ),
    ("SC303", desk(TAGGED, MISSPELT)),
    ("SC304", desk(principle(), tail=PROFILE)),
    ("SC304", desk(principle(), tail=PROFILE + "    weights: {kind: 1.0}\n")),
    ("SC305", desk(principle(), head=f"{HEAD}preamble: A library. {FIELDS['statement']}\n")),
    ("SC306", desk(principle(), head=HEAD.replace("1.0.0", "1.0"))),
    ("SC306", desk(principle(), head=HEAD.replace("1.0.0", "draft"))),
    ("SC307", desk(principle(), head=HEAD.replace("description: For tests.\n", ""))),
    ("SC308", desk(principle(), tail=EXAMPLE)),
    (
        "SC309",
        desk(
            principle(tests=TESTS + "    weight: 9\n"),
            OTHER,
            OTHER.replace("brief", "calm").replace("short as the question allows", "calm as tea"),
            OTHER.replace("brief", "clear").replace("replies as short", "words on a plain level"),
        ),
    ),
    ("SC401", desk(principle(), head=HEAD.split("\n", 1)[1])),
    ("SC402", desk(principle(tests=TESTS + "    tags: [hours, hours]\n"))),
    ("SC402", desk(principle(tests=TESTS + "    tags:\n      - hours\n      - hours\n"))),
    ("SC403", desk(principle()).replace("description: For tests.", "description: For tests.  ")),
    ("SC404", desk(principle()).replace("For tests.", "For tests #of all kinds.")),
    ("SC404", desk(principle()).replace("May I bring my dog?", "May I bring dog # 2")),
    ("SC405", desk(principle(tests=TESTS + "    weight: 010\n"))),
    ("SC405", desk(principle(tests=TESTS + "    check: {max_words: 1:30}\n    judged: true\n"))),
    ("SC406", desk(principle()).replace("For tests.", "&co tests.")),
]


def lint(tmp_path, text, **known):
    file = tmp_path / "desk.yaml"
    file.write_text(text, encoding="utf-8")
    return lint_file(file, **known)


def codes(findings):
    return {finding.rule.code for finding in findings}


def test_the_corpus_is_large_and_covers_every_rule():
    assert len(CORPUS) >= 60
    assert {code for code, _ in CORPUS} == {rule.code for rule in RULES.values() if not rule.judged}


def test_the_guide_lists_every_rule():
    guide = Path(__file__).parents[2] / "docs" / "constitution.md"
    told = re.findall(r"^\| (SC\d+) \| (.+?) \|", guide.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [(rule.code, rule.title) for rule in RULES.values()]


@pytest.mark.parametrize(("code", "text"), CORPUS)
def test_what_smells_is_found_where_it_stands(tmp_path, code, text):
    findings = [f for f in lint(tmp_path, text) if f.rule.code == code]
    assert findings
    lines = len(text.splitlines())
    assert all(1 <= f.line <= lines and f.column >= 1 for f in findings)


@pytest.mark.parametrize("name", shipped_constitutions())
def test_the_shipped_constitutions_are_clean(name):
    assert lint_file(name) == []


@pytest.mark.parametrize(
    "text",
    [
        desk(principle(), OTHER),
        said("The assistant does not mock visitors.", revision="Rewrite it in a friendly tone."),
        said("助手用友好的语气回答每一位来图书馆的读者提出的问题。"),
        said("アシスタントは来館者に親切に答えます。"),
        asked(preference=PREFERS, critique="Quote what is curt in the last reply."),
        said("The assistant writes NASA and UNESCO as people know them."),
        said("The assistant prefers plain words to technical ones."),
        desk(principle(), OTHER, tail=PROFILE + "    weights: {kind: 2.0}\n"),
        desk(TAGGED, OTHER + "    tags: [opening-hours, lift]\n"),
        desk(principle(), tail=EXAMPLE.replace("revision: At six, read", "revision: We close at")),
    ],
)
def test_what_is_in_order_is_let_be(tmp_path, text):
    assert lint(tmp_path, text) == []


@pytest.mark.parametrize(
    "place",
    [
        lambda text: text.replace('"Be good."', '"Be good."  # solon: ignore SC107'),
        lambda text: text.replace("    statement", "    # solon: ignore SC107\n    statement"),
        lambda text: text.replace("  - id", "  # solon: ignore SC106, SC107\n  - id"),
        lambda text: "# solon: ignore SC107\n" + text,
    ],
)
def test_a_finding_can_be_silenced_on_its_line_its_principle_or_everywhere(tmp_path, place):
    text = said("Be good.")
    assert codes(lint(tmp_path, text)) == {"SC107"}
    assert lint(tmp_path, place(text)) == []
    other = place(text).replace("SC107", "SC999")
    assert codes(lint(tmp_path, other)) == {"SC107"}


def test_tags_are_compared_with_those_that_prompts_carry(tmp_path):
    text = desk(principle(tests=TESTS + "    applies_to: {tags: [hourz]}\n"), OTHER)
    (finding,) = lint(tmp_path, text, prompt_tags=frozenset({"hours"}))
    assert finding.rule.code == "SC303" and "hours" in finding.remedy
    assert lint(tmp_path, text, prompt_tags=frozenset({"hourz"})) == []


def test_only_the_files_own_principles_are_told(tmp_path):
    (tmp_path / "base.yaml").write_text(said("Be good."), encoding="utf-8")
    child = desk(OTHER, head=HEAD.replace("name: desk", "name: child\nextends: [./base.yaml]"))
    assert lint(tmp_path, child) == []


# Mending ---------------------------------------------------------------------------------------


MESSY = """\
name: desk   
version: "1.0.0"   # for now
description: >-
  For tests,
  and for people.
principles:
  - id: kind
    statement: 'The assistant answers every visitor in a friendly tone.'
    tags: [hours, "desk", hours]  # where
    applies_to:
      tags:
        - hours   # one
        - hours
        - desk
"""  # noqa: W291


def test_white_space_that_is_read_is_left(tmp_path):
    text = desk(principle()).replace("For tests.", ">-\n  For tests,  \n  and people.")
    file = tmp_path / "desk.yaml"
    assert fix_text(text, file) == text


def test_fixing_keeps_comments_quotes_order_and_meaning(tmp_path):
    file = tmp_path / "desk.yaml"
    file.write_text(MESSY, encoding="utf-8")
    before = load_constitution(file)
    fixed = fix_text(MESSY, file)
    file.write_text(fixed, encoding="utf-8")
    assert not {"SC401", "SC402", "SC403"} & codes(lint_file(file))
    for kept in ("# for now", "'The assistant", '"desk"', "# where", "# one", ">-"):
        assert kept in fixed
    after = load_constitution(file)
    assert [p.content_hash for p in after.principles] == [p.content_hash for p in before.principles]
    assert after.principles[0].tags == ("hours", "desk")
    assert after.principles[0].applies_to.tags == ("hours", "desk")
    assert fix_text(fixed, file) == fixed


def test_fixing_keeps_line_ends(tmp_path):
    text = MESSY.replace("\n", "\r\n")
    fixed = fix_text(text, tmp_path / "desk.yaml")
    assert "$schema=" in fixed
    assert fixed.count("\n") == fixed.count("\r\n") == len(fixed.splitlines())


@pytest.mark.parametrize("name", shipped_constitutions())
def test_fixing_leaves_clean_files_alone(name):
    path = Path(__file__).parents[2] / "constitution" / "library" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert fix_text(text, path) == text


# Formats ---------------------------------------------------------------------------------------


def test_formats_carry_the_same_findings(tmp_path):
    findings = lint(tmp_path, said("Be good."))
    (plain,) = json.loads(formatted(findings, LintFormat.JSON))
    assert (plain["code"], plain["line"]) == ("SC107", findings[0].line)
    github = formatted(findings, LintFormat.GITHUB)
    assert github.startswith("::warning file=") and f"line={findings[0].line}" in github
    assert "SC107" in formatted(findings, LintFormat.TEXT)


def test_sarif_has_the_shape_that_code_hosts_read(tmp_path):
    log = json.loads(formatted(lint(tmp_path, said("Be good.")), LintFormat.SARIF))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "solon"
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "SC107"
    assert result["level"] in ("none", "note", "warning", "error")
    assert set(result["message"]) == {"text"}
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region["startLine"] >= 1 and region["startColumn"] >= 1


def test_github_cannot_be_told_a_second_command(tmp_path):
    text = said("TODO: one\n::error::two")
    assert len(formatted(lint(tmp_path, text), LintFormat.GITHUB).splitlines()) == len(
        lint(tmp_path, text)
    )
