"""Constitutions of every shape, for property tests."""

from collections.abc import Sequence
from typing import Any

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

__all__ = ["constitutions"]


@st.composite
def constitutions(
    draw: st.DrawFn, text: st.SearchStrategy[str], slugs: Sequence[str]
) -> Constitution:
    """Every field filled or left out; ids, tags and names are among `slugs`."""
    slug = st.sampled_from(slugs)
    ids = draw(st.lists(slug, min_size=1, max_size=4, unique=True))
    maybe = st.none() | text

    def some(one: st.SearchStrategy[Any], most: int) -> tuple[Any, ...]:
        return tuple(draw(st.lists(one, max_size=most)))

    answers = text | st.lists(text, min_size=1, max_size=3)
    tests = st.builds(PrincipleTest, prompt=text, compliant=answers, violating=answers)
    checks = st.builds(
        Check,
        max_words=st.none() | st.integers(10, 99),
        forbid=st.none()
        | st.lists(st.sampled_from(["as an AI", "/a+b/", "!"]), min_size=1).map(tuple),
        no_lists=st.just(True),
        is_json=st.none() | st.just(True),
    )
    maybe_checked = st.fixed_dictionaries({}) | st.fixed_dictionaries({
        "check": checks,
        "judged": st.none() | st.booleans(),
    })
    parts = dict.fromkeys(("prompt", "answer", "critique", "revision"), text)
    examples = st.builds(FewShotExample, principle=st.sampled_from(ids), **parts)
    weights = st.dictionaries(
        st.sampled_from(ids), st.sampled_from([0.0, 1.0, 2.0]), max_size=2
    ).filter(lambda given: len(given) < len(ids) or any(given.values()))  # not all of them 0
    stakeholder = st.builds(Stakeholder, description=maybe, weights=weights)
    return Constitution(
        name=draw(slug),
        version=draw(text),
        description=draw(maybe),
        preamble=draw(maybe),
        principles=tuple(
            Principle(
                id=id,
                statement=draw(text),
                critique=draw(maybe),
                weight=draw(st.sampled_from([1.0, 2.0, 0.5, 1e-7])),
                severity=draw(st.sampled_from([*Severity])),
                tags=some(slug, 2),
                applies_to=AppliesTo(tags=some(slug, 2)),
                tests=some(tests, 2),
                **draw(maybe_checked),
            )
            for id in ids
        ),
        stakeholders=draw(st.dictionaries(slug, stakeholder, max_size=2)),
        few_shot=tuple(dict.fromkeys(some(examples, 3))),
    )
