"""Overlap of training and evaluation prompts: planted copies are found, by MinHash as exactly."""

from collections.abc import Iterator
from random import Random
from statistics import fmean

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.prompts.near import THRESHOLD, jaccard, shingles, signatures
from training.evaluation.signs.overlap import overlap

VOCABULARY = [f"word{number}" for number in range(400)]


def sentence(random: Random, words: int = 20) -> list[str]:
    return random.choices(VOCABULARY, k=words)


def altered(random: Random, words: list[str], times: int) -> str:
    said = list(words)
    for _ in range(times):
        said[random.randrange(len(said))] = random.choice(VOCABULARY)
    return " ".join(said)


def triples(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 3]) for at in range(max(1, len(words) - 2))} if words else set()


@given(
    st.lists(st.sampled_from("abcde"), max_size=12), st.lists(st.sampled_from("abcde"), max_size=12)
)
@settings(max_examples=100)
def test_similarity_is_that_of_the_words_in_threes(left: list[str], right: list[str]):
    one, other = " ".join(left), " ".join(right)
    union = triples(one) | triples(other)
    exact = len(triples(one) & triples(other)) / len(union) if union else 0
    assert jaccard(shingles(one), shingles(other)) == pytest.approx(exact)
    assert len(shingles(one)) == len(triples(one))


def test_signatures_agree_as_often_as_shingles_are_shared():
    random = Random(0)
    errors = []
    for changes in (0, 1, 2, 3, 4, 6, 8, 12) * 25:
        words = sentence(random, 40)
        pair = " ".join(words), altered(random, words, changes)
        rows = signatures(pair)
        estimate = float(numpy.mean(rows[0] == rows[1]))
        errors.append(estimate - jaccard(*map(shingles, pair)))
    assert abs(fmean(errors)) < 0.01
    assert max(map(abs, errors)) < 4 * 0.5 / 120**0.5


def test_what_minhash_finds_is_what_comparing_every_pair_finds():
    random = Random(1)
    prompts = [sentence(random) for _ in range(60)]
    train = [" ".join(sentence(random)) for _ in range(800)]
    train += [altered(random, words, times) for words in prompts for times in (1, 2, 3, 4)]
    random.shuffle(train)
    texts = [" ".join(words) for words in prompts]
    found = overlap(iter(train), texts)
    trained = list(map(shingles, train))
    best = {
        place: max(jaccard(grams, other) for other in trained)
        for place, grams in enumerate(map(shingles, texts))
    }
    assert found.trained == len(train)
    assert {place for place, similarity in best.items() if similarity >= THRESHOLD} == {
        *found.near,
        *found.exact,
    }
    assert len(found.near) > 40
    for place, near in found.near.items():
        assert near.similarity == pytest.approx(best[place])
        assert jaccard(shingles(near.text), shingles(texts[place])) == near.similarity


def test_copies_are_exact_whatever_their_case_and_punctuation():
    train = ["How do I open a tin?!", "how do  I OPEN a tin", "Bake bread.", "???", "今日は寒い"]
    prompts = [
        "How do I open a tin",
        "How do I open a jar of jam",
        "!!!",
        "???",
        "今日は寒い。",
        "",
    ]
    found = overlap(train, prompts)
    assert found.exact == {0, 3, 4} and not found.near and found.trained == 5


def test_a_near_copy_in_a_script_without_spaces_is_found():
    found = overlap(
        ["今日は朝からとても寒いので家にいます"], ["今日は朝からとても寒いので家にいる"]
    )
    assert not found.exact and list(found.near) == [0]


def test_neither_side_need_hold_anything():
    assert overlap([], ["a b c d"]).trained == 0
    nothing = overlap(["a b c d", "", "  "], [])
    assert nothing.trained == 3 and not nothing.exact and not nothing.near
    assert not overlap(["", "\n"], ["", "  "]).near


def test_the_training_side_is_streamed():
    held = 0

    def rows() -> Iterator[str]:
        nonlocal held
        for number in range(2500):
            held = number
            yield f"prompt number {number} of the training"

    source = rows()
    assert overlap(source, ["prompt number 2499 of the training"]).exact == {0}
    assert held == 2499 and next(source, None) is None
