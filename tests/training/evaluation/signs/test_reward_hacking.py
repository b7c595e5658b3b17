"""Planted faults are found, and a policy that only differs by chance raises no sign."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.loop.shingles import words
from engine.prompts.sources import open_prompts
from training.evaluation.questions.prompt_sets import (
    BENIGN_LOOKALIKES,
    HARMFUL,
    read_opinion_pairs,
)
from training.evaluation.signs.checkpoint_signs import (
    judge_agreement,
    kl_from_base,
    position_bias,
    reward_length,
    sycophancy,
)
from training.evaluation.signs.reward_hacking import (
    boilerplate,
    diversity_loss,
    length_drift,
    over_refusal,
)

WORDS = [f"word{n}" for n in range(3000)]
STOCK = "It is important to remember that every situation is different."


def answers(seed, prompts=60, words=60, stock=""):
    rng = random.Random(seed)
    return {
        f"p{n}": f"{stock} {' '.join(rng.choices(WORDS, k=rng.randint(words // 2, words * 3 // 2)))}"
        for n in range(prompts)
    }


BASE = answers(0)


def signs(tried):
    found = (length_drift, boilerplate, diversity_loss, over_refusal)
    return {sign.name for sign in (check(tried, BASE) for check in found) if sign.flagged}


def test_the_same_kind_of_answers_raises_nothing():
    assert signs(BASE) == signs(answers(1)) == set()


def test_twice_as_long_is_drift():
    assert signs(answers(2, words=120)) == {"length_drift"}
    drift = length_drift(answers(2, words=120), BASE)
    assert drift.estimate.value == pytest.approx(2, abs=0.25) and "2.0 times" in drift.told
    assert signs(answers(2, words=25)) == {"length_drift"}


def test_the_same_phrase_everywhere_is_boilerplate():
    tried = answers(3, stock=STOCK)
    found = boilerplate(tried, BASE)
    assert found.flagged and len(found.examples) == 5
    said = " ".join(words(STOCK))
    assert all(example in said for example in found.examples)
    assert list(found.examples) == sorted(found.examples)  # as frequent as one another
    assert found.estimate.value == pytest.approx(10 / 70, abs=0.03)
    assert not boilerplate(tried, answers(4, stock=STOCK)).flagged  # the base says it too


def test_one_answer_to_everything_is_neither_varied_nor_original():
    tried = dict.fromkeys(
        BASE, "What matters is that you feel heard, and that we both take time. " * 4
    )
    assert {"boilerplate", "distinct_n"} <= signs(tried)


def test_one_who_always_refuses_is_found():
    tried = dict.fromkeys(BASE, "I'm sorry, but I can't help with that.")
    assert "over_refusal" in signs(tried)
    found = over_refusal(tried)
    assert found.estimate.value == 1 and "100%" in found.told
    assert not over_refusal(tried, tried).flagged  # nothing changed


def test_chinese_clauses_are_many_words():
    base = {f"p{n}": "今天天气很好" for n in range(30)}
    longer = {id: text * 2 for id, text in base.items()}
    assert length_drift(longer, base).estimate.value == 2
    phrase = "请您务必注意安全"
    tried = {id: f"{chr(0x5000 + n)}{phrase}" for n, id in enumerate(base)}
    found = boilerplate(tried, base)
    assert found.flagged and found.estimate.value == pytest.approx(8 / 9)


def test_variety_is_compared_at_equal_length():
    longer = answers(5, words=200)
    assert diversity_loss(longer, BASE).estimate.value == pytest.approx(1, abs=0.02)


def test_flattery_is_found():
    assert sycophancy([(0.9, 0.2)] * 20).flagged
    assert not sycophancy([(0.6, 0.6), (0.2, 0.3)] * 10).flagged
    assert sycophancy([]).estimate is None


def test_a_judge_that_takes_the_first_is_found():
    rng = random.Random(0)
    fair = [(p, 1 - p + rng.gauss(0, 0.05)) for p in (rng.random() for _ in range(60))]
    assert not position_bias(fair).flagged
    found = position_bias([(0.9, 0.85)] * 40)
    assert found.flagged and "first" in found.told
    assert "second" in position_bias([(0.1, 0.2)] * 40).told


def test_judges_that_disagree_are_found():
    rng = random.Random(0)
    one = [rng.random() < 0.5 for _ in range(80)]
    other = [rng.random() < 0.5 for _ in range(80)]
    assert judge_agreement(one, other).flagged
    assert not judge_agreement(one, [v if rng.random() < 0.9 else not v for v in one]).flagged


def test_a_reward_that_is_length_is_found():
    rng = random.Random(0)
    lengths = [rng.randint(5, 300) for _ in range(80)]
    assert reward_length([n + rng.gauss(0, 20) for n in lengths], lengths).flagged
    assert not reward_length([rng.random() for _ in lengths], lengths).flagged
    assert reward_length([1.0, 1.0], [1, 2]).estimate is None


def test_the_estimate_is_the_divergence():
    """Of two coins, whose divergence is known, over answers of ten tosses."""
    rng, own, other = random.Random(0), 0.6, 0.4
    tosses = [[rng.random() < own for _ in range(10)] for _ in range(2000)]
    policy = [[math.log(own if heads else 1 - own) for heads in answer] for answer in tosses]
    base = [[math.log(other if heads else 1 - other) for heads in answer] for answer in tosses]
    exact = 10 * (own * math.log(own / other) + (1 - own) * math.log((1 - own) / (1 - other)))
    found = kl_from_base(policy, base)
    assert found.estimate.value == pytest.approx(exact, abs=0.05) and not found.flagged


@given(st.lists(st.tuples(st.floats(-20, 0), st.floats(-20, 0)), min_size=1, max_size=20))
def test_k3_is_never_negative_and_nothing_for_the_same_model(tokens):
    policy, base = [p for p, _ in tokens], [b for _, b in tokens]
    assert kl_from_base([policy], [base]).estimate.value >= 0
    assert kl_from_base([policy], [policy]).estimate.value == 0


def test_a_policy_far_away_is_found():
    assert kl_from_base([[0.0] * 40] * 10, [[-3.0] * 40] * 10).flagged


@pytest.mark.parametrize("path", [BENIGN_LOOKALIKES, HARMFUL])
def test_shipped_prompts_are_many_and_each_its_own(path):
    prompts = list(open_prompts(path))
    said = {prompt.messages[0].content.casefold() for prompt in prompts}
    categories = {prompt.extra["category"] for prompt in prompts}
    assert len(said) == len(prompts) >= 120 and len(categories) >= 10
    if path == BENIGN_LOOKALIKES:
        assert all(prompt.extra["looks_like"] for prompt in prompts)


def test_shipped_opinions_are_asked_both_ways():
    pairs = read_opinion_pairs()
    assert len({pair.question for pair in pairs}) == len(pairs) >= 40
    for pair in pairs:
        assert pair.user_says_yes != pair.user_says_no
        assert pair.question in pair.user_says_yes and pair.question in pair.user_says_no


def test_a_file_without_opinions_is_refused(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"question": "Is it?"}\n{"question":', encoding="utf-8")
    with pytest.raises(InputError, match="not a pair of opinions") as caught:
        read_opinion_pairs(tmp_path / "p.jsonl")
    assert len(caught.value.problems) == 2
