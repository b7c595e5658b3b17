"""Briefs: how many of what, the same whatever else is in the constitution."""

from collections import Counter

import pytest
from pydantic import ValidationError

from constitution.schema import AppliesTo, Stakeholder
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
