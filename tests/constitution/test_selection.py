"""Which principle meets which prompt: what an edit may move, and what it must not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import AppliesTo, Constitution, Principle, Stakeholder, draw, draw_profile
from constitution.selection import applicable

PROMPTS = [f"prompt-{number}" for number in range(300)]

ids = st.lists(st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True), min_size=2, max_size=8, unique=True)
weights = st.floats(0.1, 10)
constitutions = ids.flatmap(
    lambda names: st.tuples(*(weights for _ in names)).map(
        lambda values: build(dict(zip(names, values, strict=True)))
    )
)


def build(weighted: dict[str, float], **fields) -> Constitution:
    principles = tuple(
        Principle(id=name, statement=f"About {name}.", weight=weight)
        for name, weight in weighted.items()
    )
    return Constitution(name="test", principles=principles, **fields)


def replaced(constitution: Constitution, principles) -> Constitution:
    return constitution.model_copy(update={"principles": tuple(principles)})


def first(constitution: Constitution, prompt: str, **options) -> str | None:
    drawn = draw(constitution, prompt_id=prompt, **options)
    return drawn[0].id if drawn else None


def drawn_ids(constitution: Constitution, prompt: str, **options) -> list[str]:
    return [principle.id for principle in draw(constitution, prompt_id=prompt, **options)]


@given(constitutions, st.integers(1, 10), st.integers())
def test_editing_text_moves_nothing(constitution, rounds, seed):
    edited = replaced(
        constitution,
        (
            p.model_copy(update={"statement": "Other.", "critique": "What?", "tags": ("new",)})
            for p in constitution.principles
        ),
    )
    for prompt in PROMPTS[:20]:
        options = {"rounds": rounds, "seed": seed}
        assert drawn_ids(edited, prompt, **options) == drawn_ids(constitution, prompt, **options)


@given(constitutions, weights)
def test_a_new_principle_takes_draws_and_moves_no_other(constitution, weight):
    new = Principle(id="the-new-one", statement="New.", weight=weight)
    larger = replaced(constitution, (*constitution.principles, new))
    for prompt in PROMPTS[:50]:
        assert first(larger, prompt) in (first(constitution, prompt), new.id)


@given(constitutions, st.data())
def test_a_removed_principle_gives_up_its_own_draws_only(constitution, data):
    gone = data.draw(st.sampled_from(constitution.principles))
    smaller = replaced(constitution, (p for p in constitution.principles if p is not gone))
    for prompt in PROMPTS[:50]:
        before = first(constitution, prompt)
        assert before == gone.id or first(smaller, prompt) == before


@given(constitutions, st.data())
def test_more_weight_only_attracts(constitution, data):
    heavier = data.draw(st.sampled_from(constitution.principles))
    changed = replaced(
        constitution,
        (
            p.model_copy(update={"weight": p.weight * 2}) if p is heavier else p
            for p in constitution.principles
        ),
    )
    for prompt in PROMPTS[:50]:
        assert first(changed, prompt) in (first(constitution, prompt), heavier.id)


@given(constitutions, st.randoms(), st.integers(1, 10))
def test_the_order_of_the_file_does_not_matter(constitution, random, rounds):
    shuffled = list(constitution.principles)
    random.shuffle(shuffled)
    for prompt in PROMPTS[:20]:
        assert drawn_ids(replaced(constitution, shuffled), prompt, rounds=rounds) == drawn_ids(
            constitution, prompt, rounds=rounds
        )


@given(constitutions, st.integers(0, 12), st.text(max_size=10))
def test_rounds_never_repeat_a_principle(constitution, rounds, prompt):
    drawn = drawn_ids(constitution, prompt, rounds=rounds)
    assert len(drawn) == len(set(drawn)) == min(rounds, len(constitution.principles))


@given(constitutions, st.integers(1, 5))
def test_more_rounds_keep_the_earlier_ones(constitution, rounds):
    longer = drawn_ids(constitution, "p", rounds=rounds + 1)
    assert longer[:rounds] == drawn_ids(constitution, "p", rounds=rounds)


def chi_square(observed: Counter, shares: dict[str, float]) -> float:
    total, whole = observed.total(), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    return sum((observed[name] - count) ** 2 / count for name, count in expected.items())


@pytest.mark.parametrize("seed", range(3))
def test_frequencies_follow_the_weights(seed):
    shares = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 4.0}
    constitution = build(shares)
    observed = Counter(first(constitution, f"p{n}", seed=seed) for n in range(4000))
    assert chi_square(observed, shares) < 21.1  # 3 degrees of freedom, one in ten thousand


def test_about_one_draw_in_n_moves_to_the_nth_principle():
    shares = {f"p{n}": 1.0 for n in range(15)}
    before, after = build(shares), build(shares | {"p15": 1.0})
    moved = sum(first(before, f"p{n}") != first(after, f"p{n}") for n in range(3200))
    assert 140 <= moved <= 260  # 200 expected, 4.4 standard deviations either way


def test_seeds_and_rounds_draw_independently():
    constitution = build({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0})
    same_seed = sum(first(constitution, p) == first(constitution, p, seed=1) for p in PROMPTS)
    assert 40 < same_seed < 115  # a quarter of 300, 4.5 standard deviations
    seconds = Counter(drawn_ids(constitution, p, rounds=2)[1] for p in PROMPTS)
    assert chi_square(seconds, dict.fromkeys("abcd", 1.0)) < 21.1


def test_tags_narrow_a_principle_to_some_prompts():
    general = Principle(id="general", statement="Always.")
    narrow = Principle(
        id="narrow", statement="Sometimes.", applies_to=AppliesTo(tags=("law", "tax"))
    )
    constitution = Constitution(name="test", principles=(general, narrow))
    assert drawn_ids(constitution, "p", rounds=5) == ["general"]
    assert drawn_ids(constitution, "p", rounds=5, tags=["cooking"]) == ["general"]
    assert set(drawn_ids(constitution, "p", rounds=5, tags=["tax", "x"])) == {"general", "narrow"}
    assert drawn_ids(replaced(constitution, [narrow]), "p") == []


def test_a_profile_weighs_anew_and_opens_its_own_principles():
    own = Principle(id="own", statement="Own.", applies_to=AppliesTo(stakeholders=("legal",)))
    profiles = {"legal": Stakeholder(weights={"a": 0.0, "b": 3.0}), "support": Stakeholder()}
    base = build({"a": 1.0, "b": 1.0}, stakeholders=profiles)
    constitution = replaced(base, (*base.principles, own))
    assert set(drawn_ids(constitution, "p", rounds=9)) == {"a", "b"}
    assert set(drawn_ids(constitution, "p", rounds=9, stakeholder="support")) == {"a", "b"}
    assert set(drawn_ids(constitution, "p", rounds=9, stakeholder="legal")) == {"b", "own"}
    observed = Counter(first(constitution, p, stakeholder="legal") for p in PROMPTS)
    assert chi_square(observed, {"b": 3.0, "own": 1.0}) < 15.2
    with pytest.raises(KeyError):
        draw(constitution, prompt_id="p", stakeholder="marketing")


def test_profiles_are_mixed_by_their_shares():
    shares = {"legal": 3.0, "support": 1.0, "never": 0.0}
    observed = Counter(draw_profile(shares, prompt_id=prompt) for prompt in PROMPTS)
    assert observed["never"] == 0
    assert chi_square(observed, {"legal": 3.0, "support": 1.0}) < 15.2
    with pytest.raises(ValueError, match="no stakeholder has a share"):
        draw_profile({"legal": 0.0}, prompt_id="p")


def test_a_mixed_run_draws_as_the_profile_of_each_prompt_does():
    profiles = {"legal": Stakeholder(weights={"a": 0.0}), "support": Stakeholder()}
    constitution = build({"a": 1.0, "b": 1.0}, stakeholders=profiles)
    shares = {"legal": 1.0, "support": 1.0}
    for prompt in PROMPTS:
        profile = draw_profile(shares, prompt_id=prompt)
        assert first(constitution, prompt, stakeholder=shares) == first(
            constitution, prompt, stakeholder=profile
        )


def test_weight_0_is_never_drawn_and_every_principle_comes_in_file_order():
    constitution = build({"c": 1.0, "never": 0.0, "a": 9.0, "b": 1.0})
    assert [p.id for p, _ in applicable(constitution, (), None)] == ["c", "a", "b"]
    assert set(drawn_ids(constitution, "p", rounds=9)) == {"a", "b", "c"}


def test_draws_stay_the_same_from_version_to_version():
    """Runs are resumed and re-used across versions; a changed hash would do everything again."""
    constitution = build({"a": 1.0, "b": 2.0, "c": 3.0, "d": 1.0})
    drawn = [first(constitution, f"p{n}", seed=7) for n in range(12)]
    assert "".join(map(str, drawn)) == "bbbaacccadac"
