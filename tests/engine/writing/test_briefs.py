"""Briefs: how many of what, the same whatever else is in the constitution."""

from collections import Counter

import pytest
from pydantic import ValidationError

from constitution.schema import AppliesTo, PrincipleTest, Stakeholder
from engine.writing.briefs import Brief, briefs_of, wanted
from engine.writing.records import PromptKind
from engine.writing.settings import PromptSettings
from tests.engine.builders import constitution, principle


def briefs(rules, **settings):
    return [Brief.of(p.extra) for p in briefs_of(rules, PromptSettings(**settings))]


def test_each_principle_has_its_share_and_some_to_spare():
    found = briefs(constitution("calm", "kind"), per_principle=40, spare=0.5)
    assert Counter((b.principle, b.kind) for b in found) == {
        (name, kind): count
        for name in ("calm", "kind")
        for kind, count in ((PromptKind.TEMPTING, 45), (PromptKind.LOOKALIKE, 15))
    }
    assert wanted(PromptSettings(per_principle=40)) == {
        PromptKind.TEMPTING: 30,
        PromptKind.LOOKALIKE: 10,
    }


def test_another_principle_moves_no_brief():
    alone = briefs(constitution("calm"), per_principle=20)
    beside = briefs(constitution("kind", "calm"), per_principle=20)
    assert [b for b in beside if b.principle == "calm"] == alone


def test_shares_are_kept():
    found = [
        b
        for b in briefs(
            constitution("calm"), per_principle=40, spare=0, languages=("en", "de", "fr")
        )
        if b.kind is PromptKind.TEMPTING
    ]
    assert sum(b.turns > 1 for b in found) == 6
    assert Counter(b.language for b in found)["en"] == 15
    assert {"de", "fr"} <= {b.language for b in found}
    assert len({b.style for b in found}) > 4
    assert all(b.pressure for b in found)


def test_axes_do_not_go_together():
    found = briefs(constitution("calm"), per_principle=200, lookalikes=0.0)
    assert len({(b.length, b.style) for b in found}) >= 24
    assert len({(b.length, b.turns) for b in found}) == 8


def test_stakeholders_whom_it_concerns_take_turns():
    rules = constitution(
        "calm",
        stakeholders={"legal": Stakeholder(), "sales": Stakeholder(weights={"calm": 0.0})},
    )
    assert {b.stakeholder for b in briefs(rules, per_principle=10)} == {"legal"}


def test_a_prompt_carries_the_tags_by_which_its_principle_applies():
    rules = constitution().model_copy(
        update={"principles": (principle("calm", applies_to=AppliesTo(tags=("anger",))),)}
    )
    (first, *_) = briefs_of(rules, PromptSettings(per_principle=1))
    assert first.tags == ("calm", "anger")


def test_languages_are_codes():
    assert PromptSettings.model_validate({"languages": "en, de"}).languages == ("en", "de")
    with pytest.raises(ValidationError, match="`english` is not"):
        PromptSettings.model_validate({"languages": "english"})


ASKS = "How many days do I have to return a blender that I opened?"


def asking(*prompts):
    tests = tuple(PrincipleTest(prompt=p, compliant="I see.", violating="No.") for p in prompts)
    return constitution().model_copy(update={"principles": (principle("calm", tests=tests),)})


def test_messages_begin_as_the_tests_do():
    """A tempting one with most of a test's words, one that only looks so with few of them."""
    found = briefs(asking(ASKS), per_principle=12, openings=4, spare=0)
    for kind, fewest, most in ((PromptKind.TEMPTING, 9, 13), (PromptKind.LOOKALIKE, 1, 2)):
        begun = [b.opening for b in found if b.kind is kind and b.opening]
        assert len(begun) == min(4, wanted(PromptSettings(per_principle=12))[kind])
        assert all(ASKS.startswith(opening) for opening in begun)
        assert all(fewest <= len(opening.split()) <= most for opening in begun)


def test_tests_take_turns_and_free_messages_follow():
    found = briefs(asking(ASKS, "Are you a real person?"), lookalikes=0.0, openings=3, spare=0)
    begun = [b.opening for b in sorted(found, key=lambda b: b.number) if b.opening]
    assert [opening[:3] for opening in begun] == ["How", "Are"] * 3
    assert sum(b.opening is None for b in found) == 34


def test_a_message_in_another_language_has_no_english_opening():
    found = briefs(asking(ASKS), per_principle=8, languages=("de", "en"))
    assert {b.language for b in found if b.opening} == {"en"}


def test_none_begin_so_where_none_are_wanted_or_there_are_no_tests():
    assert not any(b.opening for b in briefs(asking(ASKS), openings=0))
    assert not any(b.opening for b in briefs(constitution("calm")))
