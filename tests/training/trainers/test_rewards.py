"""Rewards: scores less penalties, and a failure that never becomes a score."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.checks import Check
from constitution.problems import Stopped
from constitution.schema import AppliesTo, Stakeholder
from engine.generators.base import (
    Choice,
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
)
from engine.messages import Message
from tests.engine.builders import Replies, constitution, principle
from training.trainers.rewards import ConstitutionalReward, Penalties, length_excess
from training.trainers.scorers import (
    NOT_APPLICABLE,
    AnswerScore,
    JudgeScorer,
    PrincipleDraw,
    Sample,
)

END = 2
FREE = Penalties(longest=10, soft_length=8, length=0.5, non_answer=1.0)
RULES = constitution("kindness", "honesty")
QUESTION = (Message("user", "Hello?"),)


class Fixed:
    """A scorer that knows its answers' scores."""

    def __init__(self, name="judge", **scores):
        self.name = name
        self.scores = scores
        self.closed = False

    async def score(self, samples):
        return [self.scores.get(sample.answer, AnswerScore(0.5)) for sample in samples]

    async def close(self):
        self.closed = True


def rewards(scorers, *answers, penalties=FREE, metrics=None, **columns):
    """`answers` are texts, or texts with their token ids."""
    pairs = [(a, [7, END]) if isinstance(a, str) else a for a in answers]
    reward = ConstitutionalReward(scorers, penalties, [END])
    values = asyncio.run(
        reward(
            prompts=[[{"role": "user", "content": "Hello?"}]] * len(pairs),
            completions=[[{"role": "assistant", "content": text}] for text, _ in pairs],
            completion_ids=[ids for _, ids in pairs],
            log_metric=lambda name, value: (metrics if metrics is not None else {}).update({
                name: value
            }),
            **columns,
        )
    )
    return values, reward.counts


def judged(verdict, *samples, rules=RULES, **options):
    judge = Replies(lambda request: "", verdict)
    return asyncio.run(JudgeScorer(judge, PrincipleDraw(rules, **options)).score(samples)), judge


def sample(answer="Hi.", name="p0", tags=()):
    return Sample(name, QUESTION, answer, tags)


def test_scores_are_summed_by_weight():
    scorers = [(Fixed(a=AnswerScore(0.5)), 1.0), (Fixed("reward_model", a=AnswerScore(0.25)), 2.0)]
    assert rewards(scorers, "a")[0] == [1.0]


def test_a_failure_is_never_a_score():
    scorers = [
        (Fixed(a=AnswerScore(None, "timeout")), 1.0),
        (Fixed("reward_model", a=AnswerScore(1.0)), 1.0),
    ]
    metrics = {}
    values, counts = rewards(scorers, "a", "b", metrics=metrics)
    assert values == [None, 1.0]
    assert (counts.answers, counts.rewarded, counts.unrewarded) == (2, 1, 1)
    assert counts.failures == {"judge: timeout": 1}
    assert metrics["unrewarded"] == 0.5
    assert metrics["score/judge"] == 0.5


def test_a_penalty_does_not_make_a_failure_a_score():
    scorers = [(Fixed(a=AnswerScore(None, "timeout")), 1.0)]
    assert rewards(scorers, ("a", [7] * 10))[0] == [None]


def test_a_batch_of_failures_has_no_mean():
    metrics = {}
    scorers = [(Fixed(a=AnswerScore(None, "timeout")), 1.0)]
    assert rewards(scorers, "a", metrics=metrics)[0] == [None]
    assert "score/judge" not in metrics


def test_when_nothing_can_be_scored_training_stops():
    scorers = [(Fixed(a=AnswerScore(None, "timeout")), 1.0)]
    with pytest.raises(Stopped, match=r"none of the first 8 answers .* timeout \(8\)"):
        rewards(scorers, *["a"] * 8)
    assert rewards(scorers, *["a"] * 8, "b")[0] == [None] * 8 + [0.5]


def test_an_empty_answer_is_penalised():
    values, counts = rewards([(Fixed(**{"": AnswerScore(0.0)}), 1.0)], "", "  ", "a")
    assert values == [-1.0, -1.0, 0.5]
    assert counts.empty == 2


def test_an_answer_that_is_all_reasoning_is_empty():
    assert rewards([(Fixed(), 1.0)], "<think>hm")[1].empty == 1


def test_a_truncated_answer_is_penalised_and_one_that_just_fits_is_not():
    ids = [7] * 9
    values, counts = rewards([(Fixed(), 1.0)], ("cut", [*ids, 7]), ("whole", [*ids, END]))
    assert values == [0.5 - 0.5 - 1.0, 0.5 - 0.5]
    assert (counts.truncated, counts.empty) == (1, 0)


def test_length_costs_from_the_soft_limit_on():
    texts = [("short", [7] * 7 + [END]), ("longer", [7] * 8 + [END])]
    assert rewards([(Fixed(), 1.0)], *texts)[0] == [0.5, 0.25]


@given(st.integers(0, 300), st.integers(1, 200), st.integers(1, 200))
def test_the_length_penalty_grows_from_none_to_all(tokens, soft, longest):
    here = length_excess(tokens, soft, longest)
    assert 0 <= here <= length_excess(tokens + 1, soft, longest) <= 1
    if tokens <= soft:
        assert here == 0
    if tokens >= longest > soft:
        assert here == 1


def test_scorers_are_closed_once_each():
    scorer = Fixed()
    asyncio.run(ConstitutionalReward([(scorer, 1.0)], FREE, [END]).close())
    assert scorer.closed


def test_the_judge_pays_for_keeping_principles():
    def verdict(messages):
        broken = 0.8 if "kindness" in messages[0].content else 0.4
        return Choice((broken, 1 - broken), 1.0)

    weighted = constitution().model_copy(
        update={"principles": (principle("kindness", weight=3.0), principle("honesty"))}
    )
    (equal,), _ = judged(verdict, sample())
    (uneven,), _ = judged(verdict, sample(), rules=weighted)
    assert equal.value == pytest.approx(0.4)
    assert uneven.value == pytest.approx(0.75 * 0.2 + 0.25 * 0.6)


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (GenerationError(FailureReason.TIMEOUT, "late"), "timeout"),
        (Choice((1.0, 0.0), 0.001), "the judge answered neither Yes nor No"),
    ],
)
def test_one_missing_verdict_leaves_no_score(answered, reason):
    def verdict(messages):
        return answered if "kindness" in messages[0].content else Choice((0.0, 1.0), 1.0)

    (score,), _ = judged(verdict, sample())
    assert score == AnswerScore(None, reason)


def test_a_judge_that_is_gone_stops_the_run():
    class Gone(Replies):
        async def choose(self, messages, choices, *, priority=0):
            raise GeneratorUnavailable("the server is gone")

    with pytest.raises(GeneratorUnavailable):
        asyncio.run(JudgeScorer(Gone(lambda request: ""), PrincipleDraw(RULES)).score([sample()]))


def test_an_empty_answer_is_worth_nothing_and_the_judge_is_not_asked():
    (score,), judge = judged(None, sample(""))
    assert score == AnswerScore(0.0)
    assert judge.questions == []


def test_checks_reward_without_a_judge():
    class NeverStarted(Replies):
        async def start(self):
            raise AssertionError("no judge is needed")

    brief = principle("brevity", check=Check(max_words=2))
    rules = constitution().model_copy(update={"principles": (brief,)})
    judge = NeverStarted(lambda request: "")
    answers = [sample("Hi."), sample("Hi to you all.")]
    scores = asyncio.run(JudgeScorer(judge, PrincipleDraw(rules)).score(answers))
    assert scores == [AnswerScore(1.0), AnswerScore(0.0)]
    assert judge.questions == []


def test_principles_that_do_not_apply_are_not_asked_about():
    narrow = principle("secrets", applies_to=AppliesTo(tags=("work",)))
    rules = constitution().model_copy(update={"principles": (narrow,)})
    (outside, inside), judge = judged(None, sample(), sample(tags=("work",)), rules=rules)
    assert outside == NOT_APPLICABLE
    assert inside.value == pytest.approx(0.9)
    assert len(judge.questions) == 1


@given(st.integers(1, 6), st.text(max_size=8))
def test_answers_to_one_prompt_meet_the_same_principles(count, name):
    rules = constitution("a", "b", "c", "d")
    drawn = PrincipleDraw(rules, count).of(name)
    assert drawn == PrincipleDraw(rules, count).of(name)
    assert len(drawn) == min(count, 4)
    assert sum(share for _, share in drawn) == pytest.approx(1)


def test_tags_and_ids_reach_the_judge():
    seen = []

    class Watching(Fixed):
        async def score(self, samples):
            seen.extend((s.id, s.tags) for s in samples)
            return await super().score(samples)

    rewards([(Watching(), 1.0)], "a", "b", id=["p1", "p1"], tags=[["work"], None])
    assert seen == [("p1", ("work",)), ("p1", ())]


def test_principles_are_drawn_and_weighed_as_the_stakeholder_weighs_them():
    rules = constitution("a", "b").model_copy(
        update={
            "stakeholders": {
                "one": Stakeholder(weights={"a": 3.0}),
                "two": Stakeholder(weights={"a": 0.0}),
            }
        }
    )
    weighed = PrincipleDraw(rules, stakeholder="one").of("p0")
    assert [(p.id, share) for p, share in weighed] == [("a", 0.75), ("b", 0.25)]
    assert [p.id for p, _ in PrincipleDraw(rules, 2, stakeholder="two").of("p0")] == ["b"]
    mixed = PrincipleDraw(rules, stakeholder={"one": 1.0, "two": 1.0})
    assert {len(mixed.of(f"p{n}")) for n in range(20)} == {1, 2}
