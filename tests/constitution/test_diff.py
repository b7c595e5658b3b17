"""A semantic diff: what it calls each edit, and that no edit that counts goes unsaid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import (
    AppliesTo,
    Check,
    Constitution,
    FewShotExample,
    Principle,
    PrincipleTest,
    Severity,
    Stakeholder,
)
from constitution.diff import ChangeKind, diff
from tests.constitution.strategies import constitutions


def principle(id, statement="Be kind.", **fields):
    return Principle(id=id, statement=statement, **fields)


def house(*principles, **fields):
    return Constitution(name="house", principles=principles or (principle("kind"),), **fields)


def told(old, new):
    return [(c.kind.value, c.part, c.name, c.field, c.old, c.new) for c in diff(old, new)]


TEST = PrincipleTest(prompt="Hello?", compliant="Hello!", violating="Go away.")
EXAMPLE = FewShotExample(principle="kind", prompt="p", answer="a", critique="c", revision="r")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"statement": "Be nice."}, ("reworded", "statement", "Be kind.", "Be nice.")),
        ({}, {"critique": "Where?"}, ("reworded", "critique", None, "Where?")),
        ({"revision": "Mend it."}, {}, ("reworded", "revision", "Mend it.", None)),
        ({}, {"preference": "Which?"}, ("reworded", "preference", None, "Which?")),
        ({}, {"weight": 2.5}, ("re-weighted", "weight", "1", "2.5")),
        ({}, {"severity": Severity.HIGH}, ("re-scoped", "severity", "medium", "high")),
        ({"tags": ("a",)}, {"tags": ("a", "b")}, ("re-scoped", "tags", "a", "a, b")),
        (
            {},
            {"applies_to": AppliesTo(tags=("law",))},
            ("re-scoped", "applies_to.tags", None, "law"),
        ),
        (
            {"applies_to": AppliesTo(stakeholders=("staff",))},
            {},
            ("re-scoped", "applies_to.stakeholders", "staff", None),
        ),
        ({}, {"tests": (TEST,)}, ("re-tested", "test", None, "Hello?")),
        (
            {"tests": (TEST,)},
            {"tests": (TEST.model_copy(update={"violating": ("No.",)}),)},
            ("re-tested", "violating", "Go away.", "No."),
        ),
        (
            {"tests": (TEST,)},
            {"tests": (TEST.model_copy(update={"violating": ("Go away.", "No.")}),)},
            ("re-tested", "violating", "Go away.", "1. Go away.\n2. No."),
        ),
        (
            {"check": Check(max_words=9, no_lists=True)},
            {"check": Check(max_words=8, no_lists=True)},
            ("re-checked", "check.max_words", "9", "8"),
        ),
        (
            {"check": Check(json=True)},
            {"check": Check(json=True), "judged": True},
            ("re-checked", "judged", "no", "yes"),
        ),
    ],
)
def test_each_field_of_a_principle_has_its_kind(old, new, expected):
    kind, field, before, after = expected
    fields = {"statement": "Be kind."}
    sides = (house(principle("kind", **(fields | side))) for side in (old, new))
    assert told(*sides) == [(kind, "principle", "kind", field, before, after)]


def test_principles_come_go_and_are_renamed():
    old = house(principle("kind"), principle("quiet", "Be quiet."), principle("warm", "Be warm."))
    new = house(principle("kind"), principle("silent", "Be quiet."), principle("fair", "Be fair."))
    assert told(old, new) == [
        ("renamed", "principle", "silent", "id", "quiet", "silent"),
        ("removed", "principle", "warm", "statement", "Be warm.", None),
        ("added", "principle", "fair", "statement", None, "Be fair."),
    ]


def test_order_is_told_only_of_what_stays():
    a, b, c = (principle(id, f"Be {id}.") for id in "abc")
    assert told(house(a, b), house(c, a, b))[0][0] == "added"
    assert len(told(house(a, b), house(c, a, b))) == 1
    assert told(house(a, b), house(b, a)) == [
        ("reordered", "constitution", "", "principles", "a, b", "b, a")
    ]


def test_profiles_and_examples():
    old = house(stakeholders={"staff": Stakeholder(weights={"kind": 1}), "guests": Stakeholder()})
    new = house(
        stakeholders={"staff": Stakeholder(weights={"kind": 3})},
        few_shot=(EXAMPLE,),
        preamble="A library.",
    )
    assert told(old, new) == [
        ("reworded", "constitution", "", "preamble", None, "A library."),
        ("re-weighted", "stakeholder", "staff", "kind", "1", "3"),
        ("removed", "stakeholder", "guests", "weights", "", None),
        ("added", "example", "kind", "prompt", None, "p"),
    ]
    answered = house(few_shot=(EXAMPLE.model_copy(update={"answer": "b"}),))
    assert told(house(few_shot=(EXAMPLE,)), answered) == [
        ("reworded", "example", "kind", "answer", "a", "b")
    ]


WORDS = st.sampled_from(["one", "two", "three"])
ANY = constitutions(WORDS, ("a", "b", "c", "d"))


@given(ANY, ANY)
def test_a_change_alters_runs_exactly_when_the_hashes_differ(old, new):
    altered = any(change.alters_runs for change in diff(old, new))
    assert altered == (old.content_hash != new.content_hash)


@given(ANY, ANY)
def test_the_other_way_round_every_change_is_reversed(old, new):
    opposite = {ChangeKind.ADDED: ChangeKind.REMOVED, ChangeKind.REMOVED: ChangeKind.ADDED}

    def seen(changes, *, turned):
        for change in changes:
            if change.kind not in (ChangeKind.RENAMED, ChangeKind.REORDERED):
                kind = opposite.get(change.kind, change.kind) if turned else change.kind
                sides = (change.new, change.old) if turned else (change.old, change.new)
                yield kind, change.part, change.field, *sides

    there, back = seen(diff(old, new), turned=False), seen(diff(new, old), turned=True)
    assert sorted(there, key=repr) == sorted(back, key=repr)


@given(ANY)
def test_nothing_differs_from_itself(one):
    assert diff(one, one.model_copy()) == ()
