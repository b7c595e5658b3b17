"""A content hash changes with what a model is asked, and with nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.schema import AppliesTo, PrincipleTest, Severity
from tests.engine.builders import constitution, principle

ASKED = {
    "statement": "The assistant is gentle.",
    "critique": "What is rough in the reply?",
    "revision": "Write it gently.",
    "preference": "Which reply is gentler?",
}
TOLD = {
    "weight": 3.0,
    "severity": Severity.HIGH,
    "tags": ("tone",),
    "applies_to": AppliesTo(tags=("tone",)),
    "tests": (PrincipleTest(prompt="P?", compliant="C.", violating="V."),),
}
BEFORE = principle("kindness")


@pytest.mark.parametrize("field", ASKED)
def test_a_principles_hash_is_of_the_texts_that_are_asked(field):
    after = BEFORE.model_copy(update={field: ASKED[field]})
    assert after.model_validate(after.model_dump()).content_hash != BEFORE.content_hash


@pytest.mark.parametrize("field", TOLD)
def test_a_principles_hash_is_not_of_its_weight_or_place(field):
    after = BEFORE.model_copy(update={field: TOLD[field]})
    assert after.model_validate(after.model_dump()).content_hash == BEFORE.content_hash


SHOWN = st.text(min_size=1).filter(lambda text: text.strip())


@given(one=SHOWN, other=SHOWN)
def test_two_preambles_have_one_hash_only_if_they_are_equal(one, other):
    hashes = {constitution("kindness", preamble=text).content_hash for text in (one, other)}
    stripped = {constitution("kindness", preamble=text).preamble for text in (one, other)}
    assert len(hashes) == len(stripped)
    assert all(len(hash) == 16 and int(hash, 16) >= 0 for hash in hashes)
