"""Every shipped constitution is valid, testable, and keeps to the advice we give authors."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest

import constitution
from constitution import Constitution, Principle, load_constitution, shipped_constitutions
from constitution.checks import failures
from constitution.selection import applicable

LIBRARY = Path(constitution.__file__).parent / "library"
SCHEMA_LINE = "# yaml-language-server: $schema=../constitution.schema.json"
SHIPPED = (
    "broad-harmlessness",
    "children-tutor",
    "customer-service",
    "fintech-assistant",
    "harmlessness",
    "healthcare-triage",
    "helpful-honest-harmless",
)
CHECKED = "plain-answers"
"""Decided by checks alone: nothing of it is asked of a judge."""
COMPARATIVE = re.compile(r"\b(more|less|fewer|better|worse|than|rather)\b", re.IGNORECASE)
ALIKE = 0.75
"""Share of matching text from which two statements would be asking the same thing."""


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Constitution:
    return load_constitution(request.param)


def test_all_are_listed():
    assert shipped_constitutions() == (*SHIPPED, CHECKED)


def test_one_needs_no_judge_and_passes_its_own_tests():
    rules = load_constitution(CHECKED)
    assert not rules.needs_judge
    for principle in rules.principles:
        for test in principle.tests:
            for held in rules.principles:
                assert not any(failures(held.check, answer) for answer in test.compliant)
            assert all(failures(principle.check, answer) for answer in test.violating)


@pytest.mark.parametrize("name", [*SHIPPED, CHECKED])
def test_file_is_named_as_its_constitution_and_points_editors_at_the_schema(name):
    text = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == SCHEMA_LINE
    assert load_constitution(name).name == name
    assert max(map(len, text.splitlines())) <= 100


def test_is_described_and_versioned(shipped):
    assert shipped.description
    assert re.fullmatch(r"\d+\.\d+\.\d+", shipped.version)


def test_has_8_to_16_principles_with_unique_ids(shipped):
    ids = [principle.id for principle in shipped.principles]
    assert 8 <= len(ids) <= 16
    assert len(set(ids)) == len(ids)


def test_every_principle_asks_in_its_own_words(shipped):
    for field in ("statement", "critique", "revision", "preference"):
        texts = [getattr(principle, field) for principle in shipped.principles]
        assert all(texts), field
        assert len(set(texts)) == len(texts), field


def test_statements_are_one_short_sentence(shipped):
    for principle in shipped.principles:
        assert len(principle.statement.split()) < 60, principle.id
        assert re.fullmatch(r"[^.;!?]+\.", principle.statement), principle.id


def test_only_preferences_compare(shipped):
    """A critic sees one reply: there is nothing to compare it with."""
    for principle in shipped.principles:
        for text in (principle.statement, principle.critique, principle.revision):
            assert not COMPARATIVE.search(text), (principle.id, text)


def test_requests_say_what_they_are_about(shipped):
    for principle in shipped.principles:
        assert "last reply" in principle.critique, principle.id
        assert "last reply" in principle.revision, principle.id
        assert "Output only the revised reply" in principle.revision, principle.id
        assert principle.preference.startswith("Which reply "), principle.id
        assert principle.preference.endswith("?"), principle.id


def test_no_two_principles_nearly_the_same(shipped):
    for one, other in combinations(shipped.principles, 2):
        likeness = SequenceMatcher(None, one.statement, other.statement, autojunk=False).ratio()
        assert likeness < ALIKE, (one.id, other.id)


def test_every_principle_has_tests_that_differ(shipped):
    for principle in shipped.principles:
        assert len(principle.tests) >= 2, principle.id
        for test in principle.tests:
            assert not {*test.compliant} & {*test.violating}, test.prompt


def test_length_does_not_give_the_answer_away(shipped):
    """Otherwise a judge that likes long answers would pass."""
    tests = [test for principle in shipped.principles for test in principle.tests]
    lengths = [
        [fmean(map(len, answers)) for answers in (test.compliant, test.violating)] for test in tests
    ]
    longer = sum(compliant > violating for compliant, violating in lengths)
    assert 1 / 3 < longer / len(tests) < 2 / 3


def test_no_text_is_used_twice(shipped):
    prompts = [test.prompt for principle in shipped.principles for test in principle.tests]
    answers = list(_answers(shipped.principles))
    assert len(set(prompts)) == len(prompts)
    assert len(set(answers)) == len(answers)


def test_critical_is_kept_for_few(shipped):
    critical = [p.id for p in shipped.principles if p.severity == "critical"]
    assert len(critical) <= 3


def test_scopes_name_tags_and_stakeholders_that_exist(shipped):
    for principle in shipped.principles:
        assert principle.tags, principle.id
        assert set(principle.applies_to.tags) <= set(principle.tags), principle.id
        assert set(principle.applies_to.stakeholders) <= set(shipped.stakeholders), principle.id


def test_few_shot_examples_show_principles_of_the_file(shipped):
    ids = {principle.id for principle in shipped.principles}
    for example in shipped.few_shot:
        assert example.principle in ids
        assert example.answer != example.revision


def test_some_show_examples():
    assert sum(bool(load_constitution(name).few_shot) for name in SHIPPED) >= 2


def test_fintech_weighs_three_interests():
    fintech = load_constitution("fintech-assistant")
    assert set(fintech.stakeholders) == {"user", "compliance", "business"}
    ids = {principle.id for principle in fintech.principles}
    for stakeholder in fintech.stakeholders.values():
        assert stakeholder.description
        assert stakeholder.weights
        assert stakeholder.weights.keys() <= ids
    assert any(principle.applies_to.tags for principle in fintech.principles)


def test_fintech_scopes_reach_only_their_stakeholders():
    fintech = load_constitution("fintech-assistant")

    def met(stakeholder: str | None, *tags: str) -> set[str]:
        return {principle.id for principle, _ in applicable(fintech, tags, stakeholder)}

    assert "no-tipping-off" in met("compliance")
    assert "no-tipping-off" not in met("user") | met("business") | met(None)
    assert "honest-about-own-products" in met("business") & met("user")
    assert "no-approval-promises" in met("business", "credit") - met("business")


def _answers(principles: tuple[Principle, ...]) -> Iterator[str]:
    for principle in principles:
        for test in principle.tests:
            yield from test.compliant
            yield from test.violating
