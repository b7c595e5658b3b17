"""docs/constitution.md shows files that load, and errors as they are really told."""

import re
from pathlib import Path

import pytest

from constitution import InputError, load_constitution, load_constitution_text
from constitution.schema import (
    AppliesTo,
    Constitution,
    FewShotExample,
    Principle,
    PrincipleTest,
    Stakeholder,
)

PAGE = (Path(__file__).parents[2] / "docs" / "constitution.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SMALLEST, WHOLE, CHILD, WRONG = (text for language, text in BLOCKS if language == "yaml")


def test_the_smallest_constitution_loads():
    assert load_constitution_text(SMALLEST).name == "house-rules"


def test_the_example_shows_every_field():
    loaded = load_constitution_text(WHOLE)
    assert len(loaded.principles) == 3
    models = (Constitution, Principle, PrincipleTest, AppliesTo, Stakeholder, FewShotExample)
    keys = {key for model in models for key in model.model_fields}
    assert {key for key in keys if not re.search(rf"\b{key}:", WHOLE + CHILD)} == set()


def test_a_file_that_builds_on_others_loads(tmp_path):
    (tmp_path / "library-desk.yaml").write_text(WHOLE, encoding="utf-8")
    (tmp_path / "bank-desk.yaml").write_text(CHILD, encoding="utf-8")
    loaded = load_constitution(tmp_path / "bank-desk.yaml")
    shipped = load_constitution("harmlessness")
    ids = [principle.id for principle in loaded.principles]
    assert ids[: len(shipped.principles)] == [principle.id for principle in shipped.principles]
    assert ids[-3:] == ["short-answers", "no-legal-advice", "no-promised-returns"]
    assert loaded.principle("no-legal-advice").applies_to == AppliesTo()
    assert loaded.preamble == load_constitution_text(WHOLE).preamble


def test_errors_are_told_as_the_page_says():
    with pytest.raises(InputError) as caught:
        load_constitution_text(WRONG, "rules.yaml")
    (shown,) = (text for language, text in BLOCKS if text.startswith("rules.yaml:"))
    assert str(caught.value) == shown.strip()
